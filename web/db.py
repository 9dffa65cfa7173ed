"""The one ledger of this process, and the settings it was started with.

The ledger keeps a connection per thread and gunicorn's threads live as long as the
process, so nothing is opened or closed per request.

Not here: any question to the ledger (appliance.store).
"""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from appliance.settings import Settings
from appliance.store.ledger import Ledger


def open_for(app: Flask, settings: Settings) -> None:
    """Give the app its ledger and its settings."""
    app.extensions["appliance.settings"] = settings
    app.extensions["appliance.ledger"] = Ledger(settings.state_dir)


def close(app: Flask) -> None:
    """Close what the app holds open, when its process ends."""
    cast(Ledger, app.extensions["appliance.ledger"]).close()


def ledger() -> Ledger:
    """The ledger of this request's app."""
    return cast(Ledger, current_app.extensions["appliance.ledger"])


def settings() -> Settings:
    """The settings this process was started with."""
    return cast(Settings, current_app.extensions["appliance.settings"])
