"""What the ledger of the box says: wait until it says it, and print it.

    python -m tests.box.guest.inside.told VERB SECONDS [ARGUMENT…]

    known NAME…      each has a job
    running NAME…    each has been begun
    done NAME…       each is done, or has ended otherwise
    well SHARE       the share is online, its gate open, and nothing waits for it
    state SHARE      how the share is, at once
    said             what was acknowledged, at once, as JSON
    kept             standard input is what was said: each of it that is not so any more

It prints the time at which it was so. It only reads.

Not here: judging the files (judge).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

LEDGER: Final = "file:/var/lib/appliance/ledger.db?mode=ro"
_PAUSE_SECONDS: Final = 0.3
_ENDED: Final = ("done", "failed", "dead", "cancelled", "skipped", "source-missing")
_DONE: Final = (
    "SELECT job.share, export.path, export.sha256 FROM export JOIN job ON job.id = export.job"
    " WHERE job.state = 'done'"
)


def rows(sql: str, *values: object) -> list[dict[str, Any]]:
    """Ask the ledger; nothing where there is none yet."""
    try:
        with contextlib.closing(sqlite3.connect(LEDGER, uri=True, timeout=30)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute(sql, values)]
    except sqlite3.OperationalError:
        return []


def states(names: Sequence[str]) -> dict[str, list[str]]:
    """The states of the jobs of each of these recordings."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for row in rows("SELECT path, state FROM job ORDER BY id"):
        found.setdefault(os.fsdecode(row["path"]), []).append(row["state"])
    return {name: found[name] for name in names}


def known(*names: str) -> bool:
    """Tell whether each has a job."""
    return all(states(names).values())


def running(*names: str) -> bool:
    """Tell whether each has been begun."""
    return all(found and found[-1] not in ("discovered", "queued") for found in _each(names))


def done(*names: str) -> bool:
    """Tell whether each has come to an end."""
    return all(found and all(one in _ENDED for one in found) for found in _each(names))


def _each(names: Sequence[str]) -> Iterator[list[str]]:
    yield from states(names).values()


def well(share: str) -> bool:
    """Tell whether work goes on there."""
    online = [row["state"] for row in rows("SELECT state FROM share WHERE name = ?", share)]
    shut = rows("SELECT name FROM gate WHERE name = ?", f"share:{share}")
    waits = rows("SELECT id FROM job WHERE share = ? AND state = 'waiting'", share)
    return online == ["online"] and not shut and not waits


def state(share: str) -> dict[str, Any]:
    """How it is."""
    (found,) = rows("SELECT state, why, method FROM share WHERE name = ?", share)
    shut = rows("SELECT code FROM gate WHERE name = ?", f"share:{share}")
    return {**found, "gate": shut[0]["code"] if shut else None}


# --- what was acknowledged ----------------------------------------------------------------------


def said() -> dict[str, Any]:
    """Every job, and every file of one that is done."""
    jobs = {os.fsdecode(row["path"]): row["state"] for row in rows("SELECT path, state FROM job")}
    files = {os.fsdecode(row["path"]): row["sha256"] for row in rows(_DONE)}
    return {"jobs": jobs, "files": files}


def kept(before: Mapping[str, Any], root: str) -> list[str]:
    """What was acknowledged and is not so any more."""
    now = said()
    wrong = [str(row) for row in rows("PRAGMA integrity_check") if [*row.values()] != ["ok"]]
    for name, state_ in before["jobs"].items():
        found = now["jobs"].get(name)
        if found is None or (state_ == "done" and found != "done"):
            wrong.append(f"{name} was {state_} and is {found}")
    for name, sha256 in before["files"].items():
        if _sha256(os.path.join(root, name)) != sha256:
            wrong.append(f"{name} of a job that is done is not whole")
    return wrong


def _sha256(path: str) -> str | None:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
    return None


UNTIL: Final[Mapping[str, Callable[..., bool]]] = {
    "known": known,
    "running": running,
    "done": done,
    "well": well,
}


def main(arguments: list[str]) -> int:
    """Wait for it, or tell it."""
    verb, seconds, *more = arguments
    if verb == "state":
        print(json.dumps(state(*more)))  # noqa: T201 - that is what it is for
        return 0
    if verb == "said":
        print(json.dumps(said()))  # noqa: T201
        return 0
    if verb == "kept":
        print(json.dumps(kept(json.load(sys.stdin), *more)))  # noqa: T201
        return 0
    until = time.monotonic() + float(seconds)
    while not UNTIL[verb](*more):
        if time.monotonic() > until:
            print(verb, more, states(more), rows("SELECT * FROM gate"), file=sys.stderr)  # noqa: T201
            return 1
        time.sleep(_PAUSE_SECONDS)
    print(time.monotonic())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
