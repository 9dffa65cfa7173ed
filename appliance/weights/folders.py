"""Finding a model on this box, and comparing it with its manifest.

Not here: bringing one in (pull).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.errors import ModelCorrupt, ModelMissing
from appliance.weights import manifest as manifests
from appliance.weights.manifest import Manifest, digest

SELFTEST: Final = "selftest"
BUNDLED: Final = os.path.join(os.path.dirname(__file__), "..", "selftest", "model")
# Without tokenizer.json faster-whisper would ask a hub for one: it is not optional here.
NEEDED: Final = ("model.bin", "config.json", "tokenizer.json")
VOCABULARIES: Final = ("vocabulary.json", "vocabulary.txt")  # one of them
_OF_MANY_LANGUAGES: Final = 51_865  # tokens, and more; English-only models have one less
_MELS: Final = 80  # of a model that does not say


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this box."""

    name: str
    path: str
    sha256: str  # over names and contents of its files
    manifest: Manifest | None = None  # None: somebody put it there by hand

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _name, size, _mtime in _looks(self.path))

    @property
    def mels(self) -> int:
        """Bins of the log-mel spectrogram it listens to."""
        try:
            with open(os.path.join(self.path, "preprocessor_config.json"), "rb") as stream:
                return int(json.load(stream).get("feature_size", _MELS))
        except FileNotFoundError:
            return _MELS

    @property
    def multilingual(self) -> bool:
        """Tell whether it knows more than English, by the count of its tokens."""
        as_json, as_lines = (os.path.join(self.path, name) for name in VOCABULARIES)
        if os.path.exists(as_json):
            with open(as_json, "rb") as stream:
                return len(json.load(stream)) >= _OF_MANY_LANGUAGES
        with open(as_lines, "rb") as stream:
            return sum(1 for _line in stream) >= _OF_MANY_LANGUAGES


def find(name: str, model_dir: str) -> ModelFolder:
    """Find a model by its name. Raises ModelMissing or ModelCorrupt."""
    try:
        path = chosen(name, model_dir)
        if path is None:
            raise ModelMissing(model=name, where=model_dir)
        return look(name, path)
    except OSError as error:
        why = f"{error.filename or model_dir} cannot be read: {error.strerror}"
        raise ModelCorrupt(model=name, why=why) from error


def look(name: str, path: str) -> ModelFolder:
    """Look into a model's folder; its files are read when they changed since the last look.

    Raises ModelCorrupt.
    """
    with _reading(path):
        contents = _contents(path, _looks(path))
    return _compared(name, path, contents)


def glance(name: str, model_dir: str) -> str:
    """Look at a model without reading it: is it there, is it complete, are its files as long
    as they should be? A word comes back that changes when its files do.

    Raises ModelMissing or ModelCorrupt.
    """
    try:
        path = chosen(name, model_dir)
        if path is None:
            raise ModelMissing(model=name, where=model_dir)
        _complete(name, path)
        looks = _looks(path)
        manifest = _manifest(name, path)
    except OSError as error:
        why = f"{error.filename or model_dir} cannot be read: {error.strerror}"
        raise ModelCorrupt(model=name, why=why) from error
    sizes = {file: size for file, size, _mtime in looks}
    for file, content in sorted(manifest.files.items() if manifest else ()):
        if file not in sizes:
            raise ModelCorrupt(model=name, why=f"{file} is missing")
        if sizes[file] != content.size:
            raise ModelCorrupt(model=name, why=f"{file} is not as long as {manifests.NAME} says")
    told = f"{path}{looks}{manifest.digest if manifest else ''}"
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


def verify(name: str, model_dir: str) -> ModelFolder:
    """Read every file of a model anew. Raises ModelMissing or ModelCorrupt."""
    path = chosen(name, model_dir)
    if path is None:
        raise ModelMissing(model=name, where=model_dir)
    return verified(name, path)


def verified(name: str, path: str) -> ModelFolder:
    """Read every file of a model's folder anew. Raises ModelCorrupt."""
    return _compared(name, path, _read(path))


def listing(model_dir: str) -> Iterator[ModelFolder | ModelCorrupt]:
    """Every model on this box, the bundled one first; of a damaged one, what is wrong.

    What has a manifest is believed, not read: a box with ten large models answers at once.
    """
    for name, path in [(SELFTEST, BUNDLED), *on_disk(model_dir)]:
        try:
            manifest = _manifest(name, path)
            if manifest is None:
                yield look(name, path)
            else:
                _complete(name, path)
                yield ModelFolder(name, path, manifest.digest, manifest)
        except ModelCorrupt as error:
            yield error


def on_disk(model_dir: str) -> list[tuple[str, str]]:
    """Name and path of every folder that a profile can name; hidden ones are half a model."""
    if not os.path.isdir(model_dir):
        return []
    return sorted(
        (entry.name.partition("@")[0], entry.path)
        for entry in os.scandir(model_dir)
        if entry.is_dir() and not entry.name.startswith(".")
    )


def chosen(name: str, model_dir: str) -> str | None:
    """The folder a profile means: `<name>`, the newest `<name>@<digest>`, or that very one."""
    if name == SELFTEST:
        return BUNDLED
    found = [path for base, path in on_disk(model_dir) if name in (base, os.path.basename(path))]
    return max(found, key=os.path.getmtime, default=None)


def _manifest(name: str, path: str) -> Manifest | None:
    try:
        return manifests.read(path)
    except ValueError as error:
        raise ModelCorrupt(model=name, why=f"{manifests.NAME} cannot be read: {error}") from error


def _complete(name: str, path: str) -> None:
    there = os.listdir(path)
    missing = [needed for needed in NEEDED if needed not in there]
    if not any(vocabulary in there for vocabulary in VOCABULARIES):
        missing.append(VOCABULARIES[0])
    if missing:
        raise ModelCorrupt(model=name, why=f"{missing[0]} is missing in {path}")


def _compared(name: str, path: str, contents: dict[str, str]) -> ModelFolder:
    """Hold what lies there against what should."""
    _complete(name, path)
    manifest = _manifest(name, path)
    if manifest is not None:
        for file in sorted(manifest.files.keys() | contents.keys()):
            _compare(name, file, manifest, contents.get(file))
    return ModelFolder(name, path, digest(contents), manifest)


def _compare(name: str, file: str, manifest: Manifest, sha256: str | None) -> None:
    if sha256 is None:
        raise ModelCorrupt(model=name, why=f"{file} is missing")
    if file not in manifest.files:
        raise ModelCorrupt(model=name, why=f"{file} does not belong to it")
    if manifest.files[file].sha256 != sha256:
        raise ModelCorrupt(model=name, why=f"{file} is not what {manifests.NAME} says")


def _looks(path: str) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file of the model does: names, sizes, times."""
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    return tuple(
        (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
        for entry in entries
        if entry.is_file() and not entry.name.startswith(".") and entry.name != manifests.NAME
    )


def _read(path: str) -> dict[str, str]:
    """The sha256 of each file."""
    return {name: manifests.of_file(os.path.join(path, name)).sha256 for name, *_ in _looks(path)}


@functools.lru_cache(maxsize=16)
def _contents(path: str, _looks: tuple[tuple[str, int, int], ...]) -> dict[str, str]:
    """The same; read once as long as none of them changes."""
    return _read(path)


@functools.cache
def _reading(_path: str) -> threading.Lock:
    """Held by whoever reads that folder: two who come first need not read the same gigabytes."""
    return threading.Lock()
