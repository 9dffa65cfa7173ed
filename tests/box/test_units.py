"""The units: systemd understands them, little is left open, and every wall says why it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from appliance.cli import cli
from appliance.supervise import PROCESSES, TIMERS
from tests.box import probes, units

ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/appliance/current/bin/appliance"
# Its verb comes with the channels.
SERVICES = units.services()


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE, "these tests need systemd-analyze: apt-get install systemd"
    # Whatever the machine has of its own units stays out of it.
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(
        [ANALYZE, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on paper: Debian's units and ours, and the programs that ours start."""
    made = tmp_path_factory.mktemp("root")
    there = made / "usr/lib/systemd/system"
    shutil.copytree("/usr/lib/systemd/system", there, symlinks=True)
    shutil.copytree(units.FOLDER, there, dirs_exist_ok=True)
    for program in (PROGRAM, "/usr/bin/nvidia-modprobe", "/usr/bin/systemctl"):
        file = made / program.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    return made


def test_systemd_understands_every_line(root: Path) -> None:
    checked = analyze("verify", f"--root={root}", "--man=no", *units.names())
    ours = [line for line in checked.stderr.splitlines() if "appliance" in line]
    assert (checked.returncode, ours) == (0, [])


def test_a_line_that_systemd_does_not_understand_is_noticed(root: Path) -> None:
    file = root / "usr/lib/systemd/system/appliance-check.service"
    right = file.read_text()
    file.write_text(right + "ProtectSytem=strict\nMemoryMax=lots\n")
    checked = analyze("verify", f"--root={root}", "--man=no", file.name)
    file.write_text(right)
    assert "ProtectSytem" in checked.stderr
    assert "Invalid memory limit" in checked.stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_little_is_left_open(unit: str) -> None:
    most = units.EXCEPTIONS.get(unit, units.MOST)
    file = os.path.join(units.FOLDER, unit)
    told = analyze("security", "--offline=true", "--no-pager", f"--threshold={most}", file)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("unit", units.EXCEPTIONS)
def test_an_exception_is_no_larger_than_it_must_be(unit: str) -> None:
    file = os.path.join(units.FOLDER, unit)
    less = units.EXCEPTIONS[unit] - 1
    told = analyze("security", "--offline=true", "--no-pager", f"--threshold={less}", file)
    assert told.returncode != 0, f"{unit} could promise {less / 10}"


@pytest.mark.parametrize("file", units.files())
def test_every_wall_says_why_it_stands(file: str) -> None:
    for line in units.lines(file):
        if line.section == "Service" and file.endswith(("50-sandbox.conf", "60-needs.conf")):
            assert len(line.reason.split()) > 1, f"{file}: {line.key}"


@pytest.mark.parametrize("file", units.files())
def test_a_unit_leaves_its_walls_to_its_drop_ins(file: str) -> None:
    if file.endswith(".service"):
        named = {line.key for line in units.lines(file)} & probes.PROBES.keys()
        assert not named, "a drop-in for all would undo what stands here"


def test_every_wall_has_a_probe() -> None:
    walls = {key for unit in SERVICES for key in units.walls(unit)}
    assert walls == probes.PROBES.keys()


@pytest.mark.parametrize("unit", SERVICES)
def test_only_two_have_a_way_out(unit: str) -> None:
    said = units.settings(unit)
    reaches_out = unit in ("appliance-notify.service", "appliance-model-pull@.service")
    assert (said["PrivateNetwork"] == ["no"]) == reaches_out
    families = " ".join(said["RestrictAddressFamilies"]).split()
    assert ("AF_INET" in families) == reaches_out
    if not reaches_out:
        assert families == ["AF_UNIX"]
        assert said["IPAddressDeny"] == ["any"]


@pytest.mark.parametrize("unit", SERVICES)
def test_no_part_can_roll_the_journal_over(unit: str) -> None:
    said = units.settings(unit)
    assert (said["LogRateLimitIntervalSec"], said["LogRateLimitBurst"]) == (["30s"], ["5000"])


def test_what_reaches_out_runs_as_somebody_else() -> None:
    account = {unit: units.settings(unit).get("User", ["root"])[0] for unit in SERVICES}
    assert account["appliance-notify.service"] == "appliance-notify"
    assert account["appliance-model-pull@.service"] == "appliance-fetch"
    assert account["appliance-web.service"] == "appliance-web"
    assert {unit for unit, name in account.items() if name == "root"} == set(units.AS_ROOT)


@pytest.mark.parametrize("unit", [f"appliance-{name}.service" for name in (*PROCESSES, "notify")])
def test_a_part_that_stays_starts_again_unless_the_settings_are_wrong(unit: str) -> None:
    said = units.settings(unit)
    assert said["Type"] == ["notify"]
    assert said["Restart"] == ["always"]
    assert said["RestartPreventExitStatus"] == ["78"]
    for key in ("WatchdogSec", "OOMPolicy", "KillMode", "MemoryMax", "TasksMax"):
        assert key in said, key
    # The pause alone keeps it below the limit: whoever attends to no box finds it running.
    limit = units.settings(unit, "Unit")
    pause, span, burst = (
        float(re.sub(r"\D", "", value))
        for value in (
            said["RestartSec"][0],
            limit["StartLimitIntervalSec"][0],
            limit["StartLimitBurst"][0],
        )
    )
    assert span / pause < burst


def test_every_process_of_a_laptop_has_its_unit_and_every_timer_its_job() -> None:
    wanted = " ".join(units.settings("appliance.target", "Unit")["Wants"]).split()
    for name in (*PROCESSES, "check", "notify"):
        assert f"appliance-{name}.service" in wanted
    for verb in (*TIMERS, "reconcile"):
        assert f"appliance-{verb}.timer" in wanted
        assert f"appliance-{verb}.service" in SERVICES


@pytest.mark.parametrize("unit", [name for name in SERVICES if name != "appliance-gpu.service"])
def test_what_a_unit_starts_is_a_verb_of_the_command(unit: str) -> None:
    (line,) = units.settings(unit)["ExecStart"]
    program, verb, *_ = line.split()
    assert program == PROGRAM
    assert verb in cli.list_commands(click.Context(cli))


def test_no_unit_names_one_that_does_not_exist() -> None:
    there = {*units.names(), "appliance.slice"}
    for unit in units.names():
        for line in units.of(unit):
            for named in re.findall(
                r"\bappliance[a-z@-]*\.(?:service|socket|timer|target)", line.value
            ):
                assert named in there, f"{unit}: {line.key}={line.value}"
