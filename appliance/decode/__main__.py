"""The decoder's process: confine, get warm, and fork a child for each recording.

    python -m appliance.decode FD        FD: an inherited unix SOCK_SEQPACKET socket

Not here: forking (limits.template), the talk itself (talk).
"""

from __future__ import annotations

import os
import socket
import sys

from appliance import journal, limits

_NICE = 5  # the engine goes first


def main(argv: list[str]) -> int:
    """Give up every right while no file is there yet, then fork until nobody asks any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)  # while it still opens
    held_in = limits.given()
    achieved = limits.confine(held_in)  # before the imports below start a thread
    journal.to_stderr("decode")
    limits.insist(held_in, achieved, sealed=False)
    os.nice(_NICE)
    from appliance.decode import serve
    from appliance.decode.ahead import Ahead
    from appliance.wire import Channel

    serve.get_warm()

    def one(fd: int) -> int:
        with Channel(socket.socket(fileno=fd)) as channel:  # sealed, it could not ask for it
            ahead = Ahead()
            sealed = limits.seal(achieved, start=ahead.start)
            limits.insist(held_in, sealed, sealed=True)
            return serve.serve(channel, held_in, ahead, nowhere)

    with socket.socket(fileno=int(argv[0])) as control:
        return limits.serve(control, one)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
