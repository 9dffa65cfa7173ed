"""A probe for each wall: tried from within, it tells whether the kernel does what was said.

`python3 probes.py UNIT` inside a unit's sandbox prints one JSON object: the key of every wall of
that unit → true (it is as the unit says), false, or null where this machine cannot tell. What the
sandbox is compared with comes in the environment (PROBE_HOST: the namespaces outside).

Standard library alone: it runs where nothing else is to be had.

Not here: putting it there (sandbox).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import json
import mmap
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Final

Values = list[str]  # what the unit says of this key
Probe = Callable[[Values], bool | None]

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_X86: Final = os.uname().machine == "x86_64"
# On x86_64; elsewhere these questions are not asked.
_PTRACE, _PERSONALITY, _SETSCHEDULER, _CLOCK_SETTIME = 101, 135, 144, 227
_KEYCTL, _LANDLOCK, _SECCOMP = 250, 444, 317
CONTAINER: Final = os.path.exists("/run/systemd/container")  # it may have fewer walls to give
_NEWUSER, _NEWNS = 0x1000_0000, 0x0002_0000
_LEFT_IN_DEV: Final = frozenset(
    (
        *("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts"),
        *("shm", "mqueue", "hugepages", "log", "core", "fd", "stdin", "stdout", "stderr", "char"),
    )
)


def fails(call: Callable[[], object], *codes: int) -> bool:
    """Tell whether a call ends with one of these errors."""
    try:
        call()
    except OSError as error:
        return error.errno in codes
    return False


def system_call(number: int, *arguments: int) -> int:
    """Make it, and return its error, or 0."""
    plain = [ctypes.c_long(argument) for argument in arguments]
    return ctypes.get_errno() if _LIBC.syscall(ctypes.c_long(number), *plain) < 0 else 0


def refused(number: int, *arguments: int) -> bool | None:
    """Tell whether a filter refuses a call that would fail in another way by itself."""
    return system_call(number, *arguments) == errno.EPERM if _X86 else None


def status(field: str) -> str:
    """A line of /proc/self/status."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        return next(line.split()[1] for line in stream if line.startswith(f"{field}:"))


def is_read_only(path: str) -> bool | None:
    """Tell whether nothing can be written below a path, whoever asks."""
    if not os.path.exists(path):
        return None
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def own_namespace(kind: str) -> bool:
    """Tell whether we are in another namespace than the box."""
    outside = json.loads(os.environ["PROBE_HOST"])
    return bool(os.readlink(f"/proc/self/ns/{kind}") != outside[kind])


def mounts() -> dict[str, str]:
    """Where something is mounted, and which part of its file system that is."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        return {fields[4]: fields[3] for fields in map(str.split, stream)}


def on(probe: Callable[[], bool | None], values: Values) -> bool | None:
    """A wall that is up or down: `probe` says that it stands."""
    stands = probe()
    return None if stands is None else stands == (values[-1] not in ("no", "auto", "inherit"))


def yes(probe: Callable[[], bool | None]) -> Probe:
    """The probe of a wall that a unit switches on or off."""
    return lambda values: on(probe, values)


def umask(values: Values) -> bool:
    """New files are for us and our group."""
    now = os.umask(0)
    os.umask(now)
    return now == int(values[-1], 8)


def bounding(values: Values) -> bool:
    """No program that we start could get a right that is not named."""
    return (int(status("CapBnd"), 16) == 0) == (values == [""])


def suid() -> bool:
    """A setuid file cannot be made."""
    with tempfile.NamedTemporaryFile() as file:
        return fails(lambda: os.chmod(file.name, 0o4755), errno.EPERM)  # noqa: S103 - it must fail


def namespaces() -> bool:
    """No namespace can be made, not even one that anybody may make."""
    return system_call(272, _NEWUSER) == errno.EPERM and system_call(272, _NEWNS) == errno.EPERM


def keyring() -> bool | None:
    """Our session keyring is our own, not the account's."""
    name = ctypes.create_string_buffer(256)
    got = _LIBC.syscall(_KEYCTL, 6, -3, ctypes.byref(name), 256) if _X86 else -1
    return None if got < 0 else not name.value.rpartition(b";")[2].startswith(b"_uid_ses")


def home() -> bool | None:
    """Nobody's home can be looked into."""
    return fails(lambda: os.listdir("/home"), errno.EACCES, errno.ENOENT)


