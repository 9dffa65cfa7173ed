"""A real Samba server on loopback, a box on the folder it serves, and clients of every kind.

The box is whole: watch, worker, decoder, engine with the bundled model. What is asked of
each upload: no text before it is whole, one job, the text of exactly its bytes; and one
that broke off is never passed off as whole.

Not here: shares that the box has mounted from elsewhere (nas).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.states import State
from appliance.store import events, jobs
from appliance.store.jobs import Job
from tests.faults import Amount, Missing
from tests.faults.smb_client import PASSWORD, USER
from tests.line.running import SAMPLES, Running

_FORMATS: Final = ("txt", "json")
_SAMPLE: Final = os.path.join(SAMPLES, "welcome-english.wav")
_MANY: Final = {Amount.SHORT: 20, Amount.FULL: 200, Amount.LONG: 200}
_STALL: Final = {Amount.SHORT: 4.0, Amount.FULL: 8.0, Amount.LONG: 30.0}
_PATIENCE: Final = 240.0  # seconds; the machine may be busy with anything
_SMBD: Final = "/usr/sbin/smbd"
_CONF: Final = """\
[global]
server role = standalone server
smb ports = {port}
interfaces = 127.0.0.1
bind interfaces only = yes
private dir = {own}
state directory = {own}
cache directory = {own}
lock directory = {own}
pid directory = {own}
ncalrpc dir = {own}/ncalrpc
log file = {own}/log
passdb backend = tdbsam:{own}/passdb.tdb
load printers = no
disable spoolss = yes
store dos attributes = no
[drop]
path = {root}
read only = no
"""


@contextlib.contextmanager
def serving(root: str, own: str) -> Iterator[int]:
    """Serve `root` as the share `drop` on a port of loopback; `own` is the server's folder."""
    if not os.path.exists(_SMBD):
        raise Missing("smbd: apt-get install samba")
    os.makedirs(own)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = os.path.join(own, "smb.conf")
    with open(conf, "w", encoding="ascii") as stream:
        stream.write(_CONF.format(port=port, own=own, root=root))
    subprocess.run(
        ["smbpasswd", "-c", conf, "-a", "-s", USER],
        input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
        check=True,
        capture_output=True,
    )
    with open(os.path.join(own, "out"), "wb") as out:
        process = subprocess.Popen(
            [_SMBD, "--foreground", "--no-process-group", f"--configfile={conf}"],
            stdout=out,
            stderr=out,
            start_new_session=True,  # at its end it signals its whole group
        )
    try:
        _until_it_answers(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Missing("smbd does not answer")


@dataclass
class Uploads:
    """One round of uploads into one box."""

    box: Running
    port: int
    how_much: Amount
    count: int = 0
    violations: list[str] = field(default_factory=list)
    facts: dict[str, str | float] = field(default_factory=dict)
    _clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self) -> None:
        """Every way of uploading, all at once where they do not touch each other."""
        stall = _STALL[self.how_much]
        slow = {
            verb: self._begin(verb, f"{verb}.wav", stall) for verb in ("put", "sized", "rename")
        }
        broken = {verb: self._begin(verb, f"{verb}.wav") for verb in self._that_break()}
        self._nothing_early(slow, stall)
        for verb, process in slow.items():
            self._whole(f"{verb}.wav", process)
        self._many()
        for verb, process in broken.items():
            self._broken(f"{verb}.wav", process)

    def _that_break(self) -> tuple[str, ...]:
        # One with holes is waited for a whole minute: its sender may come back.
        return ("half",) if self.how_much is Amount.SHORT else ("half", "hollow")

    def _begin(self, verb: str, name: str, seconds: float = 0.0) -> subprocess.Popen[bytes]:
        self.count += 1
        command = [sys.executable, "-m", "tests.faults.smb_client", str(self.port), verb]
        client = subprocess.Popen([*command, _SAMPLE, name, str(seconds)])
        self._clients.append(client)
        return client

    def end(self) -> None:
        """End every client that is still there."""
        for client in self._clients:
            client.kill()
            client.wait()

    def _nothing_early(self, slow: dict[str, subprocess.Popen[bytes]], stall: float) -> None:
        """While an upload stalls, nobody may take it for whole."""
        until = time.monotonic() + stall + 30
        seen: set[str] = set()
        while time.monotonic() < until and any(p.poll() is None for p in slow.values()):
            for verb in slow.keys() - seen:
                if self.box.job(f"{verb}.wav".encode()) is not None:
                    seen.add(verb)
                    if _sha256(self.box.path(f"{verb}.wav")) != _sha256(_SAMPLE):
                        self._wrong(f"{verb}: a job before the upload was whole")
            time.sleep(0.05)

    def _whole(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if process.wait(_PATIENCE) != 0:
            self._wrong(f"{name}: the client failed")
            return
        self._done(name, _SAMPLE)

    def _done(self, name: str, source: str) -> None:
        """It must be done once, of these bytes, with a file of each format."""
        job = self.box.ended(name.encode(), seconds=_PATIENCE)
        if len(list(jobs.at(self.box.ledger, "inbox", name.encode()))) != 1:
            self._wrong(f"{name}: more than one job")
        if job.state is not State.DONE or job.sha256 != _sha256(source):
            self._wrong(f"{name}: {job.state} {job.code}, of {job.sha256}")
        self._once(job)
        there = set(self.box.names())
        for format_ in _FORMATS:
            if f"{name.removesuffix('.wav')}.{format_}" not in there:
                self._wrong(f"{name}: no {format_}")

    def _once(self, job: Job) -> None:
        done = [e for e in events.of_job(self.box.ledger, job.id) if e.became == State.DONE]
        if len(done) > 1:
            self._wrong(f"{job.source.path!r}: done {len(done)} times")
        if (job.errors, job.crashes, job.losses) != (0, 0, 0):
            self._wrong(f"{job.source.path!r}: attempts burned")

    def _many(self) -> None:
        """As many as somebody who empties a recorder, over four connections at once."""
        count = _MANY[self.how_much]
        names = [f"m-{number:03}.wav" for number in range(count)]
        begun = time.monotonic()
        clients = [self._puts(names[n::4]) for n in range(4)]
        if any(client.wait(_PATIENCE) for client in clients):
            self._wrong("many: a client failed")
        for name in names:
            self._done(name, _SAMPLE)
        self.count += count
        self.facts[f"{count} uploads at once, all done after"] = f"{time.monotonic() - begun:.0f} s"

    def _puts(self, names: list[str]) -> subprocess.Popen[bytes]:
        """Samba's own client, one file after the other."""
        puts = "; ".join(f'put "{_SAMPLE}" {name}' for name in names)
        account = ["-p", str(self.port), "-U", f"{USER}%{PASSWORD}"]
        client = subprocess.Popen(
            ["smbclient", "//127.0.0.1/drop", *account, "-c", puts],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._clients.append(client)
        return client

    def _broken(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """What broke off is named as such, or says so; sent again, it is done."""
        process.wait(_PATIENCE)
        job = self.box.ended(name.encode(), seconds=_PATIENCE)
        said = [one.code for one in job.warnings if one.code != "warning.selftest-model"]
        if job.state is State.DONE and not said:
            self._wrong(f"{name}: half an upload, done without a word")
        told = f"{job.state} {job.code or ', '.join(said)}"
        self.facts[f"an upload that broke off ({name.removesuffix('.wav')})"] = told
        again = self._begin("put", name)
        again.wait(_PATIENCE)
        whole = _sha256(_SAMPLE)
        self.box.until(
            lambda: self._has_done(name, whole), f"{name} done when sent again", seconds=_PATIENCE
        )

    def _has_done(self, name: str, sha256: str) -> bool:
        job = next(jobs.at(self.box.ledger, "inbox", name.encode()), None)
        return job is not None and job.state is State.DONE and job.sha256 == sha256

    def _wrong(self, what: str) -> None:
        self.violations.append(f"samba: {what}")


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def upload(how_much: Amount, where: str) -> Uploads:
    """Run a server, a box and its clients in an empty folder."""
    formats = f"formats = {list(_FORMATS)}\n"
    with (
        Running(where, more_settings=formats) as box,
        serving(box.root, os.path.join(where, "smbd")) as port,
    ):
        uploads = Uploads(box, port, how_much)
        try:
            uploads.run()
        except (AssertionError, subprocess.TimeoutExpired) as late:
            uploads.violations.append(f"samba: {late}")
        finally:
            uploads.end()
        return uploads
