"""Serve one recording, and say how it ended: every error of the child ends here.

Not here: the talk (talk), giving up rights (limits, __main__).
"""

from __future__ import annotations

import logging
import os
import wave

import av
import numpy as np

from appliance import journal, limits
from appliance.decode import complaints
from appliance.decode.ahead import Ahead
from appliance.decode.media import open_media
from appliance.decode.reading import Bytes
from appliance.decode.sound import Sound
from appliance.decode.talk import Attempt, receive_begin
from appliance.errors import ApplianceError, Bug, OverMemory, SourceUnreadable
from appliance.windows import CHUNK, VoiceDetector, log_mel, windows
from appliance.wire import Begin, Channel, Failed, Hung, Said

log = logging.getLogger("appliance.decode")


def serve(channel: Channel, held_in: limits.Limits, ahead: Ahead, nowhere: int) -> int:
    """Wait for a recording on `channel`, do it, and return what the process exits with.

    `nowhere` is what takes the place of the log before the first byte of the recording is read.
    """
    try:
        begin, source, ring = receive_begin(channel)
        limits.start_clock(held_in)
        with journal.about(**begin.about):
            attempt = Attempt(channel, begin, source, ring, ahead)
            return _attempt(channel, attempt, begin, nowhere)
    except Hung:
        return 0  # cancelled, or the worker died: nobody wants the rest


def _attempt(channel: Channel, attempt: Attempt, begin: Begin, nowhere: int) -> int:
    log.info("reading")
    complaints.to_the_worker_alone()
    limits.be_mute(nowhere)
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
        log.info("libav: %s", why.strerror, extra={"code": SourceUnreadable.code})
        _fail(channel, SourceUnreadable(name=begin.name))
    except Exception as bug:
        log.exception("bug", extra={"code": Bug.code})
        _fail(channel, Bug(name=begin.name, what=f"{type(bug).__name__}: {bug}"[:500]))
    return 0


def _fail(channel: Channel, error: ApplianceError) -> None:
    if lines := complaints.taken():
        channel.send(Said(lines))
    channel.send(Failed(error.code, error.detail))


def get_warm() -> None:
    """Do it all once with a second of silence: nothing is loaded later, when no path opens."""
    complaints.listen()
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
