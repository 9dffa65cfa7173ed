"""The verbs about what was said, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import cli
from appliance.nouns import Options, Source
from appliance.states import State
from appliance.store import jobs, schema, transcripts
from appliance.store.ledger import Ledger
from tests.export import speech


class Typed:
    """A site with one recording that was transcribed, and somebody at its terminal."""

    def __init__(self, folder: Path) -> None:
        (folder / "share").mkdir()
        self.file = folder / "appliance.toml"
        self.file.write_text(
            f"[node]\nstate_dir = '{folder}/state'\n"
            f"[[share]]\nname = 's'\nroot = '{folder}/share'\n"
        )
        self.state = str(folder / "state")
        schema.prepare(self.state)
        with Ledger(self.state) as ledger:
            source = Source("s", b"t\x1b[31malk.wav", 10, 5)
            born = jobs.add(ledger, source, Options(), correlation="c")
            assert born is not None
            job = jobs.claim(ledger, born.id, owner="me")
            assert job is not None
            spoken = speech.spoken("Hello berlin, the budget \x1b[31m of berlin", start=61.0)
            transcripts.record(ledger, job, spoken, asked_sha256="a")
            jobs.finish(ledger, job, [], rss_peak=None)

    def __call__(self, *words: str) -> Result:
        done = CliRunner().invoke(cli, ["--settings", str(self.file), *words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def state_of(self) -> tuple[State, str]:
        with Ledger(self.state) as ledger:
            job = jobs.must(ledger, 1)
            return job.state, job.workload


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    return Typed(tmp_path)


def test_what_was_said_is_found_with_its_second_and_nothing_disturbs_the_terminal(
    typed: Typed,
) -> None:
    said = typed("search", "budget", "berl").stdout
    assert "0:01:01  job 1  s/t" in said
    assert "\x1b" not in said
    assert typed("search", "nowhere").stdout == "nothing\n"
    assert typed("search", "budget", "--share", "other").stdout == "nothing\n"
    (hit,) = json.loads(typed("--json", "search", "--", "berlin").stdout)
    assert (hit["job"], hit["segment"], hit["start"]) == (1, 0, 61.0)


def test_a_word_is_looked_at_exchanged_and_taken_back(typed: Typed) -> None:
    preview = typed("text", "replace", "1", "berlin", "Berlin", "--preview").stdout
    assert "2 places" in preview
    assert typed.state_of() == (State.DONE, jobs.LINE)
    assert "revision 1.1" in typed("text", "replace", "1", "berlin", "Berlin").stdout
    assert typed.state_of() == (State.QUEUED, jobs.REEXPORT)
    assert "Hello Berlin, the budget" in typed("text", "show", "1").stdout
    assert "revision 1.1 by cli:" in typed("jobs", "show", "1").stdout
    assert "revision 1.2" in typed("text", "undo", "1").stdout
    assert "Hello berlin, the budget" in typed("text", "show", "1").stdout
    assert "undo to 0" in typed("text", "history", "1").stdout
    assert "nothing to change" in typed("text", "replace", "1", "nowhere", "x").stdout


def test_a_segment_is_parted_and_reviewed(typed: Typed) -> None:
    assert "1.1" in typed("text", "edit", "1", "0", "Hello Berlin,", "the budget").stdout
    shown = typed("text", "show", "1").stdout.splitlines()
    assert [line.split("  ")[-1] for line in shown] == ["Hello Berlin,", "the budget"]
    assert typed("text", "review", "1").stdout == "nothing doubtful\n"
    assert json.loads(typed("--json", "text", "review", "1").stdout) == []


@pytest.mark.parametrize(
    "words", [("text", "undo", "1"), ("text", "show", "7"), ("text", "edit", "1", "9", "x")]
)
def test_what_cannot_be_done_has_a_name(typed: Typed, words: tuple[str, ...]) -> None:
    with pytest.raises(Exception, match=r"policy\.[a-z-]+: .*\."):
        typed(*words)
