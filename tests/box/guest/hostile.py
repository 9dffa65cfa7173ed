"""A decoder that has been taken over: what it does stands in the name of the recording.

It lies in the guest as `sitecustomize.py` in a folder that the worker's unit has on its
PYTHONPATH: all else of the template, the child and its walls is the product's. Beside a file
called `unsealed` it never put up its walls: what a hole in them would let out, and the control
of what is tried behind them.

Not here: what must come of it (limits).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

FOLDER: Final = os.path.dirname(os.path.abspath(__file__))
UNIT: Final = "/sys/fs/cgroup/appliance.slice/appliance-worker.service"
SPIN_SECONDS: Final = 8.0
_MB: Final = 1 << 20


def eats_memory(_say: Callable[[str], None]) -> None:
    """Take memory that RLIMIT_DATA does not count, until somebody ends it."""
    block = bytes(_MB)
    held = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, _MB):
        held[at : at + _MB] = block


def eats_processors(_say: Callable[[str], None]) -> None:
    """Compute."""
    until = time.monotonic() + SPIN_SECONDS
    while time.monotonic() < until:
        pass


def forks(_say: Callable[[str], None]) -> None:
    """Become as many as possible."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def flees(_say: Callable[[str], None]) -> None:
    """Ignore TERM, leave the session, leave the parent, and wait."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
    time.sleep(3600)


def pries(say: Callable[[str], None]) -> None:
    """Try every door there is, and say which opened."""
    for name, door in DOORS.items():
        try:
            door()
            say(f"{name}: open")
        except (OSError, RuntimeError) as refused:
            say(f"{name}: {refused}")


def shouts(_say: Callable[[str], None]) -> None:
    """Speak as the worker does, wherever that may be heard."""
    for fd in range(64):
        with contextlib.suppress(OSError):
            os.write(fd, b'{"event": "forged"}\n')


def _write(path: str, text: str = "") -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def _own_group() -> str:
    name = next(one for one in os.listdir(UNIT) if one.startswith("job-"))
    return os.path.join(UNIT, name)


DOORS: Final[dict[str, Callable[[], Any]]] = {
    "raise its limit": lambda: _write(f"{_own_group()}/memory.max", "max"),
    "leave its group": lambda: _write(f"{UNIT}/supervisor/cgroup.procs", str(os.getpid())),
    "raise its limit by a known name": lambda: _write(f"{UNIT}/job-1-1/memory.max", "max"),
    "read the ledger": lambda: os.open("/var/lib/appliance/ledger.db", os.O_RDONLY),
    "list the state": lambda: os.listdir("/var/lib/appliance"),
    "open a socket": lambda: socket.socket(socket.AF_UNIX),
    "write to the share": lambda: _write("/srv/meetings/left-by-a-decoder", "x"),
    "read the share": lambda: os.listdir("/srv/meetings"),
    "start a process": lambda: os._exit(0) if not os.fork() else None,
    "start a thread": lambda: threading.Thread(target=int).start(),
    "raise its rlimit": lambda: _raise(),
}


def _raise() -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
    except ValueError as refused:
        raise OSError(1, str(refused)) from None


DEEDS: Final = {
    "eats-memory": eats_memory,
    "eats-processors": eats_processors,
    "forks": forks,
    "flees": flees,
    "pries": pries,
    "shouts": shouts,
}


def turn() -> None:
    """Be that decoder from now on."""
    from appliance import limits

    if os.path.exists(os.path.join(FOLDER, "unsealed")):
        vars(limits).update(confine=_put_up_nothing, seal=_take_nothing_away)
    fork = limits.serve

    def serve(control: socket.socket, work: Callable[[int], int]) -> int:
        from appliance.decode import serve as talk

        talk.serve = _done
        return fork(control, work)

    limits.serve = serve


def _put_up_nothing(_limits: Any) -> Any:
    from appliance import limits

    return limits.Confinement(**dict.fromkeys(limits.WALLS, True))


def _take_nothing_away(achieved: Any, *, start: Callable[[], None] | None = None) -> Any:
    if start is not None:
        start()
    return achieved


def _done(channel: Any, held_in: Any, ahead: Any, nowhere: int) -> int:
    """In place of decode.serve.serve: the recording's name decides."""
    from appliance import limits, wire
    from appliance.decode import serve as talk
    from appliance.decode.talk import Attempt, receive_begin

    begin, source, ring = receive_begin(channel)
    limits.start_clock(held_in)
    attempt: Any = Attempt(channel, begin, source, ring, ahead)
    deed = next((DEEDS[name] for name in DEEDS if begin.name.startswith(name)), None)
    if deed is not None:

        def run() -> None:
            deed(lambda line: channel.send(wire.Said((line,))))
            channel.send(wire.Failed("source.unreadable", {}))

        attempt.run = run
    return talk._attempt(channel, attempt, begin, nowhere)


if __name__ == "sitecustomize" and "appliance.decode" in getattr(sys, "orig_argv", ()):
    turn()
