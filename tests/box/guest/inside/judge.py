"""Have the judge of every lane of faults look at the box in here.

    python -m tests.box.guest.inside.judge < CASE       prints what is wrong, as JSON

CASE: `roots` of the shares as whoever dropped sees them, `dropped` as it must still be, and
whether an attempt may have been paid for (`paid`).

Not here: the judge himself (tests.faults.verdict).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from appliance.states import State
from tests.box.guest.inside import told
from tests.faults import verdict
from tests.faults.recordings import Dropped

STATE: Final = "/var/lib/appliance"
RUN: Final = "/run/appliance"


def main() -> int:
    """Print every violation."""
    case: dict[str, Any] = json.load(sys.stdin)
    dropped = [
        Dropped(
            one["share"],
            os.fsencode(one["path"]),
            one["sha256"],
            one["size"],
            one["mtime_ns"],
            one["mode"],
            State(one["ends"]),
        )
        for one in case["dropped"]
    ]
    found = verdict.judge(STATE, case["roots"], dropped, run_dir=RUN)
    if not case["paid"]:
        found += charged()
    print(json.dumps(found))  # noqa: T201 - that is what it is for
    return 0


def charged() -> list[str]:
    """What no trouble of a share may cost."""
    paid = "SELECT path, errors, crashes, losses FROM job WHERE errors + crashes + losses > 0"
    blamed = (
        "SELECT job.path, event.became, event.code FROM event JOIN job ON job.id = event.job"
        " WHERE event.code IS NOT NULL AND event.code NOT LIKE 'share.%'"
    )
    return [
        *(f"charged: {row}" for row in told.rows(paid)),
        *(f"blamed: {row}" for row in told.rows(blamed)),
    ]


if __name__ == "__main__":
    sys.exit(main())
