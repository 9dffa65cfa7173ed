"""Passes: addresses that play one recording for a quarter of an hour, wherever they are opened.

A cookie plays a recording in the browser. What leaves the browser, for a player on the
desk, carries a signed pass instead: purpose, job, the person who made it, and when. It
opens what that person may still see, nothing else and nothing longer. The key is made when
the pages start and is kept nowhere: a new start voids every pass.

Not here: reading the recording out (media).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, cast

from flask import Flask, current_app
from itsdangerous import BadData, URLSafeTimedSerializer

SECONDS: Final = 900
_PURPOSE: Final = "play"
_LONGEST: Final = 300  # characters of a pass


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass says."""

    job: int
    account: int


def keep_for(app: Flask) -> None:
    """Give the app a key of its own."""
    signer = URLSafeTimedSerializer(secrets.token_bytes(32), salt=_PURPOSE)
    app.extensions["appliance.passes"] = signer


def made(job: int, account: int) -> str:
    """A pass for one recording, in somebody's name."""
    return str(_signer().dumps([job, account]))


def read(text: str) -> Pass | None:
    """What a pass says; None for one that is forged, too old, or of an earlier start."""
    if len(text) > _LONGEST:
        return None
    try:
        job, account = _signer().loads(text, max_age=SECONDS)
    except BadData:
        return None
    return Pass(int(job), int(account))


def _signer() -> URLSafeTimedSerializer:
    return cast(URLSafeTimedSerializer, current_app.extensions["appliance.passes"])
