"""What the doctor says of the platform and of a box in any state. The walls: test_cli."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance import cuda, doctor
from appliance.doctor import (
    asking,
    certificate,
    gpu,
    hour,
    ledger,
    models,
    mounted,
    platform,
    trying,
)
from appliance.doctor.asking import Answer
from appliance.doctor.hour import Kept
from appliance.health.finding import Finding, Level
from appliance.limits import Mode
from appliance.settings import EngineSettings, NodeSettings, Profile, Settings, Share
from appliance.store import schema
from appliance.weights import BUNDLED

_BY_NAME = """
import ctypes, glob, os, sysconfig
from appliance import cuda
def known(name):
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
for path in glob.glob(sysconfig.get_paths()["purelib"] + "/av.libs/*.so*"):
    name = os.path.basename(path)
    before = known(name)
    if cuda.open_all((name,), {name: path}) == {name: None}:
        print("known" if before else "unknown", "found" if known(name) else "missing")
        break
assert cuda.open_all(("libnobody.so.1",), {})["libnobody.so.1"]
"""


def of_box(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"node": NodeSettings(state_dir=str(folder / "state")), **more})


def one(found: list[Finding], code: str) -> Finding:
    (finding,) = (finding for finding in found if finding.code == code)
    return finding


# --- the certificate ----------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "level"), [(825, Level.OK), (59, Level.WARN), (-1, Level.FAIL)])
def test_a_certificate_says_for_how_long_it_holds(tmp_path: Path, days: int, level: Level) -> None:
    """One that openssl made, behind a real handshake."""
    made = [
        *(
            "openssl",
            "x509",
            "-req",
            "-in",
            str(tmp_path / "asked"),
            "-out",
            str(tmp_path / "cert"),
        ),
        *("-signkey", str(tmp_path / "key"), "-days", str(days)),
    ]
    asked = [
        *("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(tmp_path / "key"), "-subj", "/CN=box", "-out", str(tmp_path / "asked")),
    ]
    subprocess.run(asked, check=True, capture_output=True)
    subprocess.run(made, check=True, capture_output=True)
    spoken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    spoken.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            for _ in range(2):
                line, _who = door.accept()
                with (
                    contextlib.suppress(OSError),
                    spoken.wrap_socket(line, server_side=True) as said,
                ):
                    said.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        (found,) = certificate.examine(door.getsockname())
    assert found.level is level
    assert bool(found.remedy) is (level is not Level.OK)


def test_where_nobody_speaks_tls_there_is_nothing_to_say() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        where = door.getsockname()
    assert list(certificate.examine(where)) == []


# --- the platform -------------------------------------------------------------------------------


def test_the_gpu_is_counted_by_the_engines_own_library() -> None:
    found = list(gpu.examine("auto"))
    assert one(found, "gpu").level is not Level.FAIL


@pytest.mark.parametrize(
    ("device", "usable", "driver", "level"),
    [
        ("auto", 1, True, Level.OK),
        ("cuda", 2, True, Level.OK),
        ("auto", 0, False, Level.OK),
        ("auto", 0, True, Level.WARN),  # a driver without the libraries
        ("cpu", 0, True, Level.OK),
        ("cuda", 0, False, Level.FAIL),
        ("cuda", None, True, Level.FAIL),  # the library itself does not load
    ],
)
def test_a_gpu_that_is_wanted_and_cannot_be_used_is_told(
    device: str, usable: object, driver: bool, level: Level
) -> None:
    found = gpu.whole(device, usable, driver=driver)
    assert found.level is level
    assert bool(found.remedy) == (level is not Level.OK)


@pytest.mark.skipif(os.path.exists("/proc/driver/nvidia/version"), reason="there is a GPU here")
def test_a_box_without_a_gpu_is_told_in_one_calm_line() -> None:
    (only,) = gpu.examine("auto")
    assert (only.level, only.remedy) == (Level.OK, "")
    wanted = list(gpu.examine("cuda"))
    names = {found.subject for found in wanted if found.code == "gpu-library"}
    assert names == {*cuda.NEEDED, *cuda.WELCOME}
    assert one(wanted, "gpu-memory").remedy


@pytest.mark.parametrize(("device", "level"), [("cuda", Level.FAIL), ("auto", Level.WARN)])
def test_a_library_that_does_not_open_is_told_with_its_remedy(device: str, level: Level) -> None:
    opens = {"libcublas.so.12": "cannot open", "libcudnn.so.9": "cannot open", "libc.so.6": None}
    found = {one.subject: one for one in gpu.libraries(opens, device)}
    assert found["libcublas.so.12"].level is level
    assert found["libcublas.so.12"].remedy == gpu.REMEDY
    assert found["libcudnn.so.9"].level is Level.OK  # the engine's library needs it no more
    assert found["libc.so.6"].level is Level.OK


def test_a_library_that_pip_brought_is_found_by_its_name_once_it_was_opened() -> None:
    """With a real library that lies where the loader does not look: one of PyAV's own."""
    said = subprocess.run(
        [sys.executable, "-c", _BY_NAME], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["unknown", "found"]


def test_the_loader_is_really_asked() -> None:
    assert set(gpu.opened()) == {*cuda.NEEDED, *cuda.WELCOME}


@pytest.mark.parametrize(
    ("said", "code", "level"),
    [
        (b"NVIDIA L4, 550.54, 21000, 23034\n", 0, Level.OK),
        (b"NVIDIA L4, 550.54, 1200, 23034\n", 0, Level.WARN),
        (b"NVIDIA-SMI has failed", 9, Level.WARN),
        (b"", None, Level.WARN),
    ],
)
def test_memory_of_a_card_is_told_with_its_driver(
    said: bytes, code: int | None, level: Level
) -> None:
    (found,) = gpu.memory(Answer(said, "", code))
    assert found.level is level
    assert ("550.54" in found.text) == (code == 0)


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ("8.1.2", Level.OK),
        ("n8.1.3-12-gabc", Level.OK),
        ("8.1.1", Level.WARN),
        ("7.1", Level.WARN),
        ("unknown", Level.WARN),  # none that we know to be mended
        (None, Level.FAIL),  # it does not even load
    ],
)
def test_ffmpeg_has_a_floor(told: object, level: Level) -> None:
    found = platform.ffmpeg(told)
    assert found.level is level
    assert bool(found.remedy) == (level is not Level.OK)


