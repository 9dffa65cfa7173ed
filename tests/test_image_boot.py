"""What a box that came as an image does at boot: grows, takes settings once, says where it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from image.boot import asked, certificate, grow, identity, kernel, screen, take
from image.boot.__main__ import main
from image.boot.screen import Shown
from image.boot.take import Places

# --- the data partition -------------------------------------------------------------------------


def disk(tmp_path: Path, *, whole: int, start: int, size: int) -> tuple[str, str]:
    """A partition as the kernel shows it: its node, and the folder of all blocks."""
    place = tmp_path / "devices/vda/vda4"
    place.mkdir(parents=True)
    for file, value in (
        (place / "partition", 4),
        (place / "start", start),
        (place / "size", size),
        (place.parent / "size", whole),
    ):
        file.write_text(f"{value}\n")
    blocks = tmp_path / "block"
    blocks.mkdir()
    (blocks / "vda4").symlink_to(place)
    node = tmp_path / "dev/vda4"
    node.parent.mkdir()
    node.touch()
    label = tmp_path / "appliance-data"
    label.symlink_to(node)
    return str(label), str(blocks)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was run instead of running it; all of it works."""
    done: list[tuple[str, ...]] = []

    def run(*argv: str, told: str = "", **_more: object) -> subprocess.CompletedProcess[str]:
        done.append((*argv, told))
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(asked, "run", run)
    return done


def test_a_partition_grows_to_the_end_of_a_larger_disk(
    tmp_path: Path, ran: list[tuple[str, ...]]
) -> None:
    label, blocks = disk(tmp_path, whole=100_000, start=20_000, size=10_000)
    assert grow.grow(label, blocks)
    table, known, _ = ran
    of = str(tmp_path / "dev/vda")
    assert table == (
        *("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "-N", "4", of),
        ", +\n",
    )
    assert known[:5] == ("partx", "--update", "--nr", "4", of)


def test_one_that_reaches_to_the_end_is_left_alone(
    tmp_path: Path, ran: list[tuple[str, ...]]
) -> None:
    assert not grow.grow(*disk(tmp_path, whole=100_000, start=20_000, size=79_000))
    assert ran == []


# --- the boot partition -------------------------------------------------------------------------


@pytest.fixture
def at(tmp_path: Path) -> Places:
    """A box with settings of its own, and nothing on its boot partition."""
    made = Places(
        esp=str(tmp_path / "efi"),
        etc=str(tmp_path / "etc"),
        keys=str(tmp_path / "root/.ssh/authorized_keys"),
        run=str(tmp_path / "run"),
    )
    for folder in (made.esp, f"{made.etc}/conf.d"):
        Path(folder).mkdir(parents=True)
    Path(made.etc, "appliance.toml").write_text('[[share]]\nname = "dictation"\n')
    Path(made.etc, "conf.d/10-image.toml").write_text("[worker]\nrequire_cgroups = true\n")
    return made


def right(_file: str) -> str | None:
    """Every setting is as it should be."""
    return None


def test_settings_are_taken_once_and_laid_over_those_of_the_image(at: Places) -> None:
    Path(at.esp, "appliance.toml").write_bytes(b"\xef\xbb\xbf[worker]\r\ncount = 2\r\n")
    seen: dict[str, str] = {}

    def judge(file: str) -> None:
        seen.update({path.name: path.read_text() for path in Path(file).parent.rglob("*.toml")})

    assert take.take(at, judge) == ["appliance.toml was taken from the boot partition."]
    assert seen.keys() == {"appliance.toml", "10-image.toml", "50-boot-partition.toml"}
    assert Path(at.etc, take.SETTINGS).read_text() == "[worker]\ncount = 2\n"
    assert [path.name for path in Path(at.esp).iterdir()] == ["appliance.toml.taken"]
    assert take.take(at, judge) == []


def test_wrong_settings_stay_where_they_are_and_a_note_says_why(at: Places) -> None:
    Path(at.esp, "appliance.toml").write_text("[worker]\ncuont = 2\n")
    Path(at.etc, take.SETTINGS).write_text("# those before\n")

    def judge(file: str) -> str:
        return f"{file.replace('appliance.toml', take.SETTINGS)}: worker.cuont: unknown"

    (told,) = take.take(at, judge)
    assert "was not taken: worker.cuont: unknown" in told
    assert Path(at.etc, take.SETTINGS).read_text() == "# those before\n"
    note = Path(at.esp, "appliance.toml.ERROR.txt").read_text()
    assert "worker.cuont: unknown" in note
    Path(at.esp, "appliance.toml").write_text("[worker]\ncount = 2\n")
    take.take(at, right)
    assert [path.name for path in Path(at.esp).iterdir()] == ["appliance.toml.taken"]


def test_the_release_says_in_words_what_is_wrong(
    at: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str, settings: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "appliance", "--settings", settings, *words]
        more = {"APPLIANCE_STATE_DIR": f"{at.etc}/state"}
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, env={**os.environ, **more}
        )

    monkeypatch.setattr(asked, "appliance", run)
    Path(at.etc, "appliance.toml").write_text('[[share]]\nname = "d"\nroot = "/srv/d"\n')
    Path(at.esp, "appliance.toml").write_text("[worker]\ncuont = 2\n[profile.default]\nbeam = 99\n")
    (told,) = take.take(at)
    assert "cuont: unknown, did you mean count?" in told
    assert "beam" in told
    assert at.run not in told
    Path(at.esp, "appliance.toml").write_text("[worker]\ncount = 2\n")
    assert take.take(at) == ["appliance.toml was taken from the boot partition."]


