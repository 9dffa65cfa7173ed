"""What Prometheus reads: well formed, bounded, without a name of a file, for this machine alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from appliance import pulse
from appliance.errors import ShareOffline
from appliance.health.checks import CHECKS
from appliance.store import outbox
from tests.web.box import HOSTILE, Box, close_gate

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def samples(client: FlaskClient) -> dict[str, float]:
    """Every sample, spelt as it is there."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        sample.name
        + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def busy(box: Box) -> None:
    """Something of everything."""
    box.every_state()
    pulse.write(box.settings.run_dir, {"device": "cpu", "models": {"selftest": {"speed": 40.5}}})
    (letter,) = outbox.letters(["desk"], {"kind": "test"}, 0)
    outbox.put(box.ledger, [letter])


def test_promtool_finds_nothing_to_say(box: Box, client: FlaskClient) -> None:
    busy(box)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("this test needs promtool: apt-get install prometheus")
    text = client.get("/metrics").data
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_rules_in_the_documentation_are_rules(tmp_path: Path) -> None:
    with open(os.path.join(TOP, "docs", "metrics.md"), encoding="utf-8") as stream:
        told = stream.read().partition("\nThree rules")[2]
    rules = "".join(line for line in told.splitlines(keepends=True) if line.startswith("    "))
    file = tmp_path / "rules.yml"
    file.write_text(f"groups:\n- name: appliance\n  rules:\n{rules}")
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "3 rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_rules_that_come_with_the_box_are_rules() -> None:
    file = os.path.join(TOP, "config", "prometheus", "appliance.rules.yml")
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with open(file, encoding="utf-8") as stream:
        named = set(re.findall(r"\bappliance_[a-z_]+", stream.read()))
    with open(os.path.join(TOP, "docs", "metrics.md"), encoding="utf-8") as stream:
        documented = set(re.findall(r"\bappliance_[a-z_]+", stream.read()))
    assert named <= documented


def test_what_was_done_is_counted(box: Box, client: FlaskClient) -> None:
    busy(box)
    found = samples(client)
    assert found["appliance_jobs{state=done}"] == 1
    assert found["appliance_jobs_ended_total{share=meetings}{state=done}"] == 1
    assert found["appliance_job_failures_total{code=source.no-audio-track}{stage=transcribe}"] == 1
    assert found["appliance_job_retries_total{code=node.engine-lost}"] == 1
    assert found["appliance_audio_seconds_total"] == 3725.0
    assert found["appliance_attempt_duration_seconds_count"] == 1
    assert found["appliance_attempt_duration_seconds_bucket{le=+Inf}"] == 1
    assert found["appliance_realtime_factor{model=selftest}"] == 40.5
    assert found["appliance_queue_depth{lane=long}"] == 1
    assert found["appliance_worker_up"] == found["appliance_engine_up"] == 1
    assert found["appliance_disk_free_bytes{mount=state}"] > 0
    assert found["appliance_watch_files{state=receiving}"] == 2
    assert time.time() - found["appliance_share_last_scan_timestamp_seconds{share=archive}"] >= 0


def test_every_check_has_its_figure(box: Box, client: FlaskClient) -> None:
    close_gate(box, ShareOffline(share="archive"))
    found = samples(client)
    for check in CHECKS:
        assert f"appliance_check_status{{check={check.code}}}" in found
        assert (f"appliance_alerts_firing{{alert={check.code}}}" in found) is check.news
    assert found["appliance_check_status{check=share}"] == 2
    assert found["appliance_share_up{share=archive}"] == 0
    assert found["appliance_share_up{share=meetings}"] == 1
    assert found["appliance_ready"] == 1


def test_no_label_grows_with_files_or_with_what_strangers_ask(
    box: Box, client: FlaskClient
) -> None:
    busy(box)
    few = samples(client).keys()
    for number in range(200):
        box.add(b"meeting-%d.wav" % number)
    for number in range(50):
        client.get(f"/no/such/{number}")
        client.open("/jobs", method=f"ODD{number}")
    many = samples(client).keys()
    assert len(many) <= len(few) + 4 * 11, sorted(many - few)  # four kinds of answers more
    text = client.get("/metrics").text
    for name in (*HOSTILE, b"meeting-1", b"such", b"ODD"):
        assert os.fsdecode(name) not in text
    assert box.settings.state_dir not in text


def test_two_who_scrape_cost_as_much_as_one(client: FlaskClient, box: Box) -> None:
    first = client.get("/metrics").data
    box.add(b"a.wav")
    assert client.get("/metrics").data == first


def test_every_metric_is_told_of_in_the_documentation(box: Box, client: FlaskClient) -> None:
    busy(box)
    text = client.get("/metrics").text
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    with open(os.path.join(TOP, "docs", "metrics.md"), encoding="utf-8") as stream:
        told = set(re.findall(r"appliance_\w+", stream.read().partition("\nThree rules")[0]))
    made = {name for name in there if not name.endswith("_created")}
    assert told - made <= {"appliance_backup_timestamp_seconds"}  # nothing was backed up yet
    assert made <= told
