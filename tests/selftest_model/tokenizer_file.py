"""Write tokenizer.json: python -m tests.selftest_model.tokenizer_file WHISPER_FOLDER FILE.

In: the folder `whisper/` of the openai-whisper source package (MIT), which holds
the official byte pairs (assets/*.tiktoken) and the names of the languages. Out:
tokenizer.json as Hugging Face's tokenizers reads it, with the official ids.
"""

from __future__ import annotations

import ast
import base64
import os
import sys
from itertools import pairwise
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_TIMES: Final = 1501
_LANGUAGES: Final = 99  # before Cantonese came, which the models up to large-v2 do not know


def pairs(path: str) -> dict[bytes, int]:
    """Read a rank file: base64 of the token's bytes, a space, its id."""
    with open(path, "rb") as file:
        lines = [line.split() for line in file if line.strip()]
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def language_names(path: str) -> list[str]:
    """Read the language codes from whisper/tokenizer.py, in the order of their tokens."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LANGUAGES":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{path} names no languages")


def spelling() -> dict[int, str]:
    """Give the visible character that stands for each byte in a byte-level BPE."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    spelt = {byte: chr(byte) for byte in visible}
    spelt.update({byte: chr(256 + place) for place, byte in enumerate(hidden)})
    return spelt


def merged_from(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """Merge the bytes of `token` by rank for as long as the result ranks before it."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        rank, place = min(
            (ranks.get(left + right, len(ranks)), place)
            for place, (left, right) in enumerate(pairwise(parts))
        )
        if rank >= ranks[token]:
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def build(whisper: str) -> Tokenizer:
    """Make the tokenizer of a multilingual Whisper."""
    ranks = pairs(os.path.join(whisper, "assets", "multilingual.tiktoken"))
    names = language_names(os.path.join(whisper, "tokenizer.py"))[:_LANGUAGES]
    spelt = spelling()

    def show(token: bytes) -> str:
        return "".join(spelt[byte] for byte in token)

    vocabulary, merges = {}, []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        vocabulary[show(token)] = rank
        parts = merged_from(token, ranks)
        if len(parts) == 2:
            merges.append((show(parts[0]), show(parts[1])))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{code}|>" for code in names),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    tokenizer.add_special_tokens(
        [AddedToken(one, special=True, normalized=False) for one in special]
    )
    tokenizer.add_tokens(
        [
            AddedToken(f"<|{step * 0.02:.2f}|>", special=False, normalized=False)
            for step in range(_TIMES)
        ]
    )
    return tokenizer


def main(whisper: str, path: str) -> None:
    """Write the tokenizer of the self-test model."""
    build(whisper).save(path, pretty=False)


if __name__ == "__main__":
    main(*sys.argv[1:3])
