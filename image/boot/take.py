"""What an administrator put on the boot partition from another machine: judged, and taken once.

    appliance.toml     settings, laid over those of the image (conf.d/50-boot-partition.toml)
    authorized_keys    who may come in by ssh, as root

In: the partition. Out: what was right is in force and called NAME.taken from then on. What was not
stays where it is with NAME.ERROR.txt beside it, which says why; nothing has changed then.

Not here: what settings there are (the release judges them), showing what came of it (screen).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from . import asked

ESP: Final = "/efi"
SETTINGS: Final = "conf.d/50-boot-partition.toml"
TOLD: Final = f"{asked.RUN}/told"
# A person reads it on another machine, perhaps with Notepad.
_NOTE: Final = (
    "{name} was not taken, and the box goes on with what it had.\r\n\r\n{why}\r\n\r\n"
    "Correct {name} and start the box again.\r\n"
)
_MOST: Final = 1_000_000  # bytes
_FILES: Final = ("appliance.toml", "authorized_keys")
Judge = Callable[[str], str | None]  # a file of settings → what is wrong with it


class Wrong(Exception):
    """What was put there cannot be taken, and why."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie; elsewhere in tests."""

    esp: str = ESP
    etc: str = "/etc/appliance"
    keys: str = "/root/.ssh/authorized_keys"
    run: str = asked.RUN


def take(places: Places | None = None, judge: Judge | None = None) -> list[str]:
    """Take what is there and right; what came of it, a sentence each. Raises OSError."""
    at = places or Places()
    there = waiting(at.esp)
    if not there:
        return []
    os.makedirs(at.run, exist_ok=True)
    told = []
    for kind, name in there.items():
        try:
            text = _text(os.path.join(at.esp, name))
            if kind == "appliance.toml":
                _settings(text, at, judge or judged)
            else:
                _keys(text, at)
        except Wrong as wrong:
            _write_note(at.esp, name, str(wrong))
            told.append(f"{name} on the boot partition was not taken: {wrong}")
        else:
            os.replace(os.path.join(at.esp, name), os.path.join(at.esp, f"{kind}.taken"))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(at.esp, f"{name}.ERROR.txt"))
            told.append(f"{name} was taken from the boot partition.")
    return told


def waiting(esp: str = ESP) -> Mapping[str, str]:
    """What lies there to be taken: its kind → the name that it has."""
    there = {name.lower(): name for name in os.listdir(esp)} if os.path.isdir(esp) else {}
    # Whoever does not see the ends of names puts another one there.
    found = {kind: there.get(kind, there.get(f"{kind}.txt", "")) for kind in _FILES}
    return {kind: name for kind, name in found.items() if name}


def judged(file: str) -> str | None:
    """What the release that runs finds wrong with a file of settings; None where nothing is."""
    done = asked.appliance("--json", "settings", "check", settings=file)
    if not done.returncode:
        return None
    try:
        said = str(json.loads(done.stderr)["message"])
    except (ValueError, LookupError):
        return done.stderr.strip() or "the appliance does not say why."
    _, _, mistakes = said.partition("\n")  # its first line names the file, and how many
    return textwrap.dedent(mistakes).strip() or said


def _text(file: str) -> str:
    if os.path.getsize(file) > _MOST:
        raise Wrong("it is larger than a megabyte.")
    with open(file, "rb") as stream:
        try:
            # An editor of another system may begin a file with a mark, and ends lines otherwise.
            return stream.read().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise Wrong("it is not UTF-8 text.") from None


def _settings(text: str, at: Places, judge: Judge) -> None:
    """Try them beside those of the box, as they would stand there; then put them there."""
    target = os.path.join(at.etc, SETTINGS)
    folder = os.path.join(at.run, "tried")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "conf.d"), mode=0o755)  # the account of the box reads them
    shutil.copy(os.path.join(at.etc, "appliance.toml"), folder)
    beside = os.path.join(at.etc, "conf.d")
    for name in os.listdir(beside) if os.path.isdir(beside) else ():
        if name.endswith(".toml"):
            shutil.copy(os.path.join(beside, name), os.path.join(folder, "conf.d"))
    ours = os.path.join(folder, SETTINGS)
    asked.write(ours, text)
    if any(said != asked.STATE for said in asked.state_said(ours)):
        shutil.rmtree(folder)
        raise Wrong(
            f"node.state_dir: leave it out; only {asked.STATE} is open to the parts of a box."
        )
    why = judge(os.path.join(folder, "appliance.toml"))
    shutil.rmtree(folder)
    if why is not None:
        raise Wrong(why.replace(f"{ours}: ", "").replace(folder, at.etc))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    asked.write(target, text)


def _keys(text: str, at: Places) -> None:
    if "PRIVATE KEY" in text:
        raise Wrong(
            "it holds a private key. Keep that to yourself: the file that ends in .pub is meant."
        )
    with tempfile.NamedTemporaryFile("w", dir=at.run, encoding="utf-8") as half:
        half.write(text)
        half.flush()
        if asked.run("ssh-keygen", "-l", "-f", half.name).returncode:
            raise Wrong("it holds no public key of ssh.")
    os.makedirs(os.path.dirname(at.keys), mode=0o700, exist_ok=True)
    asked.write(at.keys, text if text.endswith("\n") else f"{text}\n", mode=0o600)


def _write_note(esp: str, name: str, why: str) -> None:
    lines = "\r\n".join(why.splitlines())
    asked.write(os.path.join(esp, f"{name}.ERROR.txt"), _NOTE.format(name=name, why=lines))
