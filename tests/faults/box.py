"""A whole appliance whose processes can be killed, and are started again as systemd would.

The product's engine command (with an engine of ours), worker, watch and web, over one
share in `where`. Nothing here is killed by name: only processes this box has started, and
what those have started.

Not here: what is killed and when (kill), whether it did any harm (verdict).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, Self

from appliance.settings import Settings, load
from appliance.store import schema
from appliance.store.ledger import Ledger
from appliance.watch import adopt
from tests.faults.recordings import Dropped, Kind
from tests.faults.verdict import sha256

SHARE: Final = "inbox"
PARTS: Final = ("engine", "worker", "watch", "web")
REST_SECONDS: Final = 0.1  # systemd's own RestartSec
_TOP: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def make_settings(where: str, formats: tuple[str, ...] = ("txt", "srt", "json")) -> Settings:
    """Write the settings of a box in `where` and make its folders and its ledger.

    Three formats instead of six: each is one more file and fsync, and none is special.
    """
    root = os.path.join(where, SHARE)
    for folder in (root, os.path.join(where, "marks")):
        os.makedirs(folder, exist_ok=True)
    with open(os.path.join(where, "appliance.toml"), "w", encoding="utf-8") as stream:
        stream.write(
            f"[node]\nstate_dir = '{where}/state'\n[disk]\nwarn_below_gb = 0\nstop_below_gb = 0\n"
            f"[web]\nlisten = '{where}/web.sock'\n"
            f"[[share]]\nname = '{SHARE}'\nroot = '{root}'\nexisting = 'process'\n"
            f"formats = {list(formats)}\nquiet_seconds = 0.3\n"
        )
    settings = load(os.path.join(where, "appliance.toml"))
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        adopt(ledger, settings.share[0], existing="process")
    return settings


class Part:
    """One process of the box, through all its lives."""

    def __init__(self, argv: list[str], log: str, environment: dict[str, str]) -> None:
        self._argv = argv
        self._log = log
        self._environment = environment
        self._due = 0.0
        self.popen: subprocess.Popen[bytes] | None = None

    def turn(self, now: float) -> None:
        """Reap it when it is dead; start it when it has rested."""
        if self.popen is not None and self.popen.poll() is not None:
            self.popen = None
            self._due = now + REST_SECONDS
        if self.popen is None and now >= self._due:
            with open(self._log, "ab") as log:
                self.popen = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self._environment},
                    cwd=_TOP,
                    start_new_session=True,
                )


class Box:
    """The four processes and their share. Use it as a context manager; `turn` it often."""

    def __init__(
        self,
        where: str,
        *,
        hurry: float = 1.0,
        parts: tuple[str, ...] = PARTS,
        broken: bool = False,
    ) -> None:
        """`hurry` and `broken` are the worker's (tests.faults.worker)."""
        self.settings = make_settings(where)
        self.root = self.settings.share[0].root
        self.log = os.path.join(where, "log")
        self.ledger = Ledger(self.settings.state_dir)
        self.dropped: list[Dropped] = []
        file, marks = os.path.join(where, "appliance.toml"), os.path.join(where, "marks")
        environment = {"APPLIANCE_ENGINE_CMD": f"{sys.executable} -m tests.faults.engine {marks}"}
        python = [sys.executable, "-m"]
        argv = {part: [*python, "appliance", "--settings", file, part] for part in PARTS}
        argv["worker"] = [*python, "tests.faults.worker", marks, str(hurry), file]
        argv["worker"] += ["broken"] if broken else []
        self.parts = {part: Part(argv[part], self.log, environment) for part in parts}

    def __enter__(self) -> Self:
        self.turn()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill_all()
        for part in self.parts.values():
            if part.popen is not None:
                part.popen.wait()
        self.ledger.close()

    def stop(self) -> None:
        """Stop everything in good order, as `systemctl stop` does; what does not end is killed."""
        living = [part.popen for part in self.parts.values() if part.popen is not None]
        for popen in living:
            popen.terminate()
        for popen in living:
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(timeout=60)

    def turn(self) -> None:
        """Start what is dead and has rested."""
        for part in self.parts.values():
            part.turn(time.monotonic())

    def children(self, name: str) -> list[int]:
        """What a process of the box has started, and what that has started."""
        popen = self.parts[name].popen
        return [] if popen is None else below(popen.pid)

    def kill(self, name: str) -> bool:
        """Kill one process and nothing else: what it has started is on its own."""
        popen = self.parts[name].popen
        return popen is not None and popen.poll() is None and kill(popen.pid)

    def kill_all(self) -> bool:
        """Kill everything at once."""
        pids = [pid for name in self.parts for pid in self.children(name)]
        killed = [self.kill(name) for name in self.parts]
        for pid in pids:
            kill(pid)
        return any(killed)

    def drop(
        self, content: bytes, kind: Kind, name: str, way: str, pauses: Sequence[float] = ()
    ) -> threading.Thread:
        """Put a recording into the share as people do; join what comes back.

        `way` is move, copy or slow: then it is written in pieces with these pauses (seconds).
        """
        told = (os.fsencode(name), content, way, kind, pauses)
        thread = threading.Thread(target=self._put, args=told)
        thread.start()
        return thread

    def _put(
        self, path: bytes, content: bytes, way: str, kind: Kind, pauses: Sequence[float]
    ) -> None:
        full = os.path.join(os.fsencode(self.root), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if way == "move":
            aside = os.path.join(
                os.fsencode(os.path.dirname(self.root)), b"aside-" + path.replace(b"/", b"-")
            )
            _write(aside, content, ())
            os.rename(aside, full)
        else:
            _write(full, content, pauses)
        self.dropped.append(Dropped.at(SHARE, self.root, path, kind.ends))


def _write(full: bytes, content: bytes, pauses: Sequence[float]) -> None:
    """Write a file in as many pieces as there are pauses, and one, without closing it between."""
    pieces = len(pauses) + 1
    length = -(-len(content) // pieces)
    with open(full, "wb", buffering=0) as stream:
        for number in range(pieces):
            stream.write(content[number * length : (number + 1) * length])
            if number < len(pauses):
                time.sleep(pauses[number])


# --- processes ----------------------------------------------------------------------------------


def below(pid: int) -> list[int]:
    """Every living descendant of a process."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                contextlib.suppress(OSError, ValueError),
                open(f"/proc/{name}/stat", "rb") as stream,
            ):
                facts = stream.read().rpartition(b")")[2].split()
                if facts[0] not in (b"Z", b"X"):
                    parents.setdefault(int(facts[1]), []).append(int(name))
    found: list[int] = []
    queue = [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def kill(pid: int) -> bool:
    """kill -9; False where it is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


# --- a witness ----------------------------------------------------------------------------------

_JIFFY_NS: Final = 100_000_000  # a folder changed so lately may change once more in the same tick
_SHARE_OF_TIME: Final = 10  # the witness looks for a tenth of its time at most


class Witness:
    """Reads every export that is put there, and remembers each content a name has had."""

    def __init__(self, root: str) -> None:
        self._root = os.fsencode(root)
        self._folders: dict[bytes, int] = {}
        self._looks: dict[bytes, tuple[int, int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness")
        self.seen: dict[tuple[str, bytes], set[str]] = {}
        self.published = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.05
        while not self._stop.wait(pause):
            begun = time.monotonic()
            self.look()
            pause = max(0.05, _SHARE_OF_TIME * (time.monotonic() - begun))

    def look(self) -> None:
        """Read what is new or has been put there anew."""
        for folder, _, names in os.walk(self._root):
            changed = os.stat(folder).st_mtime_ns
            if self._folders.get(folder) == changed:
                continue
            for name in names:
                if not name.startswith(b".") and not name.endswith(b".wav"):
                    self._read(os.path.join(folder, name))
            if time.time_ns() - changed > _JIFFY_NS:
                self._folders[folder] = changed

    def _read(self, full: bytes) -> None:
        with contextlib.suppress(FileNotFoundError), open(full, "rb") as stream:
            found = os.fstat(stream.fileno())
            look = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._looks.get(full) != look:
                self._looks[full] = look
                path = os.path.relpath(full, self._root)
                self.seen.setdefault((SHARE, path), set()).add(sha256(stream.read()))
                self.published += 1
