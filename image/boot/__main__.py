"""The command `appliance-boot` of a box that came as an image; each verb is run by a unit.

Exit 0 done, or there was nothing to do; 1 it could not be done, and the journal says why.

Not here: what the verbs do.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from . import asked, certificate, grow, identity, kernel, screen, take


def _grow() -> list[str]:
    return ["the data partition reaches to the end of the disk now"] if grow.grow() else []


def _take() -> list[str]:
    if not take.waiting():
        return []
    with _writable(take.ESP):
        told = take.take()
    asked.write(take.TOLD, "".join(f"{line.replace(chr(10), '; ')}\n" for line in told))
    return told


def _certificate() -> list[str]:
    return ["the page has a certificate"] if certificate.make() else []


def _kernel() -> list[str]:
    if not os.path.ismount(take.ESP):
        return []  # where an image is made, nobody boots
    with _writable(take.ESP):
        return kernel.place()


def _screen() -> list[str]:
    screen.draw()
    return []


VERBS: Final[Mapping[str, Callable[[], list[str]]]] = {
    "grow": _grow,
    "identity": identity.settle,
    "certificate": _certificate,
    "take": _take,
    "screen": _screen,
    "kernel": _kernel,
}


@contextlib.contextmanager
def _writable(folder: str) -> Iterator[None]:
    """The boot partition is written to for a moment only: FAT has no journal. Raises OSError."""
    _mount("remount,rw", folder)
    try:
        yield
    finally:
        _mount("remount,ro", folder)


def _mount(how: str, folder: str) -> None:
    done = asked.run("mount", "-o", how, folder)
    if done.returncode:
        raise OSError(f"{folder}: {done.stderr.strip()}")


def main(words: list[str]) -> int:
    """Do what a unit asks for; every error of the command ends here."""
    if len(words) != 1 or words[0] not in VERBS:
        sys.stderr.write(f"appliance-boot {'|'.join(VERBS)}\n")
        return 2
    os.umask(0o022)
    try:
        for line in VERBS[words[0]]():
            sys.stdout.write(f"{line}\n")
    except (OSError, ValueError, grow.NotGrown, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
