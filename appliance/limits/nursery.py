"""A template that is always there: started, and started again when it dies.

It is started from one thread that lives as long as the process: PR_SET_PDEATHSIG fires
when the starting *thread* dies. When it dies, its children die with it.

Not here: how a template forks (template), what its children are for (decoders, porter).
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from appliance.errors import NodeIO
from appliance.limits.child import Child
from appliance.limits.template import Forked, Gone, Template
from appliance.limits.walls import Limits

log = logging.getLogger("appliance.limits")
_START_SECONDS: Final = 240.0
_TRIES: Final = 3  # templates that a child is asked of, and starts before none is said to start
_REHEARSAL_SECONDS: Final = 5.0  # for its child to be gone
_REST_SECONDS: Final = 0.1  # between a template that died and the next; twice as long each time
_LONGEST_REST_SECONDS: Final = 30.0


class Nursery:
    """Children of one kind, for any thread. Closing it kills whatever came of it."""

    def __init__(self, kind: str, begin: Callable[[int], Child], limits: Limits) -> None:
        """`kind` is a word for errors; `begin` starts the template, handed its socket's number."""
        self._kind = kind
        self._begin = begin
        self._limits = limits
        self._changed = threading.Condition()
        self._template: Template | None = None
        self._why: Exception | None = None  # no template starts
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"{kind}s", daemon=True)
        self._thread.start()

    def born(self, fd: int, limits: Limits | None = None) -> Forked:
        """A new child, handed its own copy of `fd`. Raises NodeIO where none starts.

        `limits` are what its end is judged by, where they are not those of all.
        """
        for _ in range(_TRIES):
            template = self._ready()
            try:
                return template.fork(fd, limits)
            except Gone:
                self._lost(template)
        raise NodeIO(where=self._kind, why=f"no {self._kind} starts: it dies at once")

    def get_ready(self) -> None:
        """Wait for the template. Raises NodeIO where none starts."""
        self._ready()

    def _ready(self) -> Template:
        """The template, as soon as there is one."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._template or self._why or self._closing.is_set(),
                timeout=_START_SECONDS,
            )
            if self._template is not None:
                return self._template
            why = self._why if came else "it takes too long"
            raise NodeIO(where=self._kind, why=f"no {self._kind} starts: {why}")

    def _lost(self, template: Template) -> None:
        """Let go of a template that has ended; of several who find it so, the first does."""
        with self._changed:
            if self._template is not template:
                return
            self._template = None
            self._changed.notify_all()
        template.close()

    # --- the thread -----------------------------------------------------------------------------

    def _keep(self) -> None:
        """Start a template whenever there is none."""
        failed = 0  # starts in a row
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing.is_set() or self._template is None)
                if self._closing.is_set():
                    return
            template, why = self._started()
            failed = 0 if template else failed + 1
            with self._changed:
                if self._closing.is_set() and template is not None:
                    template.close()
                else:
                    self._template, self._why = template, why if failed >= _TRIES else None
                self._changed.notify_all()
            if template is None:
                log.warning("a %s did not start: %s", self._kind, why)
                self._closing.wait(min(_REST_SECONDS * 2 ** min(failed, 9), _LONGEST_REST_SECONDS))

    def _started(self) -> tuple[Template | None, Exception | None]:
        try:
            template = Template(self._begin, self._limits)
        except (OSError, Gone) as error:
            return None, error
        try:
            _rehearse(template)
        except (OSError, Gone) as error:
            return None, Gone(f"{error}, {template.close()}")
        return template, None

    def close(self) -> None:
        """End the thread, the template, and every child that is still there."""
        with self._changed:
            self._closing.set()
            template, self._template = self._template, None
            self._changed.notify_all()
        if template is not None:
            template.close()
        self._thread.join(timeout=10.0)


def _rehearse(template: Template) -> None:
    """Have it fork once: its first child comes later than the next, and a job would wait for it.

    That child is told nothing and ends at once. Raises OSError, and Gone where it does not come
    or does not end.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        try:
            child = template.fork(theirs.fileno())
        except Gone:
            raise Gone("it does not fork") from None
    child.kill()
    ended = child.wait(timeout=_REHEARSAL_SECONDS)
    if ended is None or ended.orphaned:
        raise Gone("its first child did not end well")
