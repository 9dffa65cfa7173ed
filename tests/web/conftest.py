"""A box with something in every state, and a browser without a browser in front of it."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from appliance.rights import Right
from tests import browsing, signed_in
from tests.web.box import Box, Door, settings_of
from tests.web.serving import Served, ended, free_port, start, toml_of, until_open
from web import create_app, db


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box that is well and has nothing to do."""
    made = Box.made(settings_of(str(tmp_path)))
    door = Door(made.settings)
    yield made
    door.close()
    made.ledger.close()


@pytest.fixture
def client(box: Box) -> Iterator[FlaskClient]:
    """Asks the pages of the box, signed in as somebody who may see everything."""
    app = create_app(box.settings, clock=itertools.count().__next__)  # each look: a second later
    with signed_in.client(app, box.ledger) as asking:
        yield asking
    db.close(app)


@pytest.fixture
def program(box: Box) -> Iterator[FlaskClient]:
    """Asks the API of the box with a key that may do everything."""
    app = create_app(box.settings, clock=itertools.count().__next__)
    with app.test_client(use_cookies=False) as asking:
        header = signed_in.key(box.ledger, *Right)["Authorization"]
        asking.environ_base["HTTP_AUTHORIZATION"] = header
        yield asking
    db.close(app)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A busy box behind the real server."""
    box = Box.made(settings_of(str(tmp_path)))
    door = Door(box.settings)
    port = free_port()
    address = f"127.0.0.1:{port}"
    process = start(toml_of(box.settings, tmp_path, address))
    until_open(socket.AF_INET, ("127.0.0.1", port))
    yield Served(box, f"http://{address}", process)
    ended(process)
    door.close()
    box.ledger.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with browsing.chromium() as opened:
        yield opened
