"""Files and environment → settings, or SettingsInvalid that names every mistake; node.io where
a disk does not answer.

Not here: what there is to set (sections, site).
"""

from __future__ import annotations

import difflib
import errno
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from pydantic import BaseModel, ValidationError

from appliance.errors import NodeIO, SettingsInvalid
from appliance.settings.notify import Channel, hidden
from appliance.settings.sections import FolderChoice, Profile, Share
from appliance.settings.site import BOX_FILE, BOX_LISTEN, BOX_STATE, LAPTOP_FILE, Settings

Place = tuple[str | int, ...]  # the way to a value, as pydantic says it
Told = dict[Place, str]  # which file says it, or what else
# What whoever installs can mend; whatever else a file answers is the disk's, and passes by itself:
# a unit that ended with 78 for it would not be started again.
_MISTAKES: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
    | {errno.EACCES, errno.EPERM, errno.EINVAL}
)
_STATE: Final = ("node", "state_dir")
_LISTEN: Final = ("web", "listen")
_ENVIRONMENT: Final = {_STATE: "APPLIANCE_STATE_DIR", _LISTEN: "APPLIANCE_WEB_LISTEN"}


@dataclass(frozen=True, slots=True)
class Effective:
    """A key of the settings as it is in force."""

    key: str  # dotted; entries of a list count from 1
    value: object
    source: str | None  # the file that says so, or a variable of the environment; None: the default


def default_file() -> str | None:
    """The settings file in force without `--settings`: environment, box, laptop, or none."""
    if named := os.environ.get("APPLIANCE_SETTINGS"):
        return named
    return next((file for file in (BOX_FILE, LAPTOP_FILE) if os.path.exists(file)), None)


def load(file: str | None = None) -> Settings:
    """Read the settings. Raises SettingsInvalid that names every mistake, with file and key."""
    return _validated(*_gathered(file))


def effective(file: str | None = None) -> list[Effective]:
    """Every key in force, and where its value comes from. Raises as `load`."""
    main, tables, told = _gathered(file)
    whole = shown(_validated(main, tables, told))
    return [Effective(_dotted(place), value, told.get(place)) for place, value in _leaves(whole)]


def dotted(settings: Settings) -> dict[str, object]:
    """Every dotted key of settings, and its value as it may be shown."""
    return {_dotted(place): value for place, value in _leaves(shown(settings))}


def shown(settings: Settings) -> dict[str, Any]:
    """All settings as they may be shown: of a channel's address, where a token may be, the host."""
    whole = settings.model_dump(mode="json")
    for channel in whole["notify"]["channel"]:
        channel["url"] = hidden(channel["url"])
    return whole


def _gathered(file: str | None) -> tuple[str | None, dict[str, Any], Told]:
    """The main file, what all files and the environment say, and which of them says it."""
    file = file or default_file()
    tables: dict[str, Any] = {}
    told: Told = {}
    for part in _parts(file):
        _merge(tables, _read(part), part, told)
    _from_environment(tables, told, box=file == BOX_FILE)
    return file, tables, told


def _validated(file: str | None, tables: Mapping[str, Any], told: Told) -> Settings:
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        name = file or "The environment"
        raise _invalid(
            name, _mistakes(error, named=lambda at: _elsewhere(told, at, name))
        ) from None


def folder_choice(file: str, text: bytes) -> FolderChoice:
    """Read a folder's options. Raises SettingsInvalid that names every mistake."""
    tables = _parsed(file, text)
    try:
        return FolderChoice.model_validate(tables)
    except ValidationError as error:
        raise _invalid(file, _mistakes(error, FolderChoice)) from None


def _parts(file: str | None) -> list[str]:
    if file is None:
        return []
    folder = os.path.join(os.path.dirname(file), "conf.d")
    drop_ins = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [file, *(os.path.join(folder, name) for name in drop_ins if name.endswith(".toml"))]


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, "rb") as stream:
            return _parsed(file, stream.read())
    except OSError as error:
        if error.errno not in _MISTAKES:
            why = os.strerror(error.errno or errno.EIO)
            raise NodeIO(where=file, why=why) from error
        raise _invalid(file, [f"cannot be read: {error.strerror}"]) from error


