"""Proofs of the product too long for every change: `make proof` runs them and prints a line each.

Each is a module with `run() -> list[Figure]`; `python -m tests.proof NAME` runs one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and the bar it has to meet."""

    what: str
    value: str
    bar: str
    met: bool
