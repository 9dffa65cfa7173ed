"""Links: followed as the kernel does, and never into a mount that may be dead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import links


def test_links_lead_where_the_kernel_goes(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").symlink_to("a/b")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "a" / "up").symlink_to("../two/../../one")
    for name in ("a", "one", "two", "a/up", "two/not/there", "two/.."):
        path = f"{tmp_path}/{name}"
        assert links.resolved(path) == os.path.realpath(path)


def test_a_kernel_that_does_not_say_what_is_mounted_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without a free descriptor, say."""
    none = str(tmp_path / "none")
    assert links.mount_id(str(tmp_path), none) == 0
    monkeypatch.setattr(links._remote_mounts, "__defaults__", (none,))
    assert links.resolved(f"{tmp_path}/x") == f"{tmp_path}/x"


def test_what_came_upon_an_automount_point_is_the_mount_that_was_meant(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    waiting = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n7 1 0:9 / /srv/nas rw - autofs systemd-1 rw\n"
    mounted = waiting + "9 7 0:12 / /srv/nas rw - cifs //nas/x rw\n"
    for text, was, now in (
        (waiting, 7, 7),  # nobody has mounted it yet
        (mounted, 7, 9),  # who was told of 7 is at 9
        (mounted, 9, 9),
        (mounted, 5, 5),  # an earlier one: something else is there now
        (mounted.replace("autofs", "ext4"), 7, 7),
    ):
        table.write_text(text)
        assert links.came_upon("/srv/nas", was, str(table)) == now


def test_a_loop_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert links.resolved(f"{tmp_path}/loop/x") == f"{tmp_path}/loop/x"


def test_nothing_is_asked_of_a_remote_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "link").symlink_to("/etc")
    (tmp_path / "to_nas").symlink_to("nas")
    nas = f"{os.path.realpath(tmp_path)}/nas"
    monkeypatch.setattr(links, "_remote_mounts", lambda: {nas})
    assert links.resolved(f"{tmp_path}/to_nas/link/x") == f"{nas}/link/x"


def test_remote_mounts_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:9 / /mnt/my\\040nas rw - nfs4 nas:/x rw\n"
        "3 1 0:8 / /mnt/win rw shared:3 - cifs //win/x rw\n"
    )
    assert links._remote_mounts(str(table)) == {"/mnt/my nas", "/mnt/win"}
