"""From the release that runs to another, and back by itself when the box is not well with it.

    settings checked by the new one · backup by the old one · stop · turn the link · put units ·
    migrate · start · is it well?          no → stop · turn back · start

`current` is a link that is replaced in one step; `trial` stands beside it from the turn until the
box was found well, so that a power cut in between ends with the old release (`settle`, at boot).
That `previous` names the release before is the last word: from then on the change is done.
The ledger is never taken back: migrations only add, and the release before reads what they leave.

Not here: how a release gets on the box (install), what well means (gate).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final

from . import gate, install, places
from .bundle import Refused

ACCOUNT: Final = "appliance"
SETTINGS: Final = "/etc/appliance/appliance.toml"
LEDGER: Final = "/var/lib/appliance/ledger.db"
PATIENCE: Final = 45.0  # seconds to get well in, the reading of the ledger included
_KEEP: Final = 3  # releases, the one that runs and the one before among them
_UPKEEP_SECONDS: Final = 900.0  # for a backup, a migration: a large ledger is read whole
_STOP_SECONDS: Final = 75.0  # the worker takes up to 60
_BRIEF_SECONDS: Final = 10.0  # for one that is given up


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of it."""

    version: str  # that runs now
    changed: bool
    why: str | None = None  # it went back: what was wrong
    seconds: float = 0.0  # that nothing was transcribed: from the stop to the end
    well: bool = True  # False: not even the release before gets well


def current(top: str, name: str = "current") -> str | None:
    """The version that a link names, None where there is none."""
    try:
        return os.path.basename(os.readlink(os.path.join(top, name)))
    except FileNotFoundError:
        return None


def activate(top: str, version: str, *, patience: float = PATIENCE, start: bool = True) -> Switched:
    """Run `version` from now on, or what ran before.

    Without `start` nothing is started and nothing judged: for a box that has its first release
    and no settings yet. A change that was cut short is ended first, as at boot. Raises Refused:
    then nothing was touched.
    """
    with install.alone(top):
        new = install.folder(top, version)
        if not install.is_complete(new):
            raise Refused(f"{version} is not installed here")
        ended = _end_the_last(top, patience)
        was = current(top)
        if was == version and ended is not None:
            return ended
        if was == version:
            changed = places.place(new)
            if changed:
                places.take_effect()
            return Switched(version, changed)
        if not start:
            places.place(new)
            places.take_effect()
            _turn(top, version)  # last: until then a second run does it all again
            return Switched(version, changed=True)
        return _try(top, was, version, patience)


def back(top: str, *, leave: str | None = None, patience: float = PATIENCE) -> Switched:
    """Run the release before this one; where another than `leave` runs, nothing is done.

    Raises Refused where there is none before.
    """
    now = current(top)
    if leave is not None and now is not None and now != leave:
        return Switched(now, changed=False)
    before = current(top, "previous")
    if before is None or before == now:  # the same: a command of old was cut off
        raise Refused("there is no release before this one")
    return activate(top, before, patience=patience)


def settle(top: str) -> str | None:
    """At boot, before anything runs: end a trial that a power cut ended. The version put back."""
    was = _turn_back(top)
    # This boot counted up what to start from the units of the other release. One that only this
    # release has is started as well: in its turn, and only where the boot starts ours at all.
    if was and gate.is_coming():
        _systemctl("start", "--no-block", gate.TARGET)
    return was


def _on_trial(top: str) -> str | None:
    """The version that a trial goes back to; None where there is no trial, or it is over."""
    trial = os.path.join(top, "trial")
    try:
        with open(trial, encoding="utf-8") as stream:
            was = stream.read().strip()
    except FileNotFoundError:
        return None
    if was and was == current(top, "previous") != current(top):
        _unlink(trial)  # it was found well, and this was all that was left to do
        return None
    return was


def _turn_back(top: str) -> str | None:
    was = _on_trial(top)
    if was is None:
        return None
    path = install.folder(top, was)
    if was and install.is_complete(path):
        _turn(top, was)
        try:
            places.place(path)
            places.take_effect()
        except (OSError, subprocess.CalledProcessError) as error:  # whatever there is may do
            sys.stderr.write(f"its parts cannot be put: {_why(error)}\n")
    _unlink(os.path.join(top, "trial"))
    return was


def wait(*, patience: float, ready: bool = True) -> str | None:
    """Wait until the box is well; what is wrong where it is not."""
    return gate.wait(patience, ready=ready)


def _try(top: str, was: str | None, version: str, patience: float) -> Switched:
    new = install.folder(top, version)
    _prepare(top, was, new)
    ready = was is not None and gate.is_ready()
    with _undisturbed():
        if was == current(top, "previous"):  # a command of old was cut off; it would end the trial
            _unlink(os.path.join(top, "previous"))
        _write(os.path.join(top, "trial"), was or "")
        begun = time.monotonic()
        why = _change(top, was, version, _STOP_SECONDS) or gate.wait(patience, ready=ready)
        if why is not None and was is not None:
            _change(top, version, was, _BRIEF_SECONDS, back=True)
            wrong = gate.wait(patience, ready=ready)
            _unlink(os.path.join(top, "trial"))
            told = why if wrong is None else f"{why}; and {was} does not get well: {wrong}"
            return Switched(was, False, told, time.monotonic() - begun, well=wrong is None)
        try:
            if was is not None:
                _turn(top, was, "previous")
        finally:  # a disk that is full undoes at no later boot what was found well
            _unlink(os.path.join(top, "trial"))
        _thin_out(top)
    return Switched(version, True, why, time.monotonic() - begun, well=why is None)


