"""A ledger of a box that has worked for a year, made in a minute: jobs, texts, and all the rest.

Everything is spread evenly over the numbers of the jobs, but for two things that a box really
has: `quiet` is a share whose few recordings are the oldest of all, so that whoever sees it alone
finds nothing among the newest; and half of all jobs ended today, as after a large adoption.

Not here: asking about it (pages), serving it (served).
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import Any, Final

from appliance.nouns import Options, Source
from appliance.states import ENDED, State
from appliance.store import jobs, search
from appliance.store.ledger import Ledger
from appliance.store.schema import tables
from appliance.values import to_plain
from tests.export import speech

SHARES: Final = ("archive", "meetings", "quiet")
SEGMENTS: Final = 2  # of each text
TAGS: Final = ("board", "budget", "press")
SENDER: Final = "user:anna"  # who has sent a few recordings to the box, into a share she may see
_QUIET: Final = 20  # recordings
_DAY_MS: Final = 24 * 3600 * 1000
_YEAR_MS: Final = 365 * _DAY_MS
_WORDS: Final = 20_000
_IN_A_SEGMENT: Final = 11
_KANJI: Final = "予算会議今日明年度計画資料確認売上報告東京大阪本社担当部長課員増減方針決定検討必要"

# How many of a hundred; the rest is done. Nothing runs but the two newest.
_SHARE_OF: Final = {
    State.FAILED: 4,
    State.DEAD: 1,
    State.CANCELLED: 1,
    State.SKIPPED: 1,
    State.SOURCE_MISSING: 1,
    State.QUEUED: 3,
    State.WAITING: 1,
    State.HELD: 1,
}
_AT_WORK: Final = 2
_RARE: Final = {5: State.RETRY_WAIT, 7: State.DISCOVERED}  # by number: one of each


def fill(ledger: Ledger, count: int, *, state: State | None = None) -> None:
    """Make so many jobs, with all that hangs on them; all in one `state`, when it is given."""
    first = jobs.add(ledger, Source(SHARES[0], b"pattern.wav", 10, 5), _options(), correlation="c")
    assert first is not None
    with ledger.writing() as db:
        now = ledger.clock().wall_ms
        rows = [_job(number, count, now, state) for number in range(2, count + 1)]
        db["job"].insert_all(rows)  # type: ignore[union-attr]  # it is no view
        for statement in tables.statements(_OF_JOBS):
            db.conn.execute(statement)
        db.conn.executemany(
            "INSERT INTO tag (job, name) VALUES (?, ?)",
            [(n, TAGS[n % len(TAGS)]) for n in range(1, count + 1, 4)],
        )
        _say(ledger, count)
    ledger.checkpoint()


def _options() -> Options:
    return replace(Options(), model="selftest")


def _state(number: int, count: int) -> State:
    if number > count - _AT_WORK:
        return State.RUNNING
    if number in _RARE:
        return _RARE[number]
    at = number * 37 % 100
    for state, up_to in zip(_SHARE_OF, accumulate(_SHARE_OF.values()), strict=True):
        if at < up_to:
            return state
    return State.DONE


def _job(number: int, count: int, now: int, only: State | None) -> dict[str, object]:
    state = only or _state(number, count)
    born = now - _YEAR_MS + _YEAR_MS * number // count - _DAY_MS
    today = number % 2 == 0
    share = SHARES[2] if number <= _QUIET else SHARES[number % 5 == 0]
    folder = f"{number % 12 + 1:02}/department {number // 1000}"
    failed = state in (State.FAILED, State.DEAD)
    return {
        "id": number,
        "workload": jobs.LINE,
        "share": share,
        "path": f"{folder}/recording of {number}.mp4".encode(),
        "size": 40_000_000 + number,
        "mtime_ns": born * 1_000_000,
        "sha256": f"{number:064x}" if state in ENDED else None,
        "state": state,
        "stage": "transcribe" if state in ENDED or state is State.RUNNING else None,
        "attempt": 1 if state in ENDED or state is State.RUNNING else 0,
        "gate": "share:archive" if state is State.WAITING else None,
        "owner": "w1" if state is State.RUNNING else None,
        "code": "source.no-audio-track" if failed else None,
        "detail": json.dumps({"name": f"recording of {number}.mp4"}) if failed else None,
        "warnings": '[["warning.low-confidence", {"percent": 31}]]' if number % 50 == 0 else None,
        "duration": 3600.0 if state in ENDED else None,
        "correlation": f"c{number}",
        "created_ms": born,
        "updated_ms": now - number % 80_000_000 if today else born + 3_600_000,
        "submitter": SENDER if number % 1000 == 3 else None,
    }


_OF_JOBS: Final = """
INSERT INTO epoch (job, n, options, who, at_ms)
SELECT job.id, 1, options, who, at_ms FROM job JOIN epoch ON epoch.job = 1 WHERE job.id > 1;

