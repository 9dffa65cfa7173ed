"""How often somebody may try a password: nothing is ever locked, it only takes longer.

Counted are failures: of one name from one address, of one address, and of one name from
anywhere. The last bucket is wide and its wait short, so that a stranger who guesses at the
admin's name cannot keep the admin out.

Not here: judging the password (appliance.accounts), other requests (limits).
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from flask import Flask, current_app

from appliance.errors import SignInSlow, SignInWrong

_FORGET_SECONDS: Final = 3600.0  # without a failure
_MOST: Final = 10_000  # buckets; the oldest go
_AT_ONCE: Final = 2  # passwords being hashed: 20 MB each, a processor each
_PATIENCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted together, and from when on it takes longer."""

    free: int  # failures that cost nothing
    longest: float  # seconds


_PAIR: Final = Bucket(free=5, longest=900.0)
_ADDRESS: Final = Bucket(free=20, longest=900.0)
_NAME: Final = Bucket(free=50, longest=30.0)


@dataclass(slots=True)
class _Count:
    failures: int
    at: float  # of the last one


class Throttle:
    """The failures of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock  # seconds, only ever growing
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._guard = threading.Lock()

    def check(self, name: str, address: str) -> None:
        """Raise SignInSlow while the next attempt does not count yet."""
        now = self._clock()
        with self._guard:
            waits = [
                self._wait(key, bucket, now) for key, bucket in _buckets(name, address).items()
            ]
        if (longest := max(waits)) > 0:
            raise SignInSlow(seconds=max(1.0, longest))

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        with self._guard:
            for key in _buckets(name, address):
                known = self._counts.pop(key, None)
                fresh = known is None or now - known.at > _FORGET_SECONDS
                self._counts[key] = _Count(1 if fresh or known is None else known.failures + 1, now)
            while len(self._counts) > _MOST:
                self._counts.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Somebody knew it: what they mistyped before does not count."""
        with self._guard:
            self._counts.pop((name, address), None)

    def _wait(self, key: tuple[str, str], bucket: Bucket, now: float) -> float:
        known = self._counts.get(key)
        if known is None or known.failures < bucket.free or now - known.at > _FORGET_SECONDS:
            return 0.0
        doubled = 2.0 ** min(known.failures - bucket.free, 20)
        return known.at + min(doubled, bucket.longest) - now


def _buckets(name: str, address: str) -> dict[tuple[str, str], Bucket]:
    return {(name, address): _PAIR, ("", address): _ADDRESS, (name, ""): _NAME}


# --- of the app ---------------------------------------------------------------------------------


def keep_for(app: Flask, clock: Callable[[], float]) -> None:
    """Give the app its throttle."""
    app.extensions["appliance.throttle"] = Throttle(clock)
    app.extensions["appliance.hashing"] = threading.BoundedSemaphore(_AT_ONCE)


@contextlib.contextmanager
def attempt(name: str, address: str, *, wrong: type[Exception] = SignInWrong) -> Iterator[None]:
    """Around the judging of a password or a code. Raises SignInSlow, or what is raised inside.

    `wrong` is what an attempt raises that shall count.
    """
    name = f"@{name.strip().lower()[:63]}"  # never the empty one of the address's bucket
    known = cast(Throttle, current_app.extensions["appliance.throttle"])
    hashing = cast(threading.BoundedSemaphore, current_app.extensions["appliance.hashing"])
    known.check(name, address)
    if not hashing.acquire(timeout=_PATIENCE_SECONDS):
        raise SignInSlow(seconds=_PATIENCE_SECONDS)
    try:
        yield
    except wrong:
        known.failed(name, address)
        raise
    finally:
        hashing.release()
    known.succeeded(name, address)
