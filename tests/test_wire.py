"""What reaches the other end of a talk."""

from __future__ import annotations

import pytest

from appliance.wire import Channel, Ended, Free, Hung


def test_last_words_arrive_although_ours_were_never_read() -> None:
    ours, socket = Channel.pair()
    last = Ended(seconds=1.0, speech=1.0, windows=1, damaged=0, missing=0.0)
    with ours:
        with Channel(socket) as theirs:
            ours.send(Free(0))
            theirs.send(last)
        assert ours.receive(1) == (last, [])
        with pytest.raises(Hung):
            ours.receive(1)
