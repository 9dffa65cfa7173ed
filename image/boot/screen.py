"""What the box's own screen says, above the question for a name that agetty asks there.

In: addresses, the certificate, what was taken at boot. Out: a text for people who stand before
the box. As long as nobody is admin it holds the set-up code of the page and the password of the
drop share; both go when there is one. Whoever sees this screen could as well take the disk out.

Not here: codes themselves (the release makes them: `appliance user setup`).
"""

from __future__ import annotations

import contextlib
import json
import os
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from . import asked, certificate, identity, take

SCREEN: Final = f"{asked.RUN}/screen"  # /etc/issue.d/appliance.issue leads here
_CODE: Final = f"{asked.RUN}/code"
_SETTLED: Final = f"{asked.RUN}/admin"  # there is an admin: nobody needs to ask any more
_FRESH_SECONDS: Final = 20 * 3600.0  # a code is good for a day
_ADMIN: Final = "admin"
SHARE: Final = "dictation"
_LABEL: Final = 13


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to show."""

    version: str
    name: str
    addresses: Sequence[str]
    fingerprint: str
    code: str  # "": there is an admin
    password: str  # of the drop share; "": nobody needs to see it
    told: Sequence[str]  # what came of the boot partition
    trouble: str  # "": none


def draw() -> bool:
    """Show how it is now, where that is something else than before; says whether it is."""
    os.makedirs(asked.RUN, exist_ok=True)
    code, trouble = _code()
    if not code and not trouble:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(identity.DROP_PASSWORD)
    current = os.path.basename(os.path.realpath("/opt/appliance/current"))
    shown = Shown(
        version=current,
        name=asked.read("/etc/hostname"),
        addresses=asked.addresses(),
        fingerprint=certificate.fingerprint(),
        code=code,
        password=asked.read(identity.DROP_PASSWORD),
        told=asked.read(take.TOLD).splitlines(),
        trouble=trouble,
    )
    text = text_of(shown)
    if text.strip() == asked.read(SCREEN):
        return False
    asked.write(SCREEN, text, mode=0o600)
    asked.run("agetty", "--reload")
    return True


def text_of(shown: Shown) -> str:
    """What stands on the screen, as agetty reads it."""
    lines = [f"Transcription appliance {shown.version}, {shown.name}", ""]
    where = [_host(one) for one in shown.addresses]
    if where:
        lines += _row("Page", [f"https://{one}/" for one in where[:3]])
    else:
        lines += _row("Page", ["no address yet: is a network cable plugged in? (DHCP)"])
    if shown.fingerprint:
        half = shown.fingerprint[:48], shown.fingerprint[48:]
        lines += _row("Certificate", [f"SHA-256 {half[0]}", f"        {half[1]}"])
    if shown.code:
        place = f"https://{where[0]}/setup" if where else "/setup of the page"
        lines += _row("First admin", [f"code {shown.code} at {place}"])
    if shown.password:
        server = shown.addresses[0] if shown.addresses else shown.name
        who = f"name {identity.DROPPER}, password {shown.password}"
        lines += _row("Drop share", [rf"\\{server}\{SHARE}", who])
    for line in (shown.trouble, *shown.told):
        lines += ["", *_folded(line)] if line else []
    return "".join(f"{_plain(line)}\n" for line in lines)


def _row(label: str, lines: Sequence[str]) -> list[str]:
    first, *others = lines
    return [f"  {label:<{_LABEL}}{first}", *(f"  {'':<{_LABEL}}{line}" for line in others)]


def _folded(text: str) -> list[str]:
    """Lines that fit a screen of 80 letters; a file's mistakes are a line each."""
    wrap = textwrap.TextWrapper(76, break_on_hyphens=False)
    return [f"  {line}" for mistake in text.split("; ") for line in wrap.wrap(mistake)]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _plain(line: str) -> str:
    """What agetty shows as it stands: a backslash begins a word of its own language."""
    printable = "".join(letter if letter.isprintable() else " " for letter in line)
    return printable.replace("\\", "\\\\")


def _code() -> tuple[str, str]:
    """The set-up code to show, or none; what is wrong where the release does not say."""
    if not os.path.ismount(asked.STATE):
        return "", "The data partition is not there: nothing can be transcribed. Look at it by ssh."
    if os.path.exists(_SETTLED):
        return "", ""
    people = asked.appliance("--json", "user", "list")
    if people.returncode:
        return "", "The appliance does not answer yet. If it stays so: appliance doctor, by ssh."
    if any(one.get("role") == _ADMIN for one in json.loads(people.stdout or "[]")):
        asked.write(_SETTLED, "")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_CODE)
        return "", ""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - os.stat(_CODE).st_mtime < _FRESH_SECONDS:
            return asked.read(_CODE), ""
    made = asked.appliance("user", "setup")
    if made.returncode:
        return "", "The appliance makes no set-up code. Ask it by ssh: appliance doctor."
    asked.write(_CODE, made.stdout, mode=0o600)
    return made.stdout.strip(), ""
