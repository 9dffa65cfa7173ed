"""Another box, asked over its API: the only door to httpx beside that of the models.

In: its address and a key. Out: what it told, as plain values, or its problem by name. The key
goes over TLS, or to this machine itself, and nowhere else: no redirect is followed.

Not here: what is printed (cli.remote), the API itself (web.api).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self

import httpx

from appliance import __version__
from appliance.errors import BoxRefused, KeyUnsafe, NotReachable

_TIMEOUT: Final = httpx.Timeout(30.0)
_SILENCE_SECONDS: Final = 60.0  # a stream shows every quarter of a minute that it lives
_TRIES: Final = 8  # in a row without a single event
_AGAIN_SECONDS: Final = 2.0

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a stream told."""

    kind: str  # job, progress or lost
    facts: Plain
    id: str | None = None  # where to go on from


class Client:
    """The API of one box. Close it, or use it as a context manager."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` as the pages have it, https://box. Raises NotReachable, KeyUnsafe."""
        self._where = url
        self._pause = pause
        try:
            base = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise NotReachable(what="A box", where=url) from error
        if not _is_safe(base):
            raise KeyUnsafe(where=url)
        self._http = httpx.Client(
            base_url=base.join("/api/v1/"),
            headers={
                "Authorization": f"Bearer {key.strip()}",
                "User-Agent": f"appliance/{__version__}",
            },
            timeout=_TIMEOUT,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def jobs(self, states: Sequence[str] = (), *, limit: int = 50) -> list[Plain]:
        """The newest jobs, page after page, `limit` at most. Raises BoxRefused, NotReachable."""
        found: list[Plain] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < limit:
            asked: list[tuple[str, str | int | float | bool | None]] = [
                *(("state", state) for state in states),
                ("limit", min(200, limit - len(found))),
                ("cursor", cursor),
            ]
            page = self._ask("GET", "jobs", params=asked)
            found += page["jobs"]
            cursor = page["next_cursor"]
        return found

    def job(self, number: int) -> Plain:
        """One job, and all that is known of it. Raises BoxRefused, NotReachable."""
        return self._ask("GET", f"jobs/{number}")

    def move(self, number: int, verb: str, body: Mapping[str, Any] | None = None) -> Plain:
        """Retry, cancel, hold or release a job; the job as it is now. Raises as `job`."""
        return self._ask("POST", f"jobs/{number}/{verb}", json=body)

    def queue(self, verb: str, why: str = "") -> Plain:
        """Pause or resume the queue; how it stands. Raises as `job`."""
        return self._ask("POST", f"queue/{verb}", json={"why": why} if why else None)

    def export(self, number: int, format_: str, into: BinaryIO) -> None:
        """Write a job's text, in one of the formats, to an open file. Raises as `job`."""
        with self._opened("GET", f"jobs/{number}/export", params={"format": format_}) as answer:
            into.writelines(answer.iter_bytes())

    def events(self, after: int | None = None) -> Iterator[Event]:
        """What happens to jobs, for ever; a stream that breaks is taken up where it broke.

        The first event is `connected`, as is the first after each break: whoever waits for
        something looks then whether it has happened already. Raises as `job`.
        """
        last = None if after is None else str(after)
        tries = 0
        while True:
            headers = {"Accept": "text/event-stream"}
            if last is not None:
                headers["Last-Event-ID"] = last
            try:
                with self._opened(
                    "GET", "events", headers=headers, timeout=_SILENCE_SECONDS
                ) as answer:
                    yield Event("connected", {})
                    for event in _parsed(answer.iter_lines()):
                        tries = 0
                        last = event.id or last
                        yield event
            except NotReachable:
                if tries >= _TRIES:
                    raise
            tries += 1
            self._pause(_AGAIN_SECONDS)

    def _ask(self, method: str, path: str, **more: Any) -> Plain:  # noqa: ANN401 - httpx's
        with self._opened(method, path, **more) as answer:
            try:
                found = json.loads(answer.read())
            except ValueError as error:
                raise NotReachable(what="An appliance", where=self._where) from error
        return found if isinstance(found, dict) else {}

    @contextlib.contextmanager
    def _opened(
        self,
        method: str,
        path: str,
        **more: Any,  # noqa: ANN401 - httpx's
    ) -> Iterator[httpx.Response]:
        """An answer that is being read; whatever goes wrong with it has a name."""
        try:
            with self._http.stream(method, path, **more) as answer:
                if not answer.is_success:
                    raise _refusal(answer, self._where)
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotReachable(what="The box", where=self._where) from error


def _is_safe(url: httpx.URL) -> bool:
    """Tell whether nobody on the way can read a key that is sent there."""
    if url.scheme == "https":
        return bool(url.host)
    if url.scheme != "http":
        return False
    try:
        return url.host == "localhost" or ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False


def _refusal(answer: httpx.Response, where: str) -> Exception:
    """What a box says that does not do what it was asked."""
    try:
        told = json.loads(answer.read())
    except (ValueError, httpx.HTTPError):
        told = None
    if not isinstance(told, dict) or "detail" not in told:
        return NotReachable(what=f"An appliance ({answer.status_code})", where=where)
    code = told.get("code") or f"{answer.status_code}"
    return BoxRefused(
        told=str(code), why=str(told["detail"]), step=str(told.get("next_step") or "")
    )


def _parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Events of a stream (html.spec.whatwg.org, server-sent events), as we write them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "event" in fields and "data" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
        fields = {}
