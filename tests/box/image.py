"""`python -m tests.box image`: an image of this checkout, on a larger disk, booted by UEFI.

Made as `make image` makes it (and kept in `.box/` as long as nothing changes that it is made of),
unpacked, given settings and a key as an administrator would, booted twice in a virtual machine
without a network but the one that leads here.

Not here: making it (image.build), the machine (tests.box.guest.machine).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from image import build, debian, disk
from image.boot import identity, screen
from tests.box import page, units
from tests.box.guest.machine import AS_A_BOX, Guest, Start, firmware, laid_over, stop_on_term
from tests.box.provision import bundles
from tests.box.steps import expect, say

KEPT: Final = debian.KEPT
TOP: Final = Path(units.TOP)
_MADE_OF: Final = (
    *("appliance", "web", "systemd", "config", "image", "ansible"),
    *("pyproject.toml", "requirements.lock"),
)
_PROGRAMS: Final = ("qemu-system-x86_64", "qemu-img", "debugfs", "smbclient", "mcopy")
_SIZE: Final = "24G"  # of the disk that it is written to
_ADDRESS: Final = "10.0.2.15"  # that the machine's network gives
_SETTINGS: Final = b'\xef\xbb\xbf[profile.default]\r\nlanguage = "en"\r\n'  # as Notepad writes it
_WRONG: Final = "[profile.default]\nlanguag = 1\n"
_HEARD_SECONDS: Final = 3600.0  # by our clock, from the second boot on
_PASSWORD: Final = "not a secret of anybody"  # noqa: S105
_APPLIANCE: Final = "runuser -u appliance -- /opt/appliance/current/bin/appliance"
_TAKEN: Final = "/etc/appliance/conf.d/50-boot-partition.toml"
# Who it is, in one word: it must stay the same from the first boot on.
_WHO: Final = (
    "cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_*.pub /etc/appliance/tls/cert.pem "
    f"| sha256sum; stat -c %Y.%i {_TAKEN}"
)
_JOURNAL: Final = "journalctl -b --no-pager -n 60"
_SCREEN: Final = r"""
columns=$(stty -F /dev/tty1 size | cut -d ' ' -f 2)
fold -w "$columns" /dev/vcs1 | sed 's/ *$//' | grep .
"""


def main() -> int:
    """0 where everything was as it should be, 2 where it could not be tried."""
    lacking = build.missing() or next(
        (f"there is no {one}: make programs" for one in _PROGRAMS if not _which(one)), None
    )
    if lacking:
        say(lacking)
        return 2
    stop_on_term()
    made = image()
    folder = KEPT / "image-lane"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        raw = unpacked(made, folder)
        nobodys(raw)
        key = put(raw, folder)
        # All parts of a box start at once: on a processor of 250 million instructions a second they
        # are not ready in time, and no PC is that slow.
        start = Start(firmware, key, AS_A_BOX, doors=(443, 445))
        disk = laid_over(raw, folder / "guest", kind="raw", size=_SIZE)
        begun = time.monotonic()
        with Guest(disk, folder / "guest", start) as guest:
            say(f"an image on a disk of {_SIZE} answers after {_since(begun)}")
            first(guest, begun)
            word = comes_in(guest)
            begun = time.monotonic()
            again(guest, begun)
            heard(guest, word, begun, folder)
    finally:
        (folder / "appliance.raw").unlink(missing_ok=True)
    return 0


# --- before it boots ----------------------------------------------------------------------------


def image() -> Path:
    """The folder of an image of this checkout."""
    kept = KEPT / f"made-{_digest()}"
    if kept.is_dir():
        say(f"an image: {kept.name}, made before")
        return kept
    for old in KEPT.glob("made-*"):
        shutil.rmtree(old)
    begun = time.monotonic()
    half = KEPT / f".{kept.name}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    key = bundles.key(half)
    bundle = bundles.bundle(half, key)
    say(f"a release: {_since(begun)}")
    begun = time.monotonic()
    build.build(bundle, key, half, effort=1)
    bundle.unlink()
    half.rename(kept)
    say(f"an image: {_since(begun)}")
    return kept


def unpacked(made: Path, folder: Path) -> Path:
    """What lies in the folder fits together; the disk, unpacked."""
    (packed,) = made.glob("*.raw.zst")
    (sums,) = made.glob("*.sha256")
    (packages,) = made.glob("*.packages.txt")
    told = subprocess.run(
        ["sha256sum", "--check", sums.name], cwd=made, capture_output=True, text=True, check=False
    )
    expect(told.returncode == 0, "its sums fit", told.stdout)
    signers = folder / "signers"
    signers.write_text(f"release {(made / 'signer.pub').read_text()}")
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "release"]
    argv += ["-n", build.NAMESPACE, "-s", f"{sums}.sig"]
    with sums.open("rb") as stream:
        signed = subprocess.run(argv, stdin=stream, capture_output=True, text=True, check=False)
    expect(signed.returncode == 0, "and are signed", signed.stderr)
    lines = packages.read_text().splitlines()
    kinds = {
        kind: sum(line.startswith(f"{kind}\t") for line in lines) for kind in ("deb", "python")
    }
    expect(min(kinds.values()) > 30, f"a list of its packages: {kinds}")
    raw = folder / "appliance.raw"
    begun = time.monotonic()
    subprocess.run(["zstd", "-d", "-q", "--sparse", packed, "-o", raw], check=True)
    sizes = (
        f"{packed.stat().st_size / 1e6:.0f} MB packed, {raw.stat().st_size / 1e9:.1f} GB of disk"
    )
    say(f"  {sizes}, unpacked in {_since(begun)}")
    return raw


def nobodys(raw: Path) -> None:
    """What makes a box this one and no other is not in the image."""
    expect(_inside(raw, "cat /etc/machine-id").strip() == "", "no machine-id in it")
    for folder in ("/etc/ssh", "/etc/appliance/tls", "/var/lib/samba/private", "/root"):
        names = re.findall(r"/\d+/\d+/\d+/\d+/([^/]+)/", _inside(raw, f"ls -p {folder}"))
        kept = [
            one for one in names if one.startswith("ssh_host") or one.endswith((".pem", ".tdb"))
        ]
        expect(not kept and ".ssh" not in names, f"no key in its {folder}", str(names))


def put(raw: Path, folder: Path) -> Path:
    """Put settings and a key on the boot partition, as an administrator would; the key."""
    key = folder / "admin"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (folder / "appliance.toml").write_bytes(_SETTINGS)
    fat = f"{raw}@@{disk.offset(disk.ESP) * disk.MIB}"
    for file, name in (("appliance.toml", "appliance.toml"), ("admin.pub", "authorized_keys")):
        subprocess.run(["mcopy", "-i", fat, folder / file, f"::/{name}"], check=True)
    return key


# --- the first boot -----------------------------------------------------------------------------


def first(guest: Guest, begun: float) -> None:
    """It came up by itself, whole, and as somebody."""
    comes_up(guest, begun)
    doctor(guest)
    grown = int(guest.run("df --output=size -B 1 /var/lib/appliance | tail -1"))
    expect(grown > 4 * disk.DATA.mib * disk.MIB, f"its data partition holds {grown / 1e9:.1f} GB")
    same = guest.run("stat -c %d /var/lib/appliance /srv | sort -u | wc -l").strip()
    expect(same == "1", "ledger and shares lie on it")
    keys = guest.run("ls /etc/ssh/ssh_host_*_key | wc -l").strip()
    who = guest.run("cat /etc/machine-id /etc/hostname").split()
    expect(len(who[0]) == 32 and int(keys) >= 2, f"it is {who[1]}, with {keys} keys of ssh")
    locked = guest.run("passwd --status root").split()[1]
    sshd = guest.run("/usr/sbin/sshd -T").splitlines()
    wanted = {"permitrootlogin without-password", "passwordauthentication no"}
    expect(locked == "L" and wanted <= set(sshd), "root has no password, and ssh asks for none")
    there = guest.run("ls /efi").split()
    expect("appliance.toml.taken" in there and "authorized_keys.taken" in there,
           "settings and key were taken", str(there))  # fmt: skip
    shown = json.loads(guest.run(f"{_APPLIANCE} settings show"))
    expect(shown["profile"]["default"]["language"] == "en", "the settings are in force")
    expect(shown["worker"]["require_cgroups"], "and those of the image beside them")


def comes_up(guest: Guest, begun: float) -> None:
    """Every unit is well, and the page can take work."""
    state = guest.run("systemctl is-system-running --wait", check=False).strip()
    failed = guest.run("systemctl list-units --failed --no-legend --plain")
    expect(
        state == "running" and not failed.strip(),
        f"0 failed units after {_since(begun)}",
        lambda: failed + guest.run(f"{_JOURNAL} -p warning"),
    )
    told = guest.run("/usr/local/sbin/appliance-release wait --patience 300", check=False)
    expect(
        '"why": null' in told,
        f"the page can take work after {_since(begun)}",
        lambda: told + guest.run(f"{_JOURNAL} -u 'appliance-*'"),
    )


def doctor(guest: Guest) -> None:
    """Nothing fails; what is no error is said in so many words."""
    begun = time.monotonic()
    found: list[dict[str, Any]] = json.loads(guest.run(f"{_APPLIANCE} --json doctor", check=False))
    bad = [one for one in found if one["level"] == "FAIL"]
    expect(bool(found) and not bad, f"doctor: {len(found)} answers, none fails ({_since(begun)})",
           json.dumps(bad, indent=1))  # fmt: skip
    for one in found:
        if one["level"] == "WARN":
            say(f"    {one['code']}: {one['text']}")


def comes_in(guest: Guest) -> str:
    """Whoever stands before the screen finds the page, becomes admin and drops a recording; the
    password of the share, which no screen shows any more.
    """
    text = _screen(guest)
    say("".join(f"    | {line}\n" for line in text.splitlines()).rstrip())
    door = guest.doors[443]
    expect(page.status(door, "/readyz", host=_ADDRESS) == 200, "the page answers over TLS")
    ours = page.fingerprint(door)
    expect(ours[:48] in text and ours[48:] in text, "its certificate is the one on the screen")
    code = re.search(rf"code (\S+) at https://{re.escape(_ADDRESS)}/setup", text)
    word = re.search(rf"name {identity.DROPPER}, password (\S+)", text)
    expect(code is not None and word is not None, "the screen says how to get in", text)
    assert code is not None and word is not None  # noqa: PT018 - for the type checker
    form = {"code": code[1], "name": "anna", "password": _PASSWORD}
    became = page.status(door, "/setup", host=_ADDRESS, form=form)
    expect(became == 303, "the code on the screen makes the first admin", str(became))
    guest.run("/usr/local/sbin/appliance-boot screen")
    text = _screen(guest)
    expect(code[1] not in text and word[1] not in text, "and then the screen shows no secret", text)
    sample = TOP / "appliance/selftest/samples/welcome-english.wav"
    dropped = _smb(guest, word[1], f"put {sample} talk.wav")
    expect(dropped.returncode == 0, "a recording is dropped over SMB", dropped.stdout)
    return word[1]


def heard(guest: Guest, word: str, begun: float, folder: Path) -> None:
    """What was dropped comes back; that the box was started anew meanwhile costs it nothing."""
    while "talk.txt" not in _smb(guest, word, "ls").stdout.split():
        if time.monotonic() - begun > _HEARD_SECONDS:
            break
        time.sleep(10.0)
    got = folder / "talk.txt"
    _smb(guest, word, f"get talk.txt {got}")
    expect(
        got.exists() and "project budget" in got.read_text(),
        f"its transcript lies beside it after {_since(begun)}",
        lambda: guest.run(f"{_APPLIANCE} jobs list; {_JOURNAL} -u 'appliance-*'"),
    )


# --- the second boot ----------------------------------------------------------------------------


def again(guest: Guest, begun: float) -> None:
    """It is the same box, takes nothing twice, and keeps its settings where new ones are wrong."""
    who = guest.run(_WHO)
    # As an image of before had them, and one of them damaged.
    guest.run("set -e; mount -o remount,rw /efi; cd /efi/a; mv vmlinuz-* vmlinuz; rm initrd-*; "
              "echo damaged > initrd; cd /; mount -o remount,ro /efi; "
              "/etc/kernel/postinst.d/zz-appliance-boot; cmp /efi/a/initrd-* /boot/initrd.img-*; "
              "cmp /efi/a/vmlinuz-* /boot/vmlinuz-*; test $(ls /efi/a | wc -l) = 2")  # fmt: skip
    expect(True, "a new kernel or initrd comes to the boot partition")
    guest.run("mount -o remount,rw /efi; cat > /efi/appliance.toml; mount -o remount,ro /efi",
              data=_WRONG.encode())  # fmt: skip
    guest.reboot()
    say(f"a second boot answers after {_since(begun)}")
    comes_up(guest, begun)
    expect(guest.run(_WHO) == who, "it is the same box, and nothing was taken again")
    there = guest.run("ls /efi").split()
    expect({"appliance.toml", "appliance.toml.ERROR.txt", "appliance.toml.taken"} <= set(there),
           "wrong settings stay where they are, with a note", str(there))  # fmt: skip
    text = _screen(guest)
    expect("languag" in text and "was not taken" in text, "and the screen names them", text)
    shown = json.loads(guest.run(f"{_APPLIANCE} settings show"))
    expect(shown["profile"]["default"]["language"] == "en", "those before stay in force")
    left = guest.run("systemctl show -P NRestarts 'appliance-*.service'").split()
    expect(set(left) <= {"0"}, "no part had to be begun again", str(left))


# --- asked along the way ------------------------------------------------------------------------


def _screen(guest: Guest) -> str:
    """What stands on the first screen of the box."""
    until = time.monotonic() + 300
    while "Page" not in (text := guest.run(_SCREEN)) and time.monotonic() < until:
        time.sleep(5.0)
    return text


def _smb(guest: Guest, word: str, what: str) -> subprocess.CompletedProcess[str]:
    door = ("-p", str(guest.doors[445]), f"//127.0.0.1/{screen.SHARE}")
    return subprocess.run(
        ["smbclient", *door, "-m", "SMB3", "-U", f"{identity.DROPPER}%{word}", "-c", what],
        capture_output=True,
        text=True,
        check=False,
    )


def _inside(raw: Path, what: str) -> str:
    """Ask the root of an image that nobody has booted."""
    where = f"{raw}?offset={disk.offset(disk.ROOT) * disk.MIB}"
    told = subprocess.run(
        ["debugfs", "-R", what, where], capture_output=True, text=True, check=True
    )
    return told.stdout


def _digest() -> str:
    """What an image is made of, in one word."""
    whole = hashlib.sha256(repr((debian.suite(), build.PACKAGES)).encode())
    for part in _MADE_OF:
        top = TOP / part
        for file in [top] if top.is_file() else sorted(top.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                whole.update(str(file.relative_to(TOP)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()[:16]


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _since(begun: float) -> str:
    return f"{time.monotonic() - begun:.0f} s (load {os.getloadavg()[0]:.1f})"


if __name__ == "__main__":
    sys.exit(main())
