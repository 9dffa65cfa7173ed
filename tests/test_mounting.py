"""Units for shares of a file server: what systemd is told, and what lies below a mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import mounting
from appliance.cli import cli
from appliance.errors import SettingsInvalid
from appliance.settings import Settings, load

SMB = '[[share]]\nname = "meetings"\nroot = "/srv/meetings"\nkind = "smb"\nsource = "//nas/a b"\n'
OWN = '[[share]]\nname = "own"\nroot = "/srv/own"\n'
NFS = '[[share]]\nname = "court"\nroot = "/srv/court-1"\nkind = "nfs"\nsource = "nas:/export/c"\n'


def said(folder: Path, text: str) -> Settings:
    file = folder / "appliance.toml"
    file.write_text(text)
    return load(str(file))


def test_a_share_of_a_file_server_has_a_mount_and_an_automount(tmp_path: Path) -> None:
    units = mounting.units(
        said(tmp_path, SMB + NFS + '[[share]]\nname = "own"\nroot = "/srv/own"\n')
    )
    assert units.keys() == {
        "srv-meetings.mount", "srv-meetings.automount",
        r"srv-court\x2d1.mount", r"srv-court\x2d1.automount",
    }  # fmt: skip
    mount = units["srv-meetings.mount"]
    assert "What=//nas/a b\nWhere=/srv/meetings\nType=cifs\n" in mount
    for option in ("soft", "nosuid", "nodev", "noexec", "vers=3.1.1"):
        assert f",{option}," in mount.replace("Options=", ",").replace("\n", ",")
    assert "seal" not in mount
    assert "Type=nfs4" in units[r"srv-court\x2d1.mount"]


def test_a_server_that_is_away_for_long_is_mounted_all_the_same(tmp_path: Path) -> None:
    """systemd gives up an automount whose mount has failed five times in ten seconds."""
    for name, text in mounting.units(said(tmp_path, SMB + NFS)).items():
        if name.endswith(".mount"):
            unit, _, _ = text.partition("[Mount]")
            assert "StartLimitIntervalSec=0\n" in unit


def test_no_password_is_in_a_unit_only_where_it_lies(tmp_path: Path) -> None:
    units = mounting.units(said(tmp_path, SMB + "seal = true\n" + NFS))
    mount = units["srv-meetings.mount"]
    assert "credentials=/etc/appliance/credentials/shares/meetings,seal\n" in mount
    assert "password" not in mount
    assert "credentials" not in units[r"srv-court\x2d1.mount"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('source = "//nas"', "must be //server/share"),
        ('source = "//nas/x,uid=0"', "must be //server/share"),
        ('source = "//nas/x\\nOptions=suid"', "must be //server/share"),
        ('source = "nas:/export"', 'wants kind = "nfs"'),
    ],
)
def test_a_source_that_says_something_else_is_a_mistake(
    line: str, why: str, tmp_path: Path
) -> None:
    text = SMB.replace('source = "//nas/a b"', line)
    with pytest.raises(SettingsInvalid) as raised:
        said(tmp_path, text)
    assert why in raised.value.sentence


def test_a_folder_cannot_bring_lines_of_its_own_into_a_unit(tmp_path: Path) -> None:
    text = SMB.replace("/srv/meetings", "/srv/meetings\\nOptions=suid")
    with pytest.raises(SettingsInvalid) as raised:
        said(tmp_path, text)
    assert "cannot be mounted on" in raised.value.sentence


@pytest.mark.parametrize(
    "path",
    ["/srv/meetings", "/srv/a-b/c d", "/srv/Größe", "/srv/.hidden/x", "/.first", "/srv/a\\b"],
)
def test_a_path_is_called_as_systemd_calls_it(path: str) -> None:
    told = subprocess.run(
        ["systemd-escape", "--path", path], capture_output=True, text=True, check=True
    )
    assert mounting.escaped(path) == told.stdout.rstrip("\n")


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    folder = tmp_path / "root/etc/systemd/system"
    folder.mkdir(parents=True)
    shutil.copytree(
        "/usr/lib/systemd/system", tmp_path / "root/usr/lib/systemd/system", symlinks=True
    )
    there, _ = mounting.write(said(tmp_path, SMB + NFS), str(folder))
    told = subprocess.run(
        ["systemd-analyze", "verify", f"--root={tmp_path}/root", "--man=no",
         *(str(folder / name) for name in there)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    ours = [line for line in told.stderr.splitlines() if "srv-" in line]
    assert ours == []


def told_to_stop(folder: Path) -> str:
    return (folder / "appliance-shares-away.target.d" / "conflicts.conf").read_text()


def test_systemd_may_read_what_the_sandbox_would_hide(tmp_path: Path) -> None:
    """Of a file that only root reads it complains in the journal at each reload."""
    before = os.umask(0o077)
    try:
        mounting.write(said(tmp_path, SMB), str(tmp_path / "units"))
    finally:
        os.umask(before)
    modes = {
        oct(one.stat().st_mode & 0o777) for one in (tmp_path / "units").rglob("*") if one.is_file()
    }
    assert modes == {"0o644"}


def test_no_mount_outlives_a_start_whatever_changed_of_it(tmp_path: Path) -> None:
    """A password may have, or nothing: nobody has to find out."""
    folder = tmp_path / "units"
    mounting.write(said(tmp_path, SMB + NFS + OWN), str(folder))
    assert told_to_stop(folder) == "[Unit]\nConflicts=\nAfter=\n", "nothing was there before"
    for changed in (SMB, SMB.replace("//nas", "//new"), SMB + "seal = true\n"):
        mounting.write(said(tmp_path, changed + NFS + OWN), str(folder))
        mounts = "srv-court\\x2d1.mount srv-meetings.mount"
        assert told_to_stop(folder) == f"[Unit]\nConflicts={mounts}\nAfter={mounts}\n"
    assert "\nLazyUnmount=yes\n" in (folder / "srv-meetings.mount").read_text()


def test_units_of_a_share_that_is_gone_stop_then_go_and_those_of_others_stay(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    (folder / "srv-others.mount").write_text("[Mount]\n")
    mounting.write(said(tmp_path, SMB + NFS), str(folder))
    wants = folder / "appliance-shares.target.d" / "wants.conf"
    assert wants.read_text() == "[Unit]\nWants=srv-court\\x2d1.automount srv-meetings.automount\n"
    for start in ("the first", "one after it was cut off"):
        there, gone = mounting.write(said(tmp_path, NFS), str(folder))
        assert there == [r"srv-court\x2d1.automount"]
        assert gone == ["srv-meetings.automount", "srv-meetings.mount"], start
        line = r"Conflicts=srv-court\x2d1.mount srv-meetings.automount srv-meetings.mount"
        assert line in told_to_stop(folder), start
    (told,) = mounting.tidy(said(tmp_path, NFS), str(folder), is_mounted=lambda _root: True)
    assert "/srv/meetings is mounted still" in told
    assert (folder / "srv-meetings.mount").exists()
    assert not list(mounting.tidy(said(tmp_path, NFS), str(folder), is_mounted=lambda _root: False))
    assert sorted(one.name for one in folder.glob("*mount")) == [
        r"srv-court\x2d1.automount", r"srv-court\x2d1.mount", "srv-others.mount"
    ]  # fmt: skip


@pytest.mark.parametrize("left", ["empty", "with a file", "the box's own"])
def test_the_folder_of_a_share_that_is_gone_opens_and_goes_where_it_is_empty(
    left: str, tmp_path: Path
) -> None:
    folder, root = tmp_path / "units", tmp_path / "100 % A-Größe"
    share = SMB.replace("/srv/meetings", str(root))
    mounting.write(said(tmp_path, share), str(folder))
    mounting.prepare(str(root), is_mounted=False)
    if left == "with a file":
        mounting.give_back(str(root), keep=True)
        (root / "by-hand.wav").touch()
    own = OWN.replace("/srv/own", str(root))
    now = said(tmp_path, own if left == "the box's own" else "")
    mounting.write(now, str(folder))
    told = list(mounting.tidy(now, str(folder), is_mounted=lambda _root: False))
    assert root.exists() == (left != "empty")
    assert bool(told) == (left == "with a file"), told
    if root.exists():
        (root / "one-more").touch()
        assert root.stat().st_mode & 0o777 == 0o755
    assert not list(folder.glob("*mount"))


def test_nobody_writes_below_a_share_that_is_not_mounted(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can close a folder")
    root = tmp_path / "share"
    if not mounting.prepare(str(root), is_mounted=False):
        pytest.skip("this file system knows no folder that cannot be changed")
    try:
        assert (root.stat().st_mode & 0o777) == 0o555
        with pytest.raises(PermissionError):
            (root / "recording.wav").write_bytes(b"")
        assert mounting.prepare(str(root), is_mounted=False), "a second time"
    finally:
        subprocess.run(["chattr", "-i", root], check=True)


def test_the_command_writes_units_and_names_what_is_to_be_started(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(SMB.replace("/srv/meetings", str(tmp_path / "meetings")))
    words = ["--settings", str(file), "share", "mount", "--units", str(tmp_path / "units")]
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 0, told.output
    name = mounting.escaped(str(tmp_path / "meetings"))
    assert f"{name}.automount" in told.output
    assert (tmp_path / "units" / f"{name}.mount").exists()
    file.write_text("")
    for more in ((), ("--tidy",)):
        told = CliRunner().invoke(cli, [*words, *more])
        assert told.exit_code == 0, told.output
    assert not (tmp_path / "units" / f"{name}.mount").exists()
    assert not (tmp_path / "meetings").exists()


def test_a_folder_that_cannot_be_made_keeps_no_other_share_away(tmp_path: Path) -> None:
    file, units = tmp_path / "appliance.toml", tmp_path / "units"
    (tmp_path / "a-file").touch()
    blocked, fine = str(tmp_path / "a-file" / "meetings"), str(tmp_path / "fine")
    one = SMB.replace("/srv/meetings", blocked)
    two = SMB.replace("/srv/meetings", fine).replace('name = "meetings"', 'name = "fine"')
    file.write_text(f"{one}\n{two}")
    words = ["--settings", str(file), "share", "mount", "--units", str(units)]
    told = CliRunner().invoke(cli, words)
    subprocess.run(["chattr", "-i", fine], check=False, capture_output=True)
    assert told.exit_code == 0, told.output
    assert f"meetings: {blocked}: Not a directory" in told.output
    assert f"{mounting.escaped(fine)}.automount" in told.output