def _parsed(file: str, text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise _invalid(file, [f"is not TOML: {error}"]) from error
    except RecursionError as error:
        raise _invalid(file, ["is not TOML: it is nested too deeply"]) from error


def _merge(
    into: dict[str, Any], more: Mapping[str, Any], file: str, told: Told, at: Place = ()
) -> None:
    """Lay a drop-in over what stands: tables merge, lists of tables grow, the rest is replaced.

    What `file` says is written down in `told`.
    """
    for key, value in more.items():
        there = into.get(key)
        here = (*at, key)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value, file, told, here)
        elif _are_tables(there) and _are_tables(value):
            for number, table in enumerate(value, start=len(there)):
                told.update((((*here, number, *place)), file) for place, _ in _leaves(table))
            there.extend(value)
        else:
            into[key] = value
            told.update(((*here, *place), file) for place, _ in _leaves(value))


def _are_tables(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _leaves(value: object) -> Iterator[tuple[Place, object]]:
    """Every value below, with the way to it: a table's are its own, a plain list is one."""
    below: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        below = value.items()
    elif _are_tables(value):
        below = enumerate(value)
    found = [((key, *place), leaf) for key, one in below for place, leaf in _leaves(one)]
    yield from found or [((), value)]


def _from_environment(tables: dict[str, Any], told: Told, *, box: bool) -> None:
    def put(section: str, key: str, value: str, by: str) -> None:
        table = tables.setdefault(section, {})
        if isinstance(table, dict):  # else it is a mistake, which is told with the others
            table[key] = value
            told[section, key] = by

    if box:
        for section, key, value in ((*_STATE, BOX_STATE), (*_LISTEN, BOX_LISTEN)):
            if (section, key) not in told:
                put(section, key, value, "the box")
    for (section, key), name in _ENVIRONMENT.items():
        if said := os.environ.get(name):
            put(section, key, said, name)


def _invalid(file: str, mistakes: list[str]) -> SettingsInvalid:
    lines = "\n".join(f"  {mistake}" for mistake in mistakes)
    return SettingsInvalid(file=file, count=len(mistakes), mistakes=lines)


def _mistakes(
    error: ValidationError,
    whole: type[BaseModel] = Settings,
    *,
    named: Callable[[Place], str] = lambda _at: "",
) -> list[str]:
    """What is wrong, a line each; `named` says before it in which file, where that needs saying."""
    return [
        f"{named(found['loc'])}{_before(found['loc'])}{line}"
        for found in error.errors(include_url=False)
        for line in (_unknown(found, whole) or found["msg"].removeprefix("Value error, ")).split(
            "\n"
        )
    ]


def _elsewhere(told: Told, place: Place, main: str) -> str:
    """The drop-in that a mistake stands in; nothing for the main file, which is named above."""
    files = {file for at, file in told.items() if at[: len(place)] == place}
    around = {file for at, file in told.items() if place and at[:-1] == place[:-1]}
    for said in (files, around):
        if len(said) == 1:
            (file,) = said
            return "" if file == main else f"{file}: "
    return ""


def _before(place: Place) -> str:
    return f"{_dotted(place)}: " if place else ""


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _unknown(found: Mapping[str, Any], whole: type[BaseModel]) -> str | None:
    """For a key we do not know: the nearest one we do."""
    if found["type"] != "extra_forbidden":
        return None
    section: Any = whole
    for part in found["loc"][:-1]:
        if isinstance(part, str) and issubclass(section, BaseModel):
            section = _section_of(section, part)
    near = difflib.get_close_matches(str(found["loc"][-1]), list(section.model_fields), n=1)
    return f"unknown, did you mean {near[0]}?" if near else "unknown"


def _section_of(section: type[BaseModel], key: str) -> type[BaseModel]:
    named: dict[str, type[BaseModel]] = {
        "share": Share,
        "profile": Profile,
        "channel": Channel,
    }
    if key in named:
        return named[key]
    field = section.model_fields.get(key)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else section
