"""Does the engine use the GPU? It says so itself, every second.

Not here: what keeps it from doing so (doctor), choosing (engine).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import pulse
from appliance.errors import GpuLibrary, GpuMissing
from appliance.health.finding import Finding, Level, named
from appliance.settings import Settings
from appliance.store.ledger import Ledger


def used(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Does the engine use the GPU that the settings ask for, or that is here?"""
    facts = pulse.read(settings.run_dir)
    device = facts.get("device")
    if settings.engine.device == "cuda" and device == "cpu":
        yield named("gpu", GpuMissing())
    elif library := facts.get("lacking"):
        yield named("gpu", GpuLibrary(library=library), level=Level.WARN)
    elif device in ("cuda", "cpu"):
        where = "a GPU" if device == "cuda" else "the processor"
        yield Finding("gpu", Level.OK, f"the engine listens on {where}")
