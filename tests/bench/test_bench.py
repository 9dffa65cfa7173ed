"""The bench itself: it runs, counts what it says it counts, and hides no bar that was missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel

from appliance import weights
from appliance.store import search as store_search
from appliance.store.ledger import Ledger
from tests import noise_model
from tests.bench import Amount, Figure, p95, peer, report, search, stages
from tests.line.running import SAMPLES

SAMPLE = os.path.join(SAMPLES, "welcome-english.wav")
GOOD = Figure("as fast as bare", 2.0, "x", least=1.3, how="2 s : 1 s")
BAD = Figure("a < window", 1.5, "x", most=1.03)


@pytest.mark.line
def test_a_recording_goes_through_the_box_and_every_stage_is_timed(tmp_path: Path) -> None:
    figures = {one.what: one.value for one in stages.run(Amount.SMOKE, tmp_path)}
    steps = {"decode, CPU", "VAD, CPU", "mel, CPU"}
    clocks = {f"{stage}, clock" for stage in ("settle", "stage", "transcribe", "record", "deliver")}
    assert steps | clocks | {"engine in a turn, clock"} <= figures.keys()
    assert all(value >= 0 for value in figures.values())
    assert 0.1 < figures["engine in a turn, clock"] <= figures["transcribe, clock"]


def test_a_peer_with_a_fake_gpu_takes_as_long_as_that_gpu_would() -> None:
    job = {
        "how": "batched",
        "files": [SAMPLE],
        "model": weights.find(weights.SELFTEST, "").path,
        "speed": 30.0,
        "options": {"language": "en", "word_timestamps": True},
    }
    done = subprocess.run(
        [sys.executable, peer.__file__, json.dumps(job)], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["windows"] == 1
    assert told["wall"] >= 1.0
    assert told["tokens"] == [30]


def test_a_model_that_knows_its_lines_says_as_much_to_everybody(tmp_path: Path) -> None:
    noise_model.make("tiny", str(tmp_path / "tiny"), says=12)
    model = WhisperModel(str(tmp_path / "tiny"), device="cpu", compute_type="int8")
    pipeline = BatchedInferencePipeline(model)
    said = [
        *model.transcribe(SAMPLE, language="en")[0],
        *model.transcribe(SAMPLE, language="de", task="translate", initial_prompt="chairs")[0],
        *pipeline.transcribe(SAMPLE, language="en")[0],
        *pipeline.transcribe(SAMPLE, language="en", without_timestamps=False)[0],
    ]
    assert [len(segment.tokens) for segment in said] == [12, 12, 12, 12]
    assert all(segment.avg_logprob > -0.1 for segment in said)
    assert all(segment.temperature == 0 for segment in said)


def test_a_search_finds_what_it_is_timed_on(tmp_path: Path) -> None:
    figures = {one.what: one for one in search.run(Amount.SMOKE, tmp_path)}
    assert len(figures) == 13
    assert all(one.value > 0 for one in figures.values())
    assert figures["all of its steps"].how != "1 transactions"
    with Ledger(str(tmp_path / "search")) as ledger:
        assert store_search.left(ledger) is None
        assert len({hit.job for hit in store_search.find(ledger, "の", limit=600)}) > 100


def test_a_bar_is_met_or_missed_or_there_is_none() -> None:
    assert (GOOD.met, BAD.met, Figure("CPU", 1.0, "s").met) == (True, False, None)
    assert (GOOD.bar, BAD.bar) == ("≥ 1.3", "≤ 1.03")


def test_ninety_five_of_a_hundred_take_no_longer() -> None:
    assert p95([float(number) for number in range(1, 101)]) == 95.0
    assert p95([3.0, 1.0]) == 3.0


def test_the_page_keeps_its_prose_and_shows_what_was_missed(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text((report.DOCS / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):
        report.write(Amount.SHORT, {"cores": "2"}, {"feeding": [GOOD, BAD]}, folder=tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Performance")
    assert text.count("| a < window | 1.50 x | ≤ 1.03 | **missed** |") == 1
    assert "| as fast as bare | 2 x | ≥ 1.3 | ok | 2 s : 1 s |" in text
    found = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))
    assert [one["met"] for one in found["parts"]["feeding"]] == [True, False]
    drawing = ET.fromstring((tmp_path / "performance.svg").read_text(encoding="utf-8"))  # noqa: S314 - ours
    assert len(drawing.findall("{http://www.w3.org/2000/svg}rect")) == 2
