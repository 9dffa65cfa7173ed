"""A box that cannot hold a decoder in as it should says so wherever somebody looks.

Such a platform cannot be had here, so what its probe would find is made up; what the probe
finds on this one is asked in test_limits_walls.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import box, tasks
from appliance.errors import IsolationWeak
from appliance.health import checks, isolation
from appliance.health.finding import Level
from appliance.limits import WALLS, Confinement, Limits, probe
from appliance.settings import Settings, load
from appliance.store import schema
from appliance.store.ledger import Ledger
from web import create_app
from web.overview import gather

EVERY = Confinement(**dict.fromkeys(WALLS, True))
WEAKER = replace(EVERY, few_system_calls=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "inbox").mkdir()
    file = tmp_path / "appliance.toml"
    file.write_text(
        f"[node]\nstate_dir = '{tmp_path}/state'\n"
        f"[[share]]\nname = 'inbox'\nroot = '{tmp_path}/inbox'\n"
        "[worker]\nrequire_isolation = true\n"
    )
    settings = load(str(file))
    schema.prepare(settings.state_dir)
    Path(settings.run_dir).mkdir(exist_ok=True)
    return settings


def found(monkeypatch: pytest.MonkeyPatch, what: Confinement) -> None:
    monkeypatch.setattr(isolation, "probe", lambda: what)


def test_what_was_found_out_is_kept_for_everybody(settings: Settings) -> None:
    assert isolation.known(settings.run_dir) is None
    assert isolation.ask(settings.run_dir) == isolation.known(settings.run_dir) == probe()


def test_a_file_that_is_no_answer_is_none(settings: Settings) -> None:
    (Path(settings.run_dir) / "isolation.json").write_text('{"landlock": "yes"}')
    assert isolation.known(settings.run_dir) is None


def test_a_missing_wall_is_a_warning_of_check_and_a_need_on_the_page(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings, clock=itertools.count().__next__)  # each look a second later
    with Ledger(settings.state_dir) as ledger, app.app_context():
        assert not list(checks.walls(ledger, settings))  # nobody knows yet
        found(monkeypatch, WEAKER)
        isolation.ask(settings.run_dir)
        (finding,) = checks.walls(ledger, settings)
        assert finding.level is Level.WARN
        assert "few system calls (seccomp)" in finding.text
        assert "doctor" in finding.remedy
        needs = [need for need in gather(ledger, settings).needs if "walls" in need.sentence]
        assert [need.code for need in needs] == ["node.isolation-weak"]
        found(monkeypatch, EVERY)
        isolation.ask(settings.run_dir)
        (finding,) = checks.walls(ledger, settings)
        assert finding.level is Level.OK
        assert not [need for need in gather(ledger, settings).needs if "walls" in need.sentence]


def test_a_worker_that_must_have_every_wall_does_not_work_without(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, WEAKER)
    with pytest.raises(IsolationWeak, match="seccomp"):
        tasks.work(settings)


def test_its_decoders_are_told_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Limits] = []

    def decoders(limits: Limits, **_place: object) -> contextlib.AbstractContextManager[None]:
        told.append(limits)
        return contextlib.nullcontext()

    monkeypatch.setattr(box, "Decoders", decoders)
    monkeypatch.setattr(box, "Porters", lambda *_, **__: contextlib.nullcontext())
    with box.open_box(settings):
        assert [one.every_wall for one in told] == [True]


def test_a_worker_that_may_goes_on_and_leaves_one_named_record(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found(monkeypatch, WEAKER)
    lenient = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"require_isolation": False})}
    )
    with caplog.at_level(logging.INFO, logger="appliance.worker"):
        tasks.look_at_the_walls(lenient)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.__dict__["code"] == "node.isolation-weak"
    assert json.dumps(record.__dict__["walls"]) == '"few system calls (seccomp)"'
