"""The GPU: can the engine use one, does its driver answer, do the libraries load, is there memory?

A box without one is a box without one: that is said once, and calmly.

Not here: which device the engine really listens on (health).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from appliance import cuda
from appliance.doctor import asking
from appliance.health.finding import Finding, Level

_COUNT: Final = (
    "import ctranslate2, json, sys; json.dump(ctranslate2.get_cuda_device_count(), sys.stdout)"
)
_OPEN: Final = """
import json, sys
from appliance import cuda
json.dump(cuda.open_all((*cuda.NEEDED, *cuda.WELCOME), cuda.lying()), sys.stdout)
"""
_SMI: Final = (
    *("nvidia-smi", "--format=csv,noheader,nounits"),
    "--query-gpu=name,driver_version,memory.free,memory.total",
)
_DRIVER: Final = "/proc/driver/nvidia/version"
_SECONDS: Final = 30.0
_LITTLE_MB: Final = 3_000  # a large-v3-turbo in float16, and a turn of it
REMEDY: Final = (
    "Install NVIDIA's driver and the release for GPUs (VERSION+gpu); in a checkout the extra `gpu` "
    "(the libraries of CUDA 12)."
)


def examine(device: str) -> Iterator[Finding]:
    """Ask for it. `device` is what the settings want the engine to run on: auto, cuda or cpu."""
    driver = os.path.exists(_DRIVER)
    usable = asking.program(_COUNT, _SECONDS).plain
    yield whole(device, usable, driver=driver)
    if driver or device == "cuda":
        yield from libraries(opened(), device)
        yield from memory(asking.ask(_SMI, _SECONDS))


def whole(device: str, usable: object, *, driver: bool) -> Finding:
    """What is there to say of the GPU, of which the engine's library counts `usable`."""
    if isinstance(usable, int) and usable:
        asleep = "; the settings say processor" if device == "cpu" else ""
        return Finding("gpu", Level.OK, f"{usable} usable by the engine{asleep}")
    if device == "cuda":
        text = "the settings want one ([engine] device) and none is usable"
        return Finding("gpu", Level.FAIL, text, f"{REMEDY} Or set device to auto.")
    if driver and device != "cpu":
        text = "its driver is here, but the engine cannot use it"
        return Finding("gpu", Level.WARN, text, REMEDY)
    return Finding("gpu", Level.OK, "none; transcripts are made on the processor")


def opened() -> Mapping[str, str | None]:
    """Open each library in a child, as the engine does; what the loader says of each it cannot."""
    told = asking.program(_OPEN, _SECONDS).plain
    if not isinstance(told, dict):
        return dict.fromkeys(cuda.NEEDED, "the child that tried it died")
    return {str(name): None if why is None else str(why) for name, why in told.items()}


def libraries(opens: Mapping[str, str | None], device: str) -> Iterator[Finding]:
    """Does each library open, and what is to be done where one does not?

    An engine that may choose its device then works on the processor; one that may not is down.
    """
    level = Level.FAIL if device == "cuda" else Level.WARN
    for name, why in opens.items():
        if why is None:
            yield Finding("gpu-library", Level.OK, f"{name} opens", subject=name)
        elif name in cuda.WELCOME:
            text = f"{name} does not open; the engine's library needs it no more"
            yield Finding("gpu-library", Level.OK, text, subject=name)
        else:
            yield Finding("gpu-library", level, f"{name} does not open: {why}", REMEDY, name)


def memory(answer: asking.Answer) -> Iterator[Finding]:
    """Does the driver answer, and how much memory is free on each card?"""
    rows = [line.split(", ") for line in answer.said.decode("utf-8", "replace").splitlines()]
    cards = [row for row in rows if len(row) == 4 and row[2].isdigit() and row[3].isdigit()]
    if answer.code != 0 or not cards:
        text = "nvidia-smi does not answer: the driver is not loaded, or does not fit the kernel"
        remedy = "Restart the box; if that does not help, install the driver anew."
        yield Finding("gpu-memory", Level.WARN, text, remedy)
        return
    for number, (name, driver, free, total) in enumerate(cards):
        text = f"{name}, driver {driver}: {free} of {total} MB free"
        if int(free) < _LITTLE_MB:
            remedy = "Close other programs on the GPU, or choose a smaller model."
            yield Finding("gpu-memory", Level.WARN, text, remedy, str(number))
        else:
            yield Finding("gpu-memory", Level.OK, text, subject=str(number))
