"""What every lane that needs a whole box lays into its guest, and the questions it asks there.

The product's units run, all of them, with the tests' engine: hearing ten seconds takes minutes in
there (whole).

Not here: file servers (servers), what is asked in there (inside), the lanes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.box import units
from tests.box.guest.machine import Guest

LAB: Final = "/opt/lab"
PYTHON: Final = "/opt/appliance/current/bin/python"
APPLIANCE: Final = "/opt/appliance/current/bin/appliance"
_PARTS: Final = (
    *("tests/engines/__main__.py", "tests/engines/fake_gpu.py"),
    *("tests/faults/__init__.py", "tests/faults/recordings.py", "tests/faults/verdict.py"),
    *("tests/box/__init__.py", "tests/box/__main__.py", "tests/box/units.py"),
    *("tests/box/probes.py", "tests/box/sandbox.py", "tests/box/guest/__init__.py"),
    *("tests/box/guest/inside", "systemd"),
)
_ENGINE: Final = f"""
[Service]
Type=simple
Environment=PYTHONPATH={LAB}
Environment="APPLIANCE_ENGINE_CMD={PYTHON} -m tests.engines counts /etc/appliance/appliance.toml"
"""
_RATE: Final = 16_000
_MODE: Final = 0o100660
_ASK: Final = f"cd {LAB} && {PYTHON} -m tests.box.guest.inside"
TOLD: Final = f"{_ASK}.told"
_SEEN: Final = "/run/asked"
_BUSY: Final = 20.0  # a second of the guest's clock may take so many of ours
_LEAST_SECONDS: Final = 300.0
_SETTLED_SECONDS: Final = 6  # a round of those who clear away


@dataclass(frozen=True, slots=True)
class Drop:
    """A recording as it was put into a share, and must still be."""

    share: str
    path: str
    sha256: str
    size: int
    mtime_ns: int
    mode: int = _MODE
    ends: str = "done"


def bring(guest: Guest, settings: str) -> None:
    """Put all in its place; nothing is started."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in _PARTS:
            tar.add(os.path.join(units.TOP, part), part, filter=_without_compiled)
    guest.run(f"mkdir -p {LAB}; tar -C {LAB} -x", data=packed.getvalue())
    guest.put("/etc/appliance/conf.d/lab.toml", settings.encode())
    guest.put("/etc/systemd/system/appliance-engine.service.d/99-lab.conf", _ENGINE.encode())
    guest.run("systemctl daemon-reload; systemctl -q enable appliance.target")


def _without_compiled(one: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in one.name else one


def key_of(guest: Guest) -> str:
    """A key with which the pages may be read."""
    make = "key create --for lane --scope read"
    return guest.run(f"runuser -u appliance -- {APPLIANCE} {make}").strip()


def hum(name: str, seconds: float = 3.0) -> bytes:
    """A recording that no other name has."""
    pitch = 40 + sum(name.encode()) % 60
    told = name.encode() + b"\0" * (len(name) % 2)
    one = b"".join(
        int(9_000 * ((n % pitch) / pitch - 0.5)).to_bytes(2, "little", signed=True)
        for n in range(pitch)
    )
    samples = (one * (int(_RATE * seconds) // pitch + 1))[: 2 * int(_RATE * seconds)]
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    body = form + struct.pack("<4sI", b"data", len(samples)) + samples
    body += struct.pack("<4sI", b"name", len(told)) + told
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def drop(
    guest: Guest,
    share: str,
    root: str,
    name: str,
    content: bytes,
    *,
    owner: str = "appliance:appliance",
) -> Drop:
    """Put a recording there as others do: beside it first, then under its name, all at once."""
    aside = os.path.join(os.path.dirname(root), "aside")
    guest.put(aside, content)
    when = int(guest.run(f"chown {owner} {aside}; chmod 660 {aside}; date +%s"))
    guest.run(f"touch -d @{when} {aside}; mv {aside} '{root}/{name}'")
    digest = hashlib.sha256(content).hexdigest()
    return Drop(share, name, digest, len(content), when * 1_000_000_000)


def until(guest: Guest, verb: str, *words: str, seconds: float = 240) -> float:
    """Wait until the ledger says so (inside.told); the guest's clock then."""
    named = " ".join(f"'{word}'" for word in words)
    wait = max(seconds * _BUSY, _LEAST_SECONDS)
    return float(guest.run(f"{TOLD} {verb} {seconds} {named}", timeout=wait))


def state(guest: Guest, share: str) -> dict[str, Any]:
    """How a share is."""
    told: dict[str, Any] = json.loads(guest.run(f"{TOLD} state 0 {share}"))
    return told


def said(guest: Guest) -> bytes:
    """What the box has acknowledged."""
    return guest.run(f"{TOLD} said 0").encode()


def kept(guest: Guest, before: bytes, root: str) -> list[str]:
    """What it had acknowledged and does not know any more."""
    wrong: list[str] = json.loads(guest.run(f"{TOLD} kept 0 {root}", data=before))
    return wrong


def judged(
    guest: Guest, roots: Mapping[str, str], dropped: Sequence[Drop], *, paid: bool = False
) -> list[str]:
    """Every violation, by the judge of the lanes of faults; `paid`: attempts may have cost."""
    case = {"roots": roots, "dropped": [asdict(one) for one in dropped], "paid": paid}
    told = guest.run(f"sleep {_SETTLED_SECONDS}; {_ASK}.judge", data=json.dumps(case).encode())
    found: list[str] = json.loads(told)
    return found


# --- pages --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the pages."""

    at: float  # when it was asked, by the guest's clock
    path: str
    status: int
    seconds: float
    share: Mapping[str, str]  # what /readyz says of the shares


def ask_on(guest: Guest, key: str) -> None:
    """Have the pages asked from now on, one question after the other."""
    command = f"{PYTHON} -m tests.box.guest.inside.ask {key} {_SEEN}"
    run = "systemd-run --quiet --collect --unit=lab-ask"
    guest.run(f"rm -f {_SEEN}; {run} --working-directory={LAB} {command}")


def asked(guest: Guest) -> list[Asked]:
    """End that, and tell what was answered."""
    told = guest.run(f"systemctl stop lab-ask; cat {_SEEN}")
    return [
        Asked(row["at"], row["path"], row["status"], row["seconds"], row.get("share", {}))
        for row in map(json.loads, told.splitlines())
    ]


def p99(seconds: Sequence[float]) -> float:
    """Of a hundred the one that only one is slower than."""
    return sorted(seconds)[max(0, -(-len(seconds) * 99 // 100) - 1)]


def now(guest: Guest) -> float:
    """The guest's clock, in seconds since its boot."""
    return float(guest.run("cut -d' ' -f1 /proc/uptime"))
