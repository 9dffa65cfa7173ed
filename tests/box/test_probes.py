"""Every wall of every unit, tried from within: where systemd is the first process."""

from __future__ import annotations

import pytest

from tests.box import probes, sandbox, units

pytestmark = pytest.mark.skipif(
    sandbox.is_possible() is not None, reason=f"not tried here: {sandbox.is_possible()}"
)


@pytest.mark.parametrize("unit", [one for one in units.services() if "gpu" not in one])
def test_no_wall_is_open(unit: str) -> None:
    found = sandbox.tried(unit)
    assert [key for key, holds in found.items() if holds is False] == []


def test_the_probes_notice_walls_that_are_down() -> None:
    found = sandbox.tried("appliance-web.service", loosened=probes.OPENED)
    assert sum(holds is False for holds in found.values()) >= 20