@pytest.mark.parametrize("said", ['"/srv"', '""', '"/data"', "4"])
def test_the_state_of_a_box_is_led_nowhere_else(said: str, at: Places) -> None:
    """Every part would end: the share lies in there, or the sandbox is closed to it."""
    Path(at.esp, "appliance.toml").write_text(f"[node]\nstate_dir = {said}\n")
    (told,) = take.take(at, right)
    assert "node.state_dir: leave it out" in told
    assert Path(at.esp, "appliance.toml.ERROR.txt").exists()
    Path(at.esp, "appliance.toml").write_text(f'[node]\nstate_dir = "{asked.STATE}"\n')
    assert take.take(at, right) == ["appliance.toml was taken from the boot partition."]


@pytest.mark.parametrize(
    ("main", "beside", "told"),
    [
        ("[node]\nspool_gb = 1.0\n", "", asked.STATE),
        ("[node]\nstate_dir = '/srv'\n", "", None),
        ("", "[node]\nstate_dir = '/srv'\n", None),
        ("node = 1\n", "[node\n", asked.STATE),
    ],
)
def test_where_files_say_where_the_state_lies_they_are_judged_by_that(
    main: str, beside: str, told: str | None, at: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Mapping[str, str]] = []

    def run(*argv: str, more: Mapping[str, str], **_more: object) -> object:
        seen.append(more)
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(asked, "run", run)
    Path(at.etc, "appliance.toml").write_text(main)
    Path(at.etc, "conf.d/20-site.toml").write_text(beside)
    asked.appliance("settings", "check", settings=f"{at.etc}/appliance.toml")
    assert seen[0].get("APPLIANCE_STATE_DIR") == told


def test_an_end_that_an_editor_added_is_no_obstacle(at: Places) -> None:
    Path(at.esp, "Appliance.toml.txt").write_text("[worker]\ncount = 2\n")
    assert take.take(at, right) == ["Appliance.toml.txt was taken from the boot partition."]
    assert [path.name for path in Path(at.esp).iterdir()] == ["appliance.toml.taken"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe[\0w\0", "not UTF-8"),
        (b"#" * 1_000_001, "larger than a megabyte"),
    ],
)
def test_what_is_no_text_of_settings_is_named(at: Places, content: bytes, why: str) -> None:
    Path(at.esp, "appliance.toml").write_bytes(content)
    (told,) = take.take(at, right)
    assert why in told
    assert not Path(at.etc, take.SETTINGS).exists()


