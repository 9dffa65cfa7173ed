"""The models we know by name: where each lies on the hub, and the commit we take.

A commit of the hub names every byte of a repository, so these names mean the same
weights on every box until we change a line here. Each commit is the one that many
public projects pin. Any other model has to be named in full (`--repository`).

Not here: fetching (hub).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HUB: Final = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a model comes from."""

    repository: str
    revision: str | None  # None: whatever `main` is at the first pull


def _systran(name: str, revision: str) -> Home:
    return Home(f"Systran/{name}", revision)


# fmt: off
HOMES: Final[Mapping[str, Home]] = {
    "tiny": _systran("faster-whisper-tiny", "d90ca5fe260221311c53c58e660288d3deb8d356"),
    "tiny.en": _systran("faster-whisper-tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba"),
    "base": _systran("faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
    "base.en": _systran("faster-whisper-base.en", "3d3d5dee26484f91867d81cb899cfcf72b96be6c"),
    "small": _systran("faster-whisper-small", "536b0662742c02347bc0e980a01041f333bce120"),
    "small.en": _systran("faster-whisper-small.en", "d1d751a5f8271d482d14ca55d9e2deeebbae577f"),
    "medium": _systran("faster-whisper-medium", "08e178d48790749d25932bbc082711ddcfdfbc4f"),
    "medium.en": _systran("faster-whisper-medium.en", "a29b04bd15381511a9af671baec01072039215e3"),
    "large-v2": _systran("faster-whisper-large-v2", "f0fe81560cb8b68660e564f55dd99207059c092e"),
    "large-v3": _systran("faster-whisper-large-v3", "edaa852ec7e145841d8ffdb056a99866b5f0a478"),
    "large-v3-turbo": Home(
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo", "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf"
    ),
    "distil-small.en": _systran(
        "faster-distil-whisper-small.en", "ef77d90526ccd62cde3808ee70626a01e5cf83e4"
    ),
    "distil-medium.en": _systran(
        "faster-distil-whisper-medium.en", "80ddfce281f77766d8943d63109199fc8145dfa5"
    ),
    "distil-large-v3": _systran(
        "faster-distil-whisper-large-v3", "c3058b475261292e64a0412df1d2681c06260fab"
    ),
    "distil-large-v3.5": Home(
        "distil-whisper/distil-large-v3.5-ct2", "9793ccc07920e0f830e1dba0343efcdf0ef8c903"
    ),
}
# fmt: on
