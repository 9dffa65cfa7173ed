"""Releases to bring to a box: this checkout as it is, and ones that only pretend to be well.

The wheels of what the product needs are fetched once and kept (`.box/wheels`).

Not here: what a box does with them (__main__).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from image import debian
from image.release import make
from tests.box import together, units
from tests.box.provision.bare import KEPT

_PARTS: Final = ("appliance", "web", "systemd", "config", "pyproject.toml", "README.md", "LICENSE")
_NOTHING: Final[Mapping[str, str]] = {}


def key(folder: Path) -> Path:
    """A key that signs releases; its public half lies beside it."""
    made = folder / "signer"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made], check=True)
    return made


def wheels() -> Path:
    """Wheels for the Debian of the boxes, as the lock file has them."""
    kept = KEPT / "wheels"
    kept.mkdir(parents=True, exist_ok=True)
    with together.alone(KEPT / "wheels.lock"):
        make.fetch(str(Path(units.TOP, "requirements.lock")), debian.python(), str(kept), None)
    return kept


def bundle(
    folder: Path, key: Path, *, version: str | None = None, broken: Mapping[str, str] = _NOTHING
) -> Path:
    """A signed bundle of this checkout, as `version`; `broken` says what is put at the end of
    which module.
    """
    top = folder / f"checkout-{version or 'as-it-is'}"
    top.mkdir()
    for part in _PARTS:
        source = Path(units.TOP, part)
        if source.is_dir():
            shutil.copytree(source, top / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, top / part)
    if version is not None:
        file = top / "appliance" / "__init__.py"
        said = re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text())
        file.write_text(said)
    for module, text in broken.items():
        with (top / module).open("a", encoding="utf-8") as stream:
            stream.write(f"\n\n{text}\n")
    made = make.make(
        key=str(key),
        out=str(folder),
        pythons=[debian.python()],
        top=str(top),
        lock=str(Path(units.TOP, "requirements.lock")),
        wheels=str(wheels()),
    )
    shutil.rmtree(top)
    return Path(made)
