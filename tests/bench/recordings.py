"""What the bench lets everybody listen to: speech of any length, and memos.

Not here: the sounds themselves (tests.media.sounds), writing files of them (tests.media.files).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.media import files, sounds

TEN_MINUTES: Final = 600
_MEMO_SECONDS: Final = (4, 10)
_BARE: Final = {"write_xing": "0", "id3v2_version": "0"}


def speech(folder: Path, minutes: float) -> str:
    """People talking for so long, as MP3: ten minutes over and over.

    Sound and nothing else: bare faster-whisper takes the header of a part that was joined on
    for damage, and its recording for over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    length = min(TEN_MINUTES, round(minutes * 60))
    part = folder / f"part-{length}.mp3"
    if not part.exists():
        files.record(part, sounds.meeting(length), options=_BARE)
    whole = folder / f"speech-{minutes:g}.mp3"
    if not whole.exists():
        files.join(whole, [part] * round(minutes * 60 / length))
    return str(whole)


def memos(folder: Path, count: int) -> list[str]:
    """Short recordings of 4 to 10 s, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    talk = sounds.meeting(TEN_MINUTES)
    least, most = _MEMO_SECONDS
    made = []
    for number in range(count):
        length = (least + (most - least) * (number % 7) / 6) * sounds.RATE
        start = int(number * 41_011 % (len(talk) - length))
        path = files.plain_wav(folder / f"memo-{number:03d}.wav", talk[start : start + int(length)])
        made.append(str(path))
    return made