def temporary() -> bool:
    """What is put aside for a moment lies in a room of our own."""
    return "systemd-private-" in mounts().get("/tmp", "")  # noqa: S108 - it is what we ask about


def devices() -> bool:
    """/dev has what programs need, and a GPU where one was let in."""
    left = {name for name in os.listdir("/dev") if not name.startswith("nvidia")}
    return left <= _LEFT_IN_DEV


def network() -> bool:
    """There is no interface but a loopback of our own."""
    with open("/proc/self/net/dev", encoding="ascii") as stream:
        there = {line.partition(":")[0].strip() for line in stream if ":" in line}
    return there <= {"lo"} and own_namespace("net")


def families(values: Values) -> bool:
    """Sockets of the named families can be made, of others not."""
    allowed = " ".join(values).split()
    return all(
        fails(functools.partial(socket.socket, kind, how), errno.EAFNOSUPPORT) != (name in allowed)
        for name, kind, how in (
            ("AF_UNIX", socket.AF_UNIX, socket.SOCK_STREAM),
            ("AF_INET", socket.AF_INET, socket.SOCK_STREAM),
            ("AF_INET6", socket.AF_INET6, socket.SOCK_STREAM),
            ("AF_NETLINK", socket.AF_NETLINK, socket.SOCK_RAW),
        )
    )


def nodes(_values: Values) -> bool | None:
    """A node that somebody makes opens no device. Asked as root, with /dev as it is."""
    if os.geteuid() or CONTAINER:
        return None
    path = "/dev/appliance-probe"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0))
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno == errno.EPERM
    else:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def addresses(values: Values) -> bool | None:
    """What is denied is denied by the kernel; without a network there is nothing to ask.

    A datagram, since the kernel says so of one: what opens a connection it drops without a word.
    """
    if CONTAINER or fails(lambda: socket.socket(socket.AF_INET).close(), errno.EAFNOSUPPORT):
        return None
    target = ("169.254.169.254", 80) if "link-local" in " ".join(values) else ("127.0.0.1", 9)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"a way out", target)
        except OSError as error:
            nowhere = error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
            return None if nowhere else error.errno == errno.EPERM
    return False


def writable(values: Values) -> bool:
    """The named places can be written, where they are there; a dash forgives one that is not."""
    named = [one for value in values for one in value.split()]
    there = [one.lstrip("-") for one in named if os.path.exists(one.lstrip("-"))]
    return all(is_read_only(path) is False for path in there)


def groups() -> bool | None:
    """Limits of others cannot be changed."""
    return is_read_only("/sys/fs/cgroup")


def tunables() -> bool:
    """The kernel's settings can be looked at."""
    return is_read_only("/proc/sys") is not False and is_read_only("/sys") is True


def modules() -> bool | None:
    """No module is there to be loaded."""
    return fails(lambda: os.listdir("/usr/lib/modules"), errno.EACCES) or (
        None if not os.path.isdir("/usr/lib/modules") else False
    )


def written_code() -> bool:
    """Memory that can be written cannot be run."""
    return fails(lambda: mmap.mmap(-1, 4096, prot=7).close(), errno.EPERM, errno.EACCES)


def old_doors() -> bool | None:
    """The 32-bit way into the kernel ends who takes it; asked where code can be written at all."""
    if not _X86 or written_code():
        return None
    child = os.fork()
    if not child:
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # getpid by int 0x80
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def calls(values: Values) -> bool | None:
    """What is listed can be called, what is not cannot."""
    listed = {one for value in values if not value.startswith("~") for one in value.split()}
    if not _X86:
        return None
    niced = os.fork()
    if not niced:
        os._exit(fails(lambda: os.nice(1), errno.EPERM))
    nice = os.waitstatus_to_exitcode(os.waitpid(niced, 0)[1])
    with tempfile.NamedTemporaryFile() as file:
        owner = fails(lambda: os.chown(file.name, -1, -1), errno.EPERM)
    return (
        system_call(_PTRACE, 0) == errno.EPERM
        and owner != ("@chown" in listed)
        and bool(nice) != ("@resources" in listed)
        and system_call(_LANDLOCK, 0, 0, 9) != errno.EPERM
        and system_call(_SECCOMP, 99, 0, 0) != errno.EPERM
    )


def errors(values: Values) -> bool | None:
    """A call that is refused says so, and its caller lives."""
    return refused(_PTRACE, 0) if values == ["EPERM"] else None


