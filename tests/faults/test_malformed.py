"""A few malformed inputs through the whole line, and the judge of them; the rest is a lane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import malformed
from tests.media.malformed import Case, Outcome, Shelf, catalogue

SEED = 1


@pytest.mark.line
def test_a_few_of_each_through_the_whole_line(tmp_path: Path) -> None:
    report = malformed.through_the_line(tmp_path / "line", seed=SEED, count=24)
    assert not report.wrong, report.table()


def test_the_corpus_has_hundreds_of_inputs_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    cases = catalogue(Shelf(tmp_path), seed=SEED)
    assert len(cases) >= 300
    assert len({(case.family, case.name) for case in cases}) == len(cases)
    for case in cases:
        assert case.codes or case.seconds is not None, case.label


GOOD = Outcome("done", seconds=20.0)


@pytest.mark.parametrize(
    ("outcome", "warned", "wrong"),
    [
        (GOOD, None, ""),
        (GOOD, True, "not warned"),
        (Outcome("done", seconds=20.0, damaged=1), False, "warned without a reason"),
        (Outcome("done", seconds=10.0), None, "a silent cut: 10.0 of 20.0 s"),
        (Outcome("done", seconds=10.0, missing=10.0), True, ""),
        (Outcome("done", seconds=10.0, broken_off=True), True, ""),
        (Outcome("bug"), None, "bug is no right end"),
        (Outcome("source.unreadable"), None, ""),
    ],
)
def test_the_judge_knows_a_silent_cut(outcome: Outcome, warned: bool | None, wrong: str) -> None:
    case = Case("a", "b", Path.touch, frozenset({"source.unreadable"}), 20.0, warned)
    assert case.verdict(outcome) == wrong
