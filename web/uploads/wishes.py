"""What a sender asks for, out of the fields that came along: a profile, and what a folder may say.

Not here: reading the fields (form, the headers of a resumable upload).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from appliance.admit.folder import merged
from appliance.errors import UploadRefused, UploadsOff
from appliance.nouns import UPLOADS, Options
from appliance.rights import Right
from appliance.settings import FolderChoice, Settings
from web.access import sees
from web.access.asker import asker
from web.overview import in_sight

_ONE: Final = ("language", "task")
_MANY: Final = ("formats", "vocabulary")  # repeated, or in one field with commas between
KNOWN: Final = ("profile", *_ONE, *_MANY)


def profiles(settings: Settings) -> list[str]:
    """Those one may choose from, the usual one first.

    Whoever may read what comes of it reads its vocabulary: only those of shares that they see.
    """
    seen = sees() if asker().rights.may(Right.READ) else None
    used = [one.profile for one in settings.share if in_sight(one.name, seen)]
    there = settings.profile if seen is None else set(used) & settings.profile.keys()
    return list(dict.fromkeys((settings.uploads.profile, "default", *sorted(there))))


def options(settings: Settings, fields: Mapping[str, Sequence[str]]) -> Options:
    """What the recording is asked for. Raises policy.upload-refused, policy.uploads-off."""
    said = {name: [one for one in fields.get(name, ()) if one] for name in KNOWN}
    asked: dict[str, Any] = {name: said[name][0] for name in _ONE if said[name]}
    for name in _MANY:
        words = [word.strip() for one in said[name] for word in one.split(",")]
        if words:
            asked[name] = tuple(word for word in words if word)
    try:
        choice = FolderChoice.model_validate(asked)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        why = f"{found['loc'][0]}: {found['msg'].removeprefix('Value error, ')}"
        raise UploadRefused(why=why) from None
    profile = next(iter(said["profile"]), settings.uploads.profile)
    if profile not in profiles(settings):
        raise UploadRefused(why="there is no such profile here")
    return merged(of_profile(settings, profile), choice)


def of_profile(settings: Settings, profile: str) -> Options:
    """What a profile asks for in the uploads share. Raises policy.uploads-off."""
    share = settings.share_named(UPLOADS)
    if share is None:
        raise UploadsOff
    return settings.options_for(share.model_copy(update={"profile": profile}))
