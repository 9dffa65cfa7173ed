"""An engine without a model, whose words differ each time it hears the same recording.

    python -m tests.faults.engine MARKS SETTINGS        (as APPLIANCE_ENGINE_CMD)
    python -m tests.faults.engine MARKS SOCKET

It says the sha256 that the decode child wrote into the window, and a number nobody can
foresee, as a GPU's last digits are. A transcript that was computed twice and published
twice would show, and so would one beside another's recording.

Not here: engines that behave badly (tests/engines).
"""

from __future__ import annotations

import os
import sys
import threading
import uuid

from appliance import settings, wire
from appliance.nouns import Segment, Word
from tests.engines.__main__ import WELCOME
from tests.faults.decoder import first_time, open_marks
from tests.faults.recordings import Kind


def serve(socket: str, marks: str) -> None:
    """Take every worker that knocks, each in a thread."""
    door = wire.listen(socket)
    while True:
        sock, _ = door.accept()
        threading.Thread(target=_talk, args=(wire.Channel(sock), marks), daemon=True).start()


def _talk(channel: wire.Channel, marks: str) -> None:
    ring: wire.Ring | None = None
    fallen = open_marks(marks, "engine")
    with channel:
        try:
            while True:
                got = channel.receive()
                if got is None:
                    continue
                message, fds = got
                if isinstance(message, wire.Hello):
                    ring = wire.Ring(fds[0], message.slots)
                    channel.send(WELCOME)
                elif isinstance(message, wire.Listen) and ring is not None:
                    _answer(channel, message, bytes(ring.slot(message.slot)[:128]), fallen)
        except wire.Hung:
            pass
        finally:
            os.close(fallen)
            if ring is not None:
                ring.close()


def _answer(channel: wire.Channel, listen: wire.Listen, told: bytes, fallen: int) -> None:
    if listen.alone:
        channel.send(wire.Begun(listen.window.index))
    digest, kind = told.split(b" ")[:2]
    if Kind(kind.decode()) is Kind.STUMBLES and first_time(fallen, digest.decode()):
        channel.send(wire.Fault(listen.window.index, "node.gpu-memory", {"model": "selftest"}))
        return
    said = (f" heard {digest.decode()}", f" {uuid.uuid4().hex}")
    words = tuple(Word(float(n), n + 0.5, word, 1.0) for n, word in enumerate(said))
    segment = Segment(0, 0, 0.0, 1.5, "".join(said), (), 0.0, -0.1, 1.0, 0.0, words)
    for task in listen.tasks:
        channel.send(
            wire.Heard(listen.window.index, task, listen.language or "en", 0.9, (segment,))
        )


def main(marks: str, where: str) -> None:
    """Serve at a socket, or at the one that a settings file names."""
    if where.endswith(".toml"):
        where = settings.load(where).engine_socket
        os.makedirs(os.path.dirname(where), exist_ok=True)
    serve(where, marks)


if __name__ == "__main__":
    main(*sys.argv[1:3])
