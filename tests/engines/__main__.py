"""The shelf of engines that behave badly, and one that behaves well without a model.

    python -m tests.engines MODE SOCKET

In the place of the real one (APPLIANCE_ENGINE_CMD) it is handed the settings file instead of
a socket, and listens where that says.

They speak the real protocol over the real socket. What the well-behaved one hears is a
word per second of each window, named for the window, so that a test can tell whether
every window was heard once and in its place.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from appliance import weights, wire
from appliance.nouns import Segment, Word
from appliance.settings import load

WELCOME = wire.Welcome(
    version=wire.VERSION,
    engine="test engine",
    model="selftest",
    model_sha256="0" * 64,
    mels=80,
    multilingual=True,
    device="cpu",
    compute_type="int8",
    fallback=False,
)


def hear(listen: wire.Listen, task: str, language: str) -> wire.Heard:
    """A word for every full second of the window."""
    words = tuple(
        Word(float(n), n + 0.5, f" w{listen.window.index}.{n}", 1.0)
        for n in range(int(listen.window.seconds))
    )
    text = "".join(word.word for word in words)
    end = words[-1].end if words else 0.0
    segment = Segment(0, 0, 0.0, end, text, (), 0.0, -0.1, 1.0, 0.0, words)
    return wire.Heard(listen.window.index, task, language, 0.9, (segment,) if words else ())


class Engine:
    """One engine; `answer` is what a mode overrides."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.heard = 0
        self.mark = f"{path}.died"  # survives the process, as nothing in it does

    def serve(self) -> None:
        """Take one worker after the other."""
        door = wire.listen(self.path)
        while True:
            sock, _ = door.accept()
            threading.Thread(target=self.talk, args=(wire.Channel(sock),), daemon=True).start()

    def talk(self, channel: wire.Channel) -> None:
        """Answer until the worker hangs up."""
        with channel:
            try:
                while True:
                    got = channel.receive()
                    if got is not None:
                        for fd in got[1]:
                            os.close(fd)
                        self.take(channel, got[0])
            except wire.Hung:
                pass

    def take(self, channel: wire.Channel, message: wire.Message) -> None:
        """One frame."""
        if isinstance(message, wire.Hello):
            channel.send(WELCOME)
        elif isinstance(message, wire.Listen):
            self.heard += 1
            if message.alone:
                channel.send(wire.Begun(message.window.index))
            self.answer(channel, message)

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        """Hear one window."""
        for task in listen.tasks:
            channel.send(hear(listen, task, listen.language or "en"))


class Counts(Engine):
    """Leaves a byte in SOCKET.heard for every window, which outlives every process.

    Names the weights that the worker finds, as the real engine does.
    """

    def take(self, channel: wire.Channel, message: wire.Message) -> None:
        if isinstance(message, wire.Hello):
            weights_sha256 = weights.find(weights.SELFTEST, "").sha256
            channel.send(replace(WELCOME, model_sha256=weights_sha256))
        else:
            super().take(channel, message)

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        with open(f"{self.path}.heard", "ab") as stream:
            stream.write(b".")
        super().answer(channel, listen)


class DiesOnce(Engine):
    """Dies with its second window in hand, the first time only."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        if self.heard == 2 and not os.path.exists(self.mark):
            with open(self.mark, "w", encoding="ascii"):
                os._exit(1)
        super().answer(channel, listen)


class Grows(DiesOnce):
    """Has other weights when it comes back."""

    def take(self, channel: wire.Channel, message: wire.Message) -> None:
        if isinstance(message, wire.Hello) and os.path.exists(self.mark):
            channel.send(replace(WELCOME, model_sha256="1" * 64))
        else:
            super().take(channel, message)


class Crowded(Engine):
    """Is at others' windows for six seconds, of which it tells, before each of ours."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        for _ in range(24):
            channel.send(wire.Turned())
            time.sleep(0.25)
        super().answer(channel, listen)


class Poisoned(Engine):
    """Dies of window 1, every time."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        if listen.window.index == 1:
            os._exit(1)
        super().answer(channel, listen)


class Mute(Engine):
    """Is polite and never says a word about a window."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        del channel, listen
        time.sleep(0.01)


class Leaves(Engine):
    """Goes with a window in hand, and is not seen again."""

    def serve(self) -> None:
        if not os.path.exists(self.mark):
            super().serve()
        time.sleep(60)

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        del channel, listen
        with open(self.mark, "w", encoding="ascii"):
            os.unlink(self.path)
            os._exit(1)


class Deafens(Engine):
    """Says welcome and hears nothing more, the first time only: as one that has just died."""

    def take(self, channel: wire.Channel, message: wire.Message) -> None:
        super().take(channel, message)
        if isinstance(message, wire.Hello) and not os.path.exists(self.mark):
            with open(self.mark, "w", encoding="ascii"):
                sock = socket.socket(fileno=os.dup(channel.fileno()))
                sock.shutdown(socket.SHUT_RD)
                time.sleep(2.0)  # the worker is not told: it finds out when it speaks
                sock.close()


class Stops(Engine):
    """Is stopped in the middle, as by a debugger or a driver that hangs."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        del channel, listen
        os.kill(os.getpid(), signal.SIGSTOP)


class Babbles(Engine):
    """Sends what is no frame."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        del listen
        sock = socket.socket(fileno=os.dup(channel.fileno()))
        sock.send(b'["heard",{"index":"zero"}]')
        sock.close()


class Repeats(Engine):
    """Answers everything twice, and speaks of windows nobody sent."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        for task in listen.tasks:
            said = hear(listen, task, listen.language or "en")
            for one in (replace(said, index=999), said, said):
                channel.send(one)


class Wavers(Engine):
    """Takes the second window for German while nobody has told the language."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        guess = "de" if listen.window.index == 1 else "en"
        for task in listen.tasks:
            channel.send(hear(listen, task, listen.language or guess))


class OutOfMemory(Engine):
    """Has no memory for anything."""

    def answer(self, channel: wire.Channel, listen: wire.Listen) -> None:
        channel.send(wire.Fault(listen.window.index, "node.gpu-memory", {"model": "selftest"}))


class Stranger(Engine):
    """Speaks another version of the protocol."""

    def take(self, channel: wire.Channel, message: wire.Message) -> None:
        del message
        fault = wire.Fault(-1, "node.engine-version", {"theirs": 2, "ours": 1})
        channel.send(fault)


MODES: dict[str, Callable[[str], Engine]] = {
    "good": Engine,
    "counts": Counts,
    "dies-once": DiesOnce,
    "grows": Grows,
    "crowded": Crowded,
    "poisoned": Poisoned,
    "mute": Mute,
    "leaves": Leaves,
    "deafens": Deafens,
    "stops": Stops,
    "babbles": Babbles,
    "repeats": Repeats,
    "wavers": Wavers,
    "out-of-memory": OutOfMemory,
    "stranger": Stranger,
}


def door(path: str) -> str:
    """Where to listen: at the socket itself, or at the one a settings file leads to."""
    if not path.endswith(".toml"):
        return path
    settings = load(path)
    os.makedirs(settings.run_dir, exist_ok=True)
    return settings.engine_socket


if __name__ == "__main__":
    MODES[sys.argv[1]](door(sys.argv[2])).serve()
