"""How the pages spell things: names, sizes, times, states. What Jinja's filters are made of.

Every name of a file goes through `name`, which the templates wrap in <bdi>.

Not here: the sentences of errors (appliance.errors), what a page shows (status, pages).
"""

from __future__ import annotations

import string
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flask import Flask
from markupsafe import Markup

from appliance import __version__
from appliance.nouns import display
from appliance.report import shown
from appliance.states import Stage, State

_CLEAR_SECONDS: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: a word, a sign that does not need its colour, and a tone."""

    word: str
    sign: str
    tone: str  # good | busy | wait | bad | off: a class in the style sheet


STATES: Final = {
    State.DISCOVERED: Look("changing", "…", "wait"),
    State.QUEUED: Look("queued", "…", "wait"),
    State.RUNNING: Look("in work", "▶", "busy"),
    State.DONE: Look("done", "✓", "good"),
    State.HELD: Look("on hold", "‖", "off"),
    State.WAITING: Look("waiting", "…", "wait"),
    State.RETRY_WAIT: Look("tried again soon", "↻", "wait"),
    State.FAILED: Look("failed", "✕", "bad"),
    State.DEAD: Look("gave up", "✕", "bad"),
    State.CANCELLED: Look("cancelled", "-", "off"),
    State.SKIPPED: Look("skipped", "-", "off"),
    State.SOURCE_MISSING: Look("file gone", "-", "off"),
}
SHARES: Final = {
    "online": Look("online", "✓", "good"),
    "offline": Look("offline", "✕", "bad"),
    "suspect": Look("looks wrong", "!", "bad"),
    "unknown": Look("not looked at yet", "…", "wait"),
}
STAGES: Final = {
    Stage.STAGE: "copying it from the share",
    Stage.TRANSCRIBE: "listening",
    Stage.RECORD: "recording the transcript",
    Stage.DELIVER: "saving the files",
}


def name(path: bytes) -> str:
    """A file's name as it can be shown anywhere."""
    return shown(display(path))


def size(count: float) -> str:
    """Bytes, as file managers count them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def span(seconds: float) -> str:
    """A length of time, as one says it."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def clock(seconds: float) -> str:
    """A place in a recording."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def moment(ms: int) -> datetime:
    """A time of the ledger."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """A time for programs: RFC 3339, UTC."""
    return moment(ms).isoformat(timespec="seconds").replace("+00:00", "Z")


def at(ms: int) -> Markup:
    """A time for people: UTC as it is sent, the reader's own once the browser has seen it."""
    return Markup('<time datetime="{}">{}</time>').format(
        iso(ms), f"{moment(ms):%Y-%m-%d %H:%M} UTC"
    )


def hour(ms: int) -> Markup:
    """Like `at`, without the day where it is clear which one."""
    if abs(ms / 1000 - time.time()) > _CLEAR_SECONDS:
        return at(ms)
    return Markup('<time datetime="{}">{}</time>').format(iso(ms), f"{moment(ms):%H:%M} UTC")


def blank(template: str) -> str:
    """A sentence of the catalogue whose facts are not known: each leaves a gap."""
    parts = string.Formatter().parse(template)
    return "".join(text + ("…" if fact else "") for text, fact, _, _ in parts)


def count_of(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def teach(app: Flask) -> None:
    """Make all of this known to the templates."""
    for spell in (name, shown, size, span, clock, at, hour, blank, count_of):
        app.jinja_env.filters[spell.__name__] = spell
    app.jinja_env.globals |= {
        "STATES": STATES,
        "SHARES": SHARES,
        "STAGES": STAGES,
        "VERSION": __version__,
    }
