"""A decoder that was taken over, behind its walls: what it tries, and what comes of it.

With a kernel that has memory to limit, and every wall taken down: tests.box.guest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import wire
from appliance.decoders import DecodeChild, Decoders
from appliance.limits import Limits, probe
from appliance.nouns import Usage
from tests.box.guest import hostile


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Usage]:
    """Decoders turn from here on; what each has used up comes in."""
    if probe().missing():
        pytest.skip("not every wall stands on this platform")
    shutil.copy(hostile.__file__, tmp_path / "sitecustomize.py")
    ours = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [ours])]))
    return []


@contextlib.contextmanager
def turned(name: str, used: list[Usage], limits: Limits) -> Iterator[DecodeChild]:
    """Lend a decoder that has been told to read a recording of that name."""
    with (
        Decoders(Limits()) as decoders,
        decoders.take(limits, name="1-1", used=used.append) as child,
        contextlib.closing(wire.Ring.create(1)) as ring,
    ):
        sound = os.memfd_create("sound")
        begin = wire.Begin(
            name=name, mels=80, slots=1, max_seconds=60.0, language=None, vad=False, about={}
        )
        child.channel.send(begin, [sound, ring.fd])
        os.close(sound)
        yield child


def test_behind_its_walls_every_door_is_shut(used: list[Usage]) -> None:
    said: list[str] = []
    with turned("pries.wav", used, Limits()) as child:
        while (got := child.channel.receive(timeout=60)) is not None:
            if isinstance(got[0], wire.Failed):
                break
            assert isinstance(got[0], wire.Said)
            said += got[0].lines
    assert len(said) == len(hostile.DOORS)
    assert not [line for line in said if line.endswith(": open")]


def test_it_speaks_in_nobodys_log(used: list[Usage], capfd: pytest.CaptureFixture[str]) -> None:
    with turned("shouts.wav", used, Limits()) as child:
        child.process.wait(60)
    heard = capfd.readouterr()
    assert '"reading"' in heard.err, "up to its first byte it has a log"
    assert "forged" not in heard.out + heard.err


def test_memory_behind_the_back_of_its_rlimit_is_noticed(used: list[Usage]) -> None:
    with turned("eats-memory.wav", used, Limits(memory_mb=200)) as child:
        ended = child.process.wait(60)
    assert ended is not None
    assert ended.out_of_memory
    assert (used[0].memory_peak or 0) > 200 << 20
