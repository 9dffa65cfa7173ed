"""Every wall of every unit, tried from within, in a container with a systemd of its own."""

from __future__ import annotations

import sys

import pytest

from tests.box import container, units


def test_no_wall_is_open_and_the_probes_notice_walls_that_are_down(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if (why := container.missing()) is not None:
        pytest.skip(why)
    try:
        with container.started(tmp_path_factory.mktemp("box")) as box:
            told = box.run("sh", "-c", f"cd {units.TOP} && exec /usr/bin/python3 -m tests.box")
    except TimeoutError as error:
        pytest.skip(f"no container can be had here: {error}")
    sys.stdout.write(told.stdout)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("open: none") == len(units.services()) - len(units.AS_ROOT)
    assert "control" in told.stdout
