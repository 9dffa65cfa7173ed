"""The lane of egress: nothing leaves the box but what the two accounts send that are meant to.

A whole run goes through a box whose firewall is loaded and that has a way out, as boxes have; then
each unit that touches sound tries to use it. It is the guest of the lane of the NAS.

Not here: how it is tried from within (inside.reach), every other wall (tests/box/probes).
"""

from __future__ import annotations

import json
import re
from typing import Final

from tests.box.guest import lab, nas, shares
from tests.box.guest.lane import Lane
from tests.box.guest.machine import AS_A_BOX, Guest
from tests.box.guest.servers import FOLDER, SHARE

NO_WAY_OUT: Final = ("engine", "worker", "watch", "web")
_OUT: Final = """
ip route replace default via 10.0.2.2
nft -f /opt/appliance/current/share/appliance/config/nftables.conf
"""
_REFUSED: Final = frozenset(("EAFNOSUPPORT", "EPERM", "EACCES"))
_NOWHERE: Final = frozenset(("ENETUNREACH", "EADDRNOTAVAIL", "EPERM"))
_RUN_SECONDS: Final = 600.0
_PAGES_SECONDS: Final = 20


def _with_a_way_out(guest: Guest) -> None:
    """Begin with a box at rest, its firewall up, and somewhere to go."""
    guest.go_back(shares.READY)
    guest.run(_OUT)


def _whole_run(guest: Guest) -> str:
    """A recording comes, its transcript goes back, the pages are asked: no packet wanted out."""
    _with_a_way_out(guest)
    lab.ask_on(guest, nas.BENCH.key)
    dropped = [*nas.BENCH.first, nas.BENCH.drop(guest, "talk.wav")]
    lab.until(guest, "done", "talk.wav", seconds=_RUN_SECONDS)
    guest.run(f"sleep {_PAGES_SECONDS}")
    answers = len(lab.asked(guest))
    wrong = lab.judged(guest, {SHARE: FOLDER}, dropped)
    assert not wrong, wrong
    assert _leaks(guest) == 0, "packets wanted out"
    for name in NO_WAY_OUT:
        pid = guest.run(f"systemctl show appliance-{name} -P MainPID").strip()
        links = guest.run(f"nsenter -t {pid} -n ip -o link").splitlines()
        assert [line.split(":")[1].strip() for line in links] == ["lo"], (name, links)
    return f"a recording done, {answers} answers of the pages, 0 packets counted"


def _from_within(guest: Guest) -> str:
    """Each unit tries; the control is that the firewall counts what it catches."""
    _with_a_way_out(guest)
    named = " ".join(f"appliance-{name}.service" for name in NO_WAY_OUT)
    told = json.loads(
        guest.run(f"cd {lab.LAB}; /usr/bin/python3 -m tests.box.guest.inside.reach {named}")
    )
    caught = _leaks(guest)
    for unit, ways in told.items():
        assert set(ways["as it is"].values()) <= _REFUSED, (unit, ways)
        assert set(ways["with every family"].values()) <= _NOWHERE, (unit, ways)
        assert "sent" not in ways["without its walls"]["AF_INET SOCK_STREAM"], (unit, ways)
    assert caught > 0, told
    tries = sum(len(way) for ways in told.values() for way in ways.values())
    return f"{tries} tries from {len(told)} units, none got out; control: {caught} packets counted"


def _every_wall(guest: Guest) -> str:
    """Every wall of every unit, from within."""
    _with_a_way_out(guest)
    told = guest.run(f"cd {lab.LAB}; /usr/bin/python3 -m tests.box || echo OPEN", timeout=1800)
    assert "OPEN" not in told, told
    held = sum(int(one) for one in re.findall(r"(\d+) hold", told))
    untold = re.findall(r"(\S+): .*cannot tell here: (\[.*\])", told)
    return f"{held} walls hold, none is open; cannot be told: {untold or 'none'}"


def _leaks(guest: Guest) -> int:
    counter = guest.run("nft list counter inet appliance leaks")
    found = re.search(r"packets (\d+)", counter)
    assert found is not None, counter
    return int(found.group(1))


LANE: Final = Lane(
    "no sound leaves the box: nobody who has it can open a way out",
    nas.BENCH.prepare,
    {"from within": _from_within},
    {"a whole run": _whole_run, "every wall": _every_wall},
    shift=AS_A_BOX,
)
