"""Witnesses that need not trust the code under test: the kernel's, and the interpreter's.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

_ALL_EVENTS: Final = 0xFFF
_libc = ctypes.CDLL(None, use_errno=True)

CRASHED: Final = 77  # exit code of a child that died where we told it to
# Whatever changes a disk: calls of C functions, and of our own that go to the kernel by ctypes.
SHARE_STEPS: Final = frozenset(
    ("write", "fsync", "rename", "link", "unlink", "open_at", "_rename_where_free")
)
STEPS: Final = SHARE_STEPS | {"execute", "flock"}


@contextlib.contextmanager
def watching(path: bytes) -> Iterator[Callable[[], bool]]:
    """Lend a question: was anything at all done to this file's contents, name or attributes?"""
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert _libc.inotify_add_watch(fd, ctypes.c_char_p(path), _ALL_EVENTS) >= 0

    def touched() -> bool:
        try:
            return bool(os.read(fd, 65536))
        except BlockingIOError:
            return False

    try:
        yield touched
    finally:
        os.close(fd)


class Stepwise:
    """Call `then` at the n-th moment just before or just after a step, and never again."""

    def __init__(self, n: int, then: Callable[[], None], steps: frozenset[str] = STEPS) -> None:
        self._left = n  # moments still to pass
        self._then = then
        self._steps = steps

    @property
    def came(self) -> bool:
        """Tell whether the n-th moment was reached."""
        return self._left <= 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        name = arg.__name__ if event.startswith("c_") else frame.f_code.co_name
        if name not in self._steps or "exception" in event:
            return
        self._left -= 1
        if self._left == 0:
            self._then()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(before)


def die() -> None:
    """What kill -9 does: nothing is flushed, closed, undone or said."""
    os._exit(CRASHED)


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child and say how it exited; an exception is exit 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # another test's threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
