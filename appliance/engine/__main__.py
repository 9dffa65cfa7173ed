"""`python -m appliance.engine [SETTINGS]`: load, listen, keep warm, until TERM.

It also ends by itself: idle for as long as the settings say, so that memory and GPU are
free (it is started again cold), or with a turn that never ends, which nothing else would
mend.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Mapping
from typing import Final

import ctranslate2

from appliance import choices, cuda, daemon, journal, pulse, settings, weights, wire
from appliance.engine.batcher import TRY_LATER, Batcher, Call
from appliance.engine.hearing import Listener
from appliance.engine.model import Model
from appliance.engine.probe import Probe
from appliance.engine.server import House, accept
from appliance.errors import (
    WARNINGS,
    ApplianceError,
    GpuLibrary,
    GpuMemory,
    ModelCorrupt,
    SettingsInvalid,
)
from appliance.settings import EngineSettings, Settings

log = logging.getLogger("appliance.engine")
STUCK_SECONDS: Final = 240.0  # of one turn; the slowest are to take half a minute
_BEAT_SECONDS: Final = 1.0
_BATCH: Final = {"cpu": 4, "cuda": 16}
_SHORT_ONES: Final = 2  # times as many in a turn; where people say how many, they mean it
_LANES: Final = 4  # on a processor, at most: from there on a turn has more threads
_FRUGAL: Final = "int8"


def device_of(engine: EngineSettings) -> str:
    """cuda where one is present, not refused and can be computed on, else cpu.

    Raises GpuLibrary where the settings insist on one that is present and cannot.
    """
    if (library := lacking(engine)) and engine.device == "cuda":
        raise GpuLibrary(library=library)
    return "cuda" if _is_present(engine) and library is None else "cpu"


def lacking(engine: EngineSettings) -> str | None:
    """The library for want of which a GPU is left alone that is present and not refused."""
    return cuda.lacking() if _is_present(engine) else None


def _is_present(engine: EngineSettings) -> bool:
    return engine.device != "cpu" and ctranslate2.get_cuda_device_count() > 0


def best_of(device: str) -> str:
    """The type of weights that is fastest on a device and loses nothing that can be heard."""
    wanted = ("float16", "bfloat16", "int8_float32") if device == "cuda" else ("int8",)
    there = ctranslate2.get_supported_compute_types(device)
    return next((kind for kind in wanted if kind in there), "default")


def lanes_of(engine: EngineSettings) -> tuple[int, int]:
    """How many turns at once, and the threads of each."""
    if device_of(engine) == "cuda":
        return 1, 1
    processors = engine.threads or len(os.sched_getaffinity(0))
    lanes = min(processors, _LANES)
    return lanes, processors // lanes


def loader(site: Settings, name: str, *, frugal: bool = False) -> Model:
    """Open a model as the settings say; frugal: as small as it gets. Raises ApplianceError."""
    folder = weights.find(name, site.model_dir)
    engine = site.engine
    device = device_of(engine)
    kind = best_of(device) if engine.compute_type == "auto" else engine.compute_type
    lanes, threads = lanes_of(engine)
    try:
        model = Model(
            folder,
            device=device,
            compute_type=_FRUGAL if frugal else kind,
            threads=threads,
            lanes=lanes,
        )
    except (RuntimeError, ValueError) as error:
        if "out of memory" in str(error).lower():
            raise GpuMemory(model=name) from error
        raise ModelCorrupt(model=name, why=str(error)) from error
    if device == "cpu" and engine.device != "cpu":
        log.warning("warning.cpu-fallback: %s", WARNINGS["warning.cpu-fallback"].message)
    log.info("model %s on %s, %s", name, model.device, model.compute_type)
    return model


def batch_of(site: Settings, model: Listener) -> int:
    """How many windows a turn may have: as the settings say, or as was found out."""
    if site.engine.batch or model.device == "cpu":
        return site.engine.batch or _BATCH["cpu"]
    return Probe(site.state_dir).batch(model)


def warm_up(site: Settings, batcher: Batcher) -> None:
    """Ask for the first share's model before anybody needs it."""
    said = choices.known(site)
    wanted = {said.options_for(share).model for share in said.share} or {weights.SELFTEST}

    def told(model: Listener | ApplianceError) -> None:
        if isinstance(model, ApplianceError):
            log.error("%s %s", model, model.next_step)

    for name in sorted(wanted)[:1]:
        batcher.call(Call(name, told))


def beat(batcher: Batcher, site: Settings, stopped: threading.Event) -> None:
    """Say every second how it goes, for the page and systemd; and end where a turn never does."""
    where = {"device": device_of(site.engine), "lacking": lacking(site.engine)}
    before: int | None = None
    while not stopped.wait(_BEAT_SECONDS):
        if batcher.stuck_for() > STUCK_SECONDS:
            log.critical("a turn does not end: the engine starts afresh")
            os._exit(TRY_LATER)
        facts = {**where, **batcher.status()}
        pulse.write(site.run_dir, facts)
        before = prove(batcher.turns_ended(), before, facts)


def prove(ended: int | None, before: int | None, facts: Mapping[str, object]) -> int | None:
    """Feed systemd's watchdog where a turn has ended since, or none is owed; `ended` is returned.

    This thread lives on when every lane hangs, so that it runs is no proof of anything.
    """
    if ended is None or ended != before:
        daemon.progressed(f"{facts['busy']} lanes busy, {facts['waiting']} windows wait")
    return ended


def main() -> int:
    """Serve until TERM or INT."""
    site = settings.load(sys.argv[1] if len(sys.argv) > 1 else None)
    journal.to_stderr("engine")
    os.makedirs(site.run_dir, mode=0o770, exist_ok=True)
    engine = site.engine
    if (library := lacking(engine)) and device_of(engine) == "cpu":
        idle = GpuLibrary(library=library)
        log.warning("%s %s", idle, idle.next_step)
    batcher = Batcher(
        lambda name, frugal: loader(site, name, frugal=frugal),
        batch=lambda model: batch_of(site, model),
        idle_unload_s=engine.idle_unload_s,
        lanes=lanes_of(engine)[0],
        short_ones=1 if engine.batch or device_of(engine) == "cuda" else _SHORT_ONES,
    )
    house = House(
        batcher,
        engine.batch or _BATCH[device_of(engine)],
        wanted_gpu=engine.device == "cuda",
        shorten=engine.shorten,
    )
    door = wire.listen(site.engine_socket)
    stopped = threading.Event()

    def stop(_signum: int, _frame: types.FrameType | None) -> None:
        daemon.stopping()
        batcher.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=accept, args=(door, house), daemon=True).start()
    threading.Thread(target=beat, args=(batcher, site, stopped), daemon=True).start()
    if not engine.idle_unload_s:
        warm_up(site, batcher)
    daemon.ready()
    batcher.run()
    stopped.set()
    door.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ApplianceError as error:
        sys.stderr.write(f"{error}\n{error.next_step}\n")
        sys.exit(78 if isinstance(error, SettingsInvalid) else TRY_LATER)
