"""The verbs user, key and audit: what people type, and what a provisioner pipes in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from appliance.accounts import keys, sessions, setup
from appliance.cli import cli
from appliance.cli.access import way_in
from appliance.credentials import passwords
from appliance.errors import AccessError, ApplianceError, AuditBroken, NoSuchAccount
from appliance.rights import Role
from appliance.settings import Settings
from appliance.store import accounts, audit, schema
from appliance.store.ledger import Ledger

GOOD = "drei Birnen im Schnee"


class Place:
    """A state directory with one share, and the command over it."""

    def __init__(self, folder: Path) -> None:
        self.state = str(folder / "state")
        self.file = folder / "appliance.toml"
        self.file.write_text(
            f"[node]\nstate_dir = '{self.state}'\n"
            f"[[share]]\nname = 'meetings'\nroot = '{folder}/m'\n"
        )

    def run(self, *words: str, given: str = "", fails: type[ApplianceError] | None = None) -> str:
        """Run the command; what it printed. `fails` is what it must end with."""
        ran: Result = CliRunner().invoke(cli, ["--settings", str(self.file), *words], input=given)
        if fails is not None:
            assert isinstance(ran.exception, fails), ran.output
        elif ran.exception and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        else:
            assert ran.exit_code == 0, ran.output
        return ran.output

    def read(self, *words: str) -> Any:
        return json.loads(self.run("--json", *words))

    def ledger(self) -> Ledger:
        schema.prepare(self.state)
        return Ledger(self.state)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def signs_in(place: Place, name: str, password: str) -> bool:
    with place.ledger() as ledger:
        try:
            return bool(sessions.sign_in(ledger, name, password, address="", browser=""))
        except AccessError:
            return False


def test_a_provisioner_seeds_an_admin_by_password_or_by_hash(place: Place) -> None:
    place.run("user", "add", "anna", "--role", "admin", "--password-stdin", given=f"{GOOD}\n")
    assert signs_in(place, "anna", GOOD)
    known = passwords.hashed("another four words")
    place.run("user", "add", "bert", "--hash-stdin", given=f"{known}\n")
    assert signs_in(place, "bert", "another four words")
    assert [row["name"] for row in place.read("user", "list")] == ["anna", "bert"]


def test_without_a_password_the_box_makes_one_to_hand_over(place: Place) -> None:
    told = place.run("user", "add", "cleo", "--share", "meetings", "--share", "*=viewer")
    handed = re.search(r": ([a-z0-9]{4}(?:-[a-z0-9]{4}){3})$", told.strip())
    assert handed, told
    assert signs_in(place, "cleo", handed[1])
    assert place.read("user", "list") == [
        {
            "name": "cleo",
            "role": "viewer",
            "shares": ["*=viewer", "meetings=viewer"],
            "password": "to be chosen",
        }
    ]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("--share", "nowhere"), ""),
        (("--share", "meetings=admin"), ""),
        (("--hash-stdin",), "plain text\n"),
        (("--password-stdin",), "short\n"),
        (("--role", "king"), ""),
    ],
)
def test_what_cannot_be_is_refused_and_nobody_is_added(
    place: Place, words: tuple[str, ...], given: str
) -> None:
    ran = CliRunner().invoke(
        cli, ["--settings", str(place.file), "user", "add", "eve", *words], input=given
    )
    assert ran.exit_code != 0
    with place.ledger() as ledger:
        assert accounts.named(ledger, "eve") is None


def test_no_option_takes_a_password() -> None:
    """What stands on a command line stands in the list of processes."""
    for group in ("user", "key"):
        family = cli.get_command(click.Context(cli), group)
        assert isinstance(family, click.Group)
        for name, verb in family.commands.items():
            taking = [one.name for one in verb.params if re.search("passw|secret", one.name or "")]
            assert taking == [], name


def test_a_forgotten_password_is_reset_on_the_console(place: Place) -> None:
    place.run("user", "add", "anna", "--role", "admin", "--password-stdin", given=f"{GOOD}\n")
    with place.ledger() as ledger:
        held = sessions.sign_in(ledger, "anna", GOOD, address="", browser="")
    place.run("user", "reset", "ANNA", "--password-stdin", given="four other words here\n")
    assert signs_in(place, "anna", "four other words here")
    assert not signs_in(place, "anna", GOOD)
    with place.ledger() as ledger:
        assert sessions.whose(ledger, held) is None
    place.run("user", "reset", "nobody", fails=NoSuchAccount)


def test_a_key_is_printed_once_rotated_and_revoked(place: Place) -> None:
    text = place.run("key", "create", "--for", "scanner", "--scope", "submit").strip()
    listed = place.read("key", "list")
    assert [(row["for"], row["scopes"], row["open"]) for row in listed] == [
        ("scanner", ["submit"], "yes")
    ]
    assert text.split("_")[2] not in json.dumps(listed)
    newer = place.run("key", "rotate", text[:12], "--overlap", "1").strip()
    place.run("key", "revoke", listed[0]["name"])
    with place.ledger() as ledger:
        assert keys.recognise(ledger, newer).purpose == "scanner"
        with pytest.raises(AccessError):
            keys.recognise(ledger, text)


def test_the_audit_log_is_verified_and_tells_who_typed(place: Place) -> None:
    place.run("key", "create", "--for", "scanner", "--scope", "read")
    told = place.read("audit", "verify")
    assert told["entries"] == 1
    assert place.read("audit", "list")[0]["who"].startswith("cli:")
    assert "hold together" in place.run("audit", "verify", "--holds", told["head"])
    place.run("audit", "verify", "--holds", "0" * 64, fails=AuditBroken)


def test_the_daily_run_has_the_journal_keep_the_newest_hash(place: Place) -> None:
    place.run("key", "create", "--for", "scanner", "--scope", "read")
    head = place.read("audit", "verify")["head"]
    command = [sys.executable, "-m", "appliance", "--settings", str(place.file), "retention"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [one["audit_hash"] for one in told if one["event"] == "audit head"] == [head]


def test_the_console_shows_the_way_in_as_long_as_there_is_no_admin(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate({"node": {"state_dir": place.state}})
    with place.ledger() as ledger:
        to_a_file = way_in(ledger, settings, "http://127.0.0.1:8080/")
        assert to_a_file == ["no admin yet: `appliance user setup` prints a code for the page"]
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        (line,) = way_in(ledger, settings, "http://127.0.0.1:8080/")
        link = re.search(r"open http://127\.0\.0\.1:8080/setup#code=(\w{5}-\w{5}) ", line)
        assert link, line
        anna = setup.redeem(ledger, link[1], name="anna", password=GOOD, address="")
        assert anna.role is Role.ADMIN
        assert way_in(ledger, settings, "http://127.0.0.1:8080/") == []
        assert [one.did for one in audit.page(ledger)][-1] == "setup-code-made"


def test_a_code_is_printed_for_the_console_of_a_box(place: Place) -> None:
    code = place.run("user", "setup").strip()
    with place.ledger() as ledger:
        assert setup.redeem(ledger, code, name="anna", password=GOOD, address="").name == "anna"
