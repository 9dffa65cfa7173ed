"""Which of several audio tracks we listen to.

The one in the language that was asked for, else the one the file calls its default, else
the first; a track of comments or audio description only when there is no other.

Not here: opening the container (media).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from av.audio.stream import AudioStream
from av.stream import Disposition

# ISO 639-1 and what containers call the same language (ISO 639-2, both spellings).
_THREE_LETTERS: Final = """
    af afr | am amh | ar ara | as asm | az aze | ba bak | be bel | bg bul | bn ben | bo bod tib
    br bre | bs bos | ca cat | cs ces cze | cy cym wel | da dan | de deu ger | el ell gre | en eng
    es spa | et est | eu eus baq | fa fas per | fi fin | fo fao | fr fra fre | gl glg | gu guj
    ha hau | haw haw | he heb | hi hin | hr hrv | ht hat | hu hun | hy hye arm | id ind | is isl ice
    it ita | ja jpn | jw jav jv | ka kat geo | kk kaz | km khm | kn kan | ko kor | la lat | lb ltz
    ln lin | lo lao | lt lit | lv lav | mg mlg | mi mri mao | mk mkd mac | ml mal | mn mon | mr mar
    ms msa may | mt mlt | my mya bur | ne nep | nl nld dut | nn nno | no nor nob | oc oci | pa pan
    pl pol | ps pus | pt por | ro ron rum | ru rus | sa san | sd snd | si sin | sk slk slo | sl slv
    sn sna | so som | sq sqi alb | sr srp | su sun | sv swe | sw swa | ta tam | te tel | tg tgk
    th tha | tk tuk | tl tgl fil | tr tur | tt tat | uk ukr | ur urd | uz uzb | vi vie | yi yid
    yo yor | yue yue | zh zho chi cmn
"""
_SPOKEN_OTHERWISE: Final = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.clean_effects
)


def _names() -> dict[str, frozenset[str]]:
    rows = [row.split() for line in _THREE_LETTERS.split("\n") for row in line.split("|")]
    return {row[0]: frozenset(row) for row in rows if row}


_NAMES: Final = _names()


def choose(tracks: Sequence[AudioStream], language: str | None) -> AudioStream:
    """Pick one of `tracks`, of which there is at least one."""
    return min(tracks, key=lambda track: _rank(track, language))


def speaks(tag: str | None, language: str) -> bool:
    """Tell whether a container's language `tag` ("deu", "ger", "de-AT") means `language`."""
    said = (tag or "").lower().replace("_", "-").split("-")[0]
    return said in _NAMES.get(language, frozenset({language}))


def _rank(track: AudioStream, language: str | None) -> tuple[bool, bool, bool]:
    return (
        language is not None and not speaks(track.language, language),
        bool(track.disposition & _SPOKEN_OTHERWISE),
        not track.disposition & Disposition.default,
    )
