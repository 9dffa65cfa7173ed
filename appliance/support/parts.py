"""What a bundle is made of: a table of parts, each gathered by a child of its own.

A part yields lines for files of the archive, and raises LeftOut where there is nothing to
yield; what it has yielded before something goes wrong, or its time is over, is kept.

Not here: what may be shown (scrub, lines, chosen), the archive (bundle).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from appliance import __version__, doctor, logbook, settings
from appliance.doctor.asking import ask
from appliance.errors import ApplianceError, NodeIO, SettingsInvalid
from appliance.health import checks
from appliance.health.finding import Finding
from appliance.settings import BOX_FILE, BOX_STATE, NodeSettings, Settings
from appliance.states import Stage, State
from appliance.store import backups, outside, repair
from appliance.store.ledger import NAME
from appliance.support import chosen, lines
from appliance.support.scrub import Scrubber, words
from appliance.watch.mounts import mount_of

JOBS: Final = 20  # of the newest failed ones
ATTEMPTS: Final = 3  # of each, the last ones
_LINES: Final = 2_000  # of the journal
_LOG_LINES: Final = 2_000  # of an attempt
_FILES: Final = 200_000  # that a folder of ours is looked through for
_UNITS: Final = "appliance*"
_RUNS: Final = "/run/systemd/system"  # sd_booted(3)
Piece = tuple[str, object]  # a file of the archive, and a line of it


class LeftOut(Exception):
    """There is nothing to tell, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the children of one bundle know."""

    file: str | None  # of the settings, where one was named
    settings: Settings
    trouble: ApplianceError | None  # where they are wrong; then `settings` says where we are
    scrubber: Scrubber


def place(file: str | None, key: bytes, *, names: bool) -> Place:
    """Read the settings; where they are wrong, what the box is without them."""
    trouble = None
    try:
        site = settings.load(file)
    except (NodeIO, SettingsInvalid) as error:
        trouble = error
        of_box = (file or settings.default_file()) == BOX_FILE
        state = os.environ.get("APPLIANCE_STATE_DIR") or (BOX_STATE if of_box else "")
        site = Settings(node=NodeSettings(state_dir=state))
    nouns = {
        *(share.name for share in site.watched),
        *site.profile,
        *(profile.model for profile in site.profile.values()),
        *(channel.name for channel in site.notify.channel),
        *State,
        *Stage,
        *checks.NAMED,
    }
    roots = [share.root for share in site.share]
    return Place(file, site, trouble, Scrubber(key, names=names, nouns=nouns, roots=roots))


# --- the parts ----------------------------------------------------------------------------------


def versions(at: Place) -> Iterator[Piece]:
    """What runs here, on what."""
    facts = {
        "appliance": __version__,
        "python": sys.version.split()[0],
        "sqlite": doctor.SQLITE,
        **{name: version(name) for name in doctor.LIBRARIES},
        "host": platform.node(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "load": os.getloadavg(),
        "up_seconds": round(time.clock_gettime(time.CLOCK_BOOTTIME)),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "account": os.geteuid(),
        "state_dir": at.settings.state_dir,
    }
    with contextlib.suppress(OSError):
        facts["system"] = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    for name, fact in facts.items():
        yield "versions.jsonl", {"what": name, "is": fact}


def effective(at: Place) -> Iterator[Piece]:
    """The settings in force, or every mistake in them."""
    if at.trouble is not None:
        for mistake in str(at.trouble.detail.get("mistakes", "")).splitlines():
            yield "settings.jsonl", {"mistake": at.scrubber.text(mistake.strip())}
        return
    for row in chosen.rows(settings.effective(at.file), at.scrubber):
        yield "settings.jsonl", row


def examined(at: Place) -> Iterator[Piece]:
    """What the doctor says, shares left alone and models believed."""
    for finding in doctor.examine(at.settings, file=at.file, thorough=False):
        yield "doctor.jsonl", _found(finding, at.scrubber)
    for finding in doctor.asked(at.settings):
        yield "doctor.jsonl", _found(finding, at.scrubber)


def checked(at: Place) -> Iterator[Piece]:
    """What `check` says."""
    for finding in doctor.asked(at.settings):
        yield "check.jsonl", _found(finding, at.scrubber)


def _found(one: Finding, scrubber: Scrubber) -> dict[str, Any]:
    foreign = one.code in ("share", "channel", "backup-copy", "quarantine")  # told by others
    text = scrubber.fact(one.text) if foreign else scrubber.text(one.text)
    told = {"code": one.name, "level": one.level.name, "error": one.error, "text": text}
    return told | {"remedy": scrubber.text(one.remedy), "since_ms": one.since_ms}


def counts(at: Place) -> Iterator[Piece]:
    """The ledger counted, and the files it consists of."""
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", "huey.db"):
        with contextlib.suppress(OSError):
            found = os.stat(at.settings.state(name))
            told = {"file": name, "bytes": found.st_size, "mode": oct(found.st_mode & 0o7777)}
            yield "ledger.jsonl", told | {"owner": found.st_uid, "changed": int(found.st_mtime)}
    for aside in repair.put_aside(at.settings.state_dir):
        yield "ledger.jsonl", {"about": "quarantine", "folder": aside}
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(at.settings.state(backups.FOLDER))):
            yield "ledger.jsonl", {"about": "backup", "file": at.scrubber.text(name)}
    _must_be_there(at)
    try:
        for row in outside.rows(at.settings.state_dir, seconds=20.0):
            yield "ledger.jsonl", _row(row, at.scrubber)
    except outside.Unanswered as error:
        raise LeftOut(f"the ledger does not answer: {at.scrubber.fact(str(error))}") from error


def failed(at: Place) -> Iterator[Piece]:
    """The newest failed jobs and their logs; without a ledger, the newest logs."""
    logs = at.settings.state("logs")
    try:
        _must_be_there(at)
        found = list(
            outside.failed(at.settings.state_dir, jobs=JOBS, attempts=ATTEMPTS, seconds=20)
        )
    except (LeftOut, outside.Unanswered):
        for job, attempt in _newest(logs):
            yield from _log(at, job, attempt)
        raise LeftOut(
            "the ledger does not answer: the newest logs instead of failed jobs"
        ) from None
    if not found:
        raise LeftOut("no job has failed")
    for row in found:
        tried = [_row(one, at.scrubber) for one in row.pop("attempts")]
        recording = at.scrubber.name(row["share"], row.pop("path"))
        told = {"recording": recording, **_row(row, at.scrubber), "attempts": tried}
        yield "failed.jsonl", told
        for one in tried:
            yield from _log(at, int(row["job"]), int(one["attempt"]))


def _must_be_there(at: Place) -> None:
    if not os.path.exists(at.settings.state(NAME)):
        raise LeftOut(f"there is no ledger in {at.settings.state_dir}")


def _row(row: dict[str, Any], scrubber: Scrubber) -> dict[str, Any]:
    """A row of the ledger: figures, and words that our own code has put there."""
    return {key: _cell(key, value, scrubber) for key, value in row.items() if key != "attempts"}


def _cell(key: str, value: object, scrubber: Scrubber) -> object:
    if value is None or isinstance(value, int | float):
        return value
    return scrubber.text(str(value)) if key in _OURS else scrubber.fact(str(value))


# What our own code writes there, and nobody else.
_OURS: Final = words(
    """about table name share code gate alert backup rule journal_mode existing method state stage
    outcome phase role channel"""
)


def _newest(logs: str) -> list[tuple[int, int]]:
    """Job and attempt of the newest logs there are."""
    found = []
    with contextlib.suppress(OSError):
        jobs = [entry for entry in os.scandir(logs) if entry.name.isdigit()]
        for entry in sorted(jobs, key=lambda one: one.stat().st_mtime)[-JOBS:]:
            tries = [name.partition(".")[0] for name in os.listdir(entry.path)]
            last = sorted(int(one) for one in tries if one.isdigit())[-ATTEMPTS:]
            found += [(int(entry.name), one) for one in last]
    return found


def _log(at: Place, job: int, attempt: int) -> Iterator[Piece]:
    sentences = lines.Sentences(at.scrubber)
    for line in (logbook.read(at.settings.state("logs"), job, attempt) or [])[-_LOG_LINES:]:
        told = lines.facts(line, sentences, at.scrubber)
        yield f"attempts/{job}-{attempt}.jsonl", told


def units(at: Place) -> Iterator[Piece]:
    """Every unit of ours as systemd sees it."""
    _must_run_systemd()
    wanted = (
        "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,MainPID,"
        "ActiveEnterTimestamp,InactiveEnterTimestamp,MemoryCurrent,TasksCurrent,CPUUsageNSec,"
        "UnitFileState,NeedDaemonReload"
    )
    answer = ask(["systemctl", "show", "--all", f"--property={wanted}", _UNITS], 15.0)
    for block in answer.said.decode("utf-8", "replace").split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines())
        if told := {key: at.scrubber.text(value) for key, _, value in pairs if key}:
            yield "units.jsonl", told
    if answer.code != 0:
        raise LeftOut(f"systemctl did not answer (exit {answer.code})")


def journal(at: Place) -> Iterator[Piece]:
    """The last lines of our units."""
    _must_run_systemd()
    command = ["journalctl", "--no-pager", "--output=json", f"--lines={_LINES}", f"--unit={_UNITS}"]
    answer = ask([*command, "--all"], 25.0)
    sentences = lines.Sentences(at.scrubber)
    for text in answer.said.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(text)
            if isinstance(entry, dict):
                yield "journal.jsonl", lines.of_journal(entry, sentences, at.scrubber)
    if answer.code != 0 or not answer.said.strip():
        told = f"journalctl had nothing to say (exit {answer.code})"
        raise LeftOut(f"{told}: this account may not read it; run this as root")


def _must_run_systemd() -> None:
    if not os.path.isdir(_RUNS):
        raise LeftOut("systemd does not run here")


def room(at: Place) -> Iterator[Piece]:
    """Disks of our own folders, what takes room in them, and what shares are mounted with."""
    site = at.settings
    for share in site.share:
        mount = mount_of(share.root)  # read from the kernel's table: the share is not asked
        options = ",".join(one for one in mount.options.split(",") if _is_harmless(one))
        told = {"share": share.name, "root": share.root, "lies on": mount.fstype}
        yield "room.jsonl", told | {"options": at.scrubber.text(options)}
    for folder in dict.fromkeys((site.state_dir, site.run_dir, site.model_dir, "/", "/tmp")):  # noqa: S108
        if not mount_of(folder).is_local:
            yield "room.jsonl", {"folder": folder, "left out": mount_of(folder).fstype}
        elif os.path.isdir(folder):
            disk = shutil.disk_usage(folder)
            yield "room.jsonl", {"folder": folder, "free": disk.free, "total": disk.total}
    for name in ("spool", "logs", "uploads", "models", backups.FOLDER, repair.QUARANTINE):
        files, size = _sum(site.state(name))
        yield "room.jsonl", {"folder": name, "files": files, "bytes": size}


_OPTIONS: Final = words(
    """rw ro soft hard seal nosuid nodev noexec vers cache echo_interval actimeo acregmax timeo
    retrans rsize wsize proto sec uid gid file_mode dir_mode relatime nobrl"""
)


def _is_harmless(option: str) -> bool:
    return option.partition("=")[0] in _OPTIONS


def _sum(folder: str) -> tuple[int, int]:
    """How many files lie below a folder of ours, and their bytes; not farther than it is quick."""
    files = size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            files += 1
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(where, name)).st_size
        if files > _FILES:
            break
    return files, size


@dataclass(frozen=True, slots=True)
class Part:
    """A part, how long it may take, and what it is for people."""

    gather: Callable[[Place], Iterator[Piece]]
    title: str
    seconds: float | None = None  # None: nothing in it can hang, so it needs no child


PARTS: Final = {
    "versions": Part(versions, "what runs here, on what"),
    "settings": Part(effective, "the settings in force, without secrets, names or words"),
    "room": Part(room, "disks, folders of ours, how shares are mounted", 60.0),
    "ledger": Part(counts, "counts, sizes, gates, alerts, backups", 60.0),
    "failed": Part(failed, "the newest failed jobs, and the log of each attempt", 60.0),
    "units": Part(units, "the units of the appliance, as systemd sees them", 60.0),
    "journal": Part(journal, "their last lines in the journal", 90.0),
    "check": Part(checked, "how the box is", 60.0),
    "doctor": Part(examined, "what the doctor says; shares were not touched", 120.0),
}


def told(part: Part, at: Place) -> Iterator[dict[str, object]]:
    """Gather a part: files and their lines, at last perhaps why something is missing."""
    try:
        for file, line in part.gather(at):
            yield {"file": file, "line": line}
    except LeftOut as why:
        yield {"left_out": str(why)}
    except ApplianceError as error:
        yield {"left_out": error.code}
    except OSError as error:
        yield {"left_out": f"{type(error).__name__}: {error.strerror}"}
