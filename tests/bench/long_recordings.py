"""How much a decode child needs for a long recording: CPU and memory, by its length.

    python tests/bench/long_recordings.py [hours ...]      default: 1 10

For each length: speech as MP3 (the same ten minutes over and over) and silence as FLAC.
Not part of the test run: ten hours take minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from tests.media import files, sounds, worker  # noqa: E402 - found through the line above


def main(hours: list[float]) -> None:
    """Print a line per recording."""
    print(f"{'recording':<24}{'CPU s/h':>9}{'RSS MB':>8}{'windows':>9}{'first after':>13}")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        minutes = files.record(Path(folder) / "ten.mp3", sounds.meeting(600))
        for length in hours:
            speech = files.join(Path(folder) / "speech.mp3", [minutes] * round(length * 6))
            measure(f"speech, {length:g} h, mp3", speech)
            night = Path(folder) / "night.flac"
            files.long_flac(night, sounds.silence(1), round(length * 3_600))
            measure(f"silence, {length:g} h, flac", night)


def measure(what: str, path: Path) -> None:
    """Decode one file and print what it took."""
    heard = worker.decode(path)
    if heard.ended is None or heard.verdict is None:
        raise SystemExit(f"{what}: {heard.code}\n{heard.log}")
    hours = heard.ended.seconds / 3_600
    print(  # noqa: T201
        f"{what:<24}{heard.verdict.cpu_seconds / hours:>9.2f}{heard.peak_mb:>8}"
        f"{heard.ended.windows:>9}{heard.first_window_after:>11.0f} s"
    )


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]] or [1.0, 10.0])
