"""Model folders: the bundled self-test model, and those the site fetched or copied.

A model is a folder in CTranslate2 format with its tokenizer. In: a name from a profile.
Out: where it lies and the digest that tells one set of weights from another.

Not here: loading one (engine).
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.errors import ModelCorrupt, ModelMissing

SELFTEST: Final = "selftest"
_BUNDLED: Final = os.path.join(os.path.dirname(__file__), "selftest", "model")
# Without tokenizer.json faster-whisper would ask a hub for one: it is not optional here.
NEEDED: Final = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this box."""

    name: str
    path: str
    sha256: str  # over names and contents of its files


def find(name: str, model_dir: str) -> ModelFolder:
    """Find a model by its name. Raises ModelMissing or ModelCorrupt."""
    path = _BUNDLED if name == SELFTEST else _folder(name, model_dir)
    if path is None:
        raise ModelMissing(model=name, where=model_dir)
    for needed in NEEDED:
        if not os.path.isfile(os.path.join(path, needed)):
            raise ModelCorrupt(model=name, why=f"{needed} is missing in {path}")
    return ModelFolder(name, path, _digest(path, _looks(path)))


def listing(model_dir: str) -> Iterator[ModelFolder]:
    """Every model on this box, the bundled one first; damaged ones are left out."""
    names = sorted(os.listdir(model_dir)) if os.path.isdir(model_dir) else []
    for name in [SELFTEST, *(name.partition("@")[0] for name in names)]:
        try:
            yield find(name, model_dir)
        except (ModelMissing, ModelCorrupt):
            continue


def _folder(name: str, model_dir: str) -> str | None:
    """`<name>` or the newest `<name>@<sha>` below the model folder."""
    if not os.path.isdir(model_dir) or os.sep in name or name.startswith("."):
        return None
    found = [
        entry.path
        for entry in os.scandir(model_dir)
        if entry.is_dir() and entry.name.partition("@")[0] == name
    ]
    return max(found, key=os.path.getmtime, default=None)


def _looks(path: str) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file of the model does: names, sizes, times."""
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    return tuple(
        (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
        for entry in entries
        if entry.is_file() and not entry.name.startswith(".")
    )


@functools.lru_cache(maxsize=16)
def _digest(path: str, looks: tuple[tuple[str, int, int], ...]) -> str:
    """Digest of a model's files; read once as long as none of them changes."""
    whole = hashlib.sha256()
    for name, _size, _mtime in looks:
        with open(os.path.join(path, name), "rb") as stream:
            whole.update(f"{name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
