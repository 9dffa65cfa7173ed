"""The settings in force, for admins: each key, its value, and which file says so.

Not here: changing them; they are files, and `appliance settings check` reads them through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Flask, current_app, render_template
from flask.typing import ResponseReturnValue

from appliance import choices
from appliance.errors import SettingsInvalid
from appliance.settings import dotted
from web import db

bp = Blueprint("site", __name__, url_prefix="/admin/settings")


@dataclass(frozen=True, slots=True)
class Shown:
    """A key of the settings."""

    key: str
    value: str
    source: str | None  # the file that says so; None: the default
    differs: bool  # the files say something else by now


def keep_for(app: Flask, file: str | None) -> None:
    """Remember which file the process was started with."""
    app.extensions["appliance.settings-file"] = file


@bp.get("", endpoint="settings")
def listing() -> ResponseReturnValue:
    """All of them; and what the files say by now, if that is something else."""
    mistakes, rows = None, []
    try:
        rows = list(_rows())
    except SettingsInvalid as error:
        mistakes = error
    return render_template("access/settings.html", rows=rows, mistakes=mistakes)


def _rows() -> Iterator[Shown]:
    """What the files say now, beside what this process was started with."""
    running = dotted(db.settings())
    for one in choices.keys(current_app.extensions["appliance.settings-file"]):
        differs = one.key not in running or running.pop(one.key) != one.value
        yield Shown(one.key, json.dumps(one.value, ensure_ascii=False), one.source, differs)
    for key, value in running.items():
        yield Shown(key, json.dumps(value, ensure_ascii=False), None, differs=True)
