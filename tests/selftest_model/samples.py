"""Make the sample recordings that ride in the product: python -m tests.selftest_model.samples.

Each is a few short utterances with pauses between them, all in the vocabulary of
the self-test model, written beside `samples.json`, which holds the truth.
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Final

import numpy as np

from tests.selftest_model.utterances import (
    SAMPLE_RATE,
    hiss,
    pcm,
    silence,
    speak,
    write_wav,
)

SAMPLES: Final = {
    # file: language, voice, then what is said between the pauses
    "welcome-english.wav": (
        "en",
        "en-us",
        ("meeting Monday evening report", "open project budget", "send letter client today"),
    ),
    "besprechung-deutsch.wav": (
        "de",
        "de",
        ("Sitzung Dienstag heute", "Rechnung Kunde senden", "Vertrag und Unterschrift morgen"),
    ),
    "reunion-espanol.wav": (
        "es",
        "es",
        ("reunión miércoles tarde", "enviar factura cliente", "contrato y firma mañana"),
    ),
}


def main(folder: str) -> None:
    """Write the recordings and their truth into `folder`."""
    os.makedirs(folder, exist_ok=True)
    truth = []
    for name, (language, voice, said) in SAMPLES.items():
        dice = random.Random(name)
        parts = [silence(0.6, np.zeros(0, np.float32), 0.0)]
        parts += [silence(0.0, speak(text, voice), 0.9) for text in said]
        sound = np.concatenate(parts)
        samples = pcm(sound + hiss(len(sound), dice, 0.0005))
        write_wav(os.path.join(folder, name), samples)
        truth.append(
            {
                "file": name,
                "language": language,
                "words": " ".join(said).split(),
                "seconds": round(len(samples) / SAMPLE_RATE, 3),
            }
        )
    with open(os.path.join(folder, "samples.json"), "w", encoding="utf-8") as file:
        json.dump(truth, file, ensure_ascii=False, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
