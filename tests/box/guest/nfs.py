"""The lane of NFS: a share over version 4.2 that the box mounts by itself, and what befalls it.

Not here: how a fault is tried and judged (shares), the server (servers).
"""

from __future__ import annotations

import functools
from typing import Final

from tests.box.guest import servers
from tests.box.guest.lane import Lane
from tests.box.guest.machine import AS_A_BOX, Guest
from tests.box.guest.servers import ROOT
from tests.box.guest.shares import Bench

BENCH: Final = Bench(servers.NFS)


def prepare(guest: Guest) -> None:
    """Have the share, and see that it is spoken about in the newest version there is."""
    BENCH.prepare(guest)
    mounted = guest.run(f"grep ' {ROOT} nfs4 ' /proc/mounts")
    assert "vers=4.2" in mounted, mounted


LANE: Final = Lane(
    "an NFS server that is away or hangs costs nothing but the time it is away",
    prepare,
    {},  # its own guest takes minutes
    {name: functools.partial(BENCH.fault, name=name) for name in ("hung", "stopped", "full")},
    shift=AS_A_BOX,
)
