"""Frames between worker, decode child and engine, and the ring the sound lies in.

Here: the messages, how one crosses a unix SOCK_SEQPACKET socket (JSON, file descriptors
by SCM_RIGHTS), and the ring: a memfd cut into slots of one window's log-mel each, written
by the child, read by the engine, never touched by the worker.

The talk of one attempt, in order:

    worker → engine  Hello (+ ring)        engine → worker  Welcome
    worker → child   Begin (+ source, ring)
    child  → worker  Found, then Ready per window, Decoded and Said now and then, Ended or Failed
    worker → engine  Listen per window     engine → worker  Heard or Fault per window and task,
                                                            Begun where one is heard alone,
                                                            Turned while others are heard
    worker → child   Free per window       worker → engine  hangs up: done, or cancelled

    messages   what can be said
    channel    saying it
    ring       where the sound lies

Not here: what the worker does with it (transcribe), the model (engine), the file (decode).
"""

from appliance.wire import channel
from appliance.wire.channel import Channel, Deaf, Hung, connect, listen
from appliance.wire.messages import (
    VERSION,
    Begin,
    Begun,
    Decoded,
    Ended,
    Failed,
    Fault,
    Found,
    Free,
    Heard,
    Hello,
    Listen,
    Message,
    Ready,
    Said,
    Turned,
    Welcome,
)
from appliance.wire.ring import MAX_MELS, SLOT_BYTES, Ring

__all__ = [
    "MAX_MELS",
    "SLOT_BYTES",
    "VERSION",
    "Begin",
    "Begun",
    "Channel",
    "Deaf",
    "Decoded",
    "Ended",
    "Failed",
    "Fault",
    "Found",
    "Free",
    "Heard",
    "Hello",
    "Hung",
    "Listen",
    "Message",
    "Ready",
    "Ring",
    "Said",
    "Turned",
    "Welcome",
    "channel",
    "connect",
    "listen",
]
