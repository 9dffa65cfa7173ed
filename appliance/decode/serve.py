"""Serve one recording, and say how it ended: every error of the child ends here.

Not here: the talk (talk), giving up rights (limits, __main__).
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import wave
from typing import Final

import av
import numpy as np

from appliance import limits
from appliance.decode.media import Bytes, open_media
from appliance.decode.sound import Sound
from appliance.decode.talk import Attempt, receive_begin
from appliance.errors import ApplianceError, Bug, OverMemory, SourceUnreadable
from appliance.windows import CHUNK, VoiceDetector, log_mel, windows
from appliance.wire import Begin, Channel, Failed, Hung

_LOG_LINES: Final = 200  # of libav's, in one attempt


def serve(channel: Channel, held_in: limits.Limits) -> int:
    """Wait for a recording on `channel`, do it, and return what the process exits with."""
    try:
        begin, source, ring = receive_begin(channel)
        limits.start_clock(held_in)
        return _attempt(channel, Attempt(channel, begin, source, ring), begin)
    except Hung:
        return 0  # cancelled, or the worker died: nobody wants the rest


def _attempt(channel: Channel, attempt: Attempt, begin: Begin) -> int:
    try:
        attempt.run()
    except Hung:
        raise
    except MemoryError:
        _fail(channel, OverMemory(name=begin.name))
        return limits.OUT_OF_MEMORY
    except ApplianceError as error:
        _fail(channel, error)
    except av.FFmpegError as why:
        print(f"libav: {why}", file=sys.stderr)  # noqa: T201 - the attempt's log
        _fail(channel, SourceUnreadable(name=begin.name))
    except Exception as bug:  # noqa: BLE001 - the one catch of this process
        traceback.print_exc()
        _fail(channel, Bug(name=begin.name, what=f"{type(bug).__name__}: {bug}"[:500]))
    return 0


def _fail(channel: Channel, error: ApplianceError) -> None:
    channel.send(Failed(error.code, error.detail))


def get_warm() -> None:
    """Do it all once with a second of silence: nothing is loaded later, when no path opens."""
    logger = logging.getLogger("libav")
    logger.addHandler(_Log())
    logger.propagate = False
    av.logging.set_level(av.logging.WARNING)
    source = os.memfd_create("rehearsal")
    with wave.open(os.fdopen(source, "wb", closefd=False), "wb") as silence:
        silence.setparams((2, 2, 48_000, 0, "NONE", ""))
        silence.writeframes(bytes(4 * 48_000))
    media = open_media(Bytes(source, lambda: None), name="", language=None, max_seconds=2.0)
    sound = Sound(media, max_seconds=2.0)
    for _, samples in windows(sound.blocks(), vad=False):
        log_mel(samples, 80)
    VoiceDetector().judge(np.zeros(CHUNK, np.float32))
    media.container.close()
    os.close(source)


class _Log(logging.Handler):
    """Libav's complaints, to stderr, until they have said enough."""

    def __init__(self) -> None:
        super().__init__()
        self._left = _LOG_LINES

    def emit(self, record: logging.LogRecord) -> None:
        if self._left:
            self._left -= 1
            said = ascii(record.getMessage().strip()[:300])[1:-1]  # it quotes the file's own tags
            print(f"{record.name}: {said}", file=sys.stderr)  # noqa: T201
