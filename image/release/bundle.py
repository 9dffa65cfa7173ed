"""What a bundle must be like to be believed: signed, complete, and nothing else in it.

A bundle is a tar file without folders but `wheels/`:

    SHA256SUMS              every other file, as sha256sum writes it
    SHA256SUMS.sig          its signature (`ssh-keygen -Y`, namespace `appliance-release`)
    release.json            version, commit, for which Pythons and machine
    requirements.lock       what is installed, with hashes
    wheels/                 the product and all that it needs

What is in it is read only after its name has been looked at, and used only after the signature
and every sum.

Not here: making one (make), putting it on the box (install).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"
FACTS: Final = "release.json"
LOCK: Final = "requirements.lock"
WHEELS: Final = "wheels"
NAMESPACE: Final = "appliance-release"  # a key that signs mail as well signs no release by it
SIGNER: Final = "release"  # who signs, in the list of signers
GPU: Final = "gpu"  # at the end of a version: with the libraries of an NVIDIA GPU
_NAME: Final = re.compile(r"(wheels/)?[A-Za-z0-9_][A-Za-z0-9_.+-]{0,200}")
_SUM: Final = re.compile(r"([0-9a-f]{64})  (\S+)")
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.+-]{0,62}")
_WHEEL: Final = re.compile(r"[^-]+-([^-]+)-[^-]+-[^-]+-[^-]+[.]whl")
_MOST_FILES: Final = 2_000
_MOST_BYTES: Final = 16_000_000_000
_KEEP_FREE: Final = 200_000_000  # bytes that are left on the disk whatever a bundle holds


class Refused(Exception):
    """What was asked for is not done, and nothing was changed. Its text is for a person."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a bundle says of itself."""

    version: str  # of the bundle: «0.2.0», or «0.2.0+gpu»
    commit: str  # of the checkout that it was made of; "": unknown
    wheel: str  # the product's own, below wheels/
    pythons: tuple[str, ...]  # «3.11»: for which wheels are there
    machine: str  # as `uname -m` says
    digest: str  # sha256 of the sums: tells this bundle from every other

    @property
    def product(self) -> str:
        """What its program calls itself: two bundles may be of one product."""
        return version_of(self.wheel)


def version_of(wheel: str) -> str:
    """What a wheel's name says (packaging.python.org, binary distribution format)."""
    found = _WHEEL.fullmatch(wheel)
    if found is None:
        raise Refused(f"{wheel[:80]!r} is no name of a wheel")
    return found.group(1)


def opened(bundle: str, signers: str, folder: str) -> Release:
    """Unpack `bundle` into the empty `folder`, and say what it is.

    `signers` is a file of allowed signers as ssh-keygen(1) has it. Raises Refused where anything
    is not as it should be; what was unpacked until then is not to be used.
    """
    try:
        _unpack(bundle, folder)
    except (tarfile.TarError, EOFError) as error:
        raise Refused(f"{bundle} is no bundle, or only a part of one: {error}") from error
    except OSError as error:
        raise Refused(f"{bundle} cannot be unpacked: {error.strerror}") from error
    _verify(folder, signers)
    _compare(folder)
    return read(folder)


def read(folder: str) -> Release:
    """What a bundle says that was unpacked into `folder` and believed. Raises Refused."""
    try:
        with open(os.path.join(folder, FACTS), encoding="utf-8") as stream:
            plain = json.load(stream)
        with open(os.path.join(folder, SUMS), "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        release = Release(
            version=str(plain["version"]),
            commit=str(plain["commit"]),
            wheel=str(plain["wheel"]),
            pythons=tuple(map(str, plain["pythons"])),
            machine=str(plain["machine"]),
            digest=digest,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{FACTS} does not say which release this is: {error}") from error
    if not _VERSION.fullmatch(release.version):
        raise Refused(f"{release.version[:60]!r} is no version")
    return release


def _unpack(bundle: str, folder: str) -> None:
    os.mkdir(os.path.join(folder, WHEELS))
    room = min(_MOST_BYTES, shutil.disk_usage(folder).free - _KEEP_FREE)
    seen: set[str] = set()
    with tarfile.open(bundle, "r:") as packed:
        for member in packed:
            if not member.isreg() or not _NAME.fullmatch(member.name) or member.name in seen:
                raise Refused(f"{member.name[:80]!r} has no place in a bundle")
            seen.add(member.name)
            room -= member.size
            if room < 0 or len(seen) > _MOST_FILES:
                raise Refused("the bundle is larger than the room there is for it")
            source = packed.extractfile(member) or io.BytesIO()
            with source, open(os.path.join(folder, member.name), "xb") as target:
                shutil.copyfileobj(source, target)


def _verify(folder: str, signers: str) -> None:
    """The sums are signed by somebody of the list."""
    if not os.path.exists(signers):
        raise Refused(f"nobody may sign releases of this box: there is no {signers}")
    argv = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", SIGNER, "-n", NAMESPACE]
    try:
        with open(os.path.join(folder, SUMS), "rb") as sums:
            told = subprocess.run(
                [*argv, "-s", os.path.join(folder, SIGNATURE)],
                stdin=sums,
                capture_output=True,
                text=True,
                check=False,
            )
    except FileNotFoundError as error:
        raise Refused(f"the bundle is not signed: there is no {error.filename}") from error
    if told.returncode:
        why = (told.stderr or told.stdout).strip().splitlines()
        raise Refused(f"the signature is not right: {why[-1] if why else 'no reason given'}")


def _compare(folder: str) -> None:
    """Every file is as the sums say, and there is no other."""
    told = _told(folder)
    there = {
        os.path.relpath(os.path.join(at, name), folder)
        for at, _, names in os.walk(folder)
        for name in names
    } - {SUMS, SIGNATURE}
    if there != told.keys():
        odd = sorted(there ^ told.keys())
        raise Refused(f"the bundle and its sums do not name the same files: {odd[0]}")
    for name, right in told.items():
        with open(os.path.join(folder, name), "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != right:
                raise Refused(f"{name} was altered")


def _told(folder: str) -> Mapping[str, str]:
    with open(os.path.join(folder, SUMS), encoding="ascii", errors="replace") as stream:
        found = [_SUM.fullmatch(line.rstrip("\n")) for line in stream]
    if not all(found):
        raise Refused(f"{SUMS} is not as sha256sum writes it")
    return {one.group(2): one.group(1) for one in found if one}
