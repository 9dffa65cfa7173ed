"""A running guest: boot it, keep its state, go back to that, run commands in it.

A snapshot holds disk and memory; going back to it takes seconds where a boot takes a minute.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.box.guest import image

_BOOT_SECONDS: Final = 900.0  # by our clock, as all patience here
_RETURN_SECONDS: Final = 300.0
_RUN_SECONDS: Final = 900.0
_MEMORY_MB: Final = 2048
_MACHINE: Final = (
    *("-machine", "q35,vmport=off,i8042=off,hpet=off", "-accel", "tcg,tb-size=512"),
    *("-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MB), "-nodefaults", "-no-user-config"),
    *("-display", "none", "-device", "virtio-rng-pci"),
)
_KERNEL: Final = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=4 systemd.show_status=0 net.ifnames=0 "
    "mitigations=off"
)
_BOOT_ID: Final = "cat /proc/sys/kernel/random/boot_id"
_FIRMWARE: Final = "/usr/share/OVMF"  # of Debian's package ovmf


@dataclass(frozen=True, slots=True)
class Start:
    """How a guest begins to run, and how one gets in."""

    words: Callable[[Path], Sequence[object]]  # for qemu; given a folder for what it writes
    key: Path  # of root, in there
    kind: str = "qcow2"  # of its disk
    size: str = ""  # "": as large as that
    doors: Sequence[int] = ()  # beside ssh's
    speed: int = 2  # an instruction takes 2 to the power of this, in ns, by its clock


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


WITH_KERNEL: Final = Start(linux, image.KEPT / "key")


class Guest:
    """A machine that runs, on loopback. `with` ends it."""

    def __init__(self, disk: Path, folder: Path, start: Start = WITH_KERNEL) -> None:
        """Boot a copy of `disk`, which is kept in `folder`; it answers when this returns."""
        self._folder = folder
        self._start = start
        self.doors = {port: _free_port() for port in (22, *start.doors)}  # in there → out here
        self._monitor = folder / "qmp"
        self._line = str(folder / "ssh")  # one for all commands
        self.kept: set[str] = set()  # the states that it can go back to
        self._disk = folder / "disk.qcow2"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        over = ("-f", "qcow2", "-F", start.kind, "-b", str(disk))  # what it writes lies beside
        made = [str(self._disk), start.size] if start.size else [str(self._disk)]
        subprocess.run(["qemu-img", "create", "-q", *over, *made], check=True)
        self._started()
        try:
            self._until_it_answers(_BOOT_SECONDS)
        except BaseException:
            self.end()
            raise

    def _started(self) -> None:
        doors = [f"hostfwd=tcp:127.0.0.1:{out}-:{port}" for port, out in self.doors.items()]
        network = ",".join(("user,id=n0,restrict=on", *doors))
        argv = [
            *("qemu-system-x86_64", *_MACHINE, *self._start.words(self._folder)),
            # Its clock goes by what it computes: a busy machine around it changes no figure.
            *("-icount", f"shift={self._start.speed},sleep=on"),
            *("-drive", f"file={self._disk},if=none,id=d0,format=qcow2,cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=d0,bootindex=1", "-netdev", network),
            *("-device", "virtio-net-pci,netdev=n0,romfile="),
            *("-chardev", f"file,id=c0,path={self._folder / 'console'}", "-serial", "chardev:c0"),
            *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
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
        self._hang_up()
        self._qemu.kill()
        self._qemu.wait()

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

    def boot_again(self) -> None:
        """Let it shut down in good order and boot once more; it answers when this returns."""
        was = self.run(_BOOT_ID)
        self.run("systemctl reboot", check=False)
        until = time.monotonic() + 2 * _BOOT_SECONDS  # it has to end first
        while time.monotonic() < until:
            self._hang_up()
            with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                if self.run(_BOOT_ID, timeout=60) != was:
                    return
            time.sleep(1.0)
        raise TimeoutError(f"it does not come back: {self._folder}/console")

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
                while "event" in (answer := json.loads(lines.readline())):
                    pass
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
            time.sleep(0.5)
        raise TimeoutError(f"no answer after {patience:g} s: {self._folder}/console")


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
