"""The lane of a NAS: a share over SMB that the box mounts by itself, and all that befalls it.

Not here: how a fault is tried and judged (shares), what an administrator changes (anew), the server
(servers).
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

from tests.box.guest import anew, lab, servers, shares
from tests.box.guest.lab import Drop
from tests.box.guest.lane import Lane
from tests.box.guest.machine import AS_A_BOX, Guest
from tests.box.guest.servers import FOLDER, PASSWORD, SHARE
from tests.box.guest.shares import Bench

BENCH: Final = Bench(servers.SAMBA)
_PIECES: Final = 6
_STALL_SECONDS: Final = 4.0  # a file must stay as it is for 5
COLLEAGUE: Final = "/mnt"
OPTIONS: Final = f"username=office,password={PASSWORD},vers=3.1.1,cache=none"
_AWAY_SECONDS: Final = 20.0
# The line is there from the boot on, and nobody at its other end.
_LINE: Final = """
[Unit]
DefaultDependencies=no
Before=network-pre.target
[Service]
Type=oneshot
ExecStart=/bin/sh -ec 'ip netns add nas; ip link add nas0 type veth peer name eth0 netns nas; \\
  ip addr add 10.77.0.1/30 dev nas0; ip link set nas0 up; ip -n nas link set eth0 up'
[Install]
WantedBy=sysinit.target
"""


def _slow_upload(guest: Guest) -> str:
    """Somebody's machine sends a file over SMB with stalls; nobody takes it for whole before."""
    guest.go_back(shares.READY)
    content = lab.hum("slow.wav", shares.LONG_SECONDS)
    guest.put("/root/slow.wav", content)
    guest.run(f"mount -t cifs {BENCH.server.source} {COLLEAGUE} -o {OPTIONS}")
    upload = f"/root/slow.wav {COLLEAGUE}/slow.wav {_PIECES} {_STALL_SECONDS:g}"
    guest.run(f"cd {lab.LAB}; {lab.PYTHON} -m tests.box.guest.inside.upload {upload}")
    sent = lab.now(guest)
    began = guest.run(f"{lab.TOLD} said 0")
    assert "slow.wav" not in began, "a job before it was whole"
    found = lab.until(guest, "known", "slow.wav") - sent
    lab.until(guest, "done", "slow.wav")
    guest.run(f"umount {COLLEAGUE}")
    mode, when = guest.run(f"stat -c '%f %Y' {FOLDER}/slow.wav").split()
    digest = hashlib.sha256(content).hexdigest()
    moment = int(when) * 1_000_000_000
    dropped = Drop(SHARE, "slow.wav", digest, len(content), moment, int(mode, 16))
    wrong = lab.judged(guest, {SHARE: FOLDER}, [*BENCH.first, dropped])
    assert not wrong, wrong
    return f"{_PIECES} pieces, {_STALL_SECONDS:g} s apart, done once; a job {found:.1f} s later"


def _absent(guest: Guest) -> str:
    """The box boots and its server does not; it comes minutes later."""
    guest.go_back(shares.READY)
    guest.put("/etc/systemd/system/nas-line.service", _LINE.encode())
    guest.run("systemctl stop nas; systemctl -q enable nas-line; sync")
    guest.reboot()
    guest.run("systemctl is-system-running --wait || true")
    noticed = _told_after_boot(guest)
    lab.ask_on(guest, BENCH.key)
    began = lab.now(guest)
    guest.run(f"mount -o loop /nas/disk.img {servers.DISK}")
    dropped = [*BENCH.first, BENCH.drop(guest, "during.wav")]
    guest.run(f"sleep {_AWAY_SECONDS:g}")
    why = lab.state(guest, SHARE)["why"]
    wrong = list(shares.written_below(guest))
    if noticed > shares.DOWN_SECONDS:
        wrong.append(f"noticed {noticed:.1f} s after the boot")
    units = guest.run("systemctl is-active srv-meetings.automount || true").strip()
    if units != "active":
        wrong.append(f"its automount is {units}")
    guest.run(f"ip -n nas addr add {servers.SERVER}/30 dev eth0\n{BENCH.server.start}")
    return f"noticed {noticed:.1f} s after the watch began; " + BENCH.judged(
        guest, dropped, began, wrong, f"«{why}»"
    )


def _told_after_boot(guest: Guest) -> float:
    """How many seconds after it was ready the watch has said that the share is away."""
    show = "systemctl show appliance-watch -P ActiveEnterTimestampMonotonic"
    ready = int(guest.run(show)) / 1e6
    said = "journalctl -b -u appliance-watch -o short-monotonic --no-pager"
    lines = guest.run(f"sleep {shares.DOWN_SECONDS:g}; {said}").splitlines()
    away = [line for line in lines if "offline" in line or "not answer" in line]
    assert away, lines
    found = re.search(r"\[\s*([\d.]+)\]", away[0])
    assert found is not None, away
    return float(found.group(1)) - ready


LANE: Final = Lane(
    "a NAS that is away, hangs, lies or is full costs nothing but the time it is away",
    BENCH.prepare,
    {"hung": functools.partial(BENCH.fault, name="hung")},
    {
        **{
            name: functools.partial(BENCH.fault, name=name)
            for name in ("killed", "stopped", "full", "read-only", "wrong-password")
        },
        "absent at boot": _absent,
        "slow upload": _slow_upload,
        "anew: sealed": functools.partial(anew.sealed, BENCH),
        "anew: another password": functools.partial(anew.another_password, BENCH),
        "anew: the server hangs": functools.partial(anew.hung, BENCH),
        "anew: removed": functools.partial(anew.removed, BENCH),
    },
    shift=AS_A_BOX,
)
