"""Which scripts put no spaces between words: where a word ends there, nobody can tell by looking.

Not here: where a line may end (export.units), what is searched for (store.search).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u2e80-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f\U0001b000-\U0001b16f"
    "\U00020000-\U0003fffd]"
)


@lru_cache(maxsize=8192)
def unspaced(character: str) -> bool:
    """Tell whether the character belongs to a script that puts no spaces between words."""
    return _UNSPACED.match(character) is not None


def has_unspaced(text: str) -> bool:
    """Tell whether a text holds such a character."""
    return _UNSPACED.search(text) is not None
