"""Are the weights of every profile on this box, and are they what they should be?

Gigabytes are read once, by whoever watches over the box (`ask`), and what that told is kept
for all; a look of the page compares names and sizes, which costs nothing.

Not here: comparing a model with its manifest (weights).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance import weights
from appliance.errors import ApplianceError, ModelCorrupt, ModelMissing
from appliance.health.finding import Finding, Level, named
from appliance.settings import Profile, Settings
from appliance.store import gates
from appliance.store.ledger import Ledger
from appliance.values import from_json, to_json

_FILE: Final = "models.json"
_PROVING: Final = "the built-in self-test model: good for proving the box, not for transcripts"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading a model through has told."""

    looks: str  # the word of weights.glance that it was told of
    why: str | None  # it is damaged; None: it is what it should be


@dataclass(frozen=True, slots=True)
class Verdicts:
    """By the name of the model."""

    of: Mapping[str, Verdict]


def wanted(settings: Settings) -> list[str]:
    """The models of every profile."""
    profiles = settings.profile or {"default": Profile()}
    return sorted({profile.model for profile in profiles.values()})


def ask(settings: Settings) -> None:
    """Read every model through that has changed, and keep what that tells in the run folder.

    It is kept model by model, also for a process that begins anew: gigabytes take minutes on a
    slow disk, and who is ended meanwhile has done what he has done.
    """
    known = _known(settings)
    found = {name: verdict for name, verdict in known.items() if name in wanted(settings)}
    for name in wanted(settings):
        verdict = _verdict(name, settings, known.get(name))
        if verdict is not None:
            found[name] = verdict
        else:
            found.pop(name, None)
        if found != _known(settings):
            _keep(settings, found)


def _verdict(name: str, settings: Settings, known: Verdict | None) -> Verdict | None:
    """What reading it through tells, where it is not known by its looks; None: it is not there."""
    looks = _looks(name, settings)
    if looks is not None and known == Verdict(looks, None):
        return known
    try:
        weights.find(name, settings.model_dir)
    except ModelMissing:
        return None
    except ModelCorrupt as error:
        return Verdict(looks, str(error.detail.get("why", ""))) if looks is not None else None
    return Verdict(looks, None) if looks is not None else None


def _keep(settings: Settings, found: Mapping[str, Verdict]) -> None:
    file = os.path.join(settings.run_dir, _FILE)
    os.makedirs(settings.run_dir, mode=0o770, exist_ok=True)
    with open(f"{file}.new", "wb") as stream:
        stream.write(to_json(Verdicts(found)))
    os.replace(f"{file}.new", file)


def read(settings: Settings) -> None:
    """Read every model through, so that in this process no job has to wait for that.

    That of most jobs comes first. What is wrong with one is told by the job that asks for it.
    """
    usual = settings.profile.get("default", Profile()).model
    for name in sorted(wanted(settings), key=lambda one: one != usual):
        with contextlib.suppress(ModelMissing, ModelCorrupt):
            weights.find(name, settings.model_dir)


def _looks(name: str, settings: Settings) -> str | None:
    try:
        return weights.glance(name, settings.model_dir)
    except (ModelMissing, ModelCorrupt):
        return None


def _known(settings: Settings) -> Mapping[str, Verdict]:
    try:
        with open(os.path.join(settings.run_dir, _FILE), "rb") as stream:
            return from_json(Verdicts, stream.read()).of
    except (OSError, ValueError):
        return {}


def trouble(name: str, settings: Settings, known: Mapping[str, Verdict]) -> ApplianceError | None:
    """What is wrong with a model, as far as is known."""
    try:
        looks = weights.glance(name, settings.model_dir)
    except (ModelMissing, ModelCorrupt) as error:
        return error
    verdict = known.get(name)
    if verdict is not None and verdict.looks == looks and verdict.why is not None:
        return ModelCorrupt(model=name, why=verdict.why)
    return None


def models(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Are the weights of every profile on this box?"""
    shut = {gate.name.partition(":")[2]: gate for gate in gates.closed(ledger) if _of_model(gate)}
    known = _known(settings)
    for name in sorted({*wanted(settings), *shut}):
        if name in shut:
            gate = shut[name]
            yield named("model", gate.error, subject=name, since_ms=gate.since_ms)
        elif error := trouble(name, settings, known):
            yield named("model", error, subject=name)
        elif name == weights.SELFTEST:
            remedy = (
                "`appliance model pull large-v3-turbo`, on a box `systemctl start "
                "appliance-model-pull@large-v3-turbo`; then name it in the profile."
            )
            yield Finding("model", Level.WARN, _PROVING, remedy, name)
        else:
            text = f"{name} lies in {weights.chosen(name, settings.model_dir)}"
            yield Finding("model", Level.OK, text, subject=name)


def _of_model(gate: gates.Gate) -> bool:
    return gate.name.startswith("model:")
