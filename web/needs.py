"""What needs a person, most urgent first: each with a sentence, a next step and where to look.

A job that waits, is retried or still arrives needs nobody.

Not here: repairing anything; a page only names the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.errors import ApplianceError
from appliance.health import isolation
from appliance.limits import Confinement
from appliance.report import shown, spelled
from appliance.settings import Settings
from appliance.store.board import Tally
from appliance.store.gates import Gate
from appliance.store.shares import ShareRow
from web import words


@dataclass(frozen=True, slots=True)
class Need:
    """Something a person has to do."""

    sentence: str
    step: str
    code: str | None = None  # of the catalogue: its help page
    link: str | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is looked at to find out who is needed."""

    settings: Settings
    answers: Mapping[str, ApplianceError | None]
    gates: tuple[Gate, ...]
    shares: tuple[ShareRow, ...]
    day: Tally
    idle_queue: int  # jobs that wait although nobody works
    free_gb: float  # on the disk of the box
    dead: frozenset[str] = frozenset()  # which of worker and watch surely do not run
    isolation: Confinement | None = None  # what holds the decoder in; None: nobody asked yet


def needs(seen: Seen) -> tuple[Need, ...]:
    """Everything that needs a person."""
    return (*_box(seen), *_gates(seen), *_shares(seen), *_failures(seen.day))


def _box(seen: Seen) -> Iterator[Need]:
    """The box itself: what its readiness says, as far as no gate says it already."""
    said = {gate.error.code for gate in seen.gates}
    for error in filter(None, seen.answers.values()):
        if error.code not in said:
            said.add(error.code)
            yield _of_error(error)
    if seen.free_gb < seen.settings.disk.warn_below_gb and "node.disk-full" not in said:
        yield Need(
            f"The disk of the box is getting full: {seen.free_gb:.1f} GB left.",
            f"Make room in {seen.settings.state_dir}; below"
            f" {seen.settings.disk.stop_below_gb:g} GB new recordings wait.",
        )
    if seen.isolation is not None and (weak := isolation.weakness(seen.isolation)):
        yield _of_error(weak)
    for name, does in _DOES.items():
        if name in seen.dead:
            yield Need(
                f"The {name} is not running: {does}.",
                "Start it: `appliance up` starts everything;"
                f" on the box, the unit appliance-{name}.",
            )
    if seen.idle_queue and "worker" not in seen.dead and not any(seen.answers.values()):
        waiting = words.count_of(seen.idle_queue, "recording")
        yield Need(
            f"{waiting} queued for more than a minute, and nobody works.",
            "Start the worker: `appliance worker`, or the unit appliance-worker.",
        )
    if not seen.settings.share:
        yield Need(
            "No folder is watched yet.",
            "Name one in the settings, under [[share]], and start the appliance again.",
        )


_DOES = {
    "watch": "recordings that are dropped now are not found",
    "worker": "what is queued is not transcribed",
}


def _gates(seen: Seen) -> Iterator[Need]:
    for gate in seen.gates:
        yield _of_error(gate.error, gate.since_ms)


def _of_error(error: ApplianceError, since_ms: int | None = None) -> Need:
    told = spelled(error)
    return Need(told.sentence, told.next_step, code=told.code, since_ms=since_ms)


def _shares(seen: Seen) -> Iterator[Need]:
    behind_gates = {gate.name for gate in seen.gates}
    for row in seen.shares:
        link = f"#share-{row.name}"
        if asks(row):
            yield Need(
                f"The share {row.name} holds {words.count_of(row.old_files, 'old recording')}, and"
                " nothing runs there until you decide what becomes of them.",
                f"`appliance share adopt {row.name} --existing ignore` leaves them alone;"
                " `--existing process` transcribes them too.",
                link=link,
            )
        if row.state in ("offline", "suspect") and f"share:{row.name}" not in behind_gates:
            why = f": {shown(row.why)}" if row.why else ""
            yield Need(
                f"The share {row.name} {_TROUBLE[row.state]}{why}.",
                "Check the file server and the network. Nothing is lost; it goes on by itself.",
                link=link,
            )


_TROUBLE = {"offline": "does not answer", "suspect": "looks wrong"}


def asks(row: ShareRow) -> bool:
    """Does this share wait for a decision about its old recordings?"""
    return row.adopted_ms is None and row.scanned_ms is not None


def _failures(day: Tally) -> Iterator[Need]:
    if day.failed:
        failed = words.count_of(day.failed, "recording")
        yield Need(
            f"{failed} could not be transcribed in the last 24 hours.",
            "Look at why; a note with the reason lies beside each of them.",
            link="/jobs?state=failed&state=dead",
        )
