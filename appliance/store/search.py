"""What was said, segment by segment, and how it is found again.

A row per segment of the newest text of every job, kept true by whoever records that text
(transcripts, revisions) in the same transaction. Words of scripts with spaces are looked up
in one index, passages of scripts without them by their trigrams in another, and one or two
such characters by reading the rows that have any.

What was recorded before there was an index is filled in bit by bit (`build`), newest first.

Not here: the tables (schema), showing what was found.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sqlite_utils import Database

from appliance.nouns import Transcript
from appliance.rights import Shares
from appliance.scripts import has_unspaced
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Row
from appliance.store.sight import of_jobs

MOST_TERMS: Final = 12  # of a question; more are not looked at
_LONGEST: Final = 80  # characters of a term
_TRIGRAM: Final = 3
_BEGINS: Final = 3  # letters; a shorter word is found whole
_SYLLABLES: Final = re.compile("[\uac00-\ud7a3]")  # Hangul: each says as much as two letters
_AT_ONCE: Final = 250  # segments that one transaction of `build` adds, and the job it is in

# A number of a row: job, task, and the place of the segment counted down, so that the highest
# number is the first segment of the newest job.
_PLACES: Final = 23  # bits
_LAST: Final = (1 << _PLACES) - 1
_TASKS: Final[Mapping[str, int]] = {"translate": 0, "transcribe": 1}

_TERM: Final = re.compile(r'"([^"]*)"?|([^\s"]+)')
_Said = tuple[float, str]  # when a segment begins, and its text


@dataclass(frozen=True, slots=True)
class Hit:
    """A segment that answers a question."""

    id: int  # where to go on from: `find(below=)`
    job: int
    share: str
    path: bytes
    task: str
    segment: int  # its place in the transcript, from 0
    start: float  # seconds: where to play
    text: str


@dataclass(frozen=True, slots=True)
class Term:
    """A word or passage that was asked for."""

    text: str
    exact: bool  # it stood in quotation marks
    unspaced: bool


# --- kept true ----------------------------------------------------------------------------------


def index(ledger: Ledger, job: Job, transcript: Transcript) -> None:
    """Make a transcript the one that is found for its job and task; in the caller's transaction."""
    said = ((s.start, s.text or "".join(w.word for w in s.words)) for s in transcript.segments)
    with ledger.writing() as db:
        for task in _TASKS.keys() - set(job.options.tasks):
            _write(db, job.id, task, ())
        _write(db, job.id, transcript.task, said)


def drop(ledger: Ledger, job_id: int) -> None:
    """Let nothing be found of a job any more; in the caller's transaction."""
    with ledger.writing() as db:
        for task in _TASKS:
            _write(db, job_id, task, ())


def row_of(job: int, task: str, segment: int) -> int:
    """The number of a segment's row."""
    return (job << 1 | _TASKS[task]) << _PLACES | _LAST - segment


def _write(db: Database, job: int, task: str, said: Iterable[_Said]) -> int:
    """Exchange the rows of one transcript, those alone that differ; say how many it has now."""
    first = row_of(job, task, _LAST)
    had = db.execute(
        "SELECT start, text, unspaced FROM spoken WHERE id BETWEEN ? AND ? ORDER BY id DESC",
        [first, first + _LAST],
    ).fetchall()
    texts = [(start, tidy(text)) for start, text in said][: _LAST + 1]
    for place, (was, now) in enumerate(zip_longest(had, texts)):
        if was is not None and was[:2] == now:
            continue
        number = row_of(job, task, place)
        if was is not None:
            _remove(db, number, text=was[1], unspaced=was[2])
        if now is not None:
            _add(db, number, *now)
    return len(texts)


def _remove(db: Database, number: int, *, text: str, unspaced: int) -> None:
    for table in ("spoken_words", *["spoken_trigrams"] * unspaced):
        db.execute(
            f"INSERT INTO {table} ({table}, rowid, text) VALUES ('delete', ?, ?)", [number, text]
        )
    db.execute("DELETE FROM spoken WHERE id = ?", [number])


def _add(db: Database, number: int, start: float, text: str) -> None:
    unspaced = int(has_unspaced(text))
    db.execute(
        "INSERT INTO spoken (id, start, text, unspaced) VALUES (?, ?, ?, ?)",
        [number, start, text, unspaced],
    )
    for table in ("spoken_words", *["spoken_trigrams"] * unspaced):
        db.execute(f"INSERT INTO {table} (rowid, text) VALUES (?, ?)", [number, text])


def tidy(text: str) -> str:
    """A text as it is looked for: composed (NFC), single spaces, nothing SQLite cannot hold."""
    whole = text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    return " ".join(unicodedata.normalize("NFC", whole).split())


# --- filled in later ----------------------------------------------------------------------------


def build(ledger: Ledger) -> bool:
    """Index some of what was recorded before there was an index; say whether more is left.

    One short transaction: ask again until it says no. Raises what `writing` raises.
    """
    if left(ledger) is None:
        return False
    with ledger.writing() as db:
        below = left(ledger)
        if below is None:
            return False
        done = 0
        for job in _recorded_below(ledger, below):
            done += _index_recorded(ledger, db, job)
            below = job
            if done >= _AT_ONCE:
                db.execute("UPDATE unindexed SET below = ?", [below])
                return True
        db.execute("DELETE FROM unindexed")
        return False


def left(ledger: Ledger) -> int | None:
    """Jobs below this number may not be found yet; None: every one is."""
    row = ledger.row("SELECT below FROM unindexed")
    return None if row is None else int(row["below"])


