"""What an administrator changes about a share of a file server holds from the next start on.

Each case begins with the share that the lane of the NAS has mounted, and ends with a recording
that goes through it, or with nothing left of it. Times are the guest's.

Not here: servers that fail by themselves (shares).
"""

from __future__ import annotations

from typing import Final

from tests.box.guest import lab, servers, shares
from tests.box.guest.machine import Guest
from tests.box.guest.servers import FOLDER, ROOT, SHARE
from tests.box.guest.shares import Bench

_SETTINGS: Final = "/etc/appliance/conf.d/lab.toml"
_SECRET: Final = f"/etc/appliance/credentials/shares/{SHARE}"
_RESTART: Final = "systemctl restart appliance-shares"
_OTHER: Final = "Another-1"
_HUNG_SECONDS: Final = 240.0  # what watch and worker may take to stop, twice, and the target
_PATIENCE: Final = 300.0
_LOCAL: Final = """
[web]
listen = "/run/appliance/web.sock"
[[share]]
name = "dictation"
root = "/srv/dictation"
"""


def sealed(bench: Bench, guest: Guest) -> str:
    """The settings want it encrypted."""
    guest.go_back(shares.READY)
    before = _mounted(guest)
    assert "seal" not in before, before
    guest.run(f"echo 'seal = true' >> {_SETTINGS}")  # its table is the last
    took = _run(guest, "systemctl restart appliance.target")
    _goes_through(bench, guest)
    after = _mounted(guest)
    assert "seal" in after.split()[3].split(","), after
    return f"restarted in {took:.1f} s, encrypted then"


def another_password(bench: Bench, guest: Guest) -> str:
    """The server has another password, and the box's file as well."""
    guest.go_back(shares.READY)
    guest.run(servers.password(_OTHER))
    guest.put(_SECRET, servers.SECRET.replace(servers.PASSWORD, _OTHER).encode())
    took = _run(guest, _RESTART)
    _goes_through(bench, guest)
    return f"mounted anew in {took:.1f} s"


def hung(bench: Bench, guest: Guest) -> str:
    """The server hangs while somebody has it mounted anew."""
    guest.go_back(shares.READY)
    guest.run("systemctl kill --signal=STOP nas")
    # Who restarts it waits for its mounts; whoever reads them, for the parts as well.
    took = _run(guest, f"{_RESTART}; systemctl start appliance-watch appliance-worker")
    guest.run("systemctl kill --signal=CONT nas")
    assert took <= _HUNG_SECONDS, took
    _goes_through(bench, guest)
    return f"its parts ran {took:.1f} s later, and the share came back with it"


def removed(_bench: Bench, guest: Guest) -> str:
    """It is no share any more."""
    guest.go_back(shares.READY)
    guest.run(f"ls -A {FOLDER} > /root/before")
    guest.put(_SETTINGS, _LOCAL.encode())
    guest.run("install -d -o appliance -g appliance -m 2770 /srv/dictation")
    _run(guest, "systemctl restart appliance.target")
    lab.until(guest, "well", "dictation", seconds=_PATIENCE)
    left = guest.run(f"ls -d {ROOT} /run/systemd/system/srv-{SHARE}.* 2>/dev/null || true")
    assert not left, left
    assert not _mounted(guest)
    guest.run(f"ls -A {FOLDER} | cmp - /root/before")
    return "its mount, its units and its folder are gone; what lies on the server is there"


def _run(guest: Guest, command: str) -> float:
    """How long it takes."""
    before = lab.now(guest)
    guest.run(command)
    return lab.now(guest) - before


def _goes_through(bench: Bench, guest: Guest) -> None:
    lab.until(guest, "well", SHARE, seconds=_PATIENCE)
    dropped = [*bench.first, bench.drop(guest, "after.wav")]
    lab.until(guest, "done", "after.wav", seconds=_PATIENCE)
    wrong = [*lab.judged(guest, {SHARE: FOLDER}, dropped), *shares.written_below(guest)]
    assert not wrong, wrong


def _mounted(guest: Guest) -> str:
    """The kernel's line about it, "" where it is not mounted."""
    return guest.run(f"grep ' {ROOT} cifs ' /proc/mounts || true")