def test_an_allocator_that_helps_is_a_hint_and_no_more() -> None:
    without, used = platform.hint(None), platform.hint("/usr/lib/libjemalloc.so.2")
    assert {without.level, used.level} == {Level.OK}
    assert "apt install libjemalloc2" in without.text
    assert "/usr/lib/libjemalloc.so.2" in used.text


def test_the_mode_of_limits_is_told_with_what_would_make_it_better() -> None:
    assert platform.limits(Mode.CGROUP2, "cpu memory pids").remedy == ""
    weak = platform.limits(Mode.RLIMIT, None)
    assert (weak.level, "Delegate=" in weak.remedy) == (Level.WARN, True)
    assert platform.limits(None, "cpu").level is Level.OK  # nobody knows yet


def test_a_clock_that_nobody_sets_and_one_that_is_far_off_are_told() -> None:
    assert hour.told(Kept(is_set=True, off_seconds=0.01), 0.4).level is Level.OK
    assert "set-ntp" in hour.told(Kept(is_set=False, off_seconds=16.0), 0.4).remedy
    far = hour.told(Kept(is_set=True, off_seconds=0.01), -86_400.0)
    assert (far.level, "behind" in far.text) == (Level.WARN, True)
    assert hour.told(None, None).level is Level.OK  # a kernel that does not say


