"""The weights of every profile: are they what their manifest says, byte for byte?

Not here: what is known without reading them (health.models).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from appliance import weights
from appliance.errors import ApplianceError
from appliance.health import models
from appliance.health.finding import Finding, Level, named
from appliance.settings import Settings

CODE: Final = "model-hash"


def examine(settings: Settings, *, thorough: bool) -> Iterator[Finding]:
    """Name the digest of each model; `thorough` reads every byte of it for that."""
    for name in models.wanted(settings):
        try:
            yield _read(name, settings) if thorough else _believed(name, settings)
        except ApplianceError as error:
            yield named(CODE, error, subject=name)


def _read(name: str, settings: Settings) -> Finding:
    found = weights.verify(name, settings.model_dir)
    against = "as its manifest says" if found.manifest else "no manifest lies with it"
    text = f"{name} is {found.sha256[:12]}, {found.size / 1e6:,.0f} MB, {against}"
    return Finding(CODE, Level.OK, text, subject=name)


def _believed(name: str, settings: Settings) -> Finding:
    """Without reading it: every file is there and as long as it should be."""
    weights.glance(name, settings.model_dir)
    digest = _promised(name, settings)
    promised = f"{name} should be {digest}; it" if digest else name
    return Finding(CODE, Level.OK, f"{promised} was not read through", subject=name)


def _promised(name: str, settings: Settings) -> str | None:
    for found in weights.listing(settings.model_dir):
        if not isinstance(found, weights.ModelFolder) or found.manifest is None:
            continue
        if found.name == name.partition("@")[0]:
            return found.sha256[:12]
    return None