def test_keys_of_ssh_are_taken_and_say_who_may_come(at: Places, tmp_path: Path) -> None:
    made = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made], check=True)
    public = made.with_suffix(".pub").read_text()
    Path(at.esp, "authorized_keys").write_text(public.strip())
    assert take.take(at, right) == ["authorized_keys was taken from the boot partition."]
    keys = Path(at.keys)
    assert (keys.read_text(), keys.stat().st_mode & 0o777) == (public, 0o600)
    for wrong, why in ((made.read_text(), "private key"), ("nobody\n", "no public key")):
        Path(at.esp, "authorized_keys").write_text(wrong)
        (told,) = take.take(at, right)
        assert why in told
        assert keys.read_text() == public


def test_a_box_without_a_boot_partition_has_nothing_to_take(tmp_path: Path) -> None:
    assert take.take(Places(esp=str(tmp_path / "none"))) == []


# --- the screen ---------------------------------------------------------------------------------

NEW = Shown(
    version="0.1.0",
    name="appliance-1a2b",
    addresses=["192.168.1.20", "fd00::20"],
    fingerprint=":".join(["AB"] * 32),
    code="K7QF2-MXR4T",
    password="abcd-efgh-jkmn-pqrs",  # noqa: S106 - of nobody
    told=["appliance.toml on the boot partition was not taken: a\\b; worker.cuont: unknown"],
    trouble="",
)


def test_the_screen_says_where_the_page_is_and_how_the_first_admin_gets_in() -> None:
    text = screen.text_of(NEW)
    for said in (
        "https://192.168.1.20/",
        "https://[fd00::20]/",
        "code K7QF2-MXR4T at https://192.168.1.20/setup",
        "\\\\\\\\192.168.1.20\\\\dictation",  # agetty halves them
        "name office, password abcd-efgh-jkmn-pqrs",
        "a\\\\b",
        "worker.cuont: unknown",
    ):
        assert said in text, said


def test_it_fits_a_screen_of_eighty_by_twenty_five() -> None:
    lines = screen.text_of(NEW).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 22


def test_a_box_with_an_admin_shows_neither_code_nor_password() -> None:
    text = screen.text_of(Shown("1", "a", ["10.0.0.1"], "", "", "", [], ""))
    assert "code" not in text
    assert "password" not in text


def test_without_an_address_it_says_what_to_look_at() -> None:
    text = screen.text_of(Shown("1", "a", [], "", "K7QF2", "", [], ""))
    assert "cable" in text
    assert "code K7QF2 at /setup of the page" in text


def test_control_characters_of_a_file_move_no_cursor() -> None:
    text = screen.text_of(Shown("1", "a", [], "", "", "", ["evil\x1b[2J"], ""))
    assert "\x1b" not in text


# --- the rest -----------------------------------------------------------------------------------


def test_a_certificate_names_the_box_and_its_addresses() -> None:
    told = certificate.names("appliance-1a2b", ["192.168.1.20", "fd00::20"])
    assert told == [
        *("DNS:appliance-1a2b", "DNS:appliance-1a2b.local", "DNS:localhost"),
        *("IP:192.168.1.20", "IP:fd00::20"),
    ]


def test_it_waits_for_an_address_but_not_for_ever() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    late: Mapping[bool, list[str]] = {False: [], True: ["10.0.0.1"]}
    told = certificate.wait(lambda: late[now[0] > 3], clock=lambda: now[0], sleep=sleep)
    assert told == ["10.0.0.1"]
    assert certificate.wait(list, clock=lambda: now[0], sleep=sleep) == []


def test_a_certificate_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "addresses", lambda: ["10.0.0.1"])
    assert certificate.make(str(tmp_path))
    assert not certificate.make(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]
    assert len(certificate.fingerprint(str(tmp_path))) == 95


