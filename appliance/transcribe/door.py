"""At the engine's door: knocking, for as long as it may take, and being welcomed.

In: what an attempt says of itself, and its ring. Out: the line to the engine, and its welcome.

Not here: what is said afterwards (relay).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from appliance import wire
from appliance.errors import EngineUnreachable, EngineVersion, named

WELCOME_SECONDS: Final = 300.0  # for one that loads a large model


def knock(
    path: str, hello: wire.Hello, ring: int, *, patience: float, stop: Callable[[], None]
) -> tuple[wire.Channel, wire.Welcome]:
    """Connect and be welcomed, waiting `patience` seconds for an engine that is just starting.

    `ring` is the descriptor that goes with the greeting. Raises EngineUnreachable, EngineVersion,
    what the engine answers instead, and what `stop` raises.
    """
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError, wire.Hung), contextlib.ExitStack() as unless_welcome:
            engine = unless_welcome.enter_context(wire.connect(path, patience=patience))
            engine.send(hello, [ring])
            welcome = _welcome(engine, stop)
            unless_welcome.pop_all()
            return engine, welcome
        stop()
        if time.monotonic() > until:
            raise EngineUnreachable
        time.sleep(0.2)


def is_another(one: wire.Welcome, other: wire.Welcome) -> bool:
    """Tell whether what one has heard would not stand beside what the other hears."""
    first, second = (
        (one.engine, one.model_sha256, one.compute_type, one.mels) for one in (one, other)
    )
    return first != second


def _welcome(engine: wire.Channel, stop: Callable[[], None]) -> wire.Welcome:
    until = time.monotonic() + WELCOME_SECONDS
    while (got := engine.receive(timeout=1.0)) is None:
        stop()
        if time.monotonic() > until:
            raise EngineUnreachable
    match got[0]:
        case wire.Welcome() as welcome:
            return welcome
        case wire.Fault() as fault:
            raise named(fault.code, fault.detail)
    raise EngineVersion(theirs=0, ours=wire.VERSION)
