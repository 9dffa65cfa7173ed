"""The playbooks: understood, in good style, every choice named once.

Not here: what they make of a box (`make test-box LANE=provision`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

TOP = Path(__file__).parents[1]
FOLDER = TOP / "ansible"
BIN = TOP / ".venv-ansible" / "bin"
BOOKS = sorted(path.name for path in FOLDER.glob("*.yml"))
ROLES = sorted(path.name for path in (FOLDER / "roles").iterdir())


def controller(program: str, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the controller's own environment, without asking anybody outside."""
    there = BIN / program
    assert there.exists(), "these tests need the controller: make controller"
    told = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        [there, *words], cwd=FOLDER, env=told, capture_output=True, text=True, check=False
    )


def test_the_playbooks_are_in_good_style(tmp_path: Path) -> None:
    """The linter reads every playbook, and so every role, for its syntax as well."""
    told = controller("ansible-lint", "--offline", "-q", home=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_there_is_a_playbook_for_each_thing_that_is_done_to_a_fleet() -> None:
    assert BOOKS == ["fleet-report.yml", "rollback.yml", "site.yml", "upgrade.yml"]


def test_every_role_is_used() -> None:
    text = (FOLDER / "site.yml").read_text()
    assert set(re.findall(r"^    - (\w+)$", text, re.MULTILINE)) == set(ROLES)


def test_every_choice_of_a_site_is_named_with_its_default() -> None:
    named = set(
        re.findall(
            r"^#? ?(appliance_\w+):",
            (FOLDER / "roles/appliance/defaults/main.yml").read_text(),
            re.MULTILINE,
        )
    )
    used = {
        name
        for path in FOLDER.rglob("*")
        if path.suffix in {".yml", ".j2"}
        for name in re.findall(r"\bappliance_[a-z0-9_]+\b", path.read_text())
    }
    assert used == named


def test_what_runs_on_a_box_is_all_that_it_needs() -> None:
    """What is copied to a box: every module of image/release/ but the one that makes bundles."""
    text = (FOLDER / "roles/app/vars/main.yml").read_text()
    sent = set(re.findall(r"^  - (\w+\.py)$", text, re.MULTILINE))
    assert sent == {path.name for path in (TOP / "image" / "release").glob("*.py")} - {"make.py"}


def test_a_box_needs_nothing_but_debians_python_to_change_its_release(tmp_path: Path) -> None:
    text = (FOLDER / "roles/app/vars/main.yml").read_text()
    there = tmp_path / "release"
    there.mkdir()
    for name in re.findall(r"^  - (\w+\.py)$", text, re.MULTILINE):
        shutil.copy(TOP / "image" / "release" / name, there / name)
    command = (FOLDER / "roles/app/files/appliance-release").read_text()
    script = tmp_path / "appliance-release"
    script.write_text(command.replace("/usr/local/lib/appliance-release", str(tmp_path)))
    told = subprocess.run(
        ["sh", script, "--top", tmp_path, "list"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert '"installed": []' in told.stdout


def refused(**said: Any) -> list[str]:
    """The tasks that keep anything from being done to a box of which this is said."""
    there = jinja2.Environment(autoescape=False)  # noqa: S701 - no page
    there.tests["match"] = lambda text, pattern: re.match(pattern, text) is not None
    there.filters["bool"] = bool
    known = {
        **yaml.safe_load((FOLDER / "roles/appliance/defaults/main.yml").read_text()),
        "appliance_release_signers": ["ssh-ed25519 AAAA"],
        **said,
    }
    tasks = yaml.safe_load((FOLDER / "roles/appliance/tasks/main.yml").read_text())
    return [
        task["name"]
        for task in tasks
        if there.compile_expression(task.get("when", "true"))(**known)
        and not there.compile_expression(task["ansible.builtin.assert"]["that"])(**known)
    ]


PLAIN, GPU = "../dist/appliance-0.2.0.tar", "/srv/dist/appliance-0.2.0+gpu.tar"


@pytest.mark.parametrize(
    "said",
    [
        {"appliance_bundle": PLAIN},
        {"appliance_bundle": PLAIN, "appliance_bundle_gpu": GPU},
        {"appliance_bundle": GPU},
        {"appliance_bundle_gpu": GPU, "appliance_nvidia": True},
        {"appliance_bundle": PLAIN, "appliance_bundle_gpu": GPU, "appliance_nvidia": True},
        {"appliance_bundle_gpu": "appliance-0.2.0+site.gpu.tar", "appliance_nvidia": True},
    ],
)
def test_a_box_that_has_a_bundle_of_its_kind_is_let_through(said: dict[str, Any]) -> None:
    assert refused(**said) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, "without a GPU"),
        ({"appliance_bundle": "dist/wheels.zip"}, "without a GPU"),
        ({"appliance_bundle": PLAIN, "appliance_nvidia": True}, "with a GPU"),
        ({"appliance_bundle": GPU, "appliance_nvidia": True}, "with a GPU"),
        ({"appliance_bundle_gpu": PLAIN, "appliance_nvidia": True}, "with a GPU"),
        ({"appliance_bundle_gpu": "appliance-0.2.0+nogpu.tar", "appliance_nvidia": True}, "with a"),
    ],
)
def test_a_box_without_a_bundle_of_its_kind_is_refused(said: dict[str, Any], kind: str) -> None:
    [why] = refused(**said)
    assert kind in why


