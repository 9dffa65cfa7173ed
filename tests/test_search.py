"""What was said is found at its second, in any script, whatever is asked."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import recover
from appliance.nouns import Options, Source
from appliance.settings import NodeSettings, Settings
from appliance.store import jobs, schema, search, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.export import speech

SAID = (
    "Good morning, everybody.",
    "The budget of the Café is 12,000 euros.",
    "今日は会議の予算について話します。",
    "GPUの予算と100%の計画",
    "วันนี้เราจะพูดถึงงบประมาณ",
    "오늘 회의 예산에 대해 이야기하겠습니다",
    'speech\x00 half\ud800 \u202eevil <b>bold</b> "quoted" O\'Brien',
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


def recorded(
    ledger: Ledger, *said: str, share: str = "s", task: str = "transcribe", name: bytes = b""
) -> Job:
    """A job with a transcript of these segments, ten seconds each."""
    source = Source(share, name or b"%d.wav" % len(jobs.listing(ledger)), 10, 5)
    born = jobs.add(ledger, source, Options(task=task), correlation="c")
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="me")
    assert job is not None
    record(ledger, job, *said)
    return job


def record(ledger: Ledger, job: Job, *said: str) -> None:
    segments = [
        speech.segment(text, 10.0 * n, 10.0 * n + 9, index=n) for n, text in enumerate(said)
    ]
    for task in job.options.tasks:
        made = speech.transcript(*segments, task=task)
        transcripts.record(ledger, job, made, asked_sha256=f"{job.id}")


def found(ledger: Ledger, question: str) -> list[float]:
    return [hit.start for hit in search.find(ledger, question)]


@pytest.mark.parametrize(
    ("question", "starts"),
    [
        ("budget", [10.0]),
        ("BUDG", [10.0]),  # the beginning of a word
        ("cafe", [10.0]),  # without its accent
        ("bu", []),  # two letters begin nothing
        ('"budg"', []),
        ('"the budget"', [10.0]),
        ('"budget the"', []),
        ("euros budget", [10.0]),
        ("budget morning", []),  # not in one segment
        ("会議の予算", [20.0]),
        ("予算", [20.0, 30.0]),
        ("予", [20.0, 30.0]),
        ("予算 話し", [20.0]),
        ("予算 計", [30.0]),
        ("gpu", [30.0]),
        ("GPU 予算", [30.0]),
        ("%の", [30.0]),  # no wildcard
        ("の%", []),
        ("_算", []),
        ("งบประมาณ", [40.0]),
        ("예산", [50.0]),
        ("evil bold", [60.0]),
        ("O'Brien", [60.0]),
        ("-", []),
        ("", []),
    ],
)
def test_a_question_is_answered(ledger: Ledger, question: str, starts: list[float]) -> None:
    recorded(ledger, *SAID)
    assert found(ledger, question) == starts


def test_a_hit_says_where_to_play(ledger: Ledger) -> None:
    job = recorded(ledger, *SAID, share="meetings", name=b"caf\xe9/talk.wav")
    (hit,) = search.find(ledger, "budget")
    assert (hit.job, hit.share, hit.path) == (job.id, "meetings", b"caf\xe9/talk.wav")
    assert (hit.task, hit.segment, hit.start, hit.text) == ("transcribe", 1, 10.0, SAID[1])


def test_the_newest_recordings_come_first_each_from_its_beginning(ledger: Ledger) -> None:
    for _ in range(3):
        recorded(ledger, "one budget", "nothing", "two budget")
    hits = search.find(ledger, "budget")
    assert [(hit.job, hit.segment) for hit in hits] == [
        (3, 0),
        (3, 2),
        (2, 0),
        (2, 2),
        (1, 0),
        (1, 2),
    ]
    assert search.find(ledger, "budget", limit=2) == hits[:2]
    assert search.find(ledger, "budget", below=hits[3].id) == hits[4:]


def test_only_the_shares_that_one_may_see_are_searched(ledger: Ledger) -> None:
    recorded(ledger, "the budget", share="board")
    recorded(ledger, "the budget", share="staff")
    for shares, expected in ((("staff",), ["staff"]), (("board", "staff"), ["staff", "board"])):
        assert [
            hit.share for hit in search.find(ledger, "budget", shares=frozenset(shares))
        ] == expected
    assert search.find(ledger, "budget", shares=frozenset()) == []


def test_a_recording_is_found_by_what_it_says_now(ledger: Ledger) -> None:
    """Transcribed anew, with fewer texts and other words."""
    job = recorded(ledger, "the budget 予算", "a second", task="both")
    assert {hit.task for hit in search.find(ledger, "budget")} == {"transcribe", "translate"}
    jobs.finish(ledger, job, [], rss_peak=None)
    done = jobs.must(ledger, job.id)
    again = jobs.requeue(ledger, done, who="me", options=Options())
    claimed = jobs.claim(ledger, again.id, owner="me")
    assert claimed is not None
    record(ledger, claimed, "the plan 計画")
    assert found(ledger, "budget") == found(ledger, "second") == found(ledger, "予算") == []
    assert (found(ledger, "plan"), found(ledger, "計画")) == ([0.0], [0.0])
    assert sound(ledger)


def test_a_transcript_that_is_dropped_changes_nothing(ledger: Ledger) -> None:
    job = recorded(ledger, "the budget")
    record(ledger, job, "another text")
    assert (found(ledger, "budget"), found(ledger, "another")) == ([0.0], [])


def sound(ledger: Ledger) -> bool:
    """Whether both indexes hold what the rows say, as SQLite sees it."""
    with ledger.writing() as db:
        db.execute("INSERT INTO spoken_words (spoken_words, rank) VALUES ('integrity-check', 1)")
        rows = db.execute("SELECT id, text FROM spoken WHERE unspaced = 1").fetchall()
        held = db.execute("SELECT rowid FROM spoken_trigrams('\"' || ? || '\"')", ["予算に"])
        assert {row[0] for row in held} == {row[0] for row in rows if "予算に" in row[1]}
    return True


# --- what was recorded before there was an index -------------------------------------------------


def old_ledger(folder: Path, count: int) -> None:
    """A ledger as it was before anything could be searched."""
    schema.prepare(str(folder))
    with Ledger(str(folder)) as ledger:
        for n in range(count):
            recorded(ledger, f"number {n}", "予算について")
        with ledger.writing() as db:
            for table in ("spoken_words", "spoken_trigrams", "spoken", "unindexed", "revision"):
                db.execute(f"DROP TABLE {table}")
            db.execute("DROP INDEX job_to_export")
            db.execute("DELETE FROM _sqlite_migrations WHERE name IN ('search', 'revisions')")


def test_an_old_ledger_is_indexed_in_small_steps_the_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_ledger(tmp_path, 9)
    monkeypatch.setattr(search, "_AT_ONCE", 6)  # two jobs
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        assert search.find(ledger, "number") == []
        assert search.build(ledger)
        assert [hit.job for hit in search.find(ledger, "number")] == [9, 8]
        new = recorded(ledger, "number ten")  # comes in between
        steps = 0
        while search.build(ledger):
            steps += 1
        assert steps == 3
        hits = search.find(ledger, "number")
        assert [hit.job for hit in hits] == [new.id, *range(9, 0, -1)]
        assert search.left(ledger) is None
        assert sound(ledger)


def test_what_was_transcribed_anew_meanwhile_is_left_alone(tmp_path: Path) -> None:
    old_ledger(tmp_path, 2)
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        job = jobs.finish(ledger, jobs.must(ledger, 2), [], rss_peak=None)
        claimed = jobs.claim(ledger, jobs.requeue(ledger, job, who="me").id, owner="me")
        assert claimed is not None
        record(ledger, claimed, "another text")
        assert not search.build(ledger)
        assert [hit.job for hit in search.find(ledger, "number")] == [1]


def test_recover_goes_on_with_it(tmp_path: Path) -> None:
    old_ledger(tmp_path, 3)
    site = Settings(node=NodeSettings(state_dir=str(tmp_path)))
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        recover.reconcile(ledger, site, ring=lambda _job: None, pending=0, minded=lambda _job: True)
        assert len(search.find(ledger, "number")) == 3


def test_a_new_ledger_has_nothing_to_fill_in(ledger: Ledger) -> None:
    assert search.left(ledger) is None
    assert not search.build(ledger)


# --- hostile --------------------------------------------------------------------------------------

OPERATORS = [
    *("AND", "OR", "NOT", "NEAR(", "a NEAR/2 b", "col:x", "text : x", "^a", "-x", "+", '"', '""'),
    *("*", "a*", '"a" "', "(", ")", "{a b}", "rowid:1", "'; DROP TABLE job; --", "予*", "%", "_"),
    *("\\", "\x00", "\ud800", "\u202e", "\ufffe", "rank", "spoken_words", "a" * 5000, "予" * 5000),
]
questions = st.lists(
    st.sampled_from(OPERATORS) | st.text(max_size=12) | st.text(string.punctuation, max_size=6),
    max_size=40,
).map(" ".join)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder = str(tmp_path_factory.mktemp("asked"))
    schema.prepare(folder)
    with Ledger(folder) as opened:
        recorded(opened, *SAID, *OPERATORS)
        yield opened


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(question=questions | st.sampled_from(OPERATORS))
def test_any_text_is_a_question(asked: Ledger, question: str) -> None:
    for hit in search.find(asked, question):
        assert 0 <= hit.segment < len(SAID) + len(OPERATORS)
        assert hit.text


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, len(SAID) - 1), data=st.data())
def test_every_word_that_was_said_is_found(asked: Ledger, place: int, data: st.DataObject) -> None:
    words = [word for word in search.tidy(SAID[place]).split() if any(map(str.isalnum, word))]
    word = data.draw(st.sampled_from(words))
    assert place in {hit.segment for hit in search.find(asked, word)}, word


def test_a_number_beyond_the_ledgers_finds_nothing(asked: Ledger) -> None:
    assert search.find(asked, "budget", below=-(1 << 70)) == []
    assert len(search.find(asked, "budget", below=1 << 70, limit=1 << 70)) == 1
    assert search.find(asked, "budget", limit=0) == []


def test_the_first_and_the_last_segment_have_numbers_of_their_own() -> None:
    numbers = [
        search.row_of(job, task, place)
        for job in (2, 1)
        for task in ("transcribe", "translate")
        for place in (0, 1, (1 << 23) - 1)
    ]
    assert numbers == sorted(set(numbers), reverse=True)
    assert search.row_of((1 << 38), "transcribe", 0) < 1 << 63


def test_rows_that_stay_the_same_are_not_written_again(ledger: Ledger) -> None:
    job = recorded(ledger, "one", "two", "three")
    before = ledger.db.conn.total_changes
    made = transcripts.get(ledger, job, "transcribe")
    assert made is not None
    search.index(ledger, job, made)
    assert ledger.db.conn.total_changes == before
    two = replace(made.segments[1], text="zwei")
    search.index(ledger, job, replace(made, segments=(made.segments[0], two, made.segments[2])))
    assert (found(ledger, "two"), found(ledger, "zwei"), found(ledger, "three")) == (
        [],
        [10.0],
        [20.0],
    )
