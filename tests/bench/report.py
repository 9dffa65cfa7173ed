"""What a bench has found, for people and programs: docs/performance.md, .json and .svg.

The page's prose is written by hand; the table goes between two markers in it. Nothing is
left out: a bar that was missed is in the table like one that was met.

Not here: measuring.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from tests.bench import Amount, Figure

DOCS: Final = Path(__file__).resolve().parent.parent.parent / "docs"
_BEGIN: Final = "<!-- measured: written by make bench -->"
_END: Final = "<!-- /measured -->"

Found = Mapping[str, Sequence[Figure]]  # by part


def write(amount: Amount, machine: Mapping[str, str], found: Found, *, folder: Path = DOCS) -> None:
    """Write all three; the page is there already, with its markers."""
    as_json = {
        "amount": amount.value,
        "machine": dict(machine),
        "parts": {part: [_plain(figure) for figure in some] for part, some in found.items()},
    }
    text = json.dumps(as_json, indent=1, ensure_ascii=False)
    (folder / "performance.json").write_text(text + "\n", encoding="utf-8")
    (folder / "performance.svg").write_text(_drawn(found), encoding="utf-8")
    page = folder / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = "\n".join(_page(amount, machine, found))
    page.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


def number(figure: Figure) -> str:
    """The value with its unit, to three digits."""
    value = figure.value
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {figure.unit}".strip()


def _plain(figure: Figure) -> dict[str, object]:
    return {
        "what": figure.what,
        "value": round(figure.value, 4),
        "unit": figure.unit,
        "bar": figure.bar,
        "met": figure.met,
        "how": figure.how,
    }


# --- the table ----------------------------------------------------------------------------------


def _page(amount: Amount, machine: Mapping[str, str], found: Found) -> Iterator[str]:
    described = ", ".join(f"{key} {value}" for key, value in machine.items())
    command = "make bench-full" if amount is Amount.FULL else "make bench"
    yield f"`{command}` on: {described}."
    for part, figures in found.items():
        yield f"\n### {part}\n"
        yield "| what | measured | bar | | from |"
        yield "|---|---:|---:|---|---|"
        for one in figures:
            mark = "**missed**" if one.met is False else one.mark
            yield f"| {one.what} | {number(one)} | {one.bar} | {mark} | {one.how} |"


# --- the drawing --------------------------------------------------------------------------------

_WIDTH: Final = 760
_ROW: Final = 26
_LEFT: Final = 430  # where the bars begin
_UNIT: Final = 100  # pixels from nothing to the bar
_MOST: Final = 210
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}"
    ".met{fill:#1a7f37}.missed{fill:#cf222e}.line{stroke:#59636e}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}"
    ".met{fill:#3fb950}.missed{fill:#f85149}.line{stroke:#9198a1}}"
)


def _drawn(found: Found) -> str:
    """A row for each figure with a bar, drawn as a share of that bar: the line is where it is."""
    rows = [(part, one) for part, figures in found.items() for one in figures if one.bar]
    height = _ROW * len(rows) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="Each figure beside its bar">',
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT + _UNIT}" y="16" text-anchor="middle">bar</text>',
        *[line for n, (part, one) in enumerate(rows) for line in _row(n, part, one)],
        f'<line class="line" x1="{_LEFT + _UNIT}" x2="{_LEFT + _UNIT}" y1="22" y2="{height - 8}"/>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _row(n: int, part: str, one: Figure) -> Iterator[str]:
    bar = one.least if one.least is not None else one.most
    share = one.value / bar if bar else 0.0
    width = max(2.0, min(_MOST, _UNIT * share))
    y = 26 + n * _ROW
    kind = "met" if one.met else "missed"
    yield f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(_label(part, one))}</text>'
    yield f'<rect class="{kind}" x="{_LEFT}" y="{y + 4}" width="{width:.0f}" height="16" rx="2"/>'
    told = escape(f"{number(one)} ({one.bar})")
    yield f'<text x="{_LEFT + _MOST + 8}" y="{y + 16}">{told}</text>'


def _label(part: str, one: Figure) -> str:
    text = f"{part}: {one.what}"
    return text if len(text) <= 62 else f"{text[:61]}…"
