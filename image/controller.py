"""ansible-playbook from here into a container, as from one machine to another.

It goes over ssh as it would anywhere; only the way there is not a network but a step into the
container (`sshd -i`), which has none.

Not here: what is played (build; tests.box.provision).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from image.container import Container
from image.debian import TOP

FOLDER: Final = TOP / "ansible"
BIN: Final = TOP / ".venv-ansible" / "bin"
_RECAP: Final = re.compile(r"^(?P<box>\S+)\s+: (?P<counts>ok=.*)$", re.MULTILINE)
_DOOR: Final = "/usr/sbin/sshd -i -o LogLevel=ERROR"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a playbook."""

    status: int
    counts: Mapping[str, Mapping[str, int]]  # box → ok, changed, failed, …
    seconds: float
    text: str


class Controller:
    """Who provisions, with keys and an inventory of its own."""

    def __init__(
        self, folder: Path, boxes: Mapping[str, Container], variables: Mapping[str, object]
    ) -> None:
        """`variables` hold for every box; the first box is the canary."""
        self._folder = folder
        self._boxes = boxes
        key = folder / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        hosts: dict[str, Any] = {}
        for name, box in boxes.items():
            home = box.path("/root/.ssh")
            home.mkdir(mode=0o700, exist_ok=True)
            (home / "authorized_keys").write_text((folder / "id.pub").read_text())
            box.path("/run/sshd").mkdir(exist_ok=True)
            hosts[name] = {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(key),
                "ansible_ssh_common_args": shlex.join(self.way(name)),
            }
        first, *others = hosts
        inventory = {
            "appliances": {
                "vars": variables,
                "children": {
                    "canary": {"hosts": {first: hosts[first]}},
                    "fleet": {"hosts": {name: hosts[name] for name in others}},
                },
            }
        }
        (folder / "inventory.json").write_text(json.dumps(inventory))

    def way(self, name: str) -> Sequence[str]:
        """What ssh is told so that it gets to a box."""
        door = " ".join((*self._boxes[name].enter, _DOOR))
        said = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        told = (f"-o{one}" for one in (*said, f"ProxyCommand={door}"))
        return ["-F", "none", *told]

    def play(self, book: str, *words: str, **variables: object) -> Played:
        """Run a playbook; `variables` are laid over the inventory's."""
        begun = time.monotonic()
        told = subprocess.run(
            [BIN / "ansible-playbook", book, *_extra(variables), *words],
            cwd=FOLDER,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg"),
                "ANSIBLE_INVENTORY": str(self._folder / "inventory.json"),
                "ANSIBLE_HOME": str(self._folder / "home"),
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._folder / "cp"),
                "ANSIBLE_NOCOLOR": "1",
                "PYTHONPATH": "",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        text = told.stdout + told.stderr
        return Played(told.returncode, _counts(text), time.monotonic() - begun, text)


def _extra(variables: Mapping[str, object]) -> Sequence[str]:
    return ["--extra-vars", json.dumps(variables)] if variables else []


def _counts(text: str) -> dict[str, dict[str, int]]:
    return {
        found["box"]: {
            key: int(n) for key, n in (word.split("=") for word in found["counts"].split())
        }
        for found in _RECAP.finditer(text)
    }