PROBES: Final[Mapping[str, Probe]] = {
    "UMask": umask,
    "NoNewPrivileges": yes(lambda: status("NoNewPrivs") == "1"),
    "CapabilityBoundingSet": bounding,
    "AmbientCapabilities": lambda _values: int(status("CapAmb"), 16) == 0,
    "PrivateUsers": yes(lambda: own_namespace("user")),
    "RestrictSUIDSGID": yes(suid),
    "RestrictNamespaces": yes(namespaces),
    "LockPersonality": yes(lambda: refused(_PERSONALITY, 0x0008)),
    "RestrictRealtime": yes(lambda: refused(_SETSCHEDULER, -1, 1, 0)),
    "KeyringMode": yes(keyring),
    "ProtectSystem": yes(lambda: all(is_read_only(path) for path in ("/usr", "/etc", "/"))),
    "ReadWritePaths": writable,
    "ProtectHome": yes(home),
    "PrivateTmp": yes(temporary),
    "PrivateMounts": yes(lambda: own_namespace("mnt")),
    "PrivateDevices": yes(devices),
    "DevicePolicy": nodes,
    "BindPaths": lambda _values: None if not os.path.exists("/dev/nvidiactl") else True,
    "DeviceAllow": lambda _values: (
        os.access("/dev/nvidiactl", os.W_OK) if os.path.exists("/dev/nvidiactl") else None
    ),
    "PrivateNetwork": yes(network),
    "IPAddressDeny": addresses,
    "RestrictAddressFamilies": families,
    "ProtectKernelTunables": yes(tunables),
    "ProtectKernelModules": yes(modules),
    "ProtectKernelLogs": yes(lambda: "/proc/kmsg" in mounts()),
    "ProtectControlGroups": yes(groups),
    "ProtectClock": yes(lambda: refused(_CLOCK_SETTIME, 999, 0)),
    "ProtectHostname": yes(lambda: own_namespace("uts")),
    "ProtectProc": yes(lambda: not os.path.exists("/proc/1/cmdline")),
    "PrivateIPC": yes(lambda: own_namespace("ipc")),
    # With queues of our own there is nothing to be left over.
    "RemoveIPC": yes(lambda: own_namespace("ipc")),
    "MemoryDenyWriteExecute": yes(written_code),
    "SystemCallArchitectures": lambda _values: old_doors(),
    "SystemCallFilter": calls,
    "SystemCallErrorNumber": errors,
}

# What a container could not tell either, if it were asked once more.
IN_A_MACHINE: Final = frozenset({"DevicePolicy", "IPAddressDeny", "ProtectKernelModules"})
# What another wall hides is asked once more without that one.
LOOSENED: Final[Mapping[str, tuple[str, ...]]] = {
    "IPAddressDeny": ("PrivateNetwork=no", "RestrictAddressFamilies=AF_INET"),
    "SystemCallArchitectures": ("MemoryDenyWriteExecute=no",),
    "ProtectKernelModules": ("User=root", "PrivateUsers=no"),
    "DevicePolicy": (
        "User=root",
        "PrivateUsers=no",
        "PrivateDevices=no",
        "CapabilityBoundingSet=CAP_MKNOD",
        "SystemCallFilter=mknod mknodat",
    ),
}

# The same sandbox with its walls taken down: probes that find nothing then are worth nothing.
OPENED: Final = (
    "UMask=0022",
    "CapabilityBoundingSet=~",
    "ProtectSystem=no",
    "ProtectHome=no",
    "KeyringMode=inherit",
    "DevicePolicy=auto",
    "IPAddressDeny=",
    "RestrictAddressFamilies=",
    "ProtectProc=default",
    "SystemCallArchitectures=",
    "SystemCallFilter=",
    "SystemCallFilter=@known",
    *(
        f"{key}=no"
        for key in (
            *("NoNewPrivileges", "PrivateUsers", "RestrictSUIDSGID", "RestrictNamespaces"),
            *("LockPersonality", "RestrictRealtime", "PrivateTmp", "PrivateMounts"),
            *("PrivateDevices", "PrivateNetwork", "ProtectKernelTunables", "ProtectKernelModules"),
            *("ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname"),
            *("PrivateIPC", "RemoveIPC", "MemoryDenyWriteExecute"),
        )
    ),
)


def main(walls: Mapping[str, Values]) -> None:
    """Try every wall of a unit and say what was found."""
    found = {key: PROBES[key](values) for key, values in walls.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(json.loads(os.environ["PROBE_WALLS"]))
