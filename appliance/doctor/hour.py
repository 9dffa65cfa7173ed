"""The clock: does somebody set it, how far off may it be, and does it agree with the box's own?

The kernel is asked (adjtimex(2)), because it knows whoever keeps its time, whatever that
program is called; and the clock with the battery, which a box starts by.

Not here: a clock that went back (health).
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.health.finding import Finding, Level
from appliance.health.keeping import spell

_UNSET: Final = 0x0040  # STA_UNSYNC, linux/timex.h
_RTC: Final = "/sys/class/rtc/rtc0/since_epoch"
_FAR_SECONDS: Final = 5.0  # between the two clocks; the one with the battery has no fractions
_SET_IT: Final = (
    "`timedatectl set-ntp true` with a server of your network in "
    "/etc/systemd/timesyncd.conf; file servers and this box should agree within a second."
)


class _Timex(ctypes.Structure):
    """struct timex; only what is read has a name of its own."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What the kernel says of its clock."""

    is_set: bool  # somebody keeps it right
    off_seconds: float  # by so much at most, as whoever does says


def examine() -> Iterator[Finding]:
    """Ask the kernel, and compare the clocks."""
    yield told(kept(), apart())


def kept() -> Kept | None:
    """Ask the kernel, changing nothing; None where it does not say."""
    state = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state)) < 0:
        return None
    return Kept(not state.status & _UNSET, state.maxerror / 1e6)


def apart(file: str = _RTC) -> float | None:
    """How many seconds our clock is ahead of the one with the battery; None without one."""
    try:
        with open(file, encoding="ascii") as stream:
            return time.time() - int(stream.read())
    except (OSError, ValueError):
        return None


def told(state: Kept | None, ahead: float | None) -> Finding:
    """What follows for a person."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    zone = os.environ.get("TZ") or time.strftime("%Z")
    text = f"{now}, zone {zone}"
    if ahead is not None and abs(ahead) > _FAR_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        text += f"; {spell(abs(ahead))} ({abs(ahead):.0f} s) {way} the clock with the battery"
        remedy = "`timedatectl` tells both; `hwclock --systohc` once the time is right."
        return Finding("time", Level.WARN, text, remedy)
    if state is None:
        return Finding("time", Level.OK, f"{text}; the kernel does not say who sets it")
    if not state.is_set:
        return Finding("time", Level.WARN, f"{text}; nobody sets it", _SET_IT)
    return Finding(
        "time", Level.OK, f"{text}; set by NTP, off by {state.off_seconds:.3f} s at most"
    )
