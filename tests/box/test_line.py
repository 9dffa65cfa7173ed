"""A recording comes back from behind every wall: the units as they are, in a container."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.box import container, units

DEBIANS = "/usr/lib/python3/dist-packages/systemd"
PYTHON = "/usr/bin/python3"  # one that every account may run
PATIENCE = 150.0
PARTS = ("engine", "worker", "watch", "web")
_INSTALL = r"""
mkdir -p /opt/appliance/current/bin /srv/meetings
printf '#!/bin/sh\nPYTHONPATH=%s exec {python} -m appliance "$@"\n' \
  {top}:/opt/appliance/py:{packages} > /opt/appliance/current/bin/appliance
chmod 755 /opt/appliance/current/bin/appliance
mount -t tmpfs -o mode=2775,uid=$(id -u appliance),gid=$(id -g appliance) none /srv/meetings
printf '%s\n' '[worker]' 'require_isolation = true' '[[share]]' 'name = "meetings"' \
  'root = "/srv/meetings"' > /etc/appliance/conf.d/share.toml
systemctl start appliance-engine appliance-worker appliance-watch appliance-web
"""


def library() -> str | None:
    """Where systemd-python lies, if it is there."""
    found = importlib.util.find_spec("systemd.daemon")
    return os.path.dirname(found.origin) if found and found.origin else _debians()


def _debians() -> str | None:
    return DEBIANS if os.path.isdir(DEBIANS) else None


def what_is_missing() -> str | None:
    """Why the units cannot run here with what the tests are run with; None where they can."""
    if (why := container.missing()) is not None:
        return why
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    asked = [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() != minor:
        return f"{PYTHON} is no Python {minor}"
    for place in (units.TOP, sysconfig.get_path("purelib")):
        if place.startswith(("/root/", "/home/", "/tmp/")):  # noqa: S108 - a unit sees none of them
            return f"no unit may look into {place}"
    return None if library() else "there is no python3-systemd: make programs"


def test_a_recording_comes_back_from_behind_every_wall(tmp_path: Path) -> None:
    if (why := what_is_missing()) is not None:
        pytest.skip(why)
    try:
        with container.started(tmp_path) as box:
            comes_back(box)
    except TimeoutError as error:
        pytest.skip(f"no container can be had here: {error}")


def comes_back(box: container.Container) -> None:
    """Start the units as they are, drop a recording, and look at what became of it."""
    packages = sysconfig.get_path("purelib")
    script = _INSTALL.format(top=units.TOP, packages=packages, python=PYTHON)
    there = library()
    assert there
    shutil.copytree(there, box.path("/opt/appliance/py/systemd"))
    installed = box.run("sh", "-ec", script)
    assert installed.returncode == 0, installed.stderr + box.run("journalctl", "-n", "60").stdout
    sample = f"{units.TOP}/appliance/selftest/samples/welcome-english.wav"
    box.run("cp", sample, "/srv/meetings/").check_returncode()
    begun = time.monotonic()
    while box.run("test", "-e", "/srv/meetings/welcome-english.txt").returncode:
        told = box.run("journalctl", "--no-pager", "-n", "60").stdout
        assert time.monotonic() - begun < PATIENCE, told
        time.sleep(0.5)
    assert "project budget" in box.run("cat", "/srv/meetings/welcome-english.txt").stdout
    for part in PARTS:
        shown = box.run(
            "systemctl", "show", f"appliance-{part}", "-P", "ActiveState", "-P", "NRestarts"
        )
        assert sorted(shown.stdout.split()) == ["0", "active"], part
    (own,) = box.run("systemctl", "show", "appliance-worker", "-P", "ControlGroup").stdout.split()
    worker = box.run("systemctl", "show", "appliance-worker", "-P", "MainPID").stdout.strip()
    assert f"0::{own}/supervisor" in box.run("cat", f"/proc/{worker}/cgroup").stdout
    # The kernel lends this container groups, and no controllers for them.
    assert box.run("cat", "/run/appliance/limits").stdout == "partial"
    lines = box.run("cat", "/var/lib/appliance/logs/1/1.jsonl").stdout.splitlines()
    (used,) = (line for line in map(json.loads, lines) if line["event"] == "decoder")
    assert used["cpu_seconds"] > 0
    assert not box.run("sh", "-c", f"ls -d /sys/fs/cgroup{own}/job-*").stdout, "a group was left"
    # systemd counts its own jobs in a field of that name, but has no shares.
    asked = ("JOB_ID=1", "SHARE=meetings")
    found = box.run("journalctl", "--no-pager", "-o", "json", *asked).stdout.splitlines()
    said = {json.loads(line)["SYSLOG_IDENTIFIER"] for line in found}
    assert said >= {"appliance-watch", "appliance-worker", "appliance-engine"}
