"""Can the box take work right now? What follows for that from everything that was found.

A recording of some share could run: that is ready. What a failing check holds back stands
in its declaration (checks, `blocks`).

Not here: the questions (checks), whether a closed gate may open (gates).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from appliance.health.finding import Finding, Level
from appliance.settings import Settings

THE_BOX: Final = "box"  # blocks everything


def blocked(found: Sequence[Finding], blocks: dict[str, str]) -> frozenset[str]:
    """What is held back by what fails: `blocks` says what each check stands for, by its code."""
    return frozenset(
        blocks[one.code].format(subject=one.subject)
        for one in found
        if one.level is Level.FAIL and blocks.get(one.code)
    )


def is_ready(held_back: Collection[str], settings: Settings) -> bool:
    """Tell whether a recording of any share could run; without a share, of the default profile."""
    if not {THE_BOX, "disk", "engine"}.isdisjoint(held_back):
        return False
    ways = [(one.name, settings.options_for(one).model) for one in settings.share] or [("", "")]
    return any({f"share:{share}", f"model:{model}"}.isdisjoint(held_back) for share, model in ways)
