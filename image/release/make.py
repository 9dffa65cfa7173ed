"""This checkout → dist/appliance-VERSION.tar: wheels for every box, sums, a signature.

    python -m image.release.make --key KEY [--python 3.11 …] [--out dist] [--wheels FOLDER]

In: the checkout, requirements.lock, an index that pip knows (or a folder of wheels), a key of
ssh. Out: one file that installs without any network. What goes into it was compared with the
hashes of the lock file. One with the libraries of a GPU is VERSION+gpu.

Not here: what is believed of it (bundle).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from typing import Final

from . import bundle

TOP: Final = os.path.abspath(f"{__file__}/../../..")
PYTHONS: Final = ("3.11", "3.13")  # of Debian 12 and 13
MACHINE: Final = "x86_64"
# Debian 12 has glibc 2.36: wheels for that and for anything older.
_PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_{MACHINE}" for minor in range(36, 4, -1)),
    *(f"manylinux{name}_{MACHINE}" for name in ("2014", "2010", "1")),
    f"linux_{MACHINE}",
    "any",
)
_NVIDIAS: Final = "nvidia_"  # wheels of the extra `gpu` alone
_EPOCH: Final = 315_532_800  # 1980: no zip and no tar knows an earlier day than this


def main(words: Sequence[str] | None = None) -> int:
    """Make a bundle and print its path."""
    parser = argparse.ArgumentParser(prog="image.release.make", description=__doc__.split("\n")[0])
    parser.add_argument("--key", required=True, help="the key of ssh that signs")
    parser.add_argument("--python", action="append", help="for which Python; several times")
    parser.add_argument("--out", default=os.path.join(TOP, "dist"))
    parser.add_argument("--top", default=TOP, help="the checkout")
    parser.add_argument("--lock", help="what is installed; requirements.lock of the checkout")
    parser.add_argument("--wheels", help="take wheels from this folder, and nothing from an index")
    asked = parser.parse_args(words)
    sys.stdout.write(
        make(
            key=asked.key,
            out=asked.out,
            pythons=tuple(asked.python or PYTHONS),
            top=asked.top,
            lock=asked.lock,
            wheels=asked.wheels,
        )
        + "\n"
    )
    return 0


def make(
    *,
    key: str,
    out: str,
    pythons: Sequence[str] = PYTHONS,
    top: str = TOP,
    lock: str | None = None,
    wheels: str | None = None,
) -> str:
    """Make a bundle of the checkout `top` in the folder `out`; its path.

    Raises CalledProcessError where a wheel cannot be had or does not have its hash.
    """
    lock = lock or os.path.join(top, bundle.LOCK)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".making-") as folder:
        house = os.path.join(folder, bundle.WHEELS)
        os.mkdir(house)
        own = _own(top, house)
        for python in pythons:
            fetch(lock, python, house, wheels)
        shutil.copy(lock, os.path.join(folder, bundle.LOCK))
        version = _version(bundle.version_of(own), os.listdir(house))
        facts = {
            "version": version,
            "commit": _commit(top),
            "wheel": own,
            "pythons": list(pythons),
            "machine": MACHINE,
        }
        with open(os.path.join(folder, bundle.FACTS), "w", encoding="utf-8") as stream:
            json.dump(facts, stream, indent=2)
        _sum_up(folder)
        _sign(folder, key)
        path = os.path.join(out, f"appliance-{version}.tar")
        _pack(folder, f"{path}.half")
        os.replace(f"{path}.half", path)
    return path


def _own(top: str, house: str) -> str:
    """Build the product's wheel; its name."""
    code = f"from hatchling import build; print(build.build_wheel({house!r}))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True
    )
    return told.stdout.split()[-1]


def fetch(lock: str, python: str, house: str, wheels: str | None) -> None:
    """Put the wheels of a lock file into the folder `house`, for a version of Python.

    They come from an index, or from the folder `wheels` alone; either way they have the hashes of
    the lock file. Raises CalledProcessError.
    """
    argv = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    argv += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", house]
    argv += ["--python-version", python, "--implementation", "cp", "--requirement", lock]
    argv += [word for one in _PLATFORMS for word in ("--platform", one)]
    if wheels:
        argv += ["--no-index", "--find-links", wheels]
    subprocess.run(argv, check=True)


def _version(product: str, wheels: Sequence[str]) -> str:
    """Of a bundle with these wheels: one for GPUs has a version of its own (PEP 440, local part).

    A box tells releases by their versions: two bundles of one would be one release to it.
    """
    if not any(name.startswith(_NVIDIAS) for name in wheels):
        return product
    return f"{product}{'.' if '+' in product else '+'}{bundle.GPU}"


def _commit(top: str) -> str:
    """The commit of the checkout, with a plus where something in it was changed."""
    git = ["git", "-C", top, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    told = subprocess.run(git, capture_output=True, text=True, check=False)
    return told.stdout.strip()


def _names(folder: str) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(at, name), folder)
        for at, _, names in os.walk(folder)
        for name in names
    )


def _sum_up(folder: str) -> None:
    lines = []
    for name in _names(folder):
        with open(os.path.join(folder, name), "rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
    with open(os.path.join(folder, bundle.SUMS), "w", encoding="ascii") as stream:
        stream.write("".join(lines))


def _sign(folder: str, key: str) -> None:
    sums = os.path.join(folder, bundle.SUMS)
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", bundle.NAMESPACE, sums]
    subprocess.run(argv, check=True, capture_output=True, text=True)


def _pack(folder: str, path: str) -> None:
    """Small files first: who looks into it need not read it all."""
    names = _names(folder)
    ordered = sorted(names, key=lambda name: (name.startswith(bundle.WHEELS), name))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as packed:
        for name in ordered:
            member = packed.gettarinfo(os.path.join(folder, name), name)
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            member.mode, member.mtime = 0o644, _EPOCH
            with open(os.path.join(folder, name), "rb") as stream:
                packed.addfile(member, stream)


if __name__ == "__main__":
    sys.exit(main())
