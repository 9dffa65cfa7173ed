"""What the kernel tells of a local folder tree: hints where to look, never the truth.

watchdog's inotify observer with a filter of our own: its default listens to opens, which
its own walk over the tree causes, and above some 4,000 folders it drowns in them. All
its silent ends are watched from here: a dead thread, a full queue, a watch limit.

Not here: looking at the files (finds), the scan that is the truth (scan).
"""

from __future__ import annotations

import enum
import logging
import os
import threading
import warnings
from collections.abc import Callable
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver

FILTER: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
_ROOM: Final = 50_000  # paths; more at once and a full scan is cheaper
_LOGGER: Final = "watchdog.observers.inotify_c"
_OVERFLOWED: Final = "Inotify queue overflowed"


class What(enum.IntFlag):
    """What happened at a path."""

    CREATED = 1
    CLOSED = 2  # by its writer, or moved here complete
    DELETED = 4
    FOLDER = 8


class _Ear(FileSystemEventHandler):
    """Puts paths into a dictionary and cannot raise: an exception here would deafen us for good."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._heard: dict[bytes, What] = {}
        self._overflow = False

    def dispatch(self, event: FileSystemEvent) -> None:
        folder = What.FOLDER if event.is_directory else What(0)
        source = os.fsencode(event.src_path)
        match event:
            case FileMovedEvent() | DirMovedEvent():
                self._put(source, What.DELETED | folder)
                self._put(os.fsencode(event.dest_path), What.CLOSED | folder)
            case FileDeletedEvent() | DirDeletedEvent():
                self._put(source, What.DELETED | folder)
            case FileClosedEvent():
                self._put(source, What.CLOSED)
            case _:
                self._put(source, What.CREATED | folder)
        self._wake()

    def _put(self, path: bytes, what: What) -> None:
        with self._lock:
            if len(self._heard) >= _ROOM:
                self._heard.clear()
                self._overflow = True
            self._heard[path] = self._heard.get(path, What(0)) | what

    def overflow(self) -> None:
        with self._lock:
            self._overflow = True
        self._wake()

    def take(self) -> tuple[dict[bytes, What], bool]:
        with self._lock:
            heard, self._heard = self._heard, {}
            overflow, self._overflow = self._overflow, False
        return heard, overflow


class _Overflows(logging.Handler):
    """The only way to learn of lost events: watchdog writes a line and goes on."""

    def __init__(self, ear: _Ear) -> None:
        super().__init__(logging.WARNING)
        self._ear = ear

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(_OVERFLOWED):
            self._ear.overflow()


class Hints:
    """The events of one tree, from `start` to `stop`."""

    def __init__(self, root: str, wake: Callable[[], None]) -> None:
        self._root = os.path.realpath(os.fsencode(root))  # a link itself would be watched
        self._ear = _Ear(wake)
        self._overflows = _Overflows(self._ear)
        self._observer = InotifyObserver()  # OSError when the kernel has no instance left

    def start(self, beat: Callable[[], None]) -> None:
        """Register the whole tree, beating meanwhile. Raises OSError when that cannot be."""
        # Each race with a new folder would print the whole table of watches.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        logging.getLogger(_LOGGER).addHandler(self._overflows)
        self._observer.schedule(
            self._ear,
            self._root,  # type: ignore[arg-type]  # bytes in, bytes out
            recursive=True,
            event_filter=FILTER,
        )
        failed: list[OSError] = []
        starter = threading.Thread(target=self._begin, args=(failed,), daemon=True)
        starter.start()
        while starter.is_alive():
            starter.join(1.0)
            beat()
        if failed:
            self.stop()
            raise failed[0]

    def _begin(self, failed: list[OSError]) -> None:
        try:
            self._observer.start()
        except OSError as error:
            failed.append(error)

    def take(self) -> tuple[dict[bytes, What], bool]:
        """What happened since, by path below the root; and whether anything was lost."""
        heard, overflow = self._ear.take()
        prefix = self._root.rstrip(b"/") + b"/"
        below = {path[len(prefix) :]: what for path, what in heard.items() if path != self._root}
        return below, overflow

    @property
    def alive(self) -> bool:
        """Whether every thread of the observer still runs."""
        threads = [self._observer, *self._observer.emitters]
        return len(threads) > 1 and all(thread.is_alive() for thread in threads)

    @property
    def watches(self) -> int | None:
        """How many folders the kernel really watches for us; None when that cannot be told."""
        for emitter in self._observer.emitters:
            group = getattr(emitter, "_inotify", None)
            active = getattr(group, "_active_callbacks_by_watch", None)
            return None if active is None else len(active)
        return None

    def stop(self) -> None:
        """Let the kernel go."""
        logging.getLogger(_LOGGER).removeHandler(self._overflows)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(5.0)
        else:  # it never began, and its reader would stay
            self._observer.on_thread_stop()