def test_the_newest_kernel_is_the_one_by_number_that_has_an_initrd(tmp_path: Path) -> None:
    for name in ("vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-10-amd64", "vmlinuz-6.1.0-11-amd64"):
        (tmp_path / name).touch()
    for name in ("initrd.img-6.1.0-9-amd64", "initrd.img-6.1.0-10-amd64"):
        (tmp_path / name).touch()
    assert kernel.newest(str(tmp_path)) == "6.1.0-10-amd64"
    assert kernel.place(str(tmp_path), str(tmp_path)) == []  # no partition is mounted there


def boot_partition(tmp_path: Path, *versions: str) -> tuple[Path, Path]:
    """/boot with these kernels, and a boot partition that starts the first of them."""
    boot, esp = tmp_path / "boot", tmp_path / "efi"
    boot.mkdir()
    (esp / kernel.ENTRY).parent.mkdir(parents=True)
    (esp / kernel.SLOT).mkdir()
    for version in versions:
        for kind in ("vmlinuz", "initrd.img"):
            (boot / f"{kind}-{version}").write_text(f"{kind} of {version}")
    entry = "title x\nlinux -\ninitrd -\noptions root=PARTLABEL=linux initrd\n"
    (esp / kernel.ENTRY).write_text(kernel.told(entry, versions[0]))
    for kind, name in kernel.names(versions[0]).items():
        shutil.copy(boot / f"{kind}-{versions[0]}", esp / name)
    return boot, esp


def started(esp: Path) -> tuple[str, str, str]:
    """What the loader would start: the words in the kernel's file and its initrd's, and more."""
    lines = (esp / kernel.ENTRY).read_text().splitlines()
    words = dict(line.split(" ", 1) for line in lines)
    linux, initrd = ((esp / words[one].lstrip("/")).read_text() for one in ("linux", "initrd"))
    return linux, initrd, words["options"]


@pytest.mark.parametrize("cut", range(6))
def test_a_power_cut_never_leaves_a_kernel_with_the_modules_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    boot, esp = boot_partition(tmp_path, "6.1.0-9", "6.1.0-10")
    calls, write, unlink = [0], asked.write, os.unlink

    def until(do: Callable[..., None]) -> Callable[..., None]:
        def once(*told: Any, **more: Any) -> None:
            if calls[0] == cut:
                raise OSError("the power is cut")
            calls[0] += 1
            do(*told, **more)

        return once

    with monkeypatch.context() as during:
        during.setattr(asked, "write", until(write))
        during.setattr(os, "unlink", until(unlink))
        with contextlib.suppress(OSError):
            kernel.put("6.1.0-10", str(boot), str(esp))
    version = "6.1.0-9" if cut < 3 else "6.1.0-10"
    whole = f"vmlinuz of {version}", f"initrd.img of {version}", "root=PARTLABEL=linux initrd"
    assert started(esp) == whole
    kernel.put("6.1.0-10", str(boot), str(esp))
    assert sorted(os.listdir(esp / kernel.SLOT)) == ["initrd-6.1.0-10", "vmlinuz-6.1.0-10"]
    assert kernel.put("6.1.0-10", str(boot), str(esp)) == []


def test_keys_of_ssh_that_a_power_cut_left_empty_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, ...]]
) -> None:
    monkeypatch.setattr(identity, "_KEYS", str(tmp_path / "ssh_host_*_key"))
    monkeypatch.setattr(identity, "_drop_share", lambda: None)
    monkeypatch.setattr(asked, "read", lambda _path: "appliance-3f2a")

    def asked_for_keys() -> bool:
        ran.clear()
        identity.settle()
        return ("ssh-keygen", "-A", "") in ran

    assert asked_for_keys()
    (tmp_path / "ssh_host_rsa_key").write_text("a key")
    assert not asked_for_keys()
    (tmp_path / "ssh_host_ed25519_key").touch()
    assert asked_for_keys()


def test_the_command_knows_its_verbs_and_no_others() -> None:
    assert main([]) == main(["dance"]) == 2
