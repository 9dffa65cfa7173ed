"""On which device an engine hears: the GPU that is there, unless nothing can be computed on it."""

from __future__ import annotations

from collections.abc import Iterator

import ctranslate2
import pytest

from appliance import cuda
from appliance.engine.__main__ import device_of, lacking
from appliance.errors import GpuLibrary
from appliance.settings import EngineSettings

CUBLAS = "libcublas.so.12"


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    cuda.lacking.cache_clear()
    yield
    cuda.lacking.cache_clear()


def here(monkeypatch: pytest.MonkeyPatch, cards: int, closed: str = "") -> list[str]:
    """A machine with so many GPUs, on which one library does not open; which were asked for."""
    asked: list[str] = []

    def opened(name: str, _path: str | None) -> str | None:
        asked.append(name)
        return "cannot open shared object file" if name == closed else None

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: cards)
    monkeypatch.setattr(cuda, "_opened", opened)
    return asked


def device(said: str) -> str:
    return device_of(EngineSettings.model_validate({"device": said}))


@pytest.mark.parametrize(
    ("said", "cards", "closed", "wanted"),
    [
        ("auto", 0, CUBLAS, "cpu"),
        ("auto", 1, "", "cuda"),
        ("auto", 1, CUBLAS, "cpu"),
        ("cuda", 0, CUBLAS, "cpu"),  # the check `gpu` says so
        ("cuda", 2, "", "cuda"),
        ("cpu", 1, CUBLAS, "cpu"),
    ],
)
def test_a_gpu_is_used_where_its_libraries_open(
    monkeypatch: pytest.MonkeyPatch, said: str, cards: int, closed: str, wanted: str
) -> None:
    here(monkeypatch, cards, closed)
    assert device(said) == wanted


def test_an_engine_that_is_told_to_use_a_gpu_says_why_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here(monkeypatch, 1, CUBLAS)
    with pytest.raises(GpuLibrary, match=CUBLAS):
        device("cuda")


def test_the_libraries_are_opened_once_and_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = here(monkeypatch, 1)
    assert [device("auto"), device("auto")] == ["cuda", "cuda"]
    assert tuple(asked) == cuda.NEEDED


def test_a_gpu_that_is_refused_or_not_there_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no library of it is opened for nothing."""
    asked = here(monkeypatch, 1, CUBLAS)
    assert lacking(EngineSettings(device="cpu")) is None
    asked += here(monkeypatch, 0, CUBLAS)
    assert lacking(EngineSettings(device="auto")) is None
    assert asked == []
