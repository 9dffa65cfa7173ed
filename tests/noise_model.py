"""Whispers of true shape that know nothing: real files of real size, random weights.

`python -m tests.noise_model SHAPE FOLDER [--says N]` writes a model in CTranslate2 format, int8,
straight to disk: seconds and no training library. The text is noise and nothing about
quality can be measured with it; what can be is that a model of this shape loads and
runs, what it takes, and that its tokens are numbered as in the published one.

With `--says N` it says the same N tokens about every window, and is sure of each: then two
programs that listen with it do the same work, however they prompt it.

In: the tokenizer of the bundled model. A multilingual one is renumbered for languages
that came later; an English-only one has official numbers, but not the official spelling.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from appliance import weights

_BUNDLED: Final = weights.find(weights.SELFTEST, os.devnull).path
_SPREAD: Final = 5.0  # of the logits: enough for text to win over the sum of all timestamps
_ENDING: Final = 5.0  # how many spreads the end of the text is ahead: a few tokens a window
_FLOAT32, _INT8, _INT16 = 0, 1, 2  # CTranslate2's numbers of types

# A model that knows its lines. What was said last outweighs all that the layers add to it.
_LOUD: Final = 30.0  # of a token's embedding; a layer adds about 1
_NEXT: Final = 40.0  # logit of the token that follows; others spread around 0
_BEHIND: Final = 6.0  # and what its nearest rivals are behind
_RIVALS: Final = 10  # twice the usual beam: every path through the search is equally long
_INITIAL: Final = 51  # timestamps up to 1.00 s may open a window
_ENDING_AT: Final = 55  # 1.10 s: inside the shortest memo

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a published Whisper."""

    width: int
    encoder: int  # layers
    decoder: int  # layers
    heads: int
    mels: int = 80
    later_languages: tuple[str, ...] = ()
    english: bool = False


SHAPES: Final = {
    "tiny": Shape(384, 4, 4, 6),
    "tiny.en": Shape(384, 4, 4, 6, english=True),
    "base": Shape(512, 6, 6, 8),
    "small": Shape(768, 12, 12, 12),
    "medium": Shape(1024, 24, 24, 16),
    "large-v3": Shape(1280, 32, 32, 20, mels=128, later_languages=("yue",)),
    "large-v3-turbo": Shape(1280, 32, 4, 20, mels=128, later_languages=("yue",)),
}


def make(name: str, folder: str, *, says: int | None = None) -> None:
    """Write the model of that shape into a folder, which is made.

    `says`: so many tokens about every window, the timestamps around the text included.
    """
    shape = SHAPES[name]
    os.makedirs(folder)
    tokenizer = _tokenizer(shape)
    tokens = _tokens(tokenizer)
    _write_json(folder, "tokenizer.json", tokenizer)
    _write_json(folder, "vocabulary.json", tokens)
    _write_json(folder, "config.json", _config(shape, tokens))
    _write_json(folder, "preprocessor_config.json", {"feature_size": shape.mels})
    variables = sorted(_variables(shape, tokens, says))
    with open(os.path.join(folder, "model.bin"), "wb") as file:
        _write(file, variables)


def _write_json(folder: str, name: str, content: object) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)


# --- tokens -------------------------------------------------------------------------------------


