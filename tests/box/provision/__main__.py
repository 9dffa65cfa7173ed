"""`python -m tests.box provision`: from a bare Debian to a fleet that upgrades itself back.

Each step says what it did and how long that took; the first that is not as it should be ends it.

Not here: the playbooks themselves (ansible/).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from image import debian
from image.controller import Controller, Played
from tests.box import container, units
from tests.box.container import Container
from tests.box.provision import bare, bundles, people, support
from tests.box.steps import expect, say

SAMPLES: Final = Path(units.TOP, "appliance", "selftest", "samples")
COMMAND: Final = "/usr/local/sbin/appliance-release"
SHARE: Final = "/srv/dictation"
PASSWORD: Final = "Not a secret 1"  # noqa: S105 - of a person who is gone in a moment
_PATIENCE: Final = 180.0
_BACK_SECONDS: Final = 90.0
_FIRST_SECONDS: Final = 300.0
_NO_WAY_OUT: Final = ("engine", "worker", "watch", "web")
_BROKEN: Final = (
    (
        "whose worker ends as it begins",
        "appliance/tasks.py",
        'def work(_settings: object) -> None:\n    raise SystemExit("not well")',
    ),
    (
        "that runs and is never ready",
        "appliance/health/ready.py",
        "def is_ready(*_asked: object) -> bool:\n    return False",
    ),
)
_PAGE: Final = """
import ssl, urllib.request
anybody = ssl._create_unverified_context()
print(urllib.request.urlopen("https://localhost/readyz", context=anybody).status)
"""
_READY: Final = """
import json, urllib.request
asked = "http://127.0.0.1:9090/api/v1/query?query=appliance_ready"
print(*(one["value"][1] for one in json.load(urllib.request.urlopen(asked))["data"]["result"]))
"""
_LEFT_OVER: Final = """
import sqlite3
db = sqlite3.connect("file:/var/lib/appliance/ledger.db?mode=ro", uri=True)
left = "SELECT count(*) FROM job WHERE state IN ('discovered', 'queued', 'running', 'retry-wait')"
print(db.execute("PRAGMA integrity_check").fetchone()[0], db.execute(left).fetchone()[0])
"""


def main() -> int:
    """0 where everything was as it should be, 2 where it could not be tried."""
    missing = container.missing()
    programs = ("mmdebstrap", "ssh", "smbclient")
    if debian.suite() not in debian.PYTHONS:
        missing = f"boxes are made of {' or '.join(debian.PYTHONS)}, not of {debian.suite()}"
    lacking = missing or next((f"no {one}" for one in programs if not shutil.which(one)), None)
    if lacking:
        say(lacking)
        return 2
    begun = time.monotonic()
    root = bare.root()
    say(f"a bare Debian: {root.name}, {time.monotonic() - begun:.0f} s")
    # Not below /tmp: what lies there may lie in memory, and a bundle is large.
    with tempfile.TemporaryDirectory(prefix="provision-", dir=bare.KEPT) as name:
        folder = Path(name)
        begun = time.monotonic()
        key = bundles.key(folder)
        good = bundles.bundle(folder, key)
        say(f"a release: {good.name}, {good.stat().st_size / 1e6:.0f} MB, "
            f"{time.monotonic() - begun:.0f} s")  # fmt: skip
        with container.started(folder, lower=str(root), install=False) as box:
            # A disk for recordings: what an account of a unit makes on the overlay is refused.
            box.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/srv").check_returncode()
            tell(box, folder, key, good)
    return 0


def tell(box: Container, folder: Path, key: Path, good: Path) -> None:
    """Everything, in order."""
    # It has no network: where a package wants one to be up first, nothing would come but the
    # two minutes that systemd is patient for.
    box.run("systemctl", "mask", "systemd-networkd-wait-online").check_returncode()
    at = people.site(folder)
    variables = {
        "appliance_bundle": str(good),
        "appliance_release_signers": [key.with_suffix(".pub").read_text().strip()],
        "appliance_apt_update": False,
        "appliance_settings": {"worker": {"require_isolation": True}},
        "appliance_operators": at.operators,
        "appliance_shares": [{"name": "dictation", "samba": ["anna"]}],
        "appliance_samba_people": [
            {"name": "anna", "password": PASSWORD},
            {"name": "bert", "password": PASSWORD},
            # Who comes in by ssh may drop recordings, too.
            {"name": people.OPERATOR, "password": PASSWORD},
        ],
    }
    # Two names, one machine: what would happen to the second is seen, not what happens there.
    controller = Controller(folder, {"canary-box": box, "second-box": box}, variables)
    only = ("--limit", "canary-box")
    first(box, controller, only)
    people.come_in(box, controller, at, only)
    no_way_out(box)
    drop_share(box, folder)
    said = ("first.wav", "second.wav", "broken.mp3", "project budget", "anna", PASSWORD)
    support.bundle(box, (*people.SECRETS, people.ADMIN, *said))
    goes_back(box, controller, folder, key)
    upgrades(box, controller, folder, key, only)
    altered(box, folder, good)
    report(controller, folder)
    figures(box, controller, at, only)


def first(box: Container, controller: Controller, only: tuple[str, ...]) -> None:
    """A virgin box, looked at; provisioned; heard; provisioned once more."""
    looked = controller.play("site.yml", "--check", "--diff", *only)
    expect(looked.status == 0, f"--check on a bare box: {_told(looked)}", looked.text)
    busy = load()
    begun = time.monotonic()
    made = controller.play("site.yml", *only)
    expect(made.status == 0, f"site.yml: {_told(made)}", made.text)
    drop(box, "welcome-english.wav", "first.wav")
    text = comes(box, "first.txt")
    took = time.monotonic() - begun
    page = box.run("/usr/bin/python3", "-c", _PAGE).stdout.strip()
    expect(page == "200", "the page answers over TLS", page)
    expect("project budget" in text, f"a bare root to its first transcript: {took:.0f} s")
    if busy:
        say(f"  not judged: others keep this machine busy (load {busy:.0f})")
    else:
        expect(took <= _FIRST_SECONDS, f"within {_FIRST_SECONDS:.0f} s")
    again = controller.play("site.yml", *only)
    changed = again.counts.get("canary-box", {}).get("changed")
    expect(again.status == 0 and changed == 0, f"once more: {_told(again)}", again.text)


def load() -> float:
    """How many processes want a processor, where they are twice as many as there are; else 0."""
    now = os.getloadavg()[0]
    return now if now > 2 * (os.cpu_count() or 1) else 0.0


def no_way_out(box: Container) -> None:
    """The parts have no interface, and the firewall never had to refuse anything."""
    for part in _NO_WAY_OUT:
        pid = shown(box, f"appliance-{part}.service", "MainPID")
        links = box.run("cat", f"/proc/{pid}/net/dev").stdout.splitlines()[2:]
        names = {line.partition(":")[0].strip() for line in links}
        expect(names <= {"lo"}, f"appliance-{part} has no interface but lo")
    told = box.run("nft", "list", "counter", "inet", "appliance", "leaks").stdout
    expect("packets 0 " in told, "packets that wanted out: 0", told)


def drop_share(box: Container, folder: Path) -> None:
    """Who drops a recording may open, edit and delete what comes back; nobody else gets in."""
    recording = SAMPLES / "welcome-english.wav"
    noise = folder / "broken.mp3"
    noise.write_bytes(b"no sound at all" * 100)
    put = smb(box, "anna", f"put {recording} second.wav; put {noise} broken.mp3")
    expect(put.returncode == 0, "anna drops two files over SMB 3", put.stdout + put.stderr)
    comes(box, "broken.mp3.ERROR.txt")
    got = folder / "got.txt"
    # The very same recording is not heard twice, but its text comes beside it again.
    comes(box, "second.txt")
    expect(smb(box, "anna", f"get second.txt {got}").returncode == 0, "anna opens the transcript")
    got.write_text(got.read_text() + "\nread by anna\n")
    expect(smb(box, "anna", f"put {got} second.txt").returncode == 0, "anna edits it")
    expect("read by anna" in box.run("cat", f"{SHARE}/second.txt").stdout, "the edit is there")
    gone = smb(box, "anna", "del second.srt; del broken.mp3; del broken.mp3.ERROR.txt")
    there = box.run("ls", SHARE).stdout.split()
    expect(
        gone.returncode == 0 and not {"second.srt", "broken.mp3.ERROR.txt"} & set(there),
        "anna deletes an export and the note",
        gone.stdout + gone.stderr,
    )
    for who, why in (("bert", "whom the share does not name"), ("", "who gives no name")):
        refused = smb(box, who, "ls")
        expect(refused.returncode != 0, f"somebody {why} is refused", refused.stdout)
    old = smb(box, "anna", "ls", "--option=client max protocol=SMB2_10")
    expect(old.returncode != 0, "SMB 2 is refused", old.stdout)


def goes_back(box: Container, controller: Controller, folder: Path, key: Path) -> None:
    """Releases that are not well: the box goes back by itself, and loses nothing."""
    before = releases(box)["current"]
    for number, (what, module, text) in enumerate(_BROKEN, start=1):
        version = f"{before}.post{number}"
        bad = bundles.bundle(folder, key, version=version, broken={module: text})
        names = [f"during-{number}-{n}" for n in range(3)]
        for n, name in enumerate(names):
            drop(box, "welcome-english.wav", f"{name}.wav", extra=number * 10 + n)
        tried = controller.play("upgrade.yml", appliance_bundle=str(bad))
        bad.unlink()
        went = "\n".join(line for line in tried.text.splitlines() if "seconds" in line)
        expect(tried.status != 0, f"a release {what}: the run says so", tried.text)
        # The recap names it all the same: the inventory is looked at as a whole first.
        other = tried.counts.get("second-box", {})
        touched = [key for key in ("changed", "failed", "unreachable") if other.get(key)]
        expect(not touched, "no other box is touched", tried.text)
        took = _seconds(tried.text)
        expect(took <= _BACK_SECONDS, f"back by itself after {took:.1f} s", went or tried.text)
        expect(releases(box)["current"] == before, f"{before} runs")
        for name in names:
            comes(box, f"{name}.txt")
        expect(True, f"the queue goes on: {len(names)} recordings done")
        sound(box)


def upgrades(
    box: Container, controller: Controller, folder: Path, key: Path, only: tuple[str, ...]
) -> None:
    """A release that is well, and back from it."""
    before = releases(box)["current"]
    better = bundles.bundle(folder, key, version=f"{before}.post9")
    done = controller.play("upgrade.yml", *only, appliance_bundle=str(better))
    expect(done.status == 0, f"a release that is well: {_told(done)}", done.text)
    now = releases(box)
    expect(now["current"] == f"{before}.post9", f"{now['current']} runs, {now['previous']} before")
    kept = controller.play("site.yml", *only)
    stays = releases(box)["current"] == f"{before}.post9"
    expect(kept.status == 0 and stays, "site.yml with the bundle before leaves it", kept.text)
    for times in ("rollback.yml", "once more, and it stays there"):
        back = controller.play("rollback.yml", *only, rollback_from=f"{before}.post9")
        now = releases(box)
        expect(back.status == 0 and now["current"] == before, f"{times}: {_told(back)}", back.text)
    sound(box)


def releases(box: Container) -> dict[str, str]:
    """What is installed in there, and what runs."""
    told: dict[str, str] = json.loads(box.run(COMMAND, "list").stdout)
    return told


def altered(box: Container, folder: Path, good: Path) -> None:
    """One byte of a wheel, and the box has nothing of it."""
    bad = folder / "appliance-6.6.6.tar"
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    bad.write_bytes(content)
    inside = box.path("/root/altered.tar")
    shutil.copy(bad, inside)
    told = box.run(COMMAND, "install", "/root/altered.tar")
    inside.unlink()
    why = json.loads(told.stdout).get("refused", "")
    expect(told.returncode == 1 and "altered" in why, f"an altered bundle is refused: {why}")


def report(controller: Controller, folder: Path) -> None:
    """The fleet, in one table."""
    file = folder / "fleet.json"
    told = controller.play("fleet-report.yml", fleet_report=str(file))
    expect(told.status == 0, "fleet-report.yml", told.text)
    row = json.loads(file.read_text())["canary-box"]
    say(f"    {row}")
    expect(row["ready"] is True and row["leaks"] == 0, "ready, and nothing wanted out")


def figures(box: Container, controller: Controller, at: people.Site, only: tuple[str, ...]) -> None:
    """Prometheus on the box reads what the box says of itself."""
    made = controller.play("site.yml", *only, appliance_prometheus=True, appliance_operators=[])
    expect(made.status == 0, f"site.yml with Prometheus: {_told(made)}", made.text)
    people.is_one_no_more(box, controller, at)
    until, told = time.monotonic() + _PATIENCE, ""
    while time.monotonic() < until and told != "1":
        told = box.run("/usr/bin/python3", "-c", _READY).stdout.strip()
        time.sleep(1.0)
    expect(told == "1", "Prometheus says that the box is ready", told)


def sound(box: Container) -> None:
    """The ledger reads whole, and nobody is waiting for anything."""
    told = box.run("/usr/bin/python3", "-c", _LEFT_OVER)
    expect(told.stdout.split() == ["ok", "0"], "the ledger is whole, nothing is left over",
           told.stdout + told.stderr)  # fmt: skip


def drop(box: Container, sample: str, name: str, *, extra: int = 0) -> None:
    """Put a recording into the share. `extra` samples of silence make it one nobody heard."""
    content = (SAMPLES / sample).read_bytes() + b"\0\0" * extra
    there = box.path(f"{SHARE}/.{name}.part")
    there.write_bytes(content)
    box.run("chown", "appliance:appliance", f"{SHARE}/.{name}.part")
    box.run("mv", f"{SHARE}/.{name}.part", f"{SHARE}/{name}").check_returncode()


def comes(box: Container, name: str) -> str:
    """Wait for a file in the share; what stands in it."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        told = box.run("cat", f"{SHARE}/{name}")
        if told.returncode == 0:
            return told.stdout
        time.sleep(0.5)
    expect(False, f"{name} comes", box.run("journalctl", "--no-pager", "-n", "80").stdout)
    return ""


def smb(box: Container, who: str, words: str, *more: str) -> subprocess.CompletedProcess[str]:
    """What somebody does at the box's file server, in its network, with our own client."""
    way = [word for word in box.enter if word not in ("-m", "-p", "-u", "-i", "-C")]
    login = ["-U", f"{who}%{PASSWORD}"] if who else ["-N"]
    return subprocess.run(
        [*way, "smbclient", "//127.0.0.1/dictation", *login, "-m", "SMB3", *more, "-c", words],
        capture_output=True,
        text=True,
        check=False,
    )


def shown(box: Container, unit: str, key: str) -> str:
    """What systemd says of a unit in there."""
    return box.run("systemctl", "show", unit, "-P", key).stdout.strip()


def _seconds(text: str) -> float:
    """How long nothing was transcribed, as the box itself says."""
    found = re.search(r'"seconds": ([0-9.]+)', text.replace("\\", ""))
    return float(found.group(1)) if found else float("inf")


def _told(played: Played) -> str:
    counts = played.counts.get("canary-box", {})
    return f"{played.seconds:.0f} s, changed {counts.get('changed')}, failed {counts.get('failed')}"


if __name__ == "__main__":
    sys.exit(main())
