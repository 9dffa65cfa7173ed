"""Export: python -m tests.selftest_model.export CHECKPOINT FOLDER.

In: a checkpoint over the compact tokens. Out: a CTranslate2 folder in the official
layout of 51,865 tokens, int8, which loads wherever a multilingual Whisper loads.
tokenizer.json is taken from the bundled model.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

import ctranslate2
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.selftest_model import layout
from tests.selftest_model.network import ALIGNED, SHAPE, Network

_SPACE = 220  # a lone space: never the first token of a text


def whole(network: Network) -> WhisperForConditionalGeneration:
    """Give the same Whisper over all tokens: each unused one gets the shared row."""
    full = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=layout.TOKENS,
            pad_token_id=layout.END,
            bos_token_id=layout.END,
            eos_token_id=layout.END,
            decoder_start_token_id=layout.START,
            **SHAPE,
        )
    )
    kept = {
        name: weight
        for name, weight in network.whisper.state_dict().items()
        if "embed_tokens" not in name and "proj_out" not in name
    }
    full.load_state_dict(kept, strict=False)
    with torch.no_grad():
        table = network.table()
        rows = table[layout.REST].repeat(layout.TOKENS, 1)
        rows[torch.tensor(layout.USED)] = table[: layout.REST]
        full.model.decoder.embed_tokens.weight.copy_(rows)
        full.proj_out.weight = full.model.decoder.embed_tokens.weight
    return full


def describe(generation: Any) -> dict[str, Any]:
    """Set what Whisper's decoding rules need, and give it as config.json spells it."""
    heads = [[layer, head] for layer, some in ALIGNED for head in some]
    languages = range(layout.START + 1, layout.TRANSLATE)
    generation.alignment_heads = heads
    generation.lang_to_id = {layout.tokenizer.id_to_token(token): token for token in languages}
    generation.suppress_tokens = []
    generation.begin_suppress_tokens = [_SPACE, layout.END]
    generation.is_multilingual = True
    return {
        "alignment_heads": heads,
        "lang_ids": list(languages),
        "suppress_ids": [],
        "suppress_ids_begin": [_SPACE, layout.END],
    }


def convert(folder: str, out: str, quantization: str, config: dict[str, Any]) -> None:
    """Convert a transformers folder, and state in config.json what the converter guesses."""
    ctranslate2.converters.TransformersConverter(
        folder, copy_files=["tokenizer.json", "preprocessor_config.json"]
    ).convert(out, quantization=quantization, force=True)
    path = os.path.join(out, "config.json")
    with open(path, encoding="utf-8") as file:
        written = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**written, **config}, file, indent=1)
        file.write("\n")


def save(model: WhisperForConditionalGeneration, tokenizer: Any, folder: str, mels: int) -> None:
    """Write the transformers folder that the converter reads."""
    model.save_pretrained(folder)
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    end = "<|endoftext|>"
    named = {
        "model_max_length": 448,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "unk_token": end,
    }
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump(named, file)
    WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)


def main(checkpoint: str, out: str) -> None:
    """Export `checkpoint` to `out`."""
    network = Network()
    network.load(checkpoint)
    model = whole(network)
    config = describe(model.generation_config)
    with tempfile.TemporaryDirectory() as folder:
        save(model, layout.tokenizer, folder, 80)
        convert(folder, out, "int8", config)


if __name__ == "__main__":
    main(*sys.argv[1:3])
