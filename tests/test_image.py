"""The image: how its disk is parted, that nothing of one box is in it, that its files fit together.

Not here: a disk that boots (`make test-box LANE=image`).
"""

from __future__ import annotations

import os
import py_compile
import re
import subprocess
from pathlib import Path

import pytest

from appliance.settings import load
from image import build, clean, disk
from image.boot.__main__ import VERBS

TOP = Path(__file__).parents[1]
ROOT = TOP / "image" / "root"
UNITS = ROOT / "etc/systemd/system"


# --- the disk -----------------------------------------------------------------------------------


def test_the_data_partition_is_the_last_and_a_second_root_has_its_room() -> None:
    assert disk.LAYOUT[-1] is disk.DATA
    assert disk.offset(disk.DATA) == disk.offset(disk.ROOM) + disk.ROOT.mib
    assert disk.ROOM.name not in disk.table()


def test_the_table_is_the_same_in_every_image() -> None:
    assert disk.table() == disk.table()
    assert len({one.id for one in disk.LAYOUT}) == len(disk.LAYOUT)


def test_labels_of_file_systems_fit() -> None:
    assert all(len(one.name) <= 16 for one in disk.LAYOUT)  # ext4 cuts a longer one


@pytest.mark.parametrize("of", [disk.ESP, disk.ROOT, disk.DATA], ids=lambda of: of.name)
def test_what_is_mounted_is_what_the_disk_has(of: disk.Partition) -> None:
    assert f"PARTLABEL={of.name} " in (ROOT / "etc/fstab").read_text()


