"""Showing how far a download is: a bar for a person, JSON lines for a script, else nothing.

Not here: the download (weights).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final, Self

import click

_SECONDS_BETWEEN: Final = 0.5


class Progress:
    """Called with a file, its bytes that are here, and all its bytes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._on_terminal = sys.stderr.isatty()
        self._file = ""
        self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._on_terminal and not self._as_json and self._file:
            click.echo(err=True)

    def __call__(self, file: str, have: int, size: int) -> None:
        """Say it, but not more often than anybody can read."""
        now = time.monotonic()
        if file == self._file and have < size and now - self._told < _SECONDS_BETWEEN:
            return
        if self._as_json:
            click.echo(json.dumps({"file": file, "have": have, "size": size}))
        elif self._on_terminal:
            if self._file not in ("", file):
                click.echo(err=True)
            click.echo(f"\r{_bar(have, size)} {file}", nl=False, err=True)
        self._file, self._told = file, now


def _bar(have: int, size: int) -> str:
    share = have / size if size else 1.0
    return f"[{'#' * round(30 * share):<30}] {100 * share:3.0f} %  {size / 1e6:8.1f} MB"
