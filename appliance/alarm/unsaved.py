"""Where alerts and letters lie while the ledger takes nothing: small files in the run folder.

A ledger that is locked, or whose disk is full, is what people must be told of; the ledger
cannot hold that letter.

Not here: when they are used (the package), sending (notify).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from appliance.store.alerts import Alert, Phase
from appliance.store.outbox import Letter

_FOLDER: Final = "unsaved"
_ALERTS: Final = "alerts.json"


def keep_alerts(run_dir: str, live: Sequence[Alert]) -> None:
    """Keep the alerts that live, for the page. Raises OSError."""
    _write(run_dir, _ALERTS, json.dumps([asdict(one) for one in live]))


def alerts(run_dir: str) -> list[Alert] | None:
    """The alerts that live; None where the ledger has them."""
    try:
        with open(os.path.join(run_dir, _FOLDER, _ALERTS), encoding="utf-8") as stream:
            rows = json.load(stream)
        return [Alert(**{**row, "phase": Phase(row["phase"])}) for row in rows]
    except (OSError, ValueError, TypeError):
        return None


def forget_alerts(run_dir: str) -> None:
    """The ledger has them again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, _FOLDER, _ALERTS))


def keep_letters(run_dir: str, posted: Sequence[Letter]) -> None:
    """Keep letters until they are sent. Raises OSError."""
    for one in posted:
        _write(run_dir, f"{one.id}.letter", json.dumps(asdict(one)))


def letters(run_dir: str, channel: str) -> Iterator[Letter]:
    """The letters of a channel, the oldest first."""
    folder = os.path.join(run_dir, _FOLDER)
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith(".letter"):
            with (
                contextlib.suppress(OSError, ValueError, TypeError),
                open(os.path.join(folder, name), encoding="utf-8") as stream,
            ):
                found.append(Letter(**json.load(stream)))
    yield from sorted((one for one in found if one.channel == channel), key=lambda one: one.made_ms)


def sent(run_dir: str, letter: Letter) -> None:
    """A letter has gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, _FOLDER, f"{letter.id}.letter"))


def _write(run_dir: str, name: str, text: str) -> None:
    folder = os.path.join(run_dir, _FOLDER)
    os.makedirs(folder, mode=0o770, exist_ok=True)
    file = os.path.join(folder, name)
    with open(f"{file}.new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(f"{file}.new", file)
