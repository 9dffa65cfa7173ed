"""What a model is told before it listens: the prompt and the vocabulary, as far as they fit.

Whisper's decoder has 448 places for what it is told and what it writes together, and CTranslate2
lets a text have half of them at most. faster-whisper cuts each of the two at 223 tokens and not
their sum: with 400 a window had room for 45 tokens of text and the rest of what was said was
gone without a word; with 446 none could be written at all (measured, CTranslate2 4.8.5).

Not here: the tokens around them (model).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Final

# Beside these, the token before them and the three behind them a text still has its half.
MOST_TOKENS: Final = 221
Encode = Callable[[str], list[int]]


def fitted(
    initial_prompt: str | None, vocabulary: Sequence[str], encode: Encode
) -> tuple[list[int], tuple[str, ...]]:
    """The tokens of the prompt and the words of the vocabulary that fit beside one another.

    Of words the first are told, of a prompt its end. Where both are long each gets half.
    """
    before = encode(f" {initial_prompt.strip()}") if initial_prompt else []
    kept = min(len(before), MOST_TOKENS // 2) if vocabulary else min(len(before), MOST_TOKENS)

    def is_too_much(count: int) -> bool:
        return _size(vocabulary[:count], encode) > MOST_TOKENS - kept

    count = bisect.bisect_left(range(1, len(vocabulary) + 1), True, key=is_too_much)
    words = tuple(vocabulary[:count])
    left = MOST_TOKENS - _size(words, encode)
    return before[max(0, len(before) - left) :], words


def _size(words: Sequence[str], encode: Encode) -> int:
    return len(encode(f" {', '.join(words).strip()}")) if words else 0
