"""Everything a support call asks first: what this platform allows, and how the box is.

Asked by a person who wonders why. Beside health's questions it starts children of its own,
looks how far one can be confined, reads models through and tries each share; whatever might
hang does so in a child that is given seconds. It changes nothing: a ledger that is not there
is not made, one that is damaged is not mended.

    platform     versions, walls around a decoder, limits, allocator, machine
    gpu          driver, libraries, free memory
    certificate  until when the one of the page holds
    hour         does somebody set the clock, and how far off may it be?
    models       weights against their manifests, every byte
    ledger       its journal and its disk; health's questions, asked even of a ledger that is lost
    mounted      shares of file servers as they are mounted, against the settings
    trying       each share tried by the verb that tries one
    asking       a question to a child that may hang

Not here: the questions of health (health.checks), what is sent away of all this (support).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor import certificate, gpu, hour, ledger, models, mounted, platform, trying
from appliance.doctor.ledger import findings as asked
from appliance.doctor.platform import LIBRARIES, SQLITE
from appliance.health.finding import Finding
from appliance.settings import Settings

__all__ = ["LIBRARIES", "SQLITE", "asked", "examine"]


def examine(
    settings: Settings, *, file: str | None = None, thorough: bool = True
) -> Iterator[Finding]:
    """Say what there is, one answer after the other.

    `file` is the settings' file, for children. Not `thorough`: no share is touched, and
    models are believed, not read.
    """
    yield from platform.examine(settings)
    yield from gpu.examine(settings.engine.device)
    yield from hour.examine()
    yield from certificate.examine()
    yield from ledger.examine(settings)
    yield from models.examine(settings, thorough=thorough)
    yield from mounted.examine(settings)
    if thorough:
        yield from trying.examine(settings, file)
