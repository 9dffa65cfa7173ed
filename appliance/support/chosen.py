"""The settings in force, by keys: what may be shown of each value, and what is only counted.

A key that is not named here shows no text at all: whoever adds one decides what it is.

Not here: reading settings (settings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.settings import Effective
from appliance.support.scrub import Scrubber, words

SHOWN: Final = words(
    """state_dir name root kind source profile formats existing model language task subtitle_rules
    language_suffix device compute_type model_dir copy_to listen page allow jobs shares"""
)
COUNTED: Final = frozenset({"vocabulary", "initial_prompt", "user", "sender", "to", "secret"})
_WORDS: Final = re.compile(r"(profile\..+)\.replacements(\..*)?")


def rows(settings: list[Effective], scrubber: Scrubber) -> Iterator[dict[str, Any]]:
    """A row for each key; what people said they say is counted."""
    replaced: dict[str, int] = {}
    for one in settings:
        if found := _WORDS.fullmatch(one.key):
            replaced[found[1]] = replaced.get(found[1], 0) + bool(found[2])
        else:
            value = _value(one.key, one.value, scrubber)
            yield {"key": scrubber.text(one.key), "value": value, "said by": one.source}
    for profile, count in replaced.items():
        yield {"key": f"{profile}.replacements", "value": f"({count}, left out)", "said by": None}


def _value(key: str, value: object, scrubber: Scrubber) -> object:
    last = key.rpartition(".")[2]
    if value is None or isinstance(value, bool | int | float):
        return value
    if last == "url":
        parts = urlsplit(str(value))
        return f"{parts.scheme}://{parts.hostname}/…"  # a topic is as good as a password
    if last in SHOWN:
        texts = value if isinstance(value, list | tuple) else [value]
        shown = [scrubber.text(str(text)) for text in texts]
        return shown if isinstance(value, list | tuple) else shown[0]
    if not value:
        return value
    count = f"{len(value)}" if isinstance(value, list | tuple) else "set"
    return f"({count}, left out)"