def _recorded_below(ledger: Ledger, number: int) -> Iterator[int]:
    while row := ledger.row(
        "SELECT job FROM transcript WHERE job < ? ORDER BY job DESC LIMIT 1", [number]
    ):
        number = int(row["job"])
        yield number


def _index_recorded(ledger: Ledger, db: Database, job: int) -> int:
    """Index the newest transcripts of a job, but those that have been since; say how many rows."""
    count = 1  # reading takes its time, too
    for row in ledger.rows(
        "SELECT task, body FROM transcript WHERE job = ?"
        " AND epoch = (SELECT max(epoch) FROM transcript WHERE job = ?)",
        [job, job],
    ):
        first = row_of(job, row["task"], _LAST)
        between = [first, first + _LAST]
        if ledger.row("SELECT 1 FROM spoken WHERE id BETWEEN ? AND ? LIMIT 1", between) is None:
            count += _write(db, job, row["task"], _said(row["body"]))
    return count


def _said(body: bytes) -> Iterator[_Said]:
    """Starts and texts out of a recorded transcript, without making words of it."""
    plain: Any = json.loads(zlib.decompress(body).decode("utf-8", "surrogatepass"))
    for segment in plain["segments"]:
        yield (
            float(segment["start"]),
            segment["text"] or "".join(word["word"] for word in segment["words"]),
        )


# --- asked --------------------------------------------------------------------------------------


def find(
    ledger: Ledger,
    question: str,
    *,
    shares: Shares = None,
    limit: int = 50,
    below: int | None = None,
) -> list[Hit]:
    """Segments in which every word of a question stands: newest recordings first, then by time.

    A word of three letters, or one in Hangul, is the beginning of longer ones, too; in
    quotation marks it is not, and several words stand one after the other. Case and accents
    do not matter. `shares` are those to look in; None: all. Any text is a question: one that
    holds no word finds nothing.
    """
    sought = terms(question)
    if not sought or limit <= 0:
        return []
    conditions = list(_conditions(sought))
    if shares is not None:
        conditions.append(of_jobs(shares))
    if below is not None:
        conditions.append(("spoken.id < ?", [min(max(below, 0), 1 << 62)]))
    where = " AND ".join(text for text, _ in conditions)
    rows = ledger.rows(
        "SELECT spoken.id, spoken.start, spoken.text, job.share, job.path"
        f" FROM spoken CROSS JOIN job ON job.id = spoken.id >> {_PLACES + 1}"
        f" WHERE {where} ORDER BY spoken.id DESC LIMIT ?",
        [*(value for _, values in conditions for value in values), min(limit, 10_000)],
    )
    return [_hit(row) for row in rows]


def terms(question: str) -> list[Term]:
    """The words and passages of a question."""
    found = []
    for quoted, plain in _TERM.findall(tidy(question)):
        text = (quoted or plain).strip()[:_LONGEST]
        if any(map(str.isalnum, text)):
            found.append(Term(text, bool(quoted), has_unspaced(text)))
    return found[:MOST_TERMS]


def _conditions(sought: Sequence[Term]) -> Iterator[tuple[str, list[object]]]:
    words = [_as_words(term) for term in sought if not term.unspaced]
    trigrams = [_phrase(term.text) for term in sought if len(term.text) >= _TRIGRAM]
    if not any(term.unspaced for term in sought):
        # A word that leans on a script without spaces is no word of its own in the first index.
        if len(trigrams) == len(sought):
            yield (
                f"spoken.id IN ({_MATCH_WORDS} UNION ALL {_MATCH_TRIGRAMS})",
                [" AND ".join(words), " AND ".join(trigrams)],
            )
        else:
            yield f"spoken.id IN ({_MATCH_WORDS})", [" AND ".join(words)]
        return
    yield "spoken.unspaced = 1", []
    if trigrams:
        yield f"spoken.id IN ({_MATCH_TRIGRAMS})", [" AND ".join(trigrams)]
    for term in sought:
        if len(term.text) < _TRIGRAM and term.unspaced:
            yield r"spoken.text LIKE ? ESCAPE '\'", [f"%{_literal(term.text)}%"]
    if short := [_as_words(t) for t in sought if not t.unspaced and len(t.text) < _TRIGRAM]:
        yield f"spoken.id IN ({_MATCH_WORDS})", [" AND ".join(short)]


_MATCH_WORDS: Final = "SELECT rowid FROM spoken_words WHERE spoken_words MATCH ?"
_MATCH_TRIGRAMS: Final = "SELECT rowid FROM spoken_trigrams WHERE spoken_trigrams MATCH ?"


def _as_words(term: Term) -> str:
    long_enough = len(term.text) >= _BEGINS or _SYLLABLES.search(term.text) is not None
    begins = long_enough and not term.exact and term.text[-1].isalnum()
    return _phrase(term.text) + ("*" if begins else "")


def _phrase(text: str) -> str:
    """A string of FTS5, in which nothing is an operator (sqlite.org/fts5.html#fts5_strings)."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _literal(text: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", text)


def _hit(row: Row) -> Hit:
    number = int(row["id"])
    job, task = divmod(number >> _PLACES, 2)
    return Hit(
        id=number,
        job=job,
        share=row["share"],
        path=row["path"],
        task=next(name for name, bit in _TASKS.items() if bit == task),
        segment=_LAST - (number & _LAST),
        start=row["start"],
        text=row["text"],
    )