def test_the_kernel_is_really_asked_for_its_clock() -> None:
    kept = hour.kept()
    assert kept is not None
    assert 0 <= kept.off_seconds <= 16.1  # what the kernel counts up to


# --- a child that hangs -------------------------------------------------------------------------


def test_what_a_child_said_before_it_hung_is_kept() -> None:
    program = "import sys, time; print('half', flush=True); time.sleep(600)"
    answer = asking.ask([sys.executable, "-c", program], 2.0)
    assert (answer.said, answer.code) == (b"half\n", None)


def test_a_program_that_is_not_there_is_no_answer() -> None:
    assert asking.ask(["no-such-program"], 1.0) == Answer(b"", "", None)


# --- the box ------------------------------------------------------------------------------------


def test_a_box_without_a_ledger_is_told_and_stays_without(tmp_path: Path) -> None:
    settings = of_box(tmp_path)
    found = doctor.asked(settings)
    assert one(found, "ledger").level is Level.WARN
    assert {"disk", "engine", "model", "clock"} <= {finding.code for finding in found}
    assert one(list(ledger.examine(settings)), "journal-mode").level is Level.OK
    assert not os.path.exists(settings.state_dir)


def test_a_damaged_ledger_is_told_and_left_alone(tmp_path: Path) -> None:
    settings = of_box(tmp_path)
    schema.prepare(settings.state_dir)
    file = settings.state("ledger.db")
    with open(file, "r+b") as stream:
        stream.write(b"\xff" * 4096)
    before = Path(file).read_bytes()
    assert one(doctor.asked(settings), "ledger").error == "node.ledger-damaged"
    assert one(list(ledger.examine(settings)), "journal-mode").level is Level.FAIL
    assert Path(file).read_bytes() == before


def test_a_ledger_that_is_gone_is_not_restored_by_looking(tmp_path: Path) -> None:
    settings = of_box(tmp_path)
    schema.prepare(settings.state_dir)
    os.makedirs(settings.state("backups"), exist_ok=True)
    for name in os.listdir(settings.state_dir):
        if name.startswith("ledger.db"):
            os.unlink(settings.state(name))
    assert "gone" in one(doctor.asked(settings), "ledger").text
    assert not os.path.exists(settings.state("ledger.db"))


def test_a_ledger_in_another_journal_mode_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    for mode, level in (("WAL", Level.OK), ("DELETE", Level.FAIL)):
        db = sqlite3.connect(file)
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute(f"CREATE TABLE {mode}_ (n)")
        db.close()
        assert ledger.journal(str(file)).level is level


def test_weights_that_are_not_what_their_manifest_says_are_told(tmp_path: Path) -> None:
    lies = tmp_path / "state" / "models" / "mine"
    shutil.copytree(BUNDLED, lies)
    settings = of_box(tmp_path, profile={"default": Profile(model="mine")})
    (whole,) = models.examine(settings, thorough=True)
    assert whole.level is Level.OK
    (believed,) = models.examine(settings, thorough=False)
    assert "not read through" in believed.text
    (lies / "model.bin").unlink()
    (broken,) = models.examine(settings, thorough=True)
    assert (broken.level, broken.error) == (Level.FAIL, "node.model-corrupt")
    shutil.rmtree(lies)
    (missing,) = models.examine(settings, thorough=False)
    assert (missing.error, bool(missing.remedy)) == ("node.model-missing", True)


def test_each_share_is_tried_by_a_child(tmp_path: Path) -> None:
    root = tmp_path / "talks"
    root.mkdir()
    file = tmp_path / "appliance.toml"
    state = tmp_path / "state"
    file.write_text(
        f"[node]\nstate_dir = '{state}'\n"
        f"[[share]]\nname = 'talks'\nroot = '{root}'\n"
        f"[[share]]\nname = 'gone'\nroot = '{tmp_path}/gone'\n"
    )
    shares = (Share(name="talks", root=str(root)), Share(name="gone", root=f"{tmp_path}/gone"))
    found = {one.subject: one for one in trying.examine(of_box(tmp_path, share=shares), str(file))}
    assert found["talks"].level is Level.OK
    assert (found["gone"].level, found["gone"].error) == (Level.FAIL, "share.offline")
    assert "file server" in found["gone"].remedy
    assert list(root.iterdir()) == []  # what it tried to write is gone
    assert not state.exists()


