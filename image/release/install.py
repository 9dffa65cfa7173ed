"""A bundle that is believed → a folder of its own, complete or not there.

Each release is a virtual environment of the box's own Python: `releases/VERSION/bin/appliance`.
It is made where it stays, since its programs name their interpreter by its path; a file
`complete` says that it was made to the end; what has none is swept away by the next install, or
disks would fill up with halves.

Not here: what is believed (bundle), when it begins to be used (switch).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from . import bundle
from .bundle import Refused, Release

PYTHON: Final = "/usr/bin/python3"
_COMPLETE: Final = "complete"
_INCOMING: Final = ".incoming-"
_DEBIANS: Final = "/usr/lib/python3/dist-packages/systemd"  # of the package python3-systemd
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    # Modules are compiled for the content of their source and not for its hour (py_compile's
    # CHECKED_HASH): an image or a restore sets hours, and nobody but root could write them anew.
    "SOURCE_DATE_EPOCH": "315532800",
}


@dataclass(frozen=True, slots=True)
class Put:
    """A release on the box, and whether it was there before."""

    release: Release
    path: str
    fresh: bool


def folder(top: str, version: str) -> str:
    """Where a release lies."""
    return os.path.join(top, "releases", version)


def is_complete(path: str) -> bool:
    """Tell whether a release was made to its end."""
    return os.path.exists(os.path.join(path, _COMPLETE))


def listed(top: str) -> Iterator[Release]:
    """Every release that is complete, the oldest first."""
    above = os.path.join(top, "releases")
    names = os.listdir(above) if os.path.isdir(above) else []
    made = [path for name in names if is_complete(path := os.path.join(above, name))]
    for path in sorted(made, key=lambda path: os.stat(os.path.join(path, _COMPLETE)).st_mtime):
        yield bundle.read(path)


def named(top: str) -> set[str]:
    """The versions that the box may need: that runs, that ran before, that a trial goes back to."""
    found = set()
    for link in ("current", "previous"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.path.basename(os.readlink(os.path.join(top, link))))
    trial = os.path.join(top, "trial")
    with contextlib.suppress(FileNotFoundError), open(trial, encoding="utf-8") as stream:
        found.add(stream.read().strip())
    return found


def remove(path: str) -> None:
    """Take a release away; cut short it is half a release, and never taken for a whole one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, _COMPLETE))
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def alone(top: str) -> Iterator[None]:
    """One change of the releases below `top` at a time. Raises Refused."""
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(top, "lock"), "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another change of release is under way") from None
        yield


def install(file: str, signers: str, top: str, *, python: str = PYTHON) -> Put:
    """Put the bundle `file` on the box below `top`; a release that is there stays as it is.

    Raises Refused: nothing has changed then but that the box knows it has not this release.
    """
    with alone(top):
        return _install(file, signers, top, python)


def _install(file: str, signers: str, top: str, python: str) -> Put:
    os.makedirs(os.path.join(top, "releases"), exist_ok=True)
    _sweep(top)
    with tempfile.TemporaryDirectory(dir=top, prefix=_INCOMING) as incoming:
        release = bundle.opened(file, signers, incoming)
        _fits(release, python)
        path = folder(top, release.version)
        if is_complete(path):
            if bundle.read(path).digest != release.digest:
                raise Refused(
                    f"another release is installed as {release.version}: raise the number"
                )
            return Put(release, path, fresh=False)
        remove(path)
        try:
            _make(release, incoming, path, python)
        except BaseException as error:  # whatever ends it: half a release helps nobody
            remove(path)
            if not isinstance(error, subprocess.CalledProcessError):
                raise
            told = (error.stderr or error.stdout or "").strip().splitlines()
            raise Refused(f"it cannot be installed: {told[-1] if told else error}") from error
    return Put(release, path, fresh=True)


def _sweep(top: str) -> None:
    """Remove what installs left that were killed, and half releases that nothing names."""
    for name in os.listdir(top):
        if name.startswith(_INCOMING):
            shutil.rmtree(os.path.join(top, name), ignore_errors=True)
    for version in set(os.listdir(folder(top, ""))) - named(top):
        if not is_complete(folder(top, version)):
            shutil.rmtree(folder(top, version), ignore_errors=True)


def as_row(release: Release) -> dict[str, object]:
    """A release, for programs."""
    return asdict(release)


def _fits(release: Release, python: str) -> None:
    here = _run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    if here not in release.pythons:
        raise Refused(f"it is for Python {' and '.join(release.pythons)}; this box has {here}")
    if release.machine != os.uname().machine:
        raise Refused(f"it is for {release.machine}, and this box is {os.uname().machine}")


def _make(release: Release, incoming: str, path: str, python: str) -> None:
    _run(python, "-m", "venv", path)
    wheels = os.path.join(incoming, bundle.WHEELS)
    # What is installed comes from the bundle; neither an index nor a setting of this machine's
    # pip has a say.
    pip = [os.path.join(path, "bin/python"), "-I", "-m", "pip", "--isolated", "install", "--quiet"]
    pip += ["--no-index", "--no-cache-dir", "--disable-pip-version-check", "--find-links", wheels]
    lock = os.path.join(incoming, bundle.LOCK)
    _run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock)
    _run(*pip, "--no-deps", os.path.join(wheels, release.wheel))
    _lend_systemd(path)
    for name in (bundle.SUMS, bundle.FACTS):
        shutil.copy(os.path.join(incoming, name), os.path.join(path, name))
    told = _run(os.path.join(path, "bin/appliance"), "--version").strip()
    if not told.endswith(release.product):
        raise Refused(f"it calls itself {told!r} and not {release.product}")
    os.sync()  # after a power cut it is complete, or says that it is not
    with open(os.path.join(path, _COMPLETE), "xb") as stream:
        os.fsync(stream.fileno())


def _lend_systemd(path: str) -> None:
    """Debian's own systemd-python, built for Debian's own Python: no compiler on a box."""
    inside = [os.path.join(path, "lib", name) for name in os.listdir(os.path.join(path, "lib"))]
    target = os.path.join(inside[0], "site-packages", "systemd")
    if os.path.isdir(_DEBIANS) and not os.path.exists(target):
        os.symlink(_DEBIANS, target)


def _run(*argv: str) -> str:
    """Run a program, as nobody's environment but the system's; raises CalledProcessError."""
    told = subprocess.run(
        argv, capture_output=True, text=True, check=True, env=_ENVIRONMENT, cwd="/", umask=0o022
    )
    if told.stderr.strip():
        sys.stderr.write(told.stderr)
    return told.stdout
