"""Try to reach the outside from within the sandbox of each unit that touches sound.

    python -m tests.box.guest.inside.reach UNIT…        prints JSON, as root
    python reach.py                                     what a sandbox runs, standard library alone

For each unit: what becomes of a connection to an outside address, as it is; with the address
families of the unit let in; and, for a control, with its own network and its list of addresses
taken away as well: then the firewall is what is left.

Not here: what must come of it (egress).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
from typing import Final

# Addresses for documentation: nobody has them.
OUTSIDE: Final = ((socket.AF_INET, "198.51.100.7"), (socket.AF_INET6, "2001:db8::7"))
_ANY_FAMILY: Final = ("RestrictAddressFamilies=",)
_NO_WALL: Final = (*_ANY_FAMILY, "PrivateNetwork=no", "IPAddressDeny=")
WAYS: Final = {"as it is": (), "with every family": _ANY_FAMILY, "without its walls": _NO_WALL}
_SECONDS: Final = 5.0


def reached() -> dict[str, str]:
    """What becomes of a connection and of a packet to each address."""
    found = {}
    for family, address in OUTSIDE:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            name = f"{family.name} {kind.name}"
            try:
                with contextlib.closing(socket.socket(family, kind)) as sock:
                    sock.settimeout(_SECONDS)
                    sock.connect((address, 443))
                    sock.send(b"words")
                    found[name] = "sent"
            except OSError as refused:
                found[name] = errno.errorcode.get(refused.errno or 0, str(refused))
    return found


def main(names: list[str]) -> None:
    """Try it from each unit in each way; without a name, from here."""
    if not names:
        print(json.dumps(reached()))  # noqa: T201 - that is what it is for
        return
    from tests.box import sandbox

    here = ["/usr/bin/python3", os.path.abspath(__file__)]
    told = {
        name: {way: json.loads(sandbox.run(name, here, {}, lines)) for way, lines in WAYS.items()}
        for name in names
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
