"""Shares that go, hang, lie, fill up and break off, under a whole box at work.

Two boxes at once. One has a share mounted from a file server (nas) that is pulled away,
killed, stopped, swapped, write-protected, full, replaced by a stranger, or fails two in a
hundred calls. The other is a folder that a real Samba serves (samba), with clients that
stall, set sizes first, rename, die, and come by the hundred.

Of each fault is asked: no attempt of any job is charged for it, no recording called
missing, nothing written where the share is not, nothing taken from a stranger; and that
jobs go on within 15 seconds of its end. In the end each recording is done once.

Not here: a share among kills (kill), failing calls one by one (errors).
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from appliance.states import State
from appliance.store import events, gates, jobs, shares
from tests.faults import Amount, Figures, verdict
from tests.faults.box import SHARE, Box
from tests.faults.kill import settle, tracebacks, until
from tests.faults.nas import Nas
from tests.faults.recordings import Dropped, Kind, wav
from tests.faults.samba import upload

BAR_SECONDS: Final = 15.0
_ROUNDS: Final = {Amount.SHORT: 4, Amount.FULL: 40, Amount.LONG: 200}
_EACH: Final = 3  # recordings dropped around each fault
_LARGE: Final = 400_000  # bytes; long enough to be caught while they are copied
_ALIEN: Final = "alien.wav"


def run(how_much: Amount, *, seed: int, where: str) -> Figures:
    """Both boxes at once: they mostly wait."""
    with ThreadPoolExecutor(max_workers=2) as both:
        uploading = both.submit(upload, how_much, os.path.join(where, "samba"))
        faults = Faults(random.Random(seed), os.path.join(where, "nas"))
        faults.run(_ROUNDS[how_much], strict=how_much is not Amount.SHORT)
        uploads = uploading.result()
    slowest = max(faults.resumed.values(), default=0.0)
    return Figures(
        done=f"{faults.count} faults of a share, {uploads.count} uploads over SMB",
        count=faults.count + uploads.count,
        violations=(*faults.violations, *uploads.violations),
        facts={
            "faults": ", ".join(f"{n} {name}" for name, n in faults.kinds.most_common()),
            "went on after the end of a fault": f"{slowest:.1f} s at most",
            "slowest to go on": max(faults.resumed, key=lambda k: faults.resumed[k], default=""),
            **uploads.facts,
        },
    )


class Faults:
    """A box over a file server, and one fault of it after the other."""

    def __init__(self, chance: random.Random, where: str) -> None:
        self._chance = chance
        self._where = where
        self._sent = 0
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.resumed: dict[str, float] = {}
        self.violations: list[str] = []

    def run(self, rounds: int, *, strict: bool) -> None:
        """Break the share so many times, then judge. `strict`: lateness counts."""
        os.makedirs(self._where)
        with Nas(self._where, os.path.join(self._where, SHARE)) as nas, Box(self._where) as box:
            for name in self._deck(rounds):
                self._one(name, nas, box, strict=strict)
            settle(box)
            box.stop()
            self.violations += tracebacks(box)
            self.violations += verdict.judge(box.settings.state_dir, {SHARE: box.root}, box.dropped)
            self.violations += _charged(box)

    def _deck(self, rounds: int) -> list[str]:
        names = list(FAULTS)
        deck = [name for _ in range(-(-rounds // len(names))) for name in names]
        if rounds < len(names):  # the short run: what differs most
            return ["pulled", "hangs for a while", "read-only", "swapped"][:rounds]
        self._chance.shuffle(deck)
        return deck[:rounds]

    def _one(self, name: str, nas: Nas, box: Box, *, strict: bool) -> None:
        for _ in range(_EACH):
            self._drop(nas, box)
        _run_for(box, self._chance.uniform(0.0, 12.0))
        self.count += 1
        self.kinds[name] += 1
        with FAULTS[name](nas, self):
            _run_for(box, _HOLD.get(name, self._chance.uniform(3.0, 9.0)))
        seconds = until(box, lambda: _goes_on(box), seconds=120.0)
        self.resumed[name] = max(self.resumed.get(name, 0.0), seconds)
        if strict and seconds > BAR_SECONDS:
            self.violations.append(f"late: {name}: went on after {seconds:.1f} s")

    def _drop(self, nas: Nas, box: Box) -> None:
        """Put a recording there, behind the mount; its size and time are there at once."""
        kind = self._chance.choice((Kind.GOOD, Kind.GOOD, Kind.SLOW))
        content = wav(kind, self._chance)
        if self._chance.random() < 0.3:
            junk = self._chance.randbytes(_LARGE)
            content = content[:12] + b"junk" + len(junk).to_bytes(4, "little") + junk + content[12:]
        name = f"{self._sent:04}.wav".encode()
        self._sent += 1
        aside = os.path.join(nas.disk, "aside")
        with open(aside, "wb") as stream:
            stream.write(content)
        os.rename(aside, os.path.join(os.fsencode(nas.folder), name))
        box.dropped.append(Dropped.at(SHARE, nas.folder, name, kind.ends))


def _run_for(box: Box, seconds: float) -> None:
    until(box, lambda: False, seconds=seconds)


def _goes_on(box: Box) -> bool:
    """The share is online, its gate is open, and nothing waits for it any more."""
    online = shares.get(box.ledger, SHARE).state == "online"
    gate = gates.named(box.ledger, f"share:{SHARE}")
    return online and gate is None and not jobs.listing(box.ledger, [State.WAITING])


def _charged(box: Box) -> Iterator[str]:
    """What no trouble of a share may cost."""
    for job in jobs.listing(box.ledger, limit=1 << 20):
        if (job.errors, job.crashes, job.losses) != (0, 0, 0):
            yield f"charged: {job.source.path!r}: {job.errors}, {job.crashes}, {job.losses}"
        for event in events.of_job(box.ledger, job.id):
            if event.code is not None and not event.code.startswith("share."):
                yield f"blamed: {job.source.path!r}: {event.became} {event.code}"
        if os.path.basename(job.source.path) == _ALIEN.encode():
            yield "a job of a stranger's share"


# --- the faults ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _pulled(nas: Nas, faults: Faults) -> Iterator[None]:
    nas.pull()
    yield
    if left := nas.bare():
        faults.violations.append(f"written under the bare mount point: {left}")
    nas.mount()


@contextlib.contextmanager
def _killed(nas: Nas, _faults: Faults) -> Iterator[None]:
    nas.die()
    yield
    nas.pull()
    nas.mount()


@contextlib.contextmanager
def _hangs(nas: Nas, _faults: Faults) -> Iterator[None]:
    nas.hang()
    yield
    nas.answer()


@contextlib.contextmanager
def _swapped(nas: Nas, _faults: Faults) -> Iterator[None]:
    nas.swap()
    yield


@contextlib.contextmanager
def _stranger(nas: Nas, faults: Faults) -> Iterator[None]:
    """Another share with a marker of its own is mounted in its place."""
    other = os.path.join(nas.disk, "stranger")
    os.makedirs(other, exist_ok=True)
    for name, content in {_ALIEN: b"RIFF", ".transcribe-id": b"another\n"}.items():
        with open(os.path.join(other, name), "wb") as stream:
            stream.write(content)
    nas.pull()
    nas.mount(other)
    yield
    nas.pull()
    if sorted(os.listdir(other)) != [".transcribe-id", _ALIEN]:
        faults.violations.append(f"written into a stranger's share: {os.listdir(other)}")
    nas.mount()


@contextlib.contextmanager
def _read_only(nas: Nas, _faults: Faults) -> Iterator[None]:
    nas.write_protect(True)
    yield
    nas.write_protect(False)


@contextlib.contextmanager
def _full(nas: Nas, _faults: Faults) -> Iterator[None]:
    nas.fill(True)
    yield
    nas.fill(False)


def _failing(probability: float) -> Fault:
    @contextlib.contextmanager
    def fails(nas: Nas, _faults: Faults) -> Iterator[None]:
        nas.fail(probability)
        yield
        nas.fail(0)

    return fails


Fault = Callable[[Nas, Faults], contextlib.AbstractContextManager[None]]
FAULTS: Final[Mapping[str, Fault]] = {
    "pulled": _pulled,
    "killed": _killed,
    "hangs for a while": _hangs,
    "hangs for long": _hangs,
    "swapped": _swapped,
    "a stranger": _stranger,
    "read-only": _read_only,
    "full": _full,
    "2 % EIO": _failing(0.02),
    "20 % EIO": _failing(0.2),
}
_HOLD: Final = {"hangs for long": 40.0}  # longer than anybody waits for a file server