# --- what no two boxes share --------------------------------------------------------------------


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A root in which a box has run."""
    for file, content in {
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/shadow": "root:!*:20000::::::\nappliance:!:20000::::::\n",
        "etc/shadow-": "root:x\n",
        "etc/resolv.conf": "nameserver 10.0.2.3\n",
        "etc/ssh/ssh_host_ed25519_key": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "etc/appliance/tls/key.pem": "-----BEGIN PRIVATE KEY-----\n",
        "etc/appliance/appliance.toml": "[worker]\n",
        "etc/apt/apt.conf.d/99mmdebstrap": "\n",
        "root/.ssh/authorized_keys": "ssh-ed25519 AAAA maker\n",
        "root/.bashrc": "# Debian's own\n",
        "srv/dictation/.transcribe-id": "1\n",
        "var/lib/appliance/ledger.db": "words\n",
        "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
        "var/lib/samba/private/passdb.tdb": "\n",
        "var/lib/samba/account_policy.tdb": "\n",
        "var/lib/systemd/random-seed": "\n",
        "var/log/nginx/error.log": "\n",
    }.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_nothing_of_the_box_that_made_it_is_left(used: Path) -> None:
    assert len(list(clean.left_over(used))) >= 8
    clean.clean(used)
    assert list(clean.left_over(used)) == []
    kept = {str(path.relative_to(used)) for path in used.rglob("*") if not path.is_dir()}
    assert kept == {
        *("etc/machine-id", "etc/shadow", "etc/appliance/appliance.toml", "root/.bashrc"),
        *("etc/hostname", "etc/hosts", "etc/resolv.conf", "var/lib/dbus/machine-id"),
    }
    assert (used / "etc/machine-id").read_text() == ""
    assert (used / "var/log/nginx").is_dir()


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("opt/key", "-----BEGIN EC PRIVATE KEY-----\n", "private key"),
        ("home/a/.ssh/authorized_keys", "ssh-ed25519 AAAA a\n", "is there"),
        ("etc/shadow", "root:$y$j9T$x:20000::::::\n", "password"),
    ],
)
def test_what_a_list_forgets_is_found_all_the_same(
    used: Path, file: str, content: str, why: str
) -> None:
    clean.clean(used)
    (used / file).parent.mkdir(parents=True, exist_ok=True)
    (used / file).write_text(content)
    (found,) = clean.left_over(used)
    assert why in found


def test_no_file_is_younger_than_the_commit(used: Path) -> None:
    (used / "etc/link").symlink_to("nowhere")
    old = used / "etc/shadow"
    os.utime(old, (1_000, 1_000))
    clean.settle_times(used, 2_000)
    hours = {path.name: path.lstat().st_mtime for path in used.rglob("*")}
    assert (hours.pop("shadow"), set(hours.values())) == (1_000, {2_000})


@pytest.mark.parametrize(
    ("mode", "outdated"),
    [
        (py_compile.PycInvalidationMode.TIMESTAMP, True),
        (py_compile.PycInvalidationMode.CHECKED_HASH, False),
    ],
)
def test_a_module_that_each_start_would_compile_is_found(
    tmp_path: Path, mode: py_compile.PycInvalidationMode, outdated: bool
) -> None:
    source = tmp_path / "lib" / "part.py"
    source.parent.mkdir()
    source.write_text("VALUE = 1\n")
    compiled = py_compile.compile(str(source), invalidation_mode=mode)
    assert compiled is not None
    assert list(clean.outdated(tmp_path)) == []
    clean.settle_times(tmp_path, 2_000)
    found = [str(Path(compiled).relative_to(tmp_path))] if outdated else []
    assert list(clean.outdated(tmp_path)) == found


# --- its files ----------------------------------------------------------------------------------


def ours() -> list[Path]:
    return sorted(path for path in UNITS.glob("*") if path.is_file())


@pytest.mark.parametrize("unit", ours(), ids=lambda path: path.name)
def test_a_unit_of_the_image_runs_a_verb_that_there_is(unit: Path) -> None:
    text = unit.read_text()
    verbs = set(re.findall(r"^ExecStart=/usr/local/sbin/appliance-boot (\w+)$", text, re.MULTILINE))
    assert verbs <= VERBS.keys()
    assert verbs or unit.suffix == ".timer"


@pytest.mark.parametrize("unit", ours(), ids=lambda path: path.name)
def test_a_unit_of_the_image_is_none_of_the_appliances(unit: Path) -> None:
    """Whatever is called appliance-* gets the sandbox of the release, which lets nothing grow."""
    assert not unit.name.startswith("appliance-")


def test_what_is_enabled_is_there() -> None:
    names = {path.name for path in ours()}
    assert {one for one in build._ENABLED if one.startswith("box-")} | {
        "box-screen.service"
    } == names


def test_what_is_run_may_be_run() -> None:
    for folder in ("usr/local/sbin", "etc/kernel/postinst.d", "etc/initramfs/post-update.d"):
        for path in (ROOT / folder).iterdir():
            assert path.stat().st_mode & 0o111, path
            assert subprocess.run(["sh", "-n", path], check=False).returncode == 0


def test_files_have_the_rights_they_need_whatever_the_checkout_says(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc").chmod(0o711)  # whatever the umask of this process
    build.put_files(tmp_path)
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")
    }
    assert modes["etc"] == 0o711
    assert modes["etc/systemd/system"] == modes["usr/local/sbin/appliance-boot"] == 0o755
    assert modes["etc/fstab"] == modes["usr/local/lib/appliance-boot/boot/take.py"] == 0o644


def test_the_settings_of_the_image_are_right() -> None:
    assert load(str(ROOT / "etc/appliance/conf.d/10-image.toml")).worker.require_cgroups


def test_debians_python_runs_what_runs_at_boot(tmp_path: Path) -> None:
    """Without the product's environment: the standard library is all there is."""
    (tmp_path / "boot").symlink_to(TOP / "image" / "boot")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.dont_write_bytecode = True; "
    code += "from boot.__main__ import main; sys.exit(main([]))"
    argv = ["/usr/bin/python3", "-I", "-c", code]
    told = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert told.returncode == 2, told.stderr


def test_every_package_is_named_once() -> None:
    assert len(set(build.PACKAGES)) == len(build.PACKAGES)
