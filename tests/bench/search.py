"""A search through 100,000 recordings: how long people wait, and what finding costs.

    python -m tests.bench search [--full]

A third of the segments is Japanese, the rest made-up words, each as frequent as its rank says
(Zipf). They are put into a ledger as one of before there was an index would hold them, and
indexed by what recover calls. Bars: 300 ms for 95 of 100 questions in words, 600 ms for one or
two Japanese characters, and 300 ms for 95 of 100 times that others have to wait for the ledger
while an old one is indexed.
"""

from __future__ import annotations

import json
import os
import random
import time
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from appliance.nouns import Options, Source
from appliance.store import jobs, schema, search
from appliance.store.ledger import NAME, Ledger
from appliance.values import to_plain
from tests.bench import Amount, Figure, p95
from tests.export import speech

JOBS: Final = 100_000
SEGMENTS: Final = 2  # of each
_AMOUNTS: Final = {Amount.SMOKE: 300, Amount.SHORT: JOBS // 4, Amount.FULL: JOBS}
_WORDS: Final = 20_000
_IN_A_SEGMENT: Final = 11
_ASKED: Final = 100  # questions of each kind
_KANJI: Final = (
    "予算会議今日明年度計画資料確認売上報告東京大阪本社担当部長課員"
    "増減方針決定検討必要重要問題解案件顧客"
)


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Measure, as a part of the bench."""
    chance = random.Random(1)
    said = _Language(chance)
    here = str(folder / "search")
    schema.prepare(here)
    count = _AMOUNTS[amount]
    with Ledger(here) as ledger:
        texts = _fill(ledger, said, count)
        ledger.checkpoint()
        before = _bytes(here)
        held = _index(ledger)
        ledger.checkpoint()
        grown = (_bytes(here) - before) / (count * SEGMENTS)
        how = f"{count} jobs, {count * SEGMENTS} segments"
        letters = f"text {texts / count / SEGMENTS:.0f} bytes each"
        return [
            *(
                Figure(f"{kind}, 95 of 100", p95(_asked(ledger, some)), "ms", most=bar, how=how)
                for kind, some, bar in said.questions()
            ),
            Figure(
                "a step of an old ledger's index, 95 of 100", p95(held), "ms", most=300, how=how
            ),
            Figure("the longest", max(held), "ms"),
            Figure("all of its steps", sum(held) / 1000, "s", how=f"{len(held)} transactions"),
            Figure("index on disk, a segment", grown, "bytes", most=400, how=letters),
        ]


class _Language:
    """Segments to be said, and questions about them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = [
            "".join(chance.choices(letters, k=chance.randint(3, 9))) for _ in range(_WORDS)
        ]
        self._weights = list(accumulate(1 / (rank + 1) for rank in range(_WORDS)))

    def segment(self) -> str:
        if self._chance.random() < 1 / 3:
            return "の".join(self._kanji(chance_of) for chance_of in (4, 6, 5))
        return " ".join(self._some(_IN_A_SEGMENT))

    def _kanji(self, count: int) -> str:
        return "".join(self._chance.choices(_KANJI, k=count))

    def _some(self, count: int) -> list[str]:
        return self._chance.choices(self._words, cum_weights=self._weights, k=count)

    def questions(self) -> Iterator[tuple[str, list[str], float]]:
        """Kinds of questions, with the milliseconds that each may take."""
        yield "the most frequent words", self._words[:_ASKED], 300
        yield "a word as people say it", [self._some(1)[0] for _ in range(_ASKED)], 300
        yield "two words", [" ".join(self._some(2)) for _ in range(_ASKED)], 300
        yield "the beginning of words", [self._some(1)[0][:3] for _ in range(_ASKED)], 300
        phrases = [f'"{" ".join(self._some(2))}"' for _ in range(_ASKED)]
        yield "two words in quotation marks", phrases, 300
        yield "three Japanese characters", [self._kanji(3) for _ in range(_ASKED)], 300
        yield "two Japanese characters", [self._kanji(2) for _ in range(_ASKED)], 600
        yield "one Japanese character", [self._kanji(1) for _ in range(_ASKED)], 600
        twice = [f"{self._kanji(2)} {self._kanji(1)}" for _ in range(_ASKED)]
        yield "two and one Japanese characters", twice, 600


def _fill(ledger: Ledger, said: _Language, count: int) -> int:
    """Put transcripts into a ledger that knows of no index; bytes of all their texts."""
    whole = to_plain(speech.transcript(*[speech.segment("", n, n + 9) for n in range(SEGMENTS)]))
    texts = 0
    with ledger.writing() as db:
        jobs.add(ledger, Source("s", b"1.wav", 10, 5), Options(), correlation="c")
        db.execute(
            "WITH RECURSIVE n (i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO job (workload, share, path, size, mtime_ns, state, correlation,"
            " created_ms, updated_ms) SELECT workload, share, CAST(i || '.wav' AS BLOB), size,"
            " mtime_ns, state, correlation, created_ms, updated_ms FROM n JOIN job ON job.id = 1",
            [count],
        )
        rows = []
        for number in range(1, count + 1):
            lines = [said.segment() for _ in range(SEGMENTS)]
            texts += sum(len(line.encode()) for line in lines)
            rows.append((number, _body(whole, lines)))
        db.conn.executemany(
            "INSERT INTO transcript (job, epoch, task, source_sha256, asked_sha256, sha256, body,"
            " at_ms) VALUES (?, 1, 'transcribe', '', '', '', ?, 0)",
            rows,
        )
        db.execute("INSERT INTO unindexed (below) VALUES (?)", [count + 1])
    return texts


def _body(whole: dict[str, Any], lines: Sequence[str]) -> bytes:
    for segment, line in zip(whole["segments"], lines, strict=True):
        segment["text"] = f" {line}"
        segment["words"] = [
            {"start": n, "end": n + 1, "word": f" {word}", "probability": 0.9}
            for n, word in enumerate(line.split())
        ]
    return zlib.compress(json.dumps(whole).encode(), 1)


def _index(ledger: Ledger) -> list[float]:
    """Index everything, as recover would; milliseconds of each transaction."""
    took = []
    more = True
    while more:
        begun = time.perf_counter()
        more = search.build(ledger)
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _asked(ledger: Ledger, questions: Sequence[str]) -> list[float]:
    """Milliseconds that each answer took: a page of it."""
    took = []
    for question in questions:
        begun = time.perf_counter()
        search.find(ledger, question)
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _bytes(folder: str) -> int:
    return os.path.getsize(os.path.join(folder, NAME))
