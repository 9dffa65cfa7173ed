"""The delegated cgroup: we move beside where the groups of jobs will be, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import delegation

TOP = Path(__file__).parents[1]
_CHILD = """
import os, sys
from appliance import delegation
group, root = sys.argv[1:]
with open(os.path.join(group, "cgroup.procs"), "w") as members:
    members.write(str(os.getpid()))
first, again = delegation.settle_in(root), delegation.settle_in(root)
own = next(line for line in open("/proc/self/cgroup") if line.startswith("0::"))
print(first, again, own[3:].strip())
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of our own where cgroup v2 is mounted."""
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounted = next((one[4] for one in fields if one[one.index("-") + 1] == "cgroup2"), None)
    if mounted is None or os.geteuid() or not os.access(mounted, os.W_OK):
        pytest.skip("no cgroup v2 here that a test may write to")
    made = Path(mounted) / f"appliance-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield made
    for folder in (made / delegation.SUPERVISOR, made):
        if folder.exists():
            folder.rmdir()


def settled(group: Path) -> list[str]:
    told = {**os.environ, "PYTHONPATH": str(TOP)}
    ran = subprocess.run(
        [sys.executable, "-c", _CHILD, str(group), str(group.parent)],
        env=told,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()


def test_a_process_moves_aside_in_a_group_that_was_handed_over(group: Path) -> None:
    os.setxattr(group, "user.delegate", b"1")
    first, again, own = settled(group)
    assert first == again == str(group), "who has settled stays"
    assert own.endswith(f"/{group.name}/{delegation.SUPERVISOR}")


def test_a_group_that_is_not_ours_is_left_alone(group: Path) -> None:
    first, again, own = settled(group)
    assert (first, again) == ("None", "None")
    assert own.endswith(f"/{group.name}")
    assert not (group / delegation.SUPERVISOR).exists()


def test_without_cgroups_nothing_happens(tmp_path: Path) -> None:
    assert delegation.settle_in(str(tmp_path)) is None
