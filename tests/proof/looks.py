"""Every page in a browser, in both colours and both widths: read by everybody, and as a picture.

The pictures are for a person to look at: `.proof/looks/<width>-<scheme>/`.

Not here: what pages do when somebody acts on them (tests.web), how long they take (pages).
"""

from __future__ import annotations

import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser

from tests import browsing
from tests.proof import Figure
from tests.web.box import Box, Door, settings_of
from tests.web.filled import every_page
from tests.web.serving import Served, ended, free_port, opened, start, toml_of, until_open

KEPT: Final = Path(__file__).parents[2] / ".proof" / "looks"
WIDTHS: Final = (1280, 320)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_HEIGHT: Final = 800
_LEAST: Final = 35  # addresses that there surely are


def run() -> Iterator[Figure]:
    """Look at all of them."""
    shutil.rmtree(KEPT, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="looks-") as folder, browsing.chromium() as browser:
        box = Box.made(settings_of(folder))
        door = Door(box.settings)
        port = free_port()
        process = start(toml_of(box.settings, Path(folder), f"127.0.0.1:{port}"))
        try:
            until_open(socket.AF_INET, ("127.0.0.1", port))
            yield from _looked(Served(box, f"http://127.0.0.1:{port}", process), browser)
        finally:
            ended(process)
            door.close()
            box.ledger.close()


def _looked(served: Served, browser: Browser) -> Iterator[Figure]:
    addresses = every_page(served.box)
    found: Counter[str] = Counter()
    watched = browsing.Watched()
    for width in WIDTHS:
        for scheme in SCHEMES:
            folder = KEPT / f"{width}-{scheme}"
            folder.mkdir(parents=True)
            page = opened(
                served,
                browser,
                viewport={"width": width, "height": _HEIGHT},
                color_scheme=scheme,
            )
            watched.over(page, served.address)
            for address in addresses:
                answer = page.goto(served.address + address)
                there = answer is not None and answer.status == HTTPStatus.OK
                found["looked at"] += 1
                found["other pages"] += not there or page.url != served.address + address
                found["wider than the window"] += (
                    page.evaluate("document.documentElement.scrollWidth") > width
                )
                found["barriers"] += len(browsing.barriers(page))
                name = re.sub(r"[^a-z0-9]+", "-", address).strip("-") or "status"
                page.screenshot(path=folder / f"{name}.png", full_page=True)
            page.close()
    kinds = f"{len(addresses)} addresses, {len(WIDTHS)} widths, {len(SCHEMES)} colours"
    pictures = sum(1 for _ in KEPT.rglob("*.png"))
    yield Figure("looked at", f"{found['looked at']}: {kinds}", "told", met=True)
    yield Figure("pictures for a person, in .proof/looks", str(pictures), "told", met=True)
    for what, count in (
        ("not the page that was asked for", found["other pages"] + (len(addresses) < _LEAST)),
        ("wider than their window", found["wider than the window"]),
        ("barriers that axe-core finds (WCAG 2.2 AA)", found["barriers"]),
        ("complaints of the browser, of scripts or of the policy", len(watched.complaints)),
        ("questions to somebody else", len(watched.strangers)),
    ):
        yield Figure(what, str(count), "0", met=count == 0)
