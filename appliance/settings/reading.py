"""Files and environment → settings, or SettingsInvalid that names every mistake.

Not here: what there is to set (sections, site).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from appliance.errors import SettingsInvalid
from appliance.settings.notify import Channel
from appliance.settings.sections import FolderChoice, Profile, Share
from appliance.settings.site import BOX_FILE, BOX_STATE, LAPTOP_FILE, Settings


def default_file() -> str | None:
    """The settings file in force without `--settings`: environment, box, laptop, or none."""
    if named := os.environ.get("APPLIANCE_SETTINGS"):
        return named
    return next((file for file in (BOX_FILE, LAPTOP_FILE) if os.path.exists(file)), None)


def load(file: str | None = None) -> Settings:
    """Read the settings. Raises SettingsInvalid that names every mistake, with file and key."""
    file = file or default_file()
    tables: dict[str, Any] = {}
    for part in _parts(file):
        _merge(tables, _read(part))
    _from_environment(tables, box=file == BOX_FILE)
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise _invalid(file or "The environment", _mistakes(error)) from None


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
        raise _invalid(file, [f"cannot be read: {error.strerror}"]) from error


def _parsed(file: str, text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise _invalid(file, [f"is not TOML: {error}"]) from error
    except RecursionError as error:
        raise _invalid(file, ["is not TOML: it is nested too deeply"]) from error


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Lay a drop-in over what stands: tables merge, lists of tables grow, the rest is replaced."""
    for key, value in more.items():
        there = into.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(value)
        else:
            into[key] = value


def _from_environment(tables: dict[str, Any], *, box: bool) -> None:
    node = tables.setdefault("node", {})
    web = tables.setdefault("web", {})
    if isinstance(node, dict):
        if state_dir := os.environ.get("APPLIANCE_STATE_DIR"):
            node["state_dir"] = state_dir
        elif box:
            node.setdefault("state_dir", BOX_STATE)
    if isinstance(web, dict) and (listen := os.environ.get("APPLIANCE_WEB_LISTEN")):
        web["listen"] = listen


def _invalid(file: str, mistakes: list[str]) -> SettingsInvalid:
    lines = "\n".join(f"  {mistake}" for mistake in mistakes)
    return SettingsInvalid(file=file, count=len(mistakes), mistakes=lines)


def _mistakes(error: ValidationError, whole: type[BaseModel] = Settings) -> list[str]:
    return [
        f"{_dotted(found['loc'])}{line}"
        for found in error.errors(include_url=False)
        for line in (_unknown(found, whole) or found["msg"].removeprefix("Value error, ")).split(
            "\n"
        )
    ]


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


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
