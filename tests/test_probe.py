"""When a closed gate of a share that looks well is tried."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from appliance.watch.probe import Patience

LOOK = 5.0  # seconds between two looks at a share


def tries(is_closed: Callable[[float], bool], until: float) -> list[float]:
    """At which looks a gate that is closed at these times is tried."""
    patience = Patience()
    looks = [LOOK * n for n in range(round(until / LOOK))]
    return [now for now in looks if is_closed(now) and patience.is_due(now)]


def test_a_gate_is_tried_often_at_first_and_less_and_less() -> None:
    times = tries(lambda _now: True, 100_000)
    pauses = [later - now for now, later in pairwise(times)]
    assert times[0] == 0
    assert {pause for now, pause in zip(times, pauses, strict=False) if now < 200} == {5}
    assert {pause for now, pause in zip(times, pauses, strict=False) if now < 300} == {5, 10}
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300


def test_a_gate_that_was_open_for_a_while_begins_anew() -> None:
    times = tries(lambda now: now < 50_000 or now >= 50_100, 50_120)
    assert times[-4:] == [50_100, 50_105, 50_110, 50_115]


def test_a_gate_that_closes_again_and_again_is_tried_less_and_less() -> None:
    """A folder that takes no file in a share that does: its job must not run in circles."""
    patience = Patience()
    opened = [-100.0]
    for now in (LOOK * n for n in range(7_200)):
        if now - opened[-1] >= 10 and patience.is_due(now):  # closed again after 10 s
            opened.append(now)
    assert len(opened) < 300, "in ten hours"
    assert opened[-1] - opened[-2] >= 300
