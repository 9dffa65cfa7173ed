"""A sealed child tries everything an exploit in a decoder would try, one after the other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap

import pytest

from appliance.limits import WALLS, Confinement, Limits, probe, seccomp, spawn

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADERS = (
    "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "/usr/include/asm-generic/unistd.h",
)
MACHINE = os.uname().machine
COLUMN = {"x86_64": 0, "aarch64": 1}.get(MACHINE)
pytestmark = pytest.mark.skipif(COLUMN is None, reason=f"no table of calls for {MACHINE}")

# Each attempt in a process of its own, forked off before it seals itself; told as
# `name: errno`, `name: signal N`, or `name: went through`.
EACH = """
import ctypes, errno, mmap, os, signal, socket, struct, sys
from appliance import limits
achieved = limits.confine(limits.given())
libc = ctypes.CDLL(None, use_errno=True)
parent, page = os.getppid(), ctypes.create_string_buffer(8192)
ours, theirs = socket.socketpair()

def called(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")

def attempt(name, act):
    child = os.fork()
    if not child:
        limits.seal(achieved)
        try:
            act()
            os._exit(0)
        except OSError as refused:
            os._exit(refused.errno)
        except ValueError:
            os._exit(99)
    status = os.waitpid(child, 0)[1]
    said = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else (
        errno.errorcode.get(os.WEXITSTATUS(status), "went through"))
    os.write(2, f"{name}: {said}\\n".encode())
"""

REFUSED = """
attempt("open", lambda: open("/dev/null"))
attempt("a file of its own", lambda: os.open("/tmp/mine", os.O_CREAT | os.O_WRONLY))
attempt("list", lambda: os.listdir("/"))
attempt("memfd", lambda: os.memfd_create("x"))
attempt("unlink", lambda: os.unlink("/tmp/mine"))
attempt("tcp", lambda: socket.socket(socket.AF_INET))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("pair", lambda: socket.socketpair())
attempt("connect", lambda: ours.connect("/run/appliance/engine-0.sock"))
attempt("bind", lambda: ours.bind("\\0name"))
attempt("setsockopt", lambda: ours.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1))
attempt("fork", os.fork)
attempt("thread", lambda: called(56 if sys.argv[1] == "x86_64" else 220, 0x10f00, 0))
attempt("clone3", lambda: called(435, page, 64))
attempt("kill its worker", lambda: os.kill(parent, signal.SIGTERM))
attempt("kill everybody", lambda: os.kill(-1, signal.SIGTERM))
attempt("tgkill its worker", lambda: called(234 if sys.argv[1] == "x86_64" else 131, parent,
                                            parent, 15))
