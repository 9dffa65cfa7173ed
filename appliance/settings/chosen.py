"""What people chose on the page, laid over what the files say: the one place where they meet.

In: the settings of the files, and what was chosen, as plain tables. Out: settings of the same
shape, and what of it no longer fits. A choice wins over the files and takes the place of
the whole: of how a profile hears and writes, of its glossary, of a channel. What one job may use
up, and which share has which profile, is the files' alone.

Not here: where choices are kept (store.choices), what may be chosen (appliance.choices).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.settings.notify import Channel
from appliance.settings.sections import Glossary, Manner, Profile
from appliance.settings.site import Settings

Said = Mapping[str, Mapping[str, Any]]  # by name
T = TypeVar("T", bound=BaseModel)

_NAMED: Final = 200  # letters of a mistake


def overlaid(
    files: Settings, *, profiles: Said, vocabularies: Said, channels: Said
) -> tuple[Settings, tuple[str, ...]]:
    """The settings with what was chosen in them; and each choice that does not fit, left out."""
    unfit: list[str] = []
    found = dict(files.profile)
    for name, body in profiles.items():
        if manner := _fitting(Manner, body, f"profile {name}", unfit):
            found[name] = _with(found.get(name, Profile()), manner)
    for name, body in vocabularies.items():
        if name != "default" and name not in found:
            continue  # its profile is gone from the files; it may come back
        if glossary := _fitting(Glossary, body, f"vocabulary {name}", unfit):
            found[name] = _with(found.get(name, Profile()), glossary)
    ways = {one.name: one for one in files.notify.channel}
    for name, body in channels.items():
        if channel := _fitting(Channel, body, f"channel {name}", unfit):
            ways[name] = channel
    notify = files.notify.model_copy(update={"channel": tuple(ways.values())})
    return files.model_copy(update={"profile": found, "notify": notify}), tuple(unfit)


def _with(profile: Profile, part: Manner | Glossary) -> Profile:
    return profile.model_copy(
        update={name: getattr(part, name) for name in type(part).model_fields}
    )


def _fitting(kind: type[T], body: Mapping[str, Any], what: str, unfit: list[str]) -> T | None:
    try:
        return kind.model_validate(body)
    except ValidationError as error:  # an older version kept it, or somebody wrote it by hand
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        unfit.append(f"{what}: {where}: {first['msg']}"[:_NAMED])
        return None
