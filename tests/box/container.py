"""A box of our own for a moment: this machine's files in a container, with our units installed.

What the container writes goes into memory and is gone with it.

Not here: containers as such (image.container), what is asked of one (test_probes).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from image import container
from image.container import Container, missing
from tests.box import units

__all__ = ["Container", "missing", "started"]

_INSTALL: Final = """
cp {top}/config/sysusers.d/* /usr/lib/sysusers.d/; cp {top}/config/tmpfiles.d/* /usr/lib/tmpfiles.d/
systemd-sysusers; systemd-tmpfiles --create appliance.conf
cp -r {top}/systemd/* /etc/systemd/system/; cp {top}/config/appliance.toml /etc/appliance/
systemctl daemon-reload
"""


@contextlib.contextmanager
def started(folder: Path, *, lower: str = "/", install: bool = True) -> Iterator[Container]:
    """Lend a container, with the appliance's units and accounts; raises TimeoutError for none.

    `lower`: the files that it has to begin with, instead of this machine's. Without `install`
    nothing of the appliance is there.
    """
    with container.started(folder, lower, shown=[units.TOP] if install else []) as box:
        if install:
            box.run("sh", "-ec", _INSTALL.format(top=units.TOP)).check_returncode()
        yield box