INSERT INTO attempt (job, n, epoch, owner, began_ms, ended_ms, stage, outcome, code, rss_peak)
SELECT id, 1, 1, 'w1', updated_ms - 90000, updated_ms, 'deliver', state, code, 90000000
FROM job WHERE duration IS NOT NULL;

INSERT INTO event (job, epoch, attempt, was, became, who, at_ms)
SELECT id, 1, 0, 'discovered', 'queued', 'watch', created_ms FROM job WHERE id > 1;

INSERT INTO event (job, epoch, attempt, was, became, who, at_ms)
SELECT id, 1, 1, 'queued', 'running', 'w1', updated_ms FROM job WHERE attempt = 1;

INSERT INTO event (job, epoch, attempt, was, became, code, who, at_ms)
SELECT id, 1, 1, 'running', state, code, 'w1', updated_ms FROM job WHERE duration IS NOT NULL;

INSERT INTO export (share, path, job, epoch, format, suffix, sha256, bytes, state, at_ms)
SELECT share, CAST(CAST(path AS TEXT) || '.' || format AS BLOB), id, 1, format, '.' || format,
sha256, 1234, 'published', updated_ms
FROM job, (SELECT 'srt' AS format UNION ALL SELECT 'txt') WHERE state = 'done';

INSERT INTO sighting (share, path, size, mtime_ns, state, correlation, first_ms, last_ms)
SELECT share, path, size, mtime_ns, 'settled', correlation, created_ms, created_ms FROM job;

INSERT INTO sighting (share, path, size, mtime_ns, state, why, correlation, first_ms, last_ms)
SELECT share, CAST(CAST(path AS TEXT) || '.pdf' AS BLOB), size, mtime_ns, 'ignored',
'no-recording', correlation, created_ms, created_ms FROM job;

INSERT INTO sighting (share, path, size, mtime_ns, state, correlation, first_ms, last_ms)
SELECT share, CAST('new ' || id AS BLOB), size, mtime_ns, 'receiving', correlation, updated_ms,
updated_ms FROM job WHERE id <= 5
"""


# --- what was said ------------------------------------------------------------------------------


class Language:
    """Segments to be said: made-up words, each as frequent as its rank says; a third Japanese."""

    def __init__(self, seed: int = 1) -> None:
        """`seed` is of what is said; the words themselves are always the same."""
        self._chance, made = random.Random(seed), random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(made.choices(letters, k=made.randint(3, 9))) for _ in range(_WORDS)]
        self._weights = list(accumulate(1 / (rank + 1) for rank in range(_WORDS)))

    def segment(self) -> str:
        """What one segment says."""
        if self._chance.random() < 1 / 3:
            return "の".join(self.kanji(count) for count in (4, 6, 5))
        return " ".join(self.words(_IN_A_SEGMENT))

    def kanji(self, count: int) -> str:
        """So many characters of a script without spaces."""
        return "".join(self._chance.choices(_KANJI, k=count))

    def frequent(self, count: int) -> list[str]:
        """The words that are said most often."""
        return self._words[:count]

    def words(self, count: int) -> list[str]:
        """So many words, as people say them."""
        return self._chance.choices(self._words, cum_weights=self._weights, k=count)


def _say(ledger: Ledger, count: int) -> None:
    """Record a text for each job that is done, and index it, in bulk."""
    said = Language()
    whole = to_plain(speech.transcript(*[speech.segment("", n, n + 9) for n in range(SEGMENTS)]))
    lines = {
        number: [said.segment() for _ in range(SEGMENTS)]
        for number in range(1, count + 1)  # all of them: what is transcribed anew has one as well
    }
    with ledger.writing() as db:
        db.conn.executemany(
            "INSERT INTO transcript (job, epoch, task, source_sha256, asked_sha256, sha256, body,"
            " at_ms) VALUES (?, 1, 'transcribe', ?, 'a', 'b', ?, 0)",
            ((number, f"{number:064x}", _body(whole, text)) for number, text in lines.items()),
        )
        db.conn.executemany(
            "INSERT INTO spoken (id, start, text, unspaced) VALUES (?, ?, ?, ?)", _spoken(lines)
        )
        db.execute("INSERT INTO spoken_words (rowid, text) SELECT id, text FROM spoken")
        db.execute(
            "INSERT INTO spoken_trigrams (rowid, text) SELECT id, text FROM spoken WHERE unspaced"
        )


def _spoken(lines: dict[int, list[str]]) -> Iterator[tuple[int, float, str, int]]:
    for number, texts in lines.items():
        for place, text in enumerate(texts):
            row = search.row_of(number, "transcribe", place)
            yield row, float(place), search.tidy(text), int("の" in text)


def _body(whole: dict[str, Any], lines: Sequence[str]) -> bytes:
    for segment, line in zip(whole["segments"], lines, strict=True):
        segment["text"] = f" {line}"
        segment["words"] = [
            {"start": n, "end": n + 1, "word": f" {word}", "probability": 0.9}
            for n, word in enumerate(islice(line.split(), _IN_A_SEGMENT))
        ]
    return zlib.compress(json.dumps(whole).encode(), 1)
