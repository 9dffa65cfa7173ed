"""A running guest: boot it, keep its state, go back to that, run commands in it.

A snapshot holds disk and memory; going back to it takes seconds where a boot takes a minute. So
one machine is booted and kept, and each lane goes on from a copy of that.

Not here: its disk (image), what is asked of it (the lanes).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.box.guest import image

_BOOT_SECONDS: Final = 900.0  # by our clock, as all patience here
_RETURN_SECONDS: Final = 300.0
_RUN_SECONDS: Final = 900.0
_MEMORY_MB: Final = 2048
# Its clock goes by what it computes, so that a busy machine around it changes no figure: an
# instruction takes 2 ** shift nanoseconds of it.
_CLOCK: Final = "shift={shift},sleep=on"
SLOW: Final = 2  # 250 million instructions in a second of its clock
AS_A_BOX: Final = 0  # 1000: the smallest of boxes
_BOOTED: Final = "booted"
_MACHINE: Final = (
    *("-machine", "q35,vmport=off,i8042=off,hpet=off", "-accel", "tcg,tb-size=512"),
    *("-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MB), "-nodefaults", "-no-user-config"),
    *("-display", "none", "-device", "virtio-rng-pci"),
)
_KERNEL: Final = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=4 systemd.show_status=0 net.ifnames=0 "
    "mitigations=off"
)


class Guest:
    """A machine that runs, on loopback. `with` ends it."""

    def __init__(
        self,
        disk: Path,
        folder: Path,
        *,
        shift: int = SLOW,
        careful: bool = False,
        state: str | None = None,
    ) -> None:
        """Run on `disk`, which is made over; everything lies in `folder`. It answers then.

        `shift`: how its clock goes. `careful`: what it has written to its disk survives a cut of
        its power, and nothing else does. `state`: the kept one to wake up in, instead of a boot.
        """
        self._folder = folder
        self._port = _free_port()
        self._monitor = folder / "qmp"
        self._line = str(folder / "ssh")  # one for all commands
        self.kept: set[str] = set()  # the states that it can go back to
        self._disk = disk
        self._shift = shift
        self._cache = "none" if careful else "unsafe"
        self._start(state)

    def _start(self, state: str | None = None) -> None:
        self._started(() if state is None else ("-loadvm", state))
        try:
            self._until_it_answers(_BOOT_SECONDS)
        except BaseException:
            self.end()
            raise

    def _started(self, more: Sequence[str]) -> None:
        network = f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"
        drive = f"file={self._disk},if=none,id=d0,format=qcow2,cache={self._cache}"
        argv = [
            *("qemu-system-x86_64", *_MACHINE, "-icount", _CLOCK.format(shift=self._shift)),
            *("-kernel", image.KEPT / "kernel", "-initrd", image.KEPT / "initrd"),
            *("-append", _KERNEL, "-drive", drive),
            *("-device", "virtio-blk-pci,drive=d0", "-netdev", network),
            *("-device", "virtio-net-pci,netdev=n0,romfile="),
            *("-chardev", f"file,id=c0,path={self._folder / 'console'}", "-serial", "chardev:c0"),
            *("-qmp", f"unix:{self._monitor},server=on,wait=off", *more),
        ]
        with open(self._folder / "qemu", "wb") as told:
            self._qemu = subprocess.Popen(
                list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=told, stderr=told
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def end(self) -> None:
        """End it at once, as a cut of its power would."""
        self._qemu.kill()
        self._qemu.wait()
        self._hang_up()

    def power_up(self) -> None:
        """Boot from what is on its disk."""
        self._start()

    def reboot(self) -> None:
        """Have it shut down in good order and boot; it answers when this returns."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.run("systemctl reboot", check=False)
        self._hang_up()
        until = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < until:
            self._until_it_answers(_BOOT_SECONDS)
            if self.run("cat /proc/sys/kernel/random/boot_id", check=False) not in ("", before):
                return
            self._hang_up()
            time.sleep(1.0)
        raise TimeoutError("it does not come up again")

    def shut(self) -> None:
        """End it with all that it knows on its disk, kept states as well."""
        self._hang_up()
        with contextlib.suppress(OSError):  # it may be gone before it has answered
            self._command("quit")
        self._qemu.wait(_RETURN_SECONDS)

    # --- its state ------------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """Keep disk and memory as they are now."""
        self._command(f"savevm {name}")
        self.kept.add(name)

    def go_back(self, name: str) -> None:
        """Be again as when `name` was kept; only its clock goes on from now."""
        self._hang_up()
        self._command(f"loadvm {name}")
        self._until_it_answers(_RETURN_SECONDS)

    def _command(self, line: str) -> None:
        """Have qemu's monitor do something. Raises RuntimeError with what it says."""
        with socket.socket(socket.AF_UNIX) as talk:
            talk.connect(str(self._monitor))
            lines = talk.makefile("rw", encoding="utf-8")
            lines.readline()  # its greeting
            for execute, arguments in (
                ("qmp_capabilities", {}),
                ("human-monitor-command", {"command-line": line}),
            ):
                lines.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
                lines.flush()
                answer: dict[str, Any] = {"event": ""}
                while "event" in answer:  # one that quits may say nothing more
                    answer = json.loads(lines.readline() or "{}")
            if answer.get("return"):  # a monitor's command that works says nothing
                raise RuntimeError(f"{line}: {answer['return']}")

    # --- in there -------------------------------------------------------------------------------

    def run(
        self,
        script: str,
        *,
        data: bytes | None = None,
        timeout: float = _RUN_SECONDS,
        check: bool = True,
    ) -> str:
        """Run a shell script as root and return what it prints; `data` is its standard input.

        Raises CalledProcessError where it fails, unless `check` is off.
        """
        argv = [*self._ssh(), f"set -e\n{script}"]
        ran = subprocess.run(
            argv,
            input=data if data is not None else b"",
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if check and ran.returncode:
            raise subprocess.CalledProcessError(ran.returncode, script, ran.stdout, ran.stderr)
        return ran.stdout.decode("utf-8", "replace")

    def put(self, path: str, content: bytes) -> None:
        """Write a file in there."""
        self.run(f"mkdir -p '{os.path.dirname(path)}'; cat > '{path}'", data=content)

    def _ssh(self) -> list[str]:
        known = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
        options = [word for option in (*known, "ConnectTimeout=60") for word in ("-o", option)]
        options += ["-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-S", self._line]
        key = str(image.KEPT / "key")
        to = ["-p", str(self._port), "root@127.0.0.1"]
        return ["ssh", "-q", "-F", "none", "-i", key, *options, *to]

    def _hang_up(self) -> None:
        """Let go of the line: its other end will not know of it any more."""
        subprocess.run([*self._ssh()[:-1], "-O", "exit", "box"], capture_output=True, check=False)

    def _until_it_answers(self, patience: float) -> None:
        """Wait for a shell in there, and set its clock: a snapshot wakes up in the past."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self._qemu.poll() is not None:
                raise RuntimeError((self._folder / "qemu").read_text())
            with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                self.run(f"date -s @{time.time():.3f} >/dev/null", timeout=60)
                return
            self._hang_up()  # a line to a machine that is no more would wait for ever
            time.sleep(0.5)
        raise TimeoutError(f"no answer after {patience:g} s: {self._folder}/console")


def woken(disk: Path, folder: Path, *, shift: int, careful: bool = False) -> Guest:
    """A machine of one's own that has booted a moment ago; `disk` is what it was booted from."""
    kept = _booted(disk, shift)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = folder / "disk.qcow2"
    subprocess.run(["cp", "--reflink=auto", str(kept), str(own)], check=True)
    return Guest(own, folder, shift=shift, careful=careful, state=_BOOTED)


def _booted(disk: Path, shift: int) -> Path:
    """Disk and memory of a machine that has booted, made where there is none."""
    kept = disk.with_name(f"{disk.stem}-booted-{shift}.qcow2")
    if kept.exists():
        return kept
    folder = image.KEPT / _BOOTED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = folder / "disk.qcow2"
    over = ("-f", "qcow2", "-F", "qcow2", "-b", str(disk))  # what it writes lies beside
    subprocess.run(["qemu-img", "create", "-q", *over, str(own)], check=True)
    with Guest(own, folder, shift=shift) as guest:
        guest.run("systemctl is-system-running --wait || true")
        guest.keep(_BOOTED)
        guest.shut()
    os.replace(own, kept)
    return kept


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def stop_on_term() -> None:
    """Let TERM end a run as an exception, so that no guest outlives it."""

    def stop(_number: int, _frame: object) -> None:
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, stop)