def _tokenizer(shape: Shape) -> dict[str, Any]:
    """The bundled tokenizer, renumbered as in the published model."""
    with open(os.path.join(_BUNDLED, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer: dict[str, Any] = json.load(file)
    texts: dict[str, int] = tokenizer["model"]["vocab"]
    if shape.english:  # one number less: it has no gap behind the text tokens
        del texts[max(texts, key=lambda token: texts[token])]
    added: list[dict[str, Any]] = tokenizer["added_tokens"]
    task = next(n for n, one in enumerate(added) if one["content"] == "<|translate|>")
    added[task:task] = [{**added[task], "content": f"<|{one}|>"} for one in shape.later_languages]
    for number, one in enumerate(added, start=len(texts)):
        one["id"] = number
    return tokenizer


def _tokens(tokenizer: dict[str, Any]) -> list[str]:
    texts: dict[str, int] = tokenizer["model"]["vocab"]
    spelled = sorted(texts, key=lambda token: texts[token])
    return spelled + [one["content"] for one in tokenizer["added_tokens"]]


def _config(shape: Shape, tokens: list[str]) -> dict[str, Any]:
    first, last = tokens.index("<|startoftranscript|>") + 1, tokens.index("<|translate|>")
    return {
        "alignment_heads": [[shape.decoder - 1, head] for head in range(min(shape.heads, 6))],
        "lang_ids": list(range(first, last)),
        "suppress_ids": [],
        "suppress_ids_begin": [tokens.index("Ġ"), tokens.index("<|endoftext|>")],
    }


# --- weights ------------------------------------------------------------------------------------

Variable = tuple[str, Array]


def _variables(shape: Shape, tokens: list[str], says: int | None) -> Iterator[Variable]:
    dice = np.random.default_rng(0)
    width = shape.width
    yield "encoder/num_heads", np.array(shape.heads, np.int16)
    yield from _linear("encoder/conv1", (width, shape.mels, 3), dice)
    yield from _linear("encoder/conv2", (width, width, 3), dice)
    yield "encoder/position_encodings/encodings", _normal(dice, 1500, width)
    yield from _norm("encoder/layer_norm", width)
    for layer in range(shape.encoder):
        yield from _layer(f"encoder/layer_{layer}", width, dice)
    yield from _flags(shape)
    if says is None:
        yield from _embeddings(width, len(tokens), tokens.index("<|endoftext|>"), dice)
    else:
        yield from _lines(width, tokens, says, dice)
    yield "decoder/position_encodings/encodings", _normal(dice, 448, width)
    for layer in range(shape.decoder):
        yield from _layer(f"decoder/layer_{layer}", width, dice)
        yield from _attention(f"decoder/layer_{layer}/attention", (1, 2, 1), width, dice)


def _flags(shape: Shape) -> Iterator[Variable]:
    yield "decoder/num_heads", np.array(shape.heads, np.int16)
    yield "decoder/activation", np.array(3, np.int8)  # GELU
    yield "decoder/alignment_heads", np.array(1, np.int16)
    yield "decoder/alignment_layer", np.array(-1, np.int16)
    yield "decoder/pre_norm", np.array(1, np.int8)
    off = "alibi", "alibi_use_positive_positions", "scale_alibi", "scale_embeddings"
    for flag in (*off, "start_from_zero_embedding"):
        yield f"decoder/{flag}", np.array(0, np.int8)


def _embeddings(width: int, tokens: int, end: int, dice: np.random.Generator) -> Iterator[Variable]:
    """Tokens, and a last norm that leans towards the end of the text, so that it comes soon."""
    rows = dice.integers(-127, 128, (tokens, width), np.int8)
    spread = 127 / np.sqrt(3)  # of those numbers
    scale = np.full(tokens, spread * np.sqrt(width) / _SPREAD, np.float32)
    lean = np.sign(rows[end]).astype(np.float32)
    logit = float(rows[end].astype(np.float32) @ lean) / scale[end]
    yield "decoder/embeddings/weight", rows
    yield "decoder/embeddings/weight_scale", scale
    yield "decoder/layer_norm/gamma", np.ones(width, np.float32)
    yield "decoder/layer_norm/beta", lean * np.float32(_ENDING * _SPREAD / logit)


@dataclass(frozen=True, slots=True)
class _Line:
    """Tokens that may stand at one place, and those that follow whichever was said.

    A token follows one line only.
    """

    said: Sequence[int]
    follow: Sequence[int]  # the likeliest first


def _plot(tokens: list[str], says: int) -> Iterator[_Line]:
    """From any prompt to the end of the text in `says` tokens.

    Between the timestamps every place has its own words, so that the search, whichever path
    it takes, is at the same place after as many steps. Where nothing is asked about time, a
    word more stands for the first timestamp.
    """
    zero = tokens.index("<|0.00|>")
    plain = [n for n, token in enumerate(tokens) if re.fullmatch("Ġ[a-z]{3,}", token)]
    places = [plain[_RIVALS * n : _RIVALS * (n + 1)] for n in range(says - 1)]
    end = range(zero + _ENDING_AT, zero + _ENDING_AT + _RIVALS)
    yield _Line([tokens.index("<|startoftranscript|>")], [tokens.index("<|en|>")])
    opening = [tokens.index("<|transcribe|>"), tokens.index("<|translate|>")]
    yield _Line(opening, range(zero, zero + _RIVALS))
    yield _Line([tokens.index("<|notimestamps|>")], list(places[0]))
    places[0] += range(zero, zero + _INITIAL)
    for here, after in zip(places, [*places[1:], end], strict=True):
        yield _Line(here, after)
    yield _Line(end, [tokens.index("<|endoftext|>")])


def _lines(
    width: int, tokens: list[str], says: int, dice: np.random.Generator
) -> Iterator[Variable]:
    """Embeddings that say where in the text we are, and a projection that knows what follows."""
    spread = 127 / np.sqrt(3)
    rows = dice.integers(-127, 128, (len(tokens), width), np.int8)
    wanted = dice.integers(-127, 128, (len(tokens), width), np.int8)
    scale = np.full(len(tokens), spread * np.sqrt(width), np.float32)
    for line in _plot(tokens, says):
        place = dice.integers(-127, 128, width, np.int8)
        rows[list(line.said)] = place
        for rank, token in enumerate(line.follow):
            wanted[token] = place
            logit = _NEXT - (_BEHIND + 0.1 * rank if rank else 0.0)
            scale[token] = width * spread / logit
    yield "decoder/embeddings/weight", rows
    yield "decoder/embeddings/weight_scale", np.full(len(tokens), spread / _LOUD, np.float32)
    yield "decoder/projection/weight", wanted
    yield "decoder/projection/weight_scale", scale
    yield from _norm("decoder/layer_norm", width)


def _layer(name: str, width: int, dice: np.random.Generator) -> Iterator[Variable]:
    yield from _attention(f"{name}/self_attention", (3, 1), width, dice)
    yield from _norm(f"{name}/ffn/layer_norm", width)
    yield from _linear(f"{name}/ffn/linear_0", (4 * width, width), dice)
    yield from _linear(f"{name}/ffn/linear_1", (width, 4 * width), dice)


def _attention(
    name: str, parts: tuple[int, ...], width: int, dice: np.random.Generator
) -> Iterator[Variable]:
    yield from _norm(f"{name}/layer_norm", width)
    for number, part in enumerate(parts):
        yield from _linear(f"{name}/linear_{number}", (part * width, width), dice)


def _linear(name: str, shape: tuple[int, ...], dice: np.random.Generator) -> Iterator[Variable]:
    """Random numbers that neither grow nor shrink what goes through them."""
    inputs = int(np.prod(shape[1:]))
    yield f"{name}/weight", dice.integers(-127, 128, shape, np.int8)
    yield f"{name}/weight_scale", np.full(shape[0], 73.3 * np.sqrt(inputs), np.float32)
    yield f"{name}/bias", np.zeros(shape[0], np.float32)


def _norm(name: str, width: int) -> Iterator[Variable]:
    yield f"{name}/gamma", np.ones(width, np.float32)
    yield f"{name}/beta", np.zeros(width, np.float32)


def _normal(dice: np.random.Generator, *shape: int) -> Array:
    return dice.standard_normal(shape, np.float32)


# --- model.bin ----------------------------------------------------------------------------------


def _write(file: BinaryIO, variables: list[Variable]) -> None:
    """CTranslate2's binary version 6, a Whisper of revision 3.

    Output and input rows are one, unless the variables say otherwise.
    """
    file.write(struct.pack("<I", 6) + _text("WhisperSpec"))
    file.write(struct.pack("<II", 3, len(variables)))
    numbers = {np.dtype("f4"): _FLOAT32, np.dtype("i1"): _INT8, np.dtype("i2"): _INT16}
    for name, value in variables:
        file.write(_text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape))
        file.write(struct.pack("<BI", numbers[value.dtype], value.nbytes))
        file.write(value.tobytes())
    own = {name for name, _ in variables}
    aliases = [
        (f"decoder/projection/{one}", f"decoder/embeddings/{one}")
        for one in ("weight", "weight_scale")
        if f"decoder/projection/{one}" not in own
    ]
    file.write(struct.pack("<I", len(aliases)))
    for alias, name in aliases:
        file.write(_text(alias) + _text(name))


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Write a Whisper of true shape.")
    asked.add_argument("shape", choices=SHAPES)
    asked.add_argument("folder")
    asked.add_argument("--says", type=int)
    given = asked.parse_args()
    make(given.shape, given.folder, says=given.says)
