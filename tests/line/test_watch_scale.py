"""The watch at the size of an office: thousands of folders, a thousand old recordings.

Run by name, `pytest -m line tests/line`: it takes two minutes, and its figures mean
something on a quiet machine only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from appliance.store import jobs, schema, shares, sightings
from appliance.store.ledger import Ledger
from appliance.watch import adopt

pytestmark = pytest.mark.line

FOLDERS = 9_000
WATCH = """
import sys
from appliance.settings import Settings
from appliance.watch import watch
watch(Settings.model_validate_json(sys.argv[1]))
"""


@contextlib.contextmanager
def watching(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", WATCH, settings.model_dump_json()])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def box(folder: Path) -> Settings:
    facts = {"name": "s", "root": str(folder / "share")}
    settings = Settings.model_validate(
        {"node": {"state_dir": str(folder / "state")}, "share": [facts]}
    )
    schema.prepare(settings.state_dir)
    return settings


def until(claim: object, seconds: float) -> float:
    """Wait for the claim; return the seconds it took."""
    begun = time.monotonic()
    while not claim():  # type: ignore[operator]
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


def processor_seconds(parent: int) -> float:
    """What the supervisor and its children have used."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ticks = 0
    for pid in [str(parent), *children]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_twenty_files_among_nine_thousand_folders_are_sighted_within_two_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = box(tmp_path)
    for n in range(FOLDERS):
        (tmp_path / "share" / f"{n // 100}" / f"{n}").mkdir(parents=True)
    with Ledger(settings.state_dir) as ledger, watching(settings) as process:
        adopt(ledger, settings.share[0], existing="process")
        until(lambda: shares.get(ledger, "s").scanned_ms is not None, 60)
        time.sleep(1)
        for n in range(20):
            (tmp_path / "share" / f"{n * 4}" / f"{n * 400}" / "talk.wav").write_bytes(b"sound")
        sighted = until(lambda: len(list(sightings.of_share(ledger, "s"))) == 20, 10)
        queued = until(lambda: len(jobs.listing(ledger)) == 20, 10) + sighted
        before = processor_seconds(process.pid)
        time.sleep(60)
        used = (processor_seconds(process.pid) - before) / 60
        assert shares.get(ledger, "s").method == "events+scan"
    with capsys.disabled():
        print(f"\n20 sighted in {sighted:.2f} s, queued in {queued:.2f} s; idle {used:.2%} CPU")  # noqa: T201
    assert sighted < 2
    assert used < 0.02


def test_a_thousand_old_recordings_wait_until_the_share_is_adopted(tmp_path: Path) -> None:
    settings = box(tmp_path)
    for n in range(1_000):
        (tmp_path / "share" / f"{n % 30}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "share" / f"{n % 30}" / f"{n}.wav").write_bytes(b"sound")
    with Ledger(settings.state_dir) as ledger, watching(settings):
        until(lambda: shares.get(ledger, "s").scanned_ms is not None, 60)
        time.sleep(5)
        assert jobs.listing(ledger) == []
        adopt(ledger, settings.share[0], existing="process")
        until(lambda: len(jobs.listing(ledger, limit=2_000)) == 1_000, 60)