def _end_the_last(top: str, patience: float) -> Switched | None:
    """End a change that was cut short, as at boot; None where there is none.

    Whatever of it runs is stopped before its units go, and the release before is started.
    """
    left = current(top)
    if left is None or _on_trial(top) is None:
        return None
    with _undisturbed():
        begun = time.monotonic()
        _stop(install.folder(top, left), _STOP_SECONDS)
        _turn_back(top)
        was = current(top) or left
        _change(top, was, was, _BRIEF_SECONDS, back=True)
        why = gate.wait(patience, ready=False)
    return Switched(was, True, why, time.monotonic() - begun, well=why is None)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Between the stop and the verdict a key that ends programs would leave a box that stands."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, heard in before.items():
            signal.signal(one, heard)


def _prepare(top: str, was: str | None, new: str) -> None:
    """What can be refused while everything still runs."""
    if os.path.exists(SETTINGS):
        as_us(new, "settings", "check", why="the settings are not right for it")
    if was is not None and os.path.exists(LEDGER):
        # By the release that runs: it knows its ledger.
        as_us(install.folder(top, was), "backup", why="the ledger cannot be backed up")


def _change(
    top: str, was: str | None, version: str, patience: float, *, back: bool = False
) -> str | None:
    """Stop, turn, put, migrate, start; what went wrong where something did.

    On the way `back` it is started whatever went wrong: what kept the new release from being put
    may keep the old one as well, and whether a box is well is for the gate to say.
    """
    path = install.folder(top, version)
    why = None
    try:
        _stop(install.folder(top, was) if was else path, patience)
        _turn(top, version)
        places.place(path)
        places.take_effect()
        if os.path.exists(SETTINGS):
            as_us(path, "migrate", why="the ledger cannot be brought to it")
    except (OSError, subprocess.CalledProcessError) as error:
        why = f"its parts cannot be put: {_why(error)}"
    except Refused as refused:
        why = str(refused)
    if why is not None and not back:
        return why
    _systemctl("reset-failed", "appliance*")
    started = _systemctl("start", "--no-block", gate.TARGET)
    return why if started == 0 else "systemd does not start it"


def _why(error: Exception) -> str:
    return str(getattr(error, "stderr", None) or error)


def _stop(path: str, patience: float) -> None:
    """Stop every part; what does not stop is killed, which costs no job anything."""
    names = [gate.TARGET, *places.units(path)]
    try:
        subprocess.run(
            ["systemctl", "stop", *names], timeout=patience, check=False, capture_output=True
        )
    except subprocess.TimeoutExpired:
        _systemctl("kill", "--signal=KILL", *(n for n in names if n.endswith(".service")))
        _systemctl("stop", *names)


def _turn(top: str, version: str, name: str = "current") -> None:
    """Let a link name a version, in one step that survives a power cut."""
    link, half = os.path.join(top, name), os.path.join(top, f".{name}.new")
    _unlink(half)
    os.symlink(os.path.join("releases", version), half)
    os.replace(half, link)
    _sync(top)


def _thin_out(top: str) -> None:
    """Remove the oldest releases; never the one that runs, nor the one before."""
    there = [one.version for one in install.listed(top)]
    kept = install.named(top)
    spare = [version for version in there if version not in kept]
    for version in spare[: max(0, len(there) - _KEEP)]:
        install.remove(install.folder(top, version))


def as_us(release: str, *words: str, why: str, answers: Container[int] = (0,)) -> str:
    """Run a verb of a release as the account of the box; what it prints. Raises Refused.

    `answers` are the exits with which it says what it was asked.
    """
    environment = {"PATH": "/usr/bin:/bin", "APPLIANCE_SETTINGS": SETTINGS, "LC_ALL": "C.UTF-8"}
    try:
        told = subprocess.run(
            [os.path.join(release, "bin/appliance"), *words],
            user=ACCOUNT, group=ACCOUNT, extra_groups=[], umask=0o007, cwd="/", env=environment,
            timeout=_UPKEEP_SECONDS, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refused(f"{why}: no end after {_UPKEEP_SECONDS:.0f} s") from None
    except LookupError:
        raise Refused(f"{why}: there is no account {ACCOUNT}") from None
    if told.returncode not in answers:
        raise Refused(f"{why}:\n{(told.stderr or told.stdout).strip()}")
    return told.stdout


def _systemctl(*words: str) -> int:
    return subprocess.run(["systemctl", *words], capture_output=True, check=False).returncode


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())
    _sync(os.path.dirname(path))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
