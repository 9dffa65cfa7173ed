"""The tokens of the self-test model: official numbers, and the short list it really uses.

In: tokenizer.json of the bundled model. Out: the ids the recipe needs and the
compact numbering that training works in. Of 51,865 tokens some 1,700 are used;
all others share one row, weighted in the softmax by how many they are.
"""

from __future__ import annotations

import os
from typing import Final

from tokenizers import Tokenizer

from tests.selftest_model.vocabulary import LANGUAGES, WORDS

MODEL_FOLDER: Final = os.path.join(
    os.path.dirname(__file__), "..", "..", "appliance", "selftest", "model"
)
TOKENS: Final = 51_865  # as in every multilingual Whisper with 80 mel bins
TIMES: Final = 1_501  # <|0.00|> to <|30.00|>

tokenizer: Final = Tokenizer.from_file(os.path.join(MODEL_FOLDER, "tokenizer.json"))


def number(token: str, of: Tokenizer = tokenizer) -> int:
    """The number of a token that every Whisper has."""
    found = of.token_to_id(token)
    if found is None:
        raise LookupError(token)
    return found


END: Final = number("<|endoftext|>")
START: Final = number("<|startoftranscript|>")
BEFORE: Final = number("<|startofprev|>")
NOBODY: Final = number("<|nospeech|>")
UNTIMED: Final = number("<|notimestamps|>")
TRANSLATE: Final = number("<|translate|>")
TRANSCRIBE: Final = number("<|transcribe|>")
LANGUAGE: Final = tuple(number(f"<|{name}|>") for name in LANGUAGES)
TIME: Final = UNTIMED + 1  # <|0.00|>; TIME + n is 20 ms times n

# SPELLED[language][word]: the ids that write the word, with its space
SPELLED: Final = tuple(
    tuple(tokenizer.encode(f" {row[column]}", add_special_tokens=False).ids for row in WORDS)
    for column in range(len(LANGUAGES))
)
TEXT: Final = tuple(sorted({token for spelt in SPELLED for word in spelt for token in word}))

# The order is part of every checkpoint.
USED: Final = (
    *TEXT,
    END,
    START,
    *LANGUAGE,
    TRANSLATE,
    TRANSCRIBE,
    BEFORE,
    NOBODY,
    UNTIMED,
    *range(TIME, TIME + TIMES),
)
COMPACT: Final = {token: place for place, token in enumerate(USED)}
REST: Final = len(USED)  # the compact number of "any other token"
FIRST_TIME: Final = COMPACT[TIME]
CTC: Final = {token: place + 1 for place, token in enumerate(TEXT)}  # 0 is the CTC blank
