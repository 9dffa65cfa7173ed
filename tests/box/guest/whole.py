"""The lane of the whole line: a recording over SMB, the real engine, its transcript over SMB.

The bundled self-test model hears it; every other lane has the engine of the tests. It is the guest
of the lane of the NAS.

Not here: servers that fail (nas).
"""

from __future__ import annotations

import json
import os
from typing import Final

from tests.box import units
from tests.box.guest import lab, nas, shares
from tests.box.guest.lane import Lane
from tests.box.guest.machine import AS_A_BOX, Guest
from tests.box.guest.nas import COLLEAGUE, OPTIONS

_OWN: Final = """
rm /etc/systemd/system/appliance-engine.service.d/99-lab.conf
systemctl daemon-reload; systemctl restart appliance-engine
"""
_NAME: Final = "welcome-english.wav"
_SAMPLES: Final = os.path.join(units.TOP, "appliance", "selftest", "samples")
_FORMATS: Final = ("txt", "srt", "json")
_HEARD: Final = 0.8  # of the words: it is the line that is asked here, not the model
_PATIENCE: Final = 3000.0


def _one(guest: Guest) -> str:
    """Somebody's machine puts a recording there and reads what comes back."""
    guest.go_back(shares.READY)
    guest.run(_OWN)
    with open(os.path.join(_SAMPLES, _NAME), "rb") as stream:
        guest.put(f"/root/{_NAME}", stream.read())
    with open(os.path.join(_SAMPLES, "samples.json"), encoding="utf-8") as told:
        words = next(one["words"] for one in json.load(told) if one["file"] == _NAME)
    guest.run(f"mount -t cifs {nas.BENCH.server.source} {COLLEAGUE} -o {OPTIONS}")
    guest.run(f"cp /root/{_NAME} {COLLEAGUE}/")
    sent = lab.now(guest)
    took = lab.until(guest, "done", _NAME, seconds=_PATIENCE) - sent
    stem = _NAME.removesuffix(".wav")
    there = set(guest.run(f"ls -A {COLLEAGUE} | grep -v -e ^first -e ^second").split())
    assert there == {".transcribe-id", _NAME, *(f"{stem}.{one}" for one in _FORMATS)}, there
    text = guest.run(f"cat {COLLEAGUE}/{stem}.txt").lower()
    heard = [word for word in words if word.lower() in text]
    assert len(heard) >= _HEARD * len(words), text
    whole = json.loads(guest.run(f"cat {COLLEAGUE}/{stem}.json"))
    assert "selftest" in json.dumps(whole), "another model"
    guest.run(f"cmp /root/{_NAME} {COLLEAGUE}/{_NAME}")
    return f"{len(heard)} of {len(words)} words heard, back after {took:.0f} s of its clock"


LANE: Final = Lane(
    "a recording dropped over SMB comes back as text that the real engine heard",
    nas.BENCH.prepare,
    {"one recording": _one},
    shift=AS_A_BOX,
)
