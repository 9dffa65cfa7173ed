"""How jobs are held to their limits is chosen once and told wherever somebody looks."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from appliance import delegation, tasks
from appliance.errors import LimitsWeak
from appliance.health import checks, holding
from appliance.health.finding import Level
from appliance.limits import Mode, Place
from appliance.limits.cgroup import CONTROLLERS
from appliance.nouns import Options, Source, Usage
from appliance.settings import Settings
from appliance.settings.site import Allowed
from appliance.store import attempts, jobs, schema
from appliance.store.ledger import Ledger
from tests import signed_in
from tests.web.box import settings_of
from web import create_app
from web.overview import gather

FULL = Place("/anywhere", frozenset(CONTROLLERS))
SOME = Place("/anywhere", frozenset({"pids"}))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("meetings", "archive"):
        (tmp_path / name).mkdir()
    settings = settings_of(str(tmp_path), worker={"require_cgroups": True})
    schema.prepare(settings.state_dir)
    return settings


def lenient(settings: Settings) -> Settings:
    worker = settings.worker.model_copy(update={"require_cgroups": False})
    return settings.model_copy(update={"worker": worker})


@pytest.mark.parametrize(
    ("place", "mode"), [(FULL, "cgroup2"), (SOME, "partial"), (Place(), "rlimit")]
)
def test_what_was_chosen_is_kept_for_everybody(settings: Settings, place: Place, mode: str) -> None:
    Path(settings.run_dir).mkdir()
    assert holding.known(settings.run_dir) is None
    holding.keep(settings.run_dir, place)
    assert holding.known(settings.run_dir) == mode


def test_a_file_that_is_no_answer_is_none(settings: Settings) -> None:
    Path(settings.run_dir).mkdir()
    Path(settings.run_dir, "limits").write_text("none at all")
    assert holding.known(settings.run_dir) is None


def test_a_worker_that_must_have_groups_does_not_work_without(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegation, "settle_in", lambda: None)
    with pytest.raises(LimitsWeak, match="each process has limits of its own"):
        tasks.work(settings)
    assert holding.known(settings.run_dir) is Mode.RLIMIT, "why it does not work is told"


def test_one_that_may_goes_on(settings: Settings) -> None:
    assert tasks.hold_jobs_in(lenient(settings), None) == Place()


def test_check_and_page_say_which_way_it_is(settings: Settings) -> None:
    Path(settings.run_dir).mkdir()
    app = create_app(settings, clock=itertools.count().__next__)
    with Ledger(settings.state_dir) as ledger, app.app_context():
        assert not list(checks.limits(ledger, settings))  # nobody knows yet
        assert gather(ledger, settings).limits is None
        holding.keep(settings.run_dir, SOME)
        (weak,) = checks.limits(ledger, settings)
        (told,) = checks.limits(ledger, lenient(settings))
        assert (weak.level, weak.error) == (Level.FAIL, "node.limits-weak")
        assert (told.level, told.text.split()[0]) == (Level.OK, "partial")
        holding.keep(settings.run_dir, FULL)
        (held,) = checks.limits(ledger, settings)
        assert (held.level, held.text.split()[0]) == (Level.OK, "cgroup2")
        assert gather(ledger, settings).limits == "cgroup2"


def test_what_a_job_may_use_is_said_by_its_share_its_profile_or_the_worker(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "node": {"state_dir": str(tmp_path / "state")},
            "worker": {"job_memory_mb": 700, "job_timeout_least_s": 60},
            "profile": {"films": {"job_memory_mb": 2000, "job_cpu": 4}},
            "share": [
                {"name": "a", "root": str(tmp_path / "a"), "profile": "films", "job_cpu": 1.5},
                {"name": "b", "root": str(tmp_path / "b"), "job_timeout_factor": 9},
            ],
        }
    )
    a, b = settings.share
    assert settings.limits_for(a, "films") == Allowed(2000, 1.5, 4.0, 60.0)
    assert settings.limits_for(b, "default") == Allowed(700, 2.0, 9.0, 60.0)
    assert settings.limits_for(b, "gone since") == settings.limits_for(b, "default")
    assert settings.most_memory_mb == 2000
    assert settings.options_for(a) == Options(profile="films"), "no option of a transcript"


def test_what_an_attempt_has_used_is_kept_and_shown(settings: Settings) -> None:
    Path(settings.run_dir).mkdir()
    with Ledger(settings.state_dir) as ledger:
        source = Source("meetings", b"talk.wav", 1, 1)
        job = jobs.add(ledger, source, Options(), correlation="c")
        assert job is not None
        job = jobs.claim(ledger, job.id, owner="w")
        assert job is not None
        attempts.used(ledger, job, Usage(90_000_000, 12.0, 80.0, 4.0))
        (one,) = attempts.of_job(ledger, job.id)
        assert (one.memory_peak, one.cpu_seconds, one.wall_seconds) == (90_000_000, 12.0, 80.0)
        assert one.throttled_seconds == 4.0
        holding.keep(settings.run_dir, FULL)
        with signed_in.client(create_app(settings), ledger) as asking:
            row = asking.get(f"/api/v1/jobs/{job.id}").get_json()["attempts"][0]
            assert (row["memory_peak"], row["cpu_seconds"]) == (90_000_000, 12)
            assert row["throttled_seconds"] == 4
            assert "12 s of 1 min 20 s" in asking.get(f"/jobs/{job.id}").text
            assert asking.get("/readyz").get_json()["limits"] == "cgroup2"
            assert "limits: cgroup2" in asking.get("/").text
