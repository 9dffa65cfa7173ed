"""The settings in force: what the files say, and over it what people chose since.

Whoever is about to use a profile asks `in_force` at that moment, so a change reaches every
process with the next recording, the next round, the next request; while nothing has changed
that costs one short question to the ledger. A job keeps the options that it was admitted with.

    channels   what may be said of a channel to people, and who said it
    kept       what of it is not in the ledger: its address, its secret
    profiles   what may be said of a profile and of its vocabulary, and who said it

Not here: the files (settings), the rows (store.choices).
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.choices import kept
from appliance.errors import NodeError
from appliance.settings import Effective, Settings, dotted, effective, load, overlaid
from appliance.store import choices
from appliance.store.choices import Choice, Kind
from appliance.store.ledger import Ledger

log = logging.getLogger(__name__)
PAGE: Final = "the page"  # who says a key of the settings that was chosen


@dataclass(frozen=True, slots=True)
class _Laid:
    """What was made of the choices as they stood."""

    files: Settings
    state: tuple[int, int]
    whole: Settings
    unfit: tuple[str, ...]


_LAID: Final[weakref.WeakKeyDictionary[Ledger, _Laid]] = weakref.WeakKeyDictionary()


def in_force(ledger: Ledger, files: Settings) -> Settings:
    """What the files say with what people chose, as of now. Raises node.*."""
    return _laid(ledger, files).whole


def _laid(ledger: Ledger, files: Settings) -> _Laid:
    state, laid = choices.state(ledger), _LAID.get(ledger)
    if laid is None or laid.state != state or laid.files is not files:
        whole, mistakes = _over(files, choices.listing(ledger))
        laid = _Laid(files, state, whole, mistakes)
        if ledger.is_writing:  # undone, its number would be given to another change
            return laid
        _LAID[ledger] = laid
        for mistake in mistakes:
            log.warning("what was chosen is left out: %s", mistake)
    return laid


def _over(files: Settings, found: list[Choice]) -> tuple[Settings, tuple[str, ...]]:
    by = {kind: {one.name: one.body for one in found if one.kind is kind} for kind in Kind}
    return overlaid(
        files,
        profiles=by[Kind.PROFILE],
        vocabularies=by[Kind.VOCABULARY],
        channels={name: _whole(files, name, body) for name, body in by[Kind.CHANNEL].items()},
    )


def _whole(files: Settings, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A channel with what is kept beside the ledger; without an address it fits nothing."""
    beside = str(body.get("kept"))
    said = {key: value for key, value in body.items() if key not in ("kept", "place", "own")}
    said |= {"name": name, "url": kept.read(files, beside, kept.ADDRESS)}
    if body.get("own"):
        said["secret"] = kept.place(files, beside, kept.SECRET)
    return said


def known(files: Settings) -> Settings:
    """What is in force, for who has no ledger open; the files' word where none can be read."""
    laid = _read(files)
    return laid.whole if laid else files


def left_out(files: Settings) -> tuple[str, ...]:
    """Choices that this version cannot use: what the files say stands in their place."""
    laid = _read(files)
    return laid.unfit if laid else ()


def _read(files: Settings) -> _Laid | None:
    if not os.path.exists(files.state("ledger.db")):
        return None
    try:
        with Ledger(files.state_dir) as ledger:
            return _laid(ledger, files)
    except NodeError as error:  # it is damaged, or nobody has brought it to this version yet
        log.warning("what was chosen cannot be read: %s", error)
        return None


def keys(file: str | None) -> list[Effective]:
    """Every key in force, and who says so: a file, the page, or nobody. Raises as `load`."""
    of_files = {one.key: one for one in effective(file)}
    files = load(file)
    whole = dotted(known(files))
    chosen = {key for key in whole if key not in of_files or whole[key] != of_files[key].value}
    return [
        Effective(key, value, PAGE) if key in chosen else of_files[key]
        for key, value in whole.items()
    ]


__all__ = ["PAGE", "in_force", "keys", "known", "left_out"]
