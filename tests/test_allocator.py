"""The engine's allocator: one line of its environment, where the library is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import allocator


def test_it_is_preloaded_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "x86_64-linux-gnu" / "libjemalloc.so.2"
    monkeypatch.setattr(allocator, "_PLACES", (f"{tmp_path}/*/libjemalloc.so.2",))
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert allocator.environment() == {}
    library.parent.mkdir()
    library.touch()
    told = allocator.environment()
    assert told["LD_PRELOAD"] == os.fspath(library)
    assert "dirty_decay_ms:-1" in told["MALLOC_CONF"]
    monkeypatch.setenv("LD_PRELOAD", "/somebody/elses.so")
    assert allocator.environment() == {}, "whoever preloads another knows why"
