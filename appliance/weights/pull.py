"""Bringing a model onto the box: from a hub, or from a folder somebody carried here.

In: a name, and what pins it. Out: `<name>@<digest>` with its manifest, whole and compared,
or nothing at all: files gather in a hidden folder and are renamed into place together.
What came before an interruption is kept there and not fetched again.

Run by hand, by the command alone. Not here: speaking with a hub (hub).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance.errors import DiskFull, ModelCorrupt, ModelUnknown, NodeIO
from appliance.weights import folders, manifest
from appliance.weights.catalogue import HOMES, HUB, Home
from appliance.weights.folders import NEEDED, VOCABULARIES, ModelFolder
from appliance.weights.hub import Hub, Told, Wanted
from appliance.weights.manifest import Content, Manifest

log = logging.getLogger("appliance.weights")
_TAKEN: Final = frozenset({*NEEDED, *VOCABULARIES, "preprocessor_config.json"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
_GB: Final = 1_000_000_000
_CHUNK: Final = 1 << 20


def _silent(_file: str, _have: int, _size: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Wish:
    """Which model, and what it must be."""

    name: str
    repository: str | None = None  # None: the one we know for this name
    revision: str | None = None  # None: the one we know, or had last time
    manifest: Manifest | None = None  # every file must be as in this one
    sha256: str | None = None  # the digest over all files must be this


@dataclass(frozen=True, slots=True)
class Brought:
    """What a pull ended with."""

    folder: ModelFolder
    fresh: bool  # False: it lay there already


def pull(
    wish: Wish,
    model_dir: str,
    *,
    hub: str = HUB,
    keep_free_bytes: int = 0,
    told: Told = _silent,
    pause: Callable[[float], None] = time.sleep,
) -> Brought:
    """Fetch a model from a hub. Raises ModelUnknown, -Unreachable, -Corrupt, DiskFull, NodeIO."""
    home = _home(wish, model_dir, hub)
    with _alone(wish.name, model_dir), Hub(hub, wish.name, pause=pause) as door:
        if there := _there(wish, model_dir, home):
            return Brought(there, fresh=False)  # without a word to the hub
        commit = door.commit(home.repository, home.revision or "main")
        if there := _there(wish, model_dir, Home(home.repository, commit)):
            return Brought(there, fresh=False)
        plan = _plan(wish, door.files(home.repository, commit) if not wish.manifest else ())
        part = _part(wish.name, commit, model_dir)
        _room(plan, part, keep_free_bytes)
        files = {one.name: door.fetch(home.repository, commit, one, part, told) for one in plan}
        return _placed(wish, part, model_dir, Manifest(files, home.repository, commit))


def copy(
    wish: Wish, source: str, model_dir: str, *, keep_free_bytes: int = 0, told: Told = _silent
) -> Brought:
    """Take a model from a folder: one as `pull` made it, or a CTranslate2 folder of any origin.

    `source` is the model's folder, or one that holds it under the model's name. What it
    says about itself is proved on our own copy. Raises as `pull` does, but -Unreachable.
    """
    _named(wish, source)
    source = _inside(wish.name, source)
    with _alone(wish.name, model_dir):
        try:
            claimed = wish.manifest or manifest.read(source)
        except ValueError as error:
            raise ModelCorrupt(model=wish.name, why=f"its manifest: {error}") from error
        wish = dataclasses.replace(wish, manifest=claimed)
        if claimed and (there := _there(wish, model_dir, Home("", None))):
            return Brought(there, fresh=False)
        plan = _plan(wish, _lying(source))
        part = _part(wish.name, "copy", model_dir)
        _room(plan, part, keep_free_bytes)
        files = {one.name: _copied(wish.name, one, source, part, told) for one in plan}
        repository, revision = (claimed.repository, claimed.revision) if claimed else (None, None)
        return _placed(wish, part, model_dir, Manifest(files, repository, revision))


# --- what is wished -----------------------------------------------------------------------------


def _named(wish: Wish, where: str) -> None:
    good = _NAME.fullmatch(wish.name) and wish.name != folders.SELFTEST
    if not good or (wish.repository and not _REPOSITORY.fullmatch(wish.repository)):
        raise ModelUnknown(model=wish.name, where=where)


def _home(wish: Wish, model_dir: str, hub: str) -> Home:
    """Where it comes from: as wished, as last time, as we know it; in that order."""
    _named(wish, hub)
    known = HOMES.get(wish.name)
    last = _last(wish.name, model_dir)
    repository = wish.repository or (known and known.repository) or (last and last.repository)
    if not repository:
        raise ModelUnknown(model=wish.name, where=hub)
    revision = wish.revision or (wish.manifest.revision if wish.manifest else None)
    if revision is None and known is not None and known.repository == repository:
        revision = known.revision
    if revision is None and last is not None and last.repository == repository:
        revision = last.revision
    return Home(repository, revision)


def _last(name: str, model_dir: str) -> Manifest | None:
    path = folders.chosen(name, model_dir)
    with contextlib.suppress(ValueError):
        return manifest.read(path) if path else None
    return None


def _there(wish: Wish, model_dir: str, home: Home) -> ModelFolder | None:
    """The model as wished, if it lies there unharmed; profiles mean this one from now on."""
    for base, path in folders.on_disk(model_dir):
        with contextlib.suppress(ModelCorrupt):
            if base == wish.name and _is_it(wish, home, path):
                found = folders.verified(wish.name, path)
                os.utime(path)
                return found
    return None


def _is_it(wish: Wish, home: Home, path: str) -> bool:
    try:
        it = manifest.read(path)
    except ValueError:
        return False
    if it is None or wish.sha256 not in (None, it.digest):
        return False
    if wish.manifest is not None:
        return it.files == wish.manifest.files
    if wish.sha256 is not None:
        return True
    return (it.repository, it.revision) == (home.repository, home.revision)


def _plan(wish: Wish, listed: Iterable[Wanted]) -> list[Wanted]:
    """The files to bring: those a model is made of. Raises ModelCorrupt when some are missing."""
    if wish.manifest is not None:
        listed = [
            Wanted(name, content.size, sha256=content.sha256)
            for name, content in wish.manifest.files.items()
        ]
    plan = sorted((one for one in listed if one.name in _TAKEN), key=lambda one: one.size)
    names = {one.name for one in plan}
    missing = [needed for needed in NEEDED if needed not in names]
    if missing or not names.intersection(VOCABULARIES):
        what = (missing or VOCABULARIES)[0]
        raise ModelCorrupt(model=wish.name, why=f"no {what}; it is not in CTranslate2 format")
    return plan


# --- the folder it gathers in -------------------------------------------------------------------


@contextlib.contextmanager
def _alone(name: str, model_dir: str) -> Iterator[None]:
    """Let one pull of a model work at a time, and give errors of our own disk their names."""
    try:
        os.makedirs(model_dir, exist_ok=True)
        with open(os.path.join(model_dir, f".{name}.lock"), "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("another pull of %s is running; waiting for it", name)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(free_gb=_free(model_dir) / _GB, where=model_dir) from error
        raise NodeIO(where=error.filename or model_dir, why=str(error.strerror)) from error


def _part(name: str, what: str, model_dir: str) -> str:
    """The hidden folder where the files of this very commit gather; of others, none is left."""
    part = f".{name}@{what[:12]}.part"
    for other in os.listdir(model_dir):
        if other.startswith(f".{name}@") and other != part:
            shutil.rmtree(os.path.join(model_dir, other))
    path = os.path.join(model_dir, part)
    os.makedirs(path, exist_ok=True)
    return path


def _free(folder: str) -> int:
    return shutil.disk_usage(folder).free


def _room(plan: list[Wanted], part: str, keep_free_bytes: int) -> None:
    here = sum(entry.stat().st_size for entry in os.scandir(part))
    if _free(part) + here < sum(one.size for one in plan) + keep_free_bytes:
        raise DiskFull(free_gb=_free(part) / _GB, where=part)


def _placed(wish: Wish, part: str, model_dir: str, made: Manifest) -> Brought:
    """Rename a whole model into place. Raises ModelCorrupt when it is not the one wished for."""
    if wish.sha256 not in (None, made.digest):
        shutil.rmtree(part)
        why = f"its digest is {made.digest}, not {wish.sha256}"
        raise ModelCorrupt(model=wish.name, why=why)
    target = os.path.join(model_dir, f"{wish.name}@{made.digest[:12]}")
    with contextlib.suppress(ModelCorrupt):
        if os.path.isdir(target):
            there = folders.verified(wish.name, target)
            shutil.rmtree(part)
            os.utime(target)
            return Brought(there, fresh=False)
    _seal(part, made)
    if os.path.isdir(target):  # damaged
        os.rename(target, os.path.join(model_dir, f".{wish.name}@damaged"))
    os.rename(part, target)
    _sync(model_dir)
    shutil.rmtree(os.path.join(model_dir, f".{wish.name}@damaged"), ignore_errors=True)
    return Brought(ModelFolder(wish.name, target, made.digest, made), fresh=True)


def _seal(part: str, made: Manifest) -> None:
    """Leave the model's files and its manifest in a folder, readable for the engine, on disk."""
    for name in set(os.listdir(part)) - set(made.files):
        os.unlink(os.path.join(part, name))
    with open(os.path.join(part, manifest.NAME), "w", encoding="utf-8") as file:
        file.write(manifest.as_text(made))
        file.flush()
        os.fsync(file.fileno())
    for name in os.listdir(part):
        os.chmod(os.path.join(part, name), 0o644)
    os.chmod(part, 0o755)  # noqa: S103 - nothing secret: the engine may be another user
    _sync(part)


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- from a folder ------------------------------------------------------------------------------


def _inside(name: str, source: str) -> str:
    if os.path.exists(os.path.join(source, NEEDED[0])):
        return source
    return folders.chosen(name, source) or source


def _lying(source: str) -> list[Wanted]:
    return [
        Wanted(entry.name, entry.stat().st_size) for entry in os.scandir(source) if entry.is_file()
    ]


def _copied(name: str, wanted: Wanted, source: str, part: str, told: Told) -> Content:
    """Copy a file, read the copy back and compare."""
    path, have = os.path.join(part, wanted.name), 0
    read = hashlib.sha256()
    with open(os.path.join(source, wanted.name), "rb") as there, open(path, "wb") as here:
        while piece := there.read(_CHUNK):
            read.update(piece)
            have += here.write(piece)
            told(wanted.name, have, wanted.size)
        here.flush()
        os.fsync(here.fileno())
    content = manifest.of_file(path)
    if content.sha256 != (wanted.sha256 or read.hexdigest()):
        shutil.rmtree(part)
        raise ModelCorrupt(model=name, why=f"{wanted.name} in {source} is not what it should be")
    return content
