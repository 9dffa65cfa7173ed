"""A root file system under a systemd of its own, in a container.

It has a network of its own, without any way out, and its systemd needs half a second to be up.
What the container writes stays in the root that it was given, or goes into memory and is gone
with it (an overlay).

Not here: what is done in one (build; tests.box).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_PATIENCE_SECONDS: Final = 90.0
_POWEROFF_SECONDS: Final = 20.0
_GROUPS: Final = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")  # both kinds at once
# Landlock is what a decoder locks itself in with; this systemd does not know it yet.
_CALLS: Final = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
_OVERLAY: Final = """
mount -t tmpfs none "{folder}/rw" && mkdir "{folder}/rw/upper" "{folder}/rw/work"
cd "{folder}"
mount -t overlay overlay -o "lowerdir={root},upperdir=rw/upper,workdir=rw/work" root
: > "{folder}/root/etc/fstab"; rm -f "{folder}/root/etc/machine-id"
"""
# Empty is no first boot, at which systemd would enable whatever there is.
_IN_PLACE: Final = """
: > "{root}/etc/machine-id"
"""
_START: Final = """
for group in {groups}; do echo $$ > $group/cgroup.procs; done
{prepare}
exec systemd-nspawn -q -D "{top}" --boot --keep-unit --register=no --private-network \
  --console=pipe --link-journal=no --timezone=off --resolv-conf=off {bind} \
  --system-call-filter="{calls}" -M {name} systemd.unit=basic.target
"""


def missing() -> str | None:
    """What is not there to make one; None where nothing is missing."""
    if os.geteuid():
        return "only root can start a container"
    for program in ("systemd-nspawn", "nsenter", "unshare"):
        if shutil.which(program) is None:
            return f"there is no {program}: make programs"
    return None


class Container:
    """A running container."""

    def __init__(self, leader: int) -> None:
        """`leader` is the number, out here, of the process that is the first one in there."""
        self._leader = leader

    @property
    def enter(self) -> list[str]:
        """What to put before a program so that it runs in there."""
        return ["nsenter", "-t", str(self._leader), "-m", "-p", "-n", "-u", "-i", "-C"]

    def path(self, inside: str) -> Path:
        """A path in there, as it is reached from out here."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def end(self) -> None:
        """End it in good order, or with it everybody in there."""
        self.run("systemctl", "poweroff")
        until = time.monotonic() + _POWEROFF_SECONDS
        while time.monotonic() < until and os.path.exists(f"/proc/{self._leader}/ns/pid"):
            time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._leader, signal.SIGKILL)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it, as root."""
        return subprocess.run(
            [*self.enter, *argv],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        )


@contextlib.contextmanager
def started(
    folder: Path, root: str = "/", *, keep: bool = False, shown: Sequence[str] = ()
) -> Iterator[Container]:
    """Lend a container that has the files of `root`; raises TimeoutError for none.

    `keep`: what it writes stays in `root`. `shown`: folders of this machine that it may read.
    """
    os.umask(0o022)  # preparing a ledger in this process narrows it, and a root is for everybody
    name = f"appliance{os.getpid()}"
    made = [Path(group, name) for group in _GROUPS if os.path.isdir(group)]
    for part in (*made, folder / "rw", folder / "root"):
        part.mkdir()
    # A table of disks is for the machine that has them.
    binds = [f"--bind-ro={path}" for path in shown] + ["--bind-ro=/dev/null:/etc/fstab"] * keep
    script = _START.format(
        groups=" ".join(map(str, made)),
        prepare=(_IN_PLACE if keep else _OVERLAY).format(folder=folder, root=root),
        top=root if keep else folder / "root",
        bind=" ".join(binds),
        calls=_CALLS,
        name=name,
    )
    told = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    with (folder / "console").open("wb") as console:
        nspawn = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
    try:
        container = Container(_leader(nspawn))
        try:
            _until_up(container)
            yield container
        finally:
            container.end()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(nspawn.pid, signal.SIGKILL)
        nspawn.wait()
        for group in made:
            _remove(group)


def _leader(nspawn: subprocess.Popen[bytes]) -> int:
    """The first process in there, as it is called out here."""
    until = time.monotonic() + _PATIENCE_SECONDS
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while time.monotonic() < until and nspawn.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        time.sleep(0.1)
    raise TimeoutError("none starts")


def _until_up(container: Container) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        if container.run("systemctl", "is-active", "basic.target").stdout.strip() == "active":
            return
        time.sleep(0.2)
    raise TimeoutError("its systemd does not come up")


def _remove(group: Path) -> None:
    """Remove a control group and those below it, as soon as the last of them has ended."""
    for _ in range(50):
        for below, _folders, _files in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)
        if not group.exists():
            return
        time.sleep(0.1)
