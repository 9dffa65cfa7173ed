"""The playbooks: understood, in good style, every choice named once.

Not here: what they make of a box (`make test-box LANE=provision`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
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
    variables = {"inventory_hostname": "10.0.0.7"} | variables
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


def test_the_page_answers_to_the_name_that_the_inventory_has(tmp_path: Path) -> None:
    told = written(
        tmp_path,
        inventory_hostname="box.example.org",
        appliance_tls_names=["DNS:words.example.org", "IP:10.0.0.7"],
    )
    assert told == {"web": {"names": ["box.example.org", "words.example.org"]}}


OFFICE = "10.0.0.0/8,fd00::/8"


@pytest.mark.parametrize(
    ("came", "is_let_in"),
    [
        ("10.1.2.3 50000 10.0.0.7 22", True),
        ("::ffff:10.1.2.3 50000 ::ffff:10.0.0.7 22", True),
        ("fd00::5 50000 fd00::7 22", True),
        ("fd00::5%eth0 50000 fd00::7 22", True),
        ("198.51.100.9 50000 10.0.0.7 22", False),
        ("2001:db8::5 50000 2001:db8::7 22", False),
        ("127.0.0.1 50000 127.0.0.1 22", True),
        ("UNKNOWN 65535 UNKNOWN 65535", True),
        (None, True),
    ],
)
def test_the_firewall_shuts_nobody_out_who_runs_this(came: str | None, is_let_in: bool) -> None:
    script = FOLDER / "roles/firewall/files/gets_in.py"
    told = subprocess.run(
        [sys.executable, script, OFFICE],
        env={} if came is None else {"SSH_CONNECTION": came},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode == 0) is is_let_in
    assert ("appliance_office" in told.stderr) is not is_let_in


@pytest.mark.parametrize(("answer", "status"), [(200, 0), (401, 4), (503, 0)])
def test_a_key_that_the_figures_refuse_is_told_from_all_else(
    tmp_path: Path, answer: int, status: int
) -> None:
    class Figures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    asked: list[tuple[str, str]] = []
    (tmp_path / "key").write_text("a-key\n")
    with HTTPServer(("127.0.0.1", 0), Figures) as server:
        answers = threading.Thread(target=server.handle_request)
        answers.start()
        assert opens(tmp_path / "key", server.server_port) == status
        answers.join()
    assert asked == [("/metrics", "Bearer a-key")]
    assert opens(tmp_path / "key", server.server_port) == 3


def opens(key: Path, port: int) -> int:
    script = FOLDER / "roles/monitoring/files/opens.py"
    return subprocess.run([sys.executable, script, key, str(port)], check=False).returncode


def test_a_box_that_is_off_keeps_no_other_from_going_back(tmp_path: Path) -> None:
    """The second has no `appliance-release`: that it was missed says that its turn came."""
    here = {"ansible_connection": "local", "ansible_become": False}
    off = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
    hosts = {"box-off": off, "box-on": here}
    inventory = tmp_path / "boxes.json"
    inventory.write_text(json.dumps({"appliances": {"hosts": hosts}}))
    told = controller(
        "ansible-playbook", "rollback.yml", "-i", str(inventory), "-e", "rollback_from=2",
        home=tmp_path,
    )  # fmt: skip
    assert told.returncode != 0
    recap = dict(re.findall(r"^(box-\S+)\s+: (.*)$", told.stdout, re.MULTILINE))
    assert "failed=1" in recap["box-on"], told.stdout
    assert "unreachable=1" not in recap["box-off"], "it would end the run"


def test_apt_is_left_alone_where_the_site_says_so() -> None:
    """A `cache_valid_time` alone has ansible-core's module ask the sources."""
    asking = {"update_cache", "cache_valid_time"}
    tasks = yaml.safe_load((FOLDER / "roles/base/tasks/main.yml").read_text())
    said = [task["ansible.builtin.apt"] for task in tasks if "ansible.builtin.apt" in task]
    words = [part[key] for part in said for key in asking & part.keys()]
    assert words
    by = jinja2.Environment(autoescape=False)  # noqa: S701 - no page is made of this
    by.filters["ternary"] = lambda value, yes, no: yes if value else no
    told = {by.from_string(str(word)).render(appliance_apt_update=False) for word in words}
    assert told <= {"False", "0"}


@pytest.mark.parametrize("book", BOOKS)
def test_a_playbook_says_at_its_top_what_it_is_for(book: str) -> None:
    assert (FOLDER / book).read_text().startswith("# ")
