"""Each share tried as a person would try it: mounted, marked, readable, writable.

A child does it (`appliance share test`), because a file server that hangs hangs whoever asks;
one that does not answer in time is left behind and told.

Not here: trying one (watch.standing, watch.probe).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from appliance.doctor import asking
from appliance.health.finding import Finding, Level
from appliance.settings import Settings

CODE: Final = "share-test"
_SECONDS: Final = 15.0
_HANGS: Final = (
    "Look at the file server and the network between. The box goes on by itself when it answers."
)


def examine(settings: Settings, file: str | None) -> Iterator[Finding]:
    """Try every share of the settings that `file` holds, one after the other."""
    for share in settings.share:
        chosen = [] if file is None else ["--settings", file]
        words = [*chosen, "--json", "share", "test", share.name]
        answer = asking.ask([asking.PYTHON, "-P", "-m", "appliance", *words], _SECONDS)
        yield told(share.name, answer)


def told(share: str, answer: asking.Answer) -> Finding:
    """What the verb's answer means."""
    if answer.code is None:
        text = f"{share} did not answer within {_SECONDS:.0f} seconds"
        return Finding(CODE, Level.FAIL, text, _HANGS, share, "share.offline")
    if answer.code == 0:
        return Finding(CODE, Level.OK, f"{share} is there and takes files", subject=share)
    error = _error(answer.complained)
    text = error.get("message", f"{share} could not be tried (exit {answer.code})")
    remedy = error.get("next_step", f"`appliance share test {share}` says more.")
    return Finding(CODE, Level.FAIL, text, remedy, share, error.get("code"))


def _error(complained: str) -> dict[str, str]:
    for line in reversed(complained.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return {str(key): str(value) for key, value in found.items()}
    return {}
