"""One appliance for all tests of the line: starting three processes costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.line.running import Running


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running appliance; each test drops into a folder of its own."""
    with Running(str(tmp_path_factory.mktemp("box"))) as running:
        yield running
