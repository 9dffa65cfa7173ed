"""Edits are revisions: on the text that was seen, undone by another, found at once."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from appliance import export, revise
from appliance.errors import EditRefused, NothingToEdit, StaleEdit
from appliance.nouns import Change, Options, Segment, Source, Transcript, Word
from appliance.revise import doubts
from appliance.revise.alignment import realigned, shown
from appliance.revise.doubts import Why
from appliance.revise.everywhere import Exchange, exchanged, places
from appliance.states import State
from appliance.store import jobs, revisions, schema, search, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.export import speech

SCHEMA = os.path.join(os.path.dirname(__file__), "..", "docs", "schemas", "transcript-1.json")
LINES = ("Hello berlin meeting", "the budget of Berlin", "good bye")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


def said(*lines: str) -> tuple[Segment, ...]:
    """A second for each word, two between the lines."""
    segments = []
    at = 0.0
    for n, line in enumerate(lines):
        words = [Word(at + k, at + k + 1, f" {w}", 0.9) for k, w in enumerate(line.split())]
        segments.append(speech.segment(f" {line}", at, words[-1].end, words, index=n))
        at = words[-1].end + 2
    return tuple(segments)


def recorded(ledger: Ledger, *lines: str, task: str = "transcribe") -> Job:
    source = Source("s", b"%d.wav" % len(jobs.listing(ledger)), 10, 5)
    born = jobs.add(ledger, source, Options(task=task), correlation="c")
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="me")
    assert job is not None
    for one in job.options.tasks:
        made = speech.transcript(*said(*(lines or LINES)), task=one)
        transcripts.record(ledger, job, made, asked_sha256="a")
    return jobs.finish(ledger, job, [], rss_peak=None)


def lines(ledger: Ledger, job: Job, n: int | None = None, task: str = "transcribe") -> list[str]:
    text = revisions.text(ledger, job, n)
    assert text is not None
    (transcript,) = [one for one in text if one.task == task]
    assert [one.id for one in transcript.segments] == list(range(len(transcript.segments)))
    return [shown(one) for one in transcript.segments]


def edit(
    ledger: Ledger, job: Job, on: str, first: int, texts: Sequence[str], count: int = 1
) -> str:
    return revise.edit(
        ledger,
        job.id,
        on=on,
        task="transcribe",
        first=first,
        texts=texts,
        count=count,
        who="web:ada",
    )


def test_an_edit_is_a_revision_and_what_was_recorded_stays(ledger: Ledger) -> None:
    job = recorded(ledger)
    assert revise.opened(ledger, job.id).tag == "1.0"
    assert edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"]) == "1.1"
    assert lines(ledger, job) == ["Hello Berlin meeting", *LINES[1:]]
    assert lines(ledger, job, 0) == list(LINES)
    before = transcripts.get(ledger, job, "transcribe")
    assert before is not None
    assert [shown(one) for one in before.segments] == list(LINES)
    (revision,) = revisions.history(ledger, job)
    assert (revision.tag, revision.kind, revision.who) == ("1.1", "edit", "web:ada")


def test_a_job_that_is_done_writes_its_files_anew_in_the_same_epoch(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"])
    now = jobs.must(ledger, job.id)
    assert (now.state, now.workload, now.epoch) == (State.QUEUED, jobs.REEXPORT, 1)


def test_an_edit_of_another_text_than_the_newest_is_refused_by_name(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"])
    for stale in ("1.0", "1.2", "2.1", "", "x" * 500):
        with pytest.raises(StaleEdit) as caught:
            edit(ledger, job, stale, 2, ["bye"])
        assert (caught.value.detail["who"], caught.value.detail["now"]) == ("web:ada", "1.1")
    assert revisions.newest(ledger, job) == 1


def test_of_two_edits_at_one_moment_the_second_is_refused(ledger: Ledger) -> None:
    """Both have looked before either wrote: the row decides, not the look."""
    job = recorded(ledger)
    text = revise.opened(ledger, job.id)
    edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"])
    with pytest.raises(StaleEdit):
        revisions.record(
            ledger, text.job, on=text.revision, kind=revisions.EDIT, who="late", made=()
        )


def test_a_text_that_was_transcribed_anew_is_another_text(ledger: Ledger) -> None:
    job = recorded(ledger)
    again = jobs.claim(ledger, jobs.requeue(ledger, job, who="me").id, owner="me")
    assert again is not None
    with pytest.raises(NothingToEdit):
        edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"])
    transcripts.record(ledger, again, speech.transcript(*said(*LINES)), asked_sha256="a")
    with pytest.raises(StaleEdit):
        edit(ledger, job, "1.0", 0, ["Hello Berlin meeting"])
    assert edit(ledger, job, "2.0", 0, ["Hello Berlin meeting"]) == "2.1"


def test_segments_are_parted_joined_and_removed(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["Hello", "berlin meeting"])
    assert lines(ledger, job) == ["Hello", "berlin meeting", *LINES[1:]]
    edit(ledger, job, "1.1", 1, ["berlin meeting, the budget of Berlin"], count=2)
    assert lines(ledger, job) == ["Hello", "berlin meeting, the budget of Berlin", "good bye"]
    edit(ledger, job, "1.2", 0, [""])
    assert lines(ledger, job) == ["berlin meeting, the budget of Berlin", "good bye"]
    text = revise.opened(ledger, job.id).transcript("transcribe")
    was = [word for segment in said(*LINES) for word in segment.words]
    assert [(w.start, w.end) for s in text.segments for w in s.words] == [
        (w.start, w.end) for w in was[1:]
    ]
    assert [n.tag for n in revisions.history(ledger, job)] == ["1.3", "1.2", "1.1"]


def test_an_undo_is_a_revision_that_equals_an_older_one_and_can_be_undone(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["one"])
    edit(ledger, job, "1.1", 0, ["two", "three"])
    assert revise.undo(ledger, job.id, on="1.2", to=1, who="me") == "1.3"
    assert lines(ledger, job) == ["one", *LINES[1:]]
    edit(ledger, job, "1.3", 1, ["four"])
    assert lines(ledger, job) == ["one", "four", "good bye"]
    revise.undo(ledger, job.id, on="1.4", to=0, who="me")
    assert lines(ledger, job) == list(LINES)
    revise.undo(ledger, job.id, on="1.5", to=4, who="me")
    assert lines(ledger, job) == ["one", "four", "good bye"]
    assert [lines(ledger, job, n) for n in (2, 3)] == [
        ["two", "three", *LINES[1:]],
        ["one", *LINES[1:]],
    ]
    assert [one.same_as for one in revisions.history(ledger, job)] == [4, 0, None, 1, None, None]


def test_what_is_edited_and_undone_is_found_as_it_reads(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["Hello", "Potsdam 予算"])
    assert [(hit.segment, hit.start) for hit in search.find(ledger, "potsdam")] == [(1, 1.0)]
    assert [hit.segment for hit in search.find(ledger, "bye")] == [3]
    assert search.find(ledger, "予算") != []
    revise.undo(ledger, job.id, on="1.1", to=0, who="me")
    assert search.find(ledger, "potsdam") == search.find(ledger, "予算") == []
    assert [hit.segment for hit in search.find(ledger, "bye")] == [2]


def test_each_of_two_texts_is_edited_by_itself(ledger: Ledger) -> None:
    job = recorded(ledger, task="both")
    edit(ledger, job, "1.0", 0, ["Hallo"])
    assert lines(ledger, job, task="translate") == list(LINES)
    assert lines(ledger, job) == ["Hallo", *LINES[1:]]
    with pytest.raises(EditRefused):
        revise.opened(ledger, job.id).transcript("summarise")


@pytest.mark.parametrize(
    ("first", "count", "texts"),
    [
        (-1, 1, ["x"]),
        (3, 1, ["x"]),
        (0, 0, ["x"]),
        (2, 2, ["x"]),
        (1 << 70, 1, ["x"]),
        (0, 1, ["x"] * 51),
        (0, 1, ["x" * 10_001]),
    ],
)
def test_an_edit_of_nothing_or_of_too_much_is_refused(
    ledger: Ledger, first: int, count: int, texts: list[str]
) -> None:
    job = recorded(ledger)
    with pytest.raises(EditRefused):
        edit(ledger, job, "1.0", first, texts, count)


def test_an_edit_that_changes_nothing_makes_no_revision(ledger: Ledger) -> None:
    job = recorded(ledger)
    assert edit(ledger, job, "1.0", 0, ["  Hello berlin\tmeeting "]) == "1.0"
    assert jobs.must(ledger, job.id).state is State.DONE


def test_there_is_nothing_to_edit_before_it_is_transcribed(ledger: Ledger) -> None:
    born = jobs.add(ledger, Source("s", b"new.wav", 10, 5), Options(), correlation="c")
    assert born is not None
    for number in (born.id, 99, -1, 1 << 70):
        with pytest.raises(NothingToEdit):
            revise.opened(ledger, number)


def test_what_no_text_can_hold_is_left_out(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, [f"Hello {speech.HOSTILE}"])
    text = lines(ledger, job)[0]
    assert text.startswith("Hello NUL VT ESC[31m half ")
    assert revisions.text(ledger, job) is not None


def test_a_revision_is_never_changed(ledger: Ledger) -> None:
    job = recorded(ledger)
    edit(ledger, job, "1.0", 0, ["one"])
    with pytest.raises(sqlite3.IntegrityError, match="undone by another"), ledger.writing() as db:
        db.execute("UPDATE revision SET who = 'somebody else'")


def test_two_hundred_edits_are_read_back(ledger: Ledger) -> None:
    job = recorded(ledger)
    with ledger.writing():  # one transaction, for the sake of the disk
        for n in range(200):
            if n % 10 == 9:
                revise.undo(ledger, job.id, on=f"1.{n}", to=n - 5, who="me")
            else:
                edit(ledger, job, f"1.{n}", n % 3, [f"edit {n}"])
    assert lines(ledger, job, 199) == ["edit 198", "edit 196", "edit 197"]
    assert lines(ledger, job) == lines(ledger, job, 194) == ["edit 192", "edit 193", "edit 191"]


@pytest.mark.parametrize("seed", range(12))
def test_files_of_an_edited_text_are_files_like_any_other(seed: int) -> None:
    spoken = speech.generated(seed)
    texts = [shown(one) for one in spoken.segments]
    made = realigned(spoken.segments[:1], [f"{texts[0]} and more", "Something new, 予算。"])
    edited = revisions.applied(spoken, [Change(spoken.task, 0, 1, made)])
    files = {one.format: one.content for one in export.render_all(edited, Options())}
    assert files.keys() == export.EXPORTERS.keys()
    with open(SCHEMA, encoding="utf-8") as stream:
        jsonschema.Draft202012Validator(json.load(stream)).validate(json.loads(files["json"]))
    assert export.json.read(files["json"]).segments[0].text.endswith(" and more")
    assert "Something" in files["srt"].decode()


# --- everywhere -----------------------------------------------------------------------------------


def found(exchange: Exchange, *text: str) -> list[tuple[int, float, str]]:
    spoken = speech.transcript(*said(*text))
    return [(one.segment, one.start, one.found) for one in places(spoken, exchange)]


def written(exchange: Exchange, *text: str) -> list[str]:
    spoken = speech.transcript(*said(*text))
    return [shown(one) for one in revisions.applied(spoken, exchanged(spoken, exchange)).segments]


def test_places_are_shown_with_their_second_and_the_text_around_them() -> None:
    spoken = speech.transcript(*said("my old berlin friends of berlin", "Berlin"))
    first, second, third = places(spoken, Exchange("berlin", "Berlin"))
    assert (first.before, first.found, first.after) == ("my old ", "berlin", " friends of berlin")
    assert [(one.segment, one.start) for one in (first, second, third)] == [(0, 2), (0, 5), (1, 8)]


@pytest.mark.parametrize(
    ("exchange", "before", "after"),
    [
        (Exchange("berlin", "Bonn"), "Berlin berlins", "Bonn berlins"),
        (Exchange("berlin", "Bonn", whole_words=False), "Berlin berlins", "Bonn Bonns"),
        (Exchange("berlin", "Bonn", match_case=True), "Berlin berlin", "Berlin Bonn"),
        (Exchange("new  york", "Bonn"), "in new york now", "in Bonn now"),
        (Exchange("a.b", "x"), "axb a.b", "axb x"),
        (Exchange("x", r"\1 \g<0>"), "x", r"\1 \g<0>"),
        (Exchange("well", ""), "well yes well", "yes"),
        (Exchange("予算", "決算"), "会議の予算について", "会議の決算について"),
        (Exchange("Käse", "cheese"), "Ka\u0308se", "cheese"),
    ],
)
def test_what_is_exchanged(exchange: Exchange, before: str, after: str) -> None:
    assert written(exchange, before) == [after]


def test_a_segment_of_which_nothing_is_left_goes_and_the_others_are_found() -> None:
    assert written(Exchange("you", ""), "thank you", "you", "you", "bye you") == ["thank", "bye"]


def test_an_exchange_moves_no_other_word() -> None:
    spoken = speech.transcript(*said("my old berlin friends"))
    (change,) = exchanged(spoken, Exchange("berlin", "Berlin am See"))
    words = change.segments[0].words
    assert [words[n] for n in (0, 1, 5)] == [spoken.segments[0].words[n] for n in (0, 1, 3)]
    assert (words[2].start, words[4].end) == (2.0, 3.0)


def test_an_exchange_is_one_revision(ledger: Ledger) -> None:
    job = recorded(ledger)
    exchange = Exchange("berlin", "Potsdam")

    def everywhere(on: str, exchange: Exchange) -> str:
        return revise.replace_everywhere(
            ledger, job.id, on=on, task="transcribe", exchange=exchange, who="me"
        )

    assert everywhere("1.0", exchange) == "1.1"
    assert lines(ledger, job)[:2] == ["Hello Potsdam meeting", "the budget of Potsdam"]
    assert everywhere("1.1", exchange) == "1.1", "it stands nowhere any more"
    for empty in (Exchange(" ", "x"), Exchange("x" * 20_000, "")):
        with pytest.raises(EditRefused):
            everywhere("1.1", empty)


# --- doubts ---------------------------------------------------------------------------------------


def unsure(*chances: float, **facts: float) -> Segment:
    words = [Word(n, n + 1, f" w{n}", chance) for n, chance in enumerate(chances)]
    made = speech.segment("".join(w.word for w in words), 0, len(words), words)
    return replace(made, **facts)  # type: ignore[arg-type]


def doubted(*segments: Segment, most: int = 50) -> list[tuple[int, str, float]]:
    found = doubts.doubts(_of(segments), most=most)
    return [(one.segment, one.text, one.doubt) for one in found]


def _of(segments: Sequence[Segment]) -> Transcript:
    return speech.transcript(*segments)


def test_doubtful_words_that_follow_each_other_are_one_span() -> None:
    assert doubted(unsure(0.9, 0.2, 0.4, 0.9, 0.1)) == [(0, "w4", 0.9), (0, "w1 w2", 0.7)]


def test_the_worst_come_first_and_only_so_many() -> None:
    some = [unsure(0.9, chance) for chance in (0.4, 0.1, 0.3, 0.2)]
    assert [one[0] for one in doubted(*some, most=3)] == [1, 3, 2]
    assert doubted(*some, most=0) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"compression_ratio": 3.0}, Why.REPETITION),
        ({"no_speech_prob": 0.9}, Why.SILENCE),
        ({"avg_logprob": -1.5}, Why.SEGMENT),
    ],
)
def test_a_segment_may_be_doubtful_as_a_whole(facts: dict[str, float], why: Why) -> None:
    (one,) = doubts.doubts(_of([unsure(0.9, 0.9, **facts)]))
    assert (one.why, one.text, one.start, one.end) == (why, "w0 w1", 0, 2)
    assert 0.5 < one.doubt <= 1


def test_what_a_person_has_saved_is_doubted_no_more(ledger: Ledger) -> None:
    source = Source("s", b"unsure.wav", 10, 5)
    born = jobs.add(ledger, source, Options(), correlation="c")
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="me") or born
    spoken = _of([unsure(0.9, 0.2, compression_ratio=3.0)])
    transcripts.record(ledger, job, spoken, asked_sha256="a")
    edit(ledger, job, "1.0", 0, ["w0 right"])
    assert doubts.doubts(revise.opened(ledger, job.id).transcript("transcribe")) == []


@pytest.mark.parametrize("seed", range(20))
def test_any_transcript_can_be_reviewed(seed: int) -> None:
    found = doubts.doubts(speech.generated(seed))
    assert all(0 <= one.doubt <= 1 for one in found)
