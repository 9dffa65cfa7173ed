"""What the doctor says of the platform. The walls of the decoder: test_cli."""

from __future__ import annotations

import pytest

from appliance import doctor
from appliance.health.finding import Level


def test_the_gpu_is_counted_by_the_engines_own_library() -> None:
    (gpu,) = (finding for finding in doctor.examine() if finding.code == "gpu")
    assert gpu.level is not Level.FAIL


@pytest.mark.parametrize(
    ("device", "usable", "driver", "level"),
    [
        ("auto", 1, True, Level.OK),
        ("cuda", 2, True, Level.OK),
        ("auto", 0, False, Level.OK),
        ("auto", 0, True, Level.WARN),  # a driver without the libraries
        ("cpu", 0, True, Level.OK),
        ("cuda", 0, False, Level.FAIL),
        ("cuda", None, True, Level.FAIL),  # the library itself does not load
    ],
)
def test_a_gpu_that_is_wanted_and_cannot_be_used_is_told(
    device: str, usable: object, driver: bool, level: Level
) -> None:
    found = doctor._gpu(device, usable, driver=driver)
    assert found.level is level
    assert bool(found.remedy) == (level is not Level.OK)


def test_an_allocator_that_helps_is_a_hint_and_no_more() -> None:
    without, used = doctor._allocator(None), doctor._allocator("/usr/lib/libjemalloc.so.2")
    assert {without.level, used.level} == {Level.OK}
    assert "apt install libjemalloc2" in without.text
    assert "/usr/lib/libjemalloc.so.2" in used.text
