"""The decode child's process: confine, get warm, talk once, end.

    python -m appliance.decode FD        FD: an inherited unix SOCK_SEQPACKET socket

Not here: the talk itself (talk).
"""

from __future__ import annotations

import os
import socket
import sys

from appliance import journal, limits

_NICE = 5  # the engine goes first


def main(argv: list[str]) -> int:
    """Give up every right while no file is there yet, then serve one recording."""
    held_in = limits.given()
    achieved = limits.confine(held_in)  # before the imports below start a thread
    journal.to_stderr("decode")
    os.nice(_NICE)
    from appliance.decode import serve
    from appliance.wire import Channel

    serve.get_warm()
    with Channel(socket.socket(fileno=int(argv[0]))) as channel:  # sealed, it could not ask for it
        limits.seal(achieved)
        return serve.serve(channel, held_in)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