def test_a_share_that_hangs_is_left_behind_and_told() -> None:
    found = trying.told("talks", Answer(b"", "", None))
    assert (found.level, found.error) == (Level.FAIL, "share.offline")
    assert "did not answer" in found.text


def helpers(folder: Path, *names: str) -> str:
    """A root that has these programs of the system."""
    (folder / "sbin").mkdir()
    for name in names:
        (folder / "sbin" / name).touch()
    return str(folder)


@pytest.mark.parametrize(
    ("source", "package"), [("//nas/m", "cifs-utils"), ("nas:/m", "nfs-common")]
)
def test_a_share_that_this_system_cannot_mount_is_told(
    tmp_path: Path, source: str, package: str
) -> None:
    share = Share(name="m", root="/srv/m", kind="auto", source=source)
    (found,) = mounted.examine(of_box(tmp_path, share=(share,)), top=helpers(tmp_path))
    assert found.level is Level.FAIL
    assert package in found.remedy


@pytest.mark.parametrize(
    ("mounted_is", "says"),
    [
        ("nfs4 nas:/export/c rw,vers=4.2", None),
        ("nfs4 old:/export/c rw,vers=4.2", "old:/export/c is mounted, and the settings say nas"),
        ("autofs systemd-1 rw,direct", ""),
        ("ext4 /dev/sda1 rw", ""),
    ],
)
def test_a_share_that_is_mounted_from_elsewhere_is_told(
    tmp_path: Path, mounted_is: str, says: str | None
) -> None:
    point = "/" if mounted_is.startswith("ext4") else "/srv/court"
    (tmp_path / "table").write_text(f"31 1 0:1 / {point} rw shared:1 - {mounted_is}\n")
    share = Share(name="court", root="/srv/court", kind="nfs", source="nas:/export/c/")
    settings = of_box(tmp_path, share=(share,))
    top = helpers(tmp_path, "mount.nfs4")
    found = list(mounted.examine(settings, table=f"{tmp_path}/table", top=top))
    assert len(found) == (says != "")
    for finding in found:
        assert finding.level is (Level.WARN if says else Level.OK)
        assert (says or "as the settings say") in finding.text


@pytest.mark.parametrize(("options", "sealed"), [("rw,seal,soft", True), ("rw,soft", False)])
def test_a_share_that_is_not_sealed_yet_is_told(tmp_path: Path, options: str, sealed: bool) -> None:
    table = tmp_path / "table"
    table.write_text(f"31 1 0:1 / /srv/m rw shared:1 - cifs //NAS/a\\040b {options}\n")
    share = Share(name="m", root="/srv/m", kind="smb", source="//nas/a b", seal=True)
    top = helpers(tmp_path, "mount.cifs")
    (found,) = mounted.examine(of_box(tmp_path, share=(share,)), table=str(table), top=top)
    assert (found.level is Level.OK) == sealed, found.text
    assert sealed or "in the clear" in found.text


def test_a_wanted_gpu_that_is_not_there_fails_the_whole_doctor(tmp_path: Path) -> None:
    settings = of_box(tmp_path, engine=EngineSettings(device="cuda"))
    if os.path.exists("/proc/driver/nvidia/version"):
        pytest.skip("there is a GPU here")
    found = list(doctor.examine(settings, thorough=False))
    assert one(found, "gpu").level is Level.FAIL
    assert all(finding.remedy for finding in found if finding.level is Level.FAIL)
    assert not [finding for finding in found if finding.code == "share-test"]
