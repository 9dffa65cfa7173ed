"""A running guest: boot it, keep its state, go back to that, run commands in it.

A snapshot holds disk and memory; going back to it takes seconds where a boot takes a minute. So
one machine is booted and kept, and each lane goes on from a copy of that. Another boots from a
whole disk, by its own loader (`Start`).

Not here: its disk (image), what is asked of it (the lanes).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.box import together
from tests.box.guest import image

# By our clock, as all patience here: beside others a second of a guest's takes ten of ours.
_BOOT_SECONDS: Final = 1800.0
_RETURN_SECONDS: Final = 300.0
_RUN_SECONDS: Final = 2400.0
_MEMORY_MB: Final = 2048
# Its clock goes by what it computes, so that a busy machine around it changes no figure: an
# instruction takes 2 ** speed nanoseconds of it.
_CLOCK: Final = "shift={speed},sleep=on"
SLOW: Final = 2  # 250 million instructions in a second of its clock
AS_A_BOX: Final = 0  # 1000: the smallest of boxes
_BOOTED: Final = "booted"
# Fused multiply-adds are computed in software, number by number: with them the lane `whole` took
# 687 s for its recording of nine seconds, without them 147 s, both beside other guests.
_PROCESSOR: Final = "max,-avx,-avx2,-fma,-f16c"
_MACHINE: Final = (
    *("-machine", "q35,vmport=off,i8042=off,hpet=off", "-accel", "tcg,tb-size=512"),
    *("-cpu", _PROCESSOR, "-smp", "1", "-m", str(_MEMORY_MB), "-nodefaults", "-no-user-config"),
    *("-display", "none", "-device", "virtio-rng-pci"),
)
_KERNEL: Final = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=4 systemd.show_status=0 net.ifnames=0 "
    "mitigations=off"
)
_FIRMWARE: Final = "/usr/share/OVMF"  # of Debian's package ovmf


@dataclass(frozen=True, slots=True)
class Start:
    """How a guest begins to run, and how one gets in."""

    words: Callable[[Path], Sequence[object]]  # for qemu; given a folder for what it writes
    key: Path  # of root, in there
    speed: int = SLOW  # of its clock
    doors: Sequence[int] = ()  # beside ssh's


def linux(_folder: Path) -> Sequence[object]:
    """qemu itself loads the kernel."""
    return (
        *("-kernel", image.KEPT / "kernel", "-initrd", image.KEPT / "initrd"),
        *("-append", _KERNEL),
    )


def firmware(folder: Path) -> Sequence[object]:
    """UEFI looks on the disk for a loader; there is a screen, as before a PC."""
    shutil.copy(f"{_FIRMWARE}/OVMF_VARS_4M.fd", folder / "vars")
    code = f"if=pflash,format=raw,readonly=on,file={_FIRMWARE}/OVMF_CODE_4M.fd"
    return (
        *("-drive", code, "-drive", f"if=pflash,format=raw,file={folder / 'vars'}"),
        *("-device", "VGA"),
    )


def with_kernel(speed: int) -> Start:
    """As a guest of ours starts."""
    return Start(linux, image.KEPT / "key", speed)


class Guest:
    """A machine that runs, on loopback. `with` ends it."""

    def __init__(
        self,
        disk: Path,
        folder: Path,
        start: Start,
        *,
        careful: bool = False,
        state: str | None = None,
    ) -> None:
        """Run on `disk`, which is made over; everything lies in `folder`. It answers then.

        `careful`: what it has written to its disk survives a cut of its power, and nothing else
        does. `state`: the kept one to wake up in, instead of a boot.
        """
        self._folder = folder
        self._start = start
        self.doors = {port: _free_port() for port in (22, *start.doors)}  # in there → out here
        self._monitor = folder / "qmp"
        self._line = str(folder / "ssh")  # one for all commands
        self.kept: set[str] = set()  # the states that it can go back to
        self._disk = disk
        self._cache = "none" if careful else "unsafe"
        self._begin(state)

    def _begin(self, state: str | None = None) -> None:
        self._started(() if state is None else ("-loadvm", state))
        try:
            self._until_it_answers(_BOOT_SECONDS)
        except BaseException:
            self.end()
            raise

    def _started(self, more: Sequence[str]) -> None:
        doors = [f"hostfwd=tcp:127.0.0.1:{out}-:{port}" for port, out in self.doors.items()]
        network = ",".join(("user,id=n0,restrict=on", *doors))
        drive = f"file={self._disk},if=none,id=d0,format=qcow2,cache={self._cache}"
        argv = [
            *("qemu-system-x86_64", *_MACHINE, "-icount", _CLOCK.format(speed=self._start.speed)),
            *self._start.words(self._folder),
            *("-drive", drive, "-device", "virtio-blk-pci,drive=d0,bootindex=1"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=n0,romfile="),
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
        self._begin()

    def reboot(self) -> None:
        """Have it shut down in good order and boot; it answers when this returns."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.run("systemctl reboot", check=False)
        self._hang_up()
        until = time.monotonic() + 2 * _BOOT_SECONDS  # it has to end first
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
        key = str(self._start.key)
        to = ["-p", str(self.doors[22]), "root@127.0.0.1"]
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


def woken(disk: Path, folder: Path, *, speed: int, careful: bool = False) -> Guest:
    """A machine of one's own that has booted a moment ago; `disk` is what it was booted from."""
    kept = _booted(disk, speed)
    own = _emptied(folder) / "disk.qcow2"
    subprocess.run(["cp", "--reflink=auto", str(kept), str(own)], check=True)
    return Guest(own, folder, with_kernel(speed), careful=careful, state=_BOOTED)


def laid_over(disk: Path, folder: Path, *, kind: str = "qcow2", size: str = "") -> Path:
    """A disk in `folder`, which is emptied: what is written to it leaves `disk` as it is.

    `size`: as in qemu-img; "" is as large as that.
    """
    own = _emptied(folder) / "disk.qcow2"
    over = ("-f", "qcow2", "-F", kind, "-b", str(disk), str(own), *([size] if size else []))
    subprocess.run(["qemu-img", "create", "-q", *over], check=True)
    return own


def _booted(disk: Path, speed: int) -> Path:
    """Disk and memory of a machine that has booted, made where there is none."""
    machine = hashlib.sha256(repr(_MACHINE).encode()).hexdigest()[:8]
    kept = disk.with_name(f"{disk.stem}-booted-{speed}-{machine}.qcow2")
    with together.alone(image.KEPT / f"{_BOOTED}-{speed}.lock"):
        if kept.exists():
            return kept
        folder = image.KEPT / f"{_BOOTED}-{speed}"
        own = laid_over(disk, folder)
        with Guest(own, folder, with_kernel(speed)) as guest:
            guest.run("systemctl is-system-running --wait || true")
            guest.keep(_BOOTED)
            guest.shut()
        os.replace(own, kept)
    return kept


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


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
