"""config/appliance.toml: every key there is, with its default, and what it means."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from appliance.settings import (
    BOX_FILE,
    BOX_LISTEN,
    BOX_STATE,
    Channel,
    Profile,
    Settings,
    Share,
    load,
)

FILE = Path(__file__).parents[1] / "config" / "appliance.toml"
TEXT = FILE.read_text(encoding="utf-8")
KEY = re.compile(r"# (?P<key>[a-z_]+) = (?P<value>.+)")
# What the file shows is not what an empty section has: a name that must be given, what TOML has
# no word for (None), what depends on the file that is read. Each says so in its comment.
SHOWN = {
    "share.name", "share.root", "share.formats", "share.quiet_seconds",
    "profile.default.language", "profile.default.initial_prompt",
    *(f"{table}.{key}" for table in ("share", "profile.default")
      for key in ("job_memory_mb", "job_cpu", "job_timeout_factor")),
    "backup.copy_to", "node.state_dir", "web.listen",
    "notify.channel.name", "notify.channel.kind", "notify.channel.url", "notify.channel.sender",
}  # fmt: skip
MUST = {"share.name", "share.root", "notify.channel.name", "notify.channel.kind",
        "notify.channel.url"}  # fmt: skip
TABLES = {"notify.channel"}  # a key whose value is tables of its own


def opened() -> dict[str, Any]:
    """The file with every key taken out from behind its `#`."""
    lines = [
        line.removeprefix("# ") if KEY.fullmatch(line) or line.startswith("# [") else line
        for line in TEXT.splitlines()
    ]
    return tomllib.loads("\n".join(lines))


def sections() -> Iterator[tuple[str, type[BaseModel], dict[str, Any]]]:
    """Every table: its name, its model, what the file shows of it."""
    told = opened()
    yield "share", Share, told["share"][0]
    yield "profile.default", Profile, told["profile"]["default"]
    for name, field in Settings.model_fields.items():
        if name not in ("share", "profile"):
            assert isinstance(field.annotation, type)
            assert issubclass(field.annotation, BaseModel)
            yield name, field.annotation, told.get(name, {})
    yield "notify.channel", Channel, told["notify"]["channel"][0]


@pytest.mark.parametrize(
    ("name", "model", "shown"), list(sections()), ids=[name for name, _, _ in sections()]
)
def test_every_key_stands_there_with_its_default(
    name: str, model: type[BaseModel], shown: dict[str, Any]
) -> None:
    assert sorted(shown) == sorted(model.model_fields), f"[{name}]"
    for key, field in model.model_fields.items():
        if f"{name}.{key}" in SHOWN | TABLES:
            continue
        default = field.get_default(call_default_factory=True)
        plain = list(default) if isinstance(default, tuple) else default
        assert shown[key] == plain, f"{name}.{key}"


def test_what_is_shown_in_place_of_a_default_says_what_that_is() -> None:
    for dotted in SHOWN - MUST:
        assert "left out" in above(dotted.rpartition(".")[2], dotted).lower(), dotted


def test_every_key_says_what_it_means_and_a_choice_names_what_can_be_chosen() -> None:
    for name, model, _ in sections():
        for key, field in model.model_fields.items():
            if f"{name}.{key}" in TABLES:
                continue
            meaning = above(key, f"{name}.{key}")
            assert len(meaning.split()) > 3, f"{name}.{key}"
            choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
            for choice in choices:
                assert re.search(rf"\b{choice}\b", meaning), f"{name}.{key}: {choice}"


def above(key: str, dotted: str) -> str:
    """The comment above a key, in the section that `dotted` begins with, in one line."""
    section = re.escape(dotted.rpartition(".")[0])
    head = re.search(rf"^(# )?\[+{section}\]+$", TEXT, re.MULTILINE)
    assert head, dotted
    found = re.compile(rf"^# {key} = ", re.MULTILINE).search(TEXT, head.end())
    assert found, dotted
    comment = TEXT[head.end() : found.start()].rpartition("\n\n")[2]
    return comment.replace("\n# ", " ")


def test_as_it_is_delivered_it_changes_nothing() -> None:
    assert Settings.model_validate(tomllib.loads(TEXT)) == Settings()


def test_with_every_key_open_it_is_a_file_that_can_be_used(tmp_path: Path) -> None:
    lines = [
        line.removeprefix("# ") if KEY.fullmatch(line) or line.startswith("# [") else line
        for line in TEXT.splitlines()
    ]
    file = tmp_path / "appliance.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    site = load(str(file))
    assert [share.name for share in site.share] == ["meetings"]
    assert (site.state_dir, site.web.listen) == (BOX_STATE, BOX_LISTEN)


def test_the_box_has_a_place_and_a_door_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.settings.reading.BOX_FILE", str(FILE))
    site = load(str(FILE))
    assert (site.state_dir, site.web.listen) == (BOX_STATE, BOX_LISTEN)
    assert BOX_FILE == "/etc/appliance/appliance.toml"
