"""What somebody is given who is asked for help: the bundle of a box that has lived a little.

Not here: what else is scrubbed and how (tests/test_support).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.box.container import Container
from tests.box.steps import expect

_COMMAND: Final = "/opt/appliance/current/bin/appliance"
_INSIDE: Final = "/root/box.tar.gz"
_HOLDS: Final = ("doctor", "settings", "journal", "failed", "units", "ledger", "versions")


def bundle(box: Container, unsaid: Iterable[str]) -> None:
    """Root packs it; it holds what a call asks first, and nothing of what is to be `unsaid`."""
    before = _of_root(box)
    told = box.run(_COMMAND, "support-bundle", "--out", _INSIDE)
    expect(told.returncode == 0, "a support bundle", told.stdout + told.stderr)
    mode = box.run("stat", "-c", "%U %a", _INSIDE).stdout.strip()
    expect(mode == "root 600", "for its owner alone", mode)
    held = _texts(box.path(_INSIDE))
    lacking = [name for name in _HOLDS if not held.get(f"{name}.jsonl")]
    expect(not lacking, f"it holds {', '.join(_HOLDS)}", f"{lacking} of {sorted(held)}")
    found = [(word, file) for file, text in held.items() for word in unsaid if word in text]
    expect(not found, f"none of its {len(held)} files holds a secret, a name or a text", str(found))
    expect(_of_root(box) == before, "it leaves no file of root's behind")


def _texts(archive: Path) -> dict[str, str]:
    """The texts of an archive, by the names of its files."""
    with tarfile.open(archive) as packed:
        files = [(one.name, packed.extractfile(one)) for one in packed if one.isfile()]
        return {
            name.split("/", 1)[-1]: stream.read().decode()
            for name, stream in files
            if stream is not None
        }


def _of_root(box: Container) -> str:
    return box.run("find", "/var/lib/appliance", "/run/appliance", "-user", "root").stdout