@pytest.mark.parametrize("book", ["site.yml", "upgrade.yml"])
def test_what_a_box_needs_is_known_before_anything_is_done_to_it(book: str) -> None:
    """The first role of a playbook's first play looks, and touches nothing."""
    role = yaml.safe_load((FOLDER / book).read_text())[0]["roles"][0]
    assert role in ("appliance", {"role": "appliance"})
    tasks = yaml.safe_load((FOLDER / "roles/appliance/tasks/main.yml").read_text())
    assert {key for task in tasks for key in task} == {"name", "when", "ansible.builtin.assert"}


@pytest.mark.parametrize(("gpu", "version"), [(False, "0.2.0"), (True, "0.2.0+gpu")])
def test_each_box_gets_the_bundle_of_its_kind(*, gpu: bool, version: str) -> None:
    there = jinja2.Environment(autoescape=False)  # noqa: S701 - no page
    there.filters |= {
        "bool": bool,
        "basename": os.path.basename,
        "regex_replace": lambda text, old, new: re.sub(old, new, text),
    }
    told = yaml.safe_load((FOLDER / "roles/app/vars/main.yml").read_text())
    said = {"appliance_bundle": PLAIN, "appliance_bundle_gpu": GPU, "appliance_nvidia": gpu}
    file = there.from_string(told["app_bundle"]).render(said)
    assert file == (GPU if gpu else PLAIN)
    text = told["app_version"].replace("\\", r"\\")  # as ansible reads what stands in a playbook
    assert there.from_string(text).render(app_bundle=file) == version


def written(tmp_path: Path, **variables: Any) -> dict[str, Any]:
    """The settings that the role writes for these variables."""
    book = tmp_path / "book.yml"
    defaults = FOLDER / "roles/appliance/defaults/main.yml"
    template = FOLDER / "roles/settings/templates/appliance.toml.j2"
    book.write_text(
        f"""
- name: Write
  hosts: localhost
  connection: local
  gather_facts: false
  vars_files: [{defaults}]
  tasks:
    - name: Write
      ansible.builtin.template: {{src: {template}, dest: {tmp_path}/made.toml, mode: "0644"}}
"""
    )
    told = controller(
        "ansible-playbook", str(book), "--extra-vars", json.dumps(variables), home=tmp_path
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return tomllib.loads((tmp_path / "made.toml").read_text(encoding="utf-8"))


def test_what_the_inventory_says_becomes_settings_letter_by_letter(tmp_path: Path) -> None:
    odd = 'Größe "quoted" \\ 𝄞'
    told = written(
        tmp_path,
        appliance_settings={"worker": {"count": 2, "require_isolation": True}},
        appliance_profiles={
            "default": {"vocabulary": [odd], "replacements": {"open eye": odd}, "language": "de"}
        },
        appliance_shares=[
            {"name": "dictation", "samba": ["anna"]},
            {"name": "hearings", "root": "/data/h", "kind": "smb"},
        ],
        appliance_backup_to="/mnt/second",
    )
    assert told == {
        "backup": {"copy_to": "/mnt/second"},
        "worker": {"count": 2, "require_isolation": True},
        "profile": {
            "default": {"vocabulary": [odd], "replacements": {"open eye": odd}, "language": "de"}
        },
        "share": [
            {"name": "dictation", "root": "/srv/dictation"},
            {"name": "hearings", "root": "/data/h", "kind": "smb"},
        ],
    }


def test_a_site_that_says_nothing_gets_the_defaults(tmp_path: Path) -> None:
    assert written(tmp_path) == {}


@pytest.mark.parametrize("book", BOOKS)
def test_a_playbook_says_at_its_top_what_it_is_for(book: str) -> None:
    assert (FOLDER / book).read_text().startswith("# ")
