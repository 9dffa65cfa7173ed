"""`python -m appliance.engine [SETTINGS]`: load, listen, keep warm, until TERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import types

import ctranslate2

from appliance import daemon, journal, settings, weights, wire
from appliance.engine.batcher import Batcher, Call
from appliance.engine.model import Model
from appliance.engine.server import accept
from appliance.errors import WARNINGS, ApplianceError, GpuMemory, ModelCorrupt
from appliance.settings import EngineSettings, Settings

log = logging.getLogger("appliance.engine")


def device_of(engine: EngineSettings) -> str:
    """cuda where one is present and not refused, else cpu."""
    if engine.device == "cpu" or not ctranslate2.get_cuda_device_count():
        return "cpu"
    return "cuda"


def loader(site: Settings, name: str) -> Model:
    """Open a model as the settings say. Raises ApplianceError."""
    folder = weights.find(name, site.model_dir)
    engine = site.engine
    device = device_of(engine)
    default = "float16" if device == "cuda" else "int8"
    kind = default if engine.compute_type == "auto" else engine.compute_type
    threads = engine.threads or len(os.sched_getaffinity(0))
    try:
        model = Model(folder, device=device, compute_type=kind, threads=threads)
    except (RuntimeError, ValueError) as error:
        if "out of memory" in str(error).lower():
            raise GpuMemory(model=name) from error
        raise ModelCorrupt(model=name, why=str(error)) from error
    if device == "cpu" and engine.device != "cpu":
        log.warning("warning.cpu-fallback: %s", WARNINGS["warning.cpu-fallback"].message)
    log.info("model %s on %s, %s", name, model.device, model.compute_type)
    return model


def warm_up(site: Settings, batcher: Batcher) -> None:
    """Ask for the first share's model before anybody needs it."""
    wanted = {site.options_for(share).model for share in site.share} or {weights.SELFTEST}

    def told(model: Model | ApplianceError) -> None:
        if isinstance(model, ApplianceError):
            log.error("%s %s", model, model.next_step)

    for name in sorted(wanted)[:1]:
        batcher.call(Call(name, told))


def main() -> int:
    """Serve until TERM or INT."""
    site = settings.load(sys.argv[1] if len(sys.argv) > 1 else None)
    journal.to_stderr("engine")
    os.makedirs(site.run_dir, mode=0o770, exist_ok=True)
    device = device_of(site.engine)
    batcher = Batcher(
        lambda name: loader(site, name),
        batch=site.engine.batch or (16 if device == "cuda" else 4),
        idle_unload_s=site.engine.idle_unload_s,
    )
    door = wire.listen(site.engine_socket)

    def stop(_signum: int, _frame: types.FrameType | None) -> None:
        batcher.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    wanted_gpu = site.engine.device == "cuda"
    threading.Thread(
        target=accept, args=(door, batcher), kwargs={"wanted_gpu": wanted_gpu}, daemon=True
    ).start()
    warm_up(site, batcher)
    daemon.ready()
    batcher.run()
    door.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ApplianceError as error:
        sys.stderr.write(f"{error}\n{error.next_step}\n")
        sys.exit(78)
