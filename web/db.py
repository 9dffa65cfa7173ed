"""The one ledger of this process, and the settings it was started with.

The ledger keeps a connection per thread and gunicorn's threads live as long as the
process, so nothing is opened or closed per request.

Not here: any question to the ledger (appliance.store).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import Flask, current_app

from appliance import choices
from appliance.errors import NodeError
from appliance.settings import Settings
from appliance.store.ledger import Ledger


def open_for(app: Flask, settings: Settings) -> None:
    """Give the app its ledger and its settings."""
    app.extensions["appliance.settings"] = settings
    app.extensions["appliance.ledger"] = Ledger(settings.state_dir)


def when_lost(app: Flask, begin_anew: Callable[[], None]) -> None:
    """What is to be called when a request finds the ledger damaged or replaced."""
    app.extensions["appliance.begin_anew"] = begin_anew


def lost() -> None:
    """The ledger is damaged or was replaced: only a new start reads the right one."""
    begin_anew = current_app.extensions.get("appliance.begin_anew")
    if begin_anew is not None:
        begin_anew()


def close(app: Flask) -> None:
    """Close what the app holds open, when its process ends."""
    cast(Ledger, app.extensions["appliance.ledger"]).close()


def ledger() -> Ledger:
    """The ledger of this request's app."""
    return cast(Ledger, current_app.extensions["appliance.ledger"])


def files() -> Settings:
    """The settings this process was started with, as the files say them."""
    return cast(Settings, current_app.extensions["appliance.settings"])


def settings() -> Settings:
    """The settings in force: what people chose since stands over what the files say."""
    try:
        return choices.in_force(ledger(), files())
    except NodeError:  # the page that tells of it needs settings, too
        return files()
