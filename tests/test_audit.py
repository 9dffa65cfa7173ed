"""The audit log: only added to, and whoever goes round that is found out."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import AuditBroken
from appliance.store import audit, schema
from appliance.store.audit import Actor
from appliance.store.ledger import Ledger

ANNA = Actor("user:anna", "10.0.0.7")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        for number in range(5):
            audit.add(opened, ANNA, "looked", f"job:{number}", number=number)
        yield opened


def behind_its_back(ledger: Ledger, statement: str) -> None:
    """What somebody does to the file who may write it and knows SQL."""
    with sqlite3.connect(f"{ledger.folder}/ledger.db") as db:
        for trigger in ("audit_is_final", "audit_stays"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(statement)
    db.close()


def test_an_untouched_log_holds_together(ledger: Ledger) -> None:
    chain = audit.verify(ledger)
    assert chain.length == 5
    newest = audit.page(ledger, limit=2)
    assert [entry.n for entry in newest] == [5, 4]
    assert newest[0].hash == chain.head
    assert [entry.n for entry in audit.page(ledger, before=4)] == [3, 2, 1]


def test_an_empty_log_holds_together(tmp_path: Path) -> None:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as fresh:
        assert audit.verify(fresh).length == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET who = 'user:eve' WHERE n = 3", "DELETE FROM audit WHERE n = 3"]
)
def test_the_ledger_itself_refuses(ledger: Ledger, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError), ledger.writing() as db:
        db.execute(statement)
    assert audit.verify(ledger).length == 5


@pytest.mark.parametrize(
    ("statement", "n", "why"),
    [
        ("UPDATE audit SET who = 'user:eve' WHERE n = 3", 3, "changed"),
        ("UPDATE audit SET at_ms = at_ms - 1 WHERE n = 1", 1, "changed"),
        ("UPDATE audit SET detail = '{}' WHERE n = 5", 5, "changed"),
        ("UPDATE audit SET address = '' WHERE n = 2", 2, "changed"),
        ("UPDATE audit SET hash = '0' WHERE n = 2", 2, "changed"),
        ("UPDATE audit SET before = hash WHERE n = 4", 4, "follow"),
        ("DELETE FROM audit WHERE n = 3", 3, "missing"),
        ("DELETE FROM audit WHERE n = 1", 1, "missing"),
    ],
)
def test_whoever_changes_the_file_breaks_the_chain(
    ledger: Ledger, statement: str, n: int, why: str
) -> None:
    behind_its_back(ledger, statement)
    with pytest.raises(AuditBroken) as broken:
        audit.verify(ledger)
    assert broken.value.detail["n"] == n
    assert why in broken.value.sentence


def test_a_changed_entry_with_a_hash_to_fit_breaks_it_one_later(ledger: Ledger) -> None:
    row = ledger.row("SELECT * FROM audit WHERE n = 3")
    assert row is not None
    forged = audit._hash({**row, "who": "user:eve"})
    setting = f"who = 'user:eve', hash = '{forged}'"
    behind_its_back(ledger, f"UPDATE audit SET {setting} WHERE n = 3")  # noqa: S608 - our own
    with pytest.raises(AuditBroken) as broken:
        audit.verify(ledger)
    assert broken.value.detail["n"] == 4


def test_a_tail_that_was_cut_off_is_missed_by_whoever_knows_its_hash(ledger: Ledger) -> None:
    head = audit.verify(ledger).head
    behind_its_back(ledger, "DELETE FROM audit WHERE n = 5")
    assert audit.verify(ledger).length == 4  # by itself it looks whole
    with pytest.raises(AuditBroken, match="is gone"):
        audit.verify(ledger, holds=head)


def test_a_known_hash_may_be_any_of_them(ledger: Ledger) -> None:
    early = audit.page(ledger, before=3, limit=1)[0].hash
    assert audit.verify(ledger, holds=early).length == 5


def test_the_journal_is_told_each_hash_and_no_address(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    audit.add(ledger, ANNA, "looked")
    record = next(one for one in caplog.records if one.getMessage() == "audit")
    assert record.__dict__["audit_hash"] == audit.verify(ledger).head


def test_many_at_once_make_one_chain(ledger: Ledger) -> None:
    def add(who: int) -> None:
        for _ in range(10):
            audit.add(ledger, Actor(f"user:{who}"), "looked")

    threads = [threading.Thread(target=add, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.verify(ledger).length == 45