attempt("pidfd of its worker", lambda: os.pidfd_open(parent))
attempt("code", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
attempt("data made code", lambda: called(10 if sys.argv[1] == "x86_64" else 226,
                                         (ctypes.addressof(page) + 4095) & -4096, 4096, 5))
attempt("signals by a descriptor", lambda: __import__("fcntl").fcntl(ours, 8, parent))
attempt("terminal", lambda: __import__("fcntl").ioctl(2, 0x5412, b"x"))
attempt("prctl", lambda: called(157 if sys.argv[1] == "x86_64" else 167, 4, 1, 0, 0, 0))
attempt("its worker's limits", lambda: called(302 if sys.argv[1] == "x86_64" else 261, parent,
                                              7, page, 0))
attempt("another user", lambda: os.setuid(12345))
attempt("another folder", lambda: os.chdir("/"))
"""

ALLOWED = """
attempt("read", lambda: os.read(ours.fileno(), 0))
attempt("speak", lambda: ours.sendmsg([b"x"]))
attempt("hand over", lambda: ours.sendmsg([b"x"], [(1, 1, struct.pack("i", 2))]))
attempt("data", lambda: mmap.mmap(-1, 4096))
attempt("look at what it holds", lambda: os.fstat(2))
attempt("double what it holds", lambda: os.dup(2))
attempt("wait", lambda: signal.setitimer(signal.ITIMER_REAL, 60))
attempt("abort", os.abort)
"""


def told(program: str) -> dict[str, str]:
    """What became of each attempt."""
    with tempfile.TemporaryFile() as log:
        argv = [sys.executable, "-c", EACH + textwrap.dedent(program), MACHINE]
        ended = spawn(argv, pass_fds=[], limits=Limits(), stderr=log.fileno()).wait(60)
        log.seek(0)
        said = log.read().decode()
    assert ended is not None
    assert ended.exit_code == 0, said
    rows = (line.partition(": ") for line in said.splitlines())
    return {name: outcome for name, _, outcome in rows}


def test_what_a_library_might_try_is_refused() -> None:
    became = told(REFUSED)
    assert len(became) == REFUSED.count('attempt("')
    assert {name: how for name, how in became.items() if how != "EPERM"} == {}


def test_what_only_an_exploit_would_try_ends_the_child() -> None:
    assert COLUMN is not None
    deadly = seccomp.numbers(seccomp.DEADLY, COLUMN)
    calls = "".join(
        f"attempt({name!r}, lambda: called({number}, 0, 0, 0, 0, 0, 0))\n"
        for name, number in deadly.items()
    )
    assert told(calls) == dict.fromkeys(deadly, f"signal {signal.SIGSYS.value}")


def test_what_a_decoder_needs_goes_through() -> None:
    became = told(ALLOWED)
    assert became.pop("abort") == f"signal {signal.SIGABRT.value}"
    assert set(became.values()) == {"went through"}


@pytest.mark.skipif(MACHINE != "x86_64", reason="only there are other doors into the kernel")
def test_the_32_bit_doors_into_the_kernel_end_the_child() -> None:
    became = told(
        r"""
        # mov eax, 20 (getpid of i386); int 0x80; ret
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\0\0\0\xcd\x80\xc3")
        door = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        attempt("x32", lambda: called(0x40000000 | 39))
        attempt("i386", door)
        """
    )
    assert became["x32"] == f"signal {signal.SIGSYS.value}"
    assert became["i386"] in (f"signal {signal.SIGSYS.value}", f"signal {signal.SIGSEGV.value}")


def test_every_thread_is_behind_the_wall() -> None:
    became = told(
        """
        import threading
        go, refused = threading.Event(), []
        def late():
            go.wait()
            try: socket.socket()
            except PermissionError: refused.append(1)
        def act():
            other = threading.Thread(target=late)
            other.start()
            limits.seal(achieved)
            go.set()
            other.join()
            if not refused: raise OSError(5, "it got one")
        child = os.fork()
        if not child:
            try: act()
            except OSError: os._exit(1)
            os._exit(0)
        os.write(2, f"late: {os.waitpid(child, 0)[1]}".encode())
        """
    )
    assert became == {"late": "0"}


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_the_kernels_own(column: int) -> None:
    if not os.path.exists(HEADERS[column]):
        pytest.skip("the kernel's headers are not installed")
    with open(HEADERS[column], encoding="utf-8") as stream:
        text = stream.read()
    theirs = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", text))
    for name, other in re.findall(r"#define __NR_(\w+) __NR3264_(\w+)", text):
        theirs.setdefault(name, theirs.get(other, ""))
    for table in seccomp.TABLES:
        for name, number in seccomp.numbers(table, column).items():
            assert int(theirs[name]) == number, name


def test_an_unknown_machine_has_no_wall_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result([*there[:4], "vax"]))
    assert seccomp.restrict() is False
    monkeypatch.undo()
    assert Confinement().missing() == tuple(WALLS.values())


def test_the_probe_finds_what_a_real_child_achieves() -> None:
    found = probe()
    assert found.few_system_calls
    assert found.no_new_privileges
    assert "few system calls (seccomp)" not in found.missing()


_HAS = "from appliance.limits import walls; print(walls._is_alone(), walls._is_powerless())"


@pytest.mark.parametrize(
    ("outside", "has"),
    [
        ([], "False False"),
        (["unshare", "--net"], "True False"),
        (["setpriv", "--reuid", "65534", "--clear-groups"], "False True"),
    ],
)
def test_what_is_not_there_need_not_be_given_up(outside: list[str], has: str) -> None:
    """Under systemd a decoder may neither leave a network nor drop a right, nor has it either."""
    if os.geteuid():
        pytest.skip("only root can be without them by choice")
    python = "/usr/bin/python3"  # ours may lie where nobody else may look
    ran = subprocess.run(
        [*outside, python, "-c", _HAS], capture_output=True, text=True, cwd=TOP, check=True
    )
    assert ran.stdout.strip() == has
