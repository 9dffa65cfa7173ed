"""Lines of the journal and of attempts' logs → what may be shown of them.

A line is compared with every sentence that our own code can log: its words are ours and
stay, what was filled into it is a fact and is masked like one. A line that is none of ours is
a fact as a whole. Of a traceback the places stay; what an exception said does not.

Not here: what masking does (scrub), reading the journal (parts).
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import appliance
from appliance.support.scrub import Scrubber, words

_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_HOLE: Final = re.compile(r"%(?:\.\d+)?[sdrifg]")
_FRAME: Final = re.compile(r'\s*File "([^"]+)", line (\d+), in ([\w<>.]+)')
_RAISED: Final = re.compile(r"([A-Za-z_][\w.]*)(:|$)")
_NAMES: Final = frozenset({"recording", "path", "name", "what", "file", "examples"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.,:+@/-]{1,80}")
# Facts that our own code chooses, or libav: never a person.
_CODES: Final = words(
    """at event stage state became code level process share correlation job attempt gate verb rule
    alert model device compute_type engine container codec language task format epoch"""
)
_DIGEST: Final = re.compile(r"[0-9a-f]{16,64}")
_DIGESTS: Final = frozenset({"correlation", "sha256", "model_sha256"})
_FIELDS: Final = {"JOB_ID": "job"}


class Sentences:
    """What our own code can log, found in its source."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._known: list[tuple[int, re.Pattern[str], list[str]]] = []
        for template in sorted(set(_templates())):
            parts = _HOLE.split(template)
            pattern = "(.*?)".join(re.escape(part) for part in parts)
            weight = sum(map(str.isalpha, "".join(parts)))
            self._known.append((weight, re.compile(pattern, re.DOTALL), parts))
        self._known.sort(key=lambda one: -one[0])  # the one with most words of its own first

    def of(self, message: str) -> str:
        """A message, its own words kept and everything filled in masked."""
        for weight, pattern, parts in self._known:
            if weight and (found := pattern.fullmatch(message)):
                filled = [self._scrubber.fact(one) for one in found.groups()]
                return "".join(a + b for a, b in zip(parts, [*filled, ""], strict=True))
        return self._scrubber.fact(message)


def _templates() -> Iterator[str]:
    top = os.path.dirname(os.path.dirname(appliance.__file__))
    for room in ("appliance", "web"):
        for folder, _, names in os.walk(os.path.join(top, room)):
            for name in names:
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), encoding="utf-8") as stream:
                        yield from _logged(ast.parse(stream.read()))


def _logged(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            said = node.args[0] if node.args and node.func.attr in _LEVELS else None
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                yield said.value


def facts(line: Mapping[str, Any], sentences: Sentences, scrubber: Scrubber) -> dict[str, Any]:
    """The facts of one line, each by what its key says that it is."""
    share = str(line.get("share") or "")
    return {
        key: _fact(key, value, share, sentences, scrubber)
        for key, value in line.items()
        if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", key) and not key.startswith("audit")
    }


def _fact(key: str, value: Any, share: str, sentences: Sentences, scrubber: Scrubber) -> Any:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list) and all(isinstance(one, int | float) for one in value):
        return value
    text = str(value)
    if key == "traceback":
        return places(text)
    if key in _NAMES:
        return scrubber.name(share, text)
    if key in _DIGESTS and _DIGEST.fullmatch(text):
        return f"{text[:12]}…"
    if key == "event" and " " in text:
        return sentences.of(text)
    if key in _CODES and _PLAIN.fullmatch(text):
        return scrubber.text(text)
    return scrubber.fact(text)


def places(traceback: str) -> list[str]:
    """Where it happened, and of what kind it was; never what it said."""
    told = []
    for line in traceback.splitlines():
        if found := _FRAME.match(line):
            told.append(f"{_below(found[1])}:{found[2]} {found[3]}")
        elif line[:1].strip() and (raised := _RAISED.match(line)):
            told.append(raised[1])
    return told


def _below(path: str) -> str:
    """A file of Python below the folder it was installed into."""
    for folder in ("/site-packages/", "/lib/python"):
        if folder in path:
            return path.rpartition(folder)[2]
    return "/".join(path.split("/")[-3:])


def of_journal(
    entry: Mapping[str, Any], sentences: Sentences, scrubber: Scrubber
) -> dict[str, Any]:
    """An entry as `journalctl --output=json` prints it."""
    message = _decoded(entry.get("MESSAGE"))
    told: dict[str, Any] = {"at_us": entry.get("__REALTIME_TIMESTAMP")}
    told |= {"unit": entry.get("UNIT") or entry.get("_SYSTEMD_UNIT")}
    told |= {"priority": entry.get("PRIORITY")}
    told = {
        key: None if value is None else scrubber.text(str(value)) for key, value in told.items()
    }
    if str(entry.get("_PID")) == "1":  # systemd's own, which knows units and nothing else
        return told | {"event": scrubber.text(message)}
    inside = _line(message)
    if inside is not None:  # a part that talks to its stderr
        return told | facts(inside, sentences, scrubber)
    ours = {
        _FIELDS.get(key, key.lower()): _decoded(value)
        for key, value in entry.items()
        if key in _JOURNALLED
    }
    return told | {"event": sentences.of(message)} | facts(ours, sentences, scrubber)


_JOURNALLED: Final = words(
    """JOB_ID ATTEMPT SHARE CODE STATE STAGE CORRELATION RECORDING PATH NAME GATE VERB RULE WINDOWS
    SECONDS FILES BYTES ALERT WHY TRACEBACK LOGGER"""
)


def _decoded(value: object) -> str:
    """journalctl spells what is not UTF-8 as a list of bytes."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(one & 255 for one in value).decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def _line(message: str) -> dict[str, Any] | None:
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "event" in found else None
