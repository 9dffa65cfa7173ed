"""A template whose children are any program: for decoders that behave badly.

python -m tests.forked PROGRAM… FD        each child becomes PROGRAM… with its own socket's number
"""

from __future__ import annotations

import os
import socket
import sys

from appliance import limits


def main(argv: list[str]) -> int:
    """Fork a child for each request; each becomes the program."""
    *program, fd = argv

    def one(socket_of_child: int) -> int:
        os.set_inheritable(socket_of_child, True)
        os.execvp(program[0], [*program, str(socket_of_child)])  # noqa: S606 - what the test says

    with socket.socket(fileno=int(fd)) as control:
        return limits.serve(control, one)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
