"""What a model folder should hold: every file's size and sha256, and where they came from.

`manifest.json` is written by a pull and read whenever the model is asked for.

Not here: comparing a folder with it (folders).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

NAME: Final = "manifest.json"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a model, by name."""

    files: Mapping[str, Content]
    repository: str | None = None  # of the hub; None: copied from a folder that did not know
    revision: str | None = None  # commit of that repository

    @property
    def digest(self) -> str:
        """Tells one set of weights from another."""
        return digest({name: content.sha256 for name, content in self.files.items()})

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(content.size for content in self.files.values())


def digest(sha256s: Mapping[str, str]) -> str:
    """One sha256 over names and contents of files."""
    lines = "".join(f"{name}:{sha256s[name]}\n" for name in sorted(sha256s))
    return hashlib.sha256(lines.encode()).hexdigest()


def of_file(path: str) -> Content:
    """Read a file to the end. Raises OSError."""
    with open(path, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return Content(stream.tell(), sha256)


def read(folder: str) -> Manifest | None:
    """Read a folder's manifest; None where it has none. Raises ValueError for nonsense."""
    try:
        with open(os.path.join(folder, NAME), encoding="utf-8") as stream:
            return parse(stream.read())
    except FileNotFoundError:
        return None


def parse(text: str) -> Manifest:
    """Read a manifest. Raises ValueError for nonsense."""
    plain = json.loads(text)
    if not isinstance(plain, dict) or not isinstance(plain.get("files"), dict):
        raise ValueError("it lists no files")
    files = {name: _content(name, content) for name, content in plain["files"].items()}
    return Manifest(files, _text(plain, "repository"), _text(plain, "revision"))


def _content(name: str, plain: Any) -> Content:  # noqa: ANN401 - JSON
    if not _FILE.fullmatch(name) or not isinstance(plain, dict):
        raise ValueError(f"{name!r} is not a file of a model")
    size, sha256 = plain.get("size"), plain.get("sha256")
    if not isinstance(size, int) or not _SHA256.fullmatch(str(sha256)):
        raise ValueError(f"{name} has no size or no sha256")
    return Content(size, str(sha256))


def _text(plain: Mapping[str, Any], key: str) -> str | None:
    value = plain.get(key)
    return value if isinstance(value, str) else None


def as_text(manifest: Manifest) -> str:
    """Write a manifest."""
    plain = {
        "repository": manifest.repository,
        "revision": manifest.revision,
        "digest": manifest.digest,
        "files": {
            name: {"size": content.size, "sha256": content.sha256}
            for name, content in sorted(manifest.files.items())
        },
    }
    return json.dumps(plain, indent=2) + "\n"
