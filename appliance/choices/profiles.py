"""What may be said of a profile and of its vocabulary, and who said it.

A profile that was chosen stands in the place of the one of that name in the files, as a whole;
its vocabulary is a choice of its own. To take a choice back is to let the files speak
again. Every change names what it was made on, by its tag.

Not here: how a profile is laid over the files (settings.chosen).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance import weights
from appliance.choices import in_force
from appliance.errors import (
    ChoiceOfFiles,
    ChoiceStale,
    ChoiceTaken,
    ChoiceUnfit,
    ModelCorrupt,
    ModelMissing,
)
from appliance.settings import Glossary, Manner, Profile, Settings
from appliance.settings.site import english_only
from appliance.store import audit, choices
from appliance.store.audit import Actor
from appliance.store.choices import Choice, Kind
from appliance.store.ledger import Ledger

DEFAULT: Final = "default"  # is always there, whatever the files say
MOST: Final = 200  # profiles that are kept here


@dataclass(frozen=True, slots=True)
class Standing:
    """A profile as it is in force, and whose word it is."""

    name: str
    profile: Profile
    manner: Choice | None  # who chose how it hears and writes; None: the files say so
    glossary: Choice | None  # and its words
    in_files: bool

    @property
    def tag(self) -> str:
        """Another one whenever its manner is another, or somebody else's word."""
        return _tag(plain(Manner, self.profile), self.manner)

    @property
    def words_tag(self) -> str:
        """The same of its vocabulary."""
        return _tag(plain(Glossary, self.profile), self.glossary)


def listing(ledger: Ledger, files: Settings) -> list[Standing]:
    """Every profile there is, the default first."""
    chosen = {(one.kind, one.name): one for one in choices.listing(ledger)}
    every = {DEFAULT: Profile(), **in_force(ledger, files).profile}
    return [
        Standing(
            name,
            profile,
            chosen.get((Kind.PROFILE, name)),
            chosen.get((Kind.VOCABULARY, name)),
            in_files=name in files.profile or name == DEFAULT,
        )
        for name, profile in sorted(every.items(), key=lambda one: (one[0] != DEFAULT, one[0]))
    ]


def get(ledger: Ledger, files: Settings, name: str) -> Standing | None:
    """The profile of that name."""
    return next((one for one in listing(ledger, files) if one.name == name), None)


def plain(kind: type[Manner | Glossary], profile: Profile) -> dict[str, Any]:
    """That part of a profile, as it is kept and told."""
    return profile.model_dump(mode="json", include=set(kind.model_fields))


def make(ledger: Ledger, files: Settings, actor: Actor, name: str, manner: Manner) -> None:
    """A profile that was not there before. Raises ChoiceTaken, ChoiceUnfit."""
    with ledger.writing():
        if get(ledger, files, name) is not None:
            raise ChoiceTaken(what=f"a profile {name}")
        if len(choices.listing(ledger)) >= MOST:
            raise ChoiceUnfit(what=f"Profile {name}", where="name", why=f"there are {MOST} already")
        _keep(ledger, files, actor, name, manner)


def change(
    ledger: Ledger, files: Settings, actor: Actor, seen: Standing, manner: Manner, *, on: str
) -> None:
    """Let a profile say this from now on; `on` is the tag it was changed on.

    Raises ChoiceStale, ChoiceUnfit.
    """
    with ledger.writing():
        _still(ledger, files, seen, on, lambda one: one.tag)
        _keep(ledger, files, actor, seen.name, manner)


def _keep(ledger: Ledger, files: Settings, actor: Actor, name: str, manner: Manner) -> None:
    _fits(name, manner, files)
    before = get(ledger, files, name)
    body = manner.model_dump(mode="json")
    choices.put(ledger, Kind.PROFILE, name, body, actor.who)
    was = plain(Manner, before.profile) if before else {}
    changed = {key: value for key, value in body.items() if was.get(key) != value}
    audit.add(ledger, actor, "profile-changed", f"profile:{name}", **changed)


def _fits(name: str, manner: Manner, files: Settings) -> None:
    """Raise ChoiceUnfit for a profile that no job could be done by."""
    what = f"Profile {name}"
    try:
        weights.glance(manner.model, files.model_dir)
    except (ModelMissing, ModelCorrupt) as error:
        raise ChoiceUnfit(what=what, where="model", why=error.sentence.rstrip(".")) from error
    if why_not := english_only(manner):
        raise ChoiceUnfit(what=what, where="model", why=why_not)


def take_back(ledger: Ledger, files: Settings, actor: Actor, seen: Standing, *, on: str) -> None:
    """Back to the files; a profile that is not in them goes, and its vocabulary with it.

    Jobs that are queued keep the options they have. Raises ChoiceStale, ChoiceOfFiles.
    """
    with ledger.writing():
        _still(ledger, files, seen, on, lambda one: one.tag)
        if not choices.drop(ledger, Kind.PROFILE, seen.name):
            raise ChoiceOfFiles(what=f"Profile {seen.name}")
        if not seen.in_files:
            choices.drop(ledger, Kind.VOCABULARY, seen.name)
        did = "profile-taken-back" if seen.in_files else "profile-removed"
        audit.add(ledger, actor, did, f"profile:{seen.name}")


def reword(
    ledger: Ledger, files: Settings, actor: Actor, seen: Standing, glossary: Glossary, *, on: str
) -> None:
    """Give a profile another vocabulary. Raises ChoiceStale."""
    with ledger.writing():
        _still(ledger, files, seen, on, lambda one: one.words_tag)
        choices.put(ledger, Kind.VOCABULARY, seen.name, glossary.model_dump(mode="json"), actor.who)
        facts = {"words": len(glossary.vocabulary), "replacements": len(glossary.replacements)}
        audit.add(ledger, actor, "vocabulary-changed", f"profile:{seen.name}", **facts)


def unword(ledger: Ledger, files: Settings, actor: Actor, seen: Standing, *, on: str) -> None:
    """Let the files say a profile's vocabulary again. Raises ChoiceStale, ChoiceOfFiles."""
    with ledger.writing():
        _still(ledger, files, seen, on, lambda one: one.words_tag)
        if not choices.drop(ledger, Kind.VOCABULARY, seen.name):
            raise ChoiceOfFiles(what=f"The vocabulary of {seen.name}")
        audit.add(ledger, actor, "vocabulary-taken-back", f"profile:{seen.name}")


def _still(
    ledger: Ledger, files: Settings, seen: Standing, on: str, tag: Callable[[Standing], str]
) -> None:
    """Raise ChoiceStale where it is no longer what somebody made a change on."""
    now = get(ledger, files, seen.name)
    if now is None or on != tag(now):
        raise ChoiceStale(what=f"Profile {seen.name}")


def _tag(body: Mapping[str, Any], choice: Choice | None) -> str:
    said = json.dumps([body, choice.n if choice else 0], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:24]
