"""Build Whispers of true shape that know nothing, to measure what a model costs.

python -m tests.selftest_model.random_weights SHAPES QUANTIZATIONS WHISPER_FOLDER OUT,
for example `tiny,tiny.en,large-v3-turbo int8,float32`. WHISPER_FOLDER is the folder
`whisper/` of the openai-whisper source package; each model becomes OUT/SHAPE-QUANTIZATION.

Time and memory are those of the real model when the number of decoded tokens is
forced; the text is noise, and nothing about quality can be measured with it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from typing import Final

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tests.selftest_model.export import convert, save
from tests.selftest_model.layout import number
from tests.selftest_model.tokenizer_file import build


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a published Whisper."""

    width: int
    encoder: int  # layers
    decoder: int  # layers
    heads: int
    mels: int = 80
    languages: int = 99
    english: bool = False


SHAPES: Final = {
    "tiny": Shape(384, 4, 4, 6),
    "tiny.en": Shape(384, 4, 4, 6, english=True),
    "base": Shape(512, 6, 6, 8),
    "small": Shape(768, 12, 12, 12),
    "medium": Shape(1024, 24, 24, 16),
    "large-v3": Shape(1280, 32, 32, 20, mels=128, languages=100),
    "large-v3-turbo": Shape(1280, 32, 4, 20, mels=128, languages=100),
}


def make(name: str, quantizations: list[str], whisper: str, out: str) -> None:
    """Write one shape in every quantization."""
    shape = SHAPES[name]
    tokenizer = build(whisper, languages=shape.languages, english=shape.english)
    end = number("<|endoftext|>", tokenizer)
    start = number("<|startoftranscript|>", tokenizer)
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size(),
            num_mel_bins=shape.mels,
            d_model=shape.width,
            encoder_layers=shape.encoder,
            decoder_layers=shape.decoder,
            encoder_attention_heads=shape.heads,
            decoder_attention_heads=shape.heads,
            encoder_ffn_dim=4 * shape.width,
            decoder_ffn_dim=4 * shape.width,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
        )
    )
    heads = [[shape.decoder - 1, head] for head in range(min(shape.heads, 6))]
    # English-only models have the language tokens, and never detect one.
    languages = range(start + 1, number("<|translate|>", tokenizer))
    begin = [tokenizer.encode(" ", add_special_tokens=False).ids[0], end]
    model.generation_config.alignment_heads = heads
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = begin
    model.generation_config.lang_to_id = {tokenizer.id_to_token(one): one for one in languages}
    config = {
        "alignment_heads": heads,
        "lang_ids": list(languages),
        "suppress_ids": [],
        "suppress_ids_begin": begin,
    }
    with tempfile.TemporaryDirectory() as folder:
        save(model, tokenizer, folder, shape.mels)
        for quantization in quantizations:
            convert(folder, os.path.join(out, f"{name}-{quantization}"), quantization, config)


def main(names: str, quantizations: str, whisper: str, out: str) -> None:
    """Write every shape asked for."""
    for name in names.split(","):
        make(name, quantizations.split(","), whisper, out)


if __name__ == "__main__":
    main(*sys.argv[1:5])
