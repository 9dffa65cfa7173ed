"""The wall around the kernel (seccomp): the few calls that a sealed decoder makes.

A list of what is allowed, since what a decoder needs can be written down and what an
exploit might want cannot. Everything else fails with EPERM, which a library that only
tries its luck survives; what nothing but an exploit asks for ends the child at once
(SIGSYS). Memory that holds data never becomes code.

x86_64 and aarch64, in their own 64-bit calling convention alone: the 32-bit and x32 doors
into the same kernel end the child. On any other machine there is no wall, and we say so.

Source: linux/seccomp.h, linux/filter.h, and the tables of calls in asm/unistd_64.h and
asm-generic/unistd.h, with which the test compares ours.

Not here: when it goes up (walls), files (landlock).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator
from typing import Final

# By machine: its name in the audit header, which column below is its own, and seccomp itself.
_MACHINES: Final = {"x86_64": (0xC000_003E, 0, 317), "aarch64": (0xC000_00B7, 1, 277)}
_X32: Final = 0x4000_0000

# Name, number on x86_64, number on aarch64; a dash where the machine has no such call.
ALLOWED: Final = """
    read 0 63 | write 1 64 | pread64 17 67 | readv 19 65 | writev 20 66 | lseek 8 62 | close 3 57
    fstat 5 80 | newfstatat 262 79 | poll 7 - | ppoll 271 73 | sendmsg 46 211 | recvmsg 47 212
    munmap 11 215 | mremap 25 216 | brk 12 214 | madvise 28 233
    futex 202 98 | sched_yield 24 124 | sched_getaffinity 204 123 | getcpu 309 168
    rt_sigaction 13 134 | rt_sigprocmask 14 135 | rt_sigreturn 15 139 | sigaltstack 131 132
    restart_syscall 219 128 | alarm 37 - | setitimer 38 103
    nanosleep 35 101 | clock_nanosleep 230 115 | clock_gettime 228 113 | clock_getres 229 114
    gettimeofday 96 169 | time 201 - | getrandom 318 278 | getrusage 98 165 | times 100 153
    getpid 39 172 | gettid 186 178 | getppid 110 173 | uname 63 160 | sysinfo 99 179
    exit 60 93 | exit_group 231 94
"""
# Allowed where one argument, of which the low word counts, is one of a few values.
_DUPFD_CLOEXEC: Final = 1030
ALLOWED_WITH: Final = {
    "fcntl 72 25": (1, (1, 2, 3, _DUPFD_CLOEXEC)),  # F_GETFD, F_SETFD, F_GETFL; no signals
}
NEVER_CODE: Final = "mmap 9 222 | mprotect 10 226"  # unless its third argument has PROT_EXEC
OUR_OWN: Final = "tgkill 234 131"  # abort() sends itself a signal
DEADLY: Final = """
    execve 59 221 | execveat 322 281 | fork 57 - | vfork 58 - | ptrace 101 117
    process_vm_readv 310 270 | process_vm_writev 311 271 | process_madvise 440 440
    pidfd_getfd 438 438 | kcmp 312 272 | bpf 321 280 | perf_event_open 298 241
    userfaultfd 323 282 | io_uring_setup 425 425 | io_uring_enter 426 426
    io_uring_register 427 427 | keyctl 250 219 | add_key 248 217 | request_key 249 218
    shmget 29 194 | shmat 30 196 | msgget 68 186 | semget 64 190
    mount 165 40 | umount2 166 39 | pivot_root 155 41 | chroot 161 51 | open_tree 428 428
    move_mount 429 429 | fsopen 430 430 | fsconfig 431 431 | fsmount 432 432 | fspick 433 433
    mount_setattr 442 442 | unshare 272 97 | setns 308 268 | personality 135 92
    open_by_handle_at 304 265 | name_to_handle_at 303 264 | quotactl 179 60 | acct 163 89
    init_module 175 105 | finit_module 313 273 | delete_module 176 106 | kexec_load 246 104
    kexec_file_load 320 294 | reboot 169 142 | swapon 167 224 | swapoff 168 225
    syslog 103 116 | settimeofday 164 170 | clock_settime 227 112 | adjtimex 159 171
    clock_adjtime 305 266 | modify_ldt 154 - | ioperm 173 - | iopl 172 -
"""
TABLES: Final = (ALLOWED, *ALLOWED_WITH, NEVER_CODE, OUR_OWN, DEADLY)
_PROT_EXEC: Final = 4

_ALLOW, _KILL, _REFUSE = 0x7FFF_0000, 0x8000_0000, 0x0005_0000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR_AT, _MACHINE_AT, _ARGS_AT = 0, 4, 16  # in struct seccomp_data
_MODE_FILTER, _ALL_THREADS = 1, 1

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> bool:
    """Let this process, every thread of it, make the listed calls alone; for good.

    It must have given up new privileges. False where the kernel or the machine cannot.
    """
    machine = _MACHINES.get(os.uname().machine) if sys.maxsize > 2**32 else None
    if machine is None:
        return False
    audit, column, seccomp = machine
    code = b"".join(struct.pack("=HBBI", *one) for one in _instructions(audit, column))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(seccomp, _MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def numbers(table: str, column: int) -> dict[str, int]:
    """Read a table above: the number of each call that the machine of `column` has."""
    rows = [row.split() for line in table.split("\n") for row in line.split("|")]
    return {row[0]: int(row[1 + column]) for row in rows if row and row[1 + column] != "-"}


def _instructions(audit: int, column: int) -> Iterator[Instruction]:
    yield from (_load(_MACHINE_AT), (_EQUAL, 1, 0, audit), _then(_KILL))
    yield _load(_NR_AT)
    yield from ((_AT_LEAST, 0, 1, _X32), _then(_KILL))
    for number in numbers(ALLOWED, column).values():
        yield from ((_EQUAL, 0, 1, number), _then(_ALLOW))
    for number in numbers(DEADLY, column).values():
        yield from ((_EQUAL, 0, 1, number), _then(_KILL))
    for call, (argument, values) in ALLOWED_WITH.items():
        yield from _if_one_of(_only(call, column), argument, values)
    for number in numbers(NEVER_CODE, column).values():
        yield from ((_EQUAL, 0, 4, number), _argument(2))
        yield from ((_ANY_BIT, 0, 1, _PROT_EXEC), _then(_REFUSE), _then(_ALLOW))
    yield from _if_one_of(_only(OUR_OWN, column), 0, (os.getpid(),))
    yield _then(_REFUSE)


def _if_one_of(number: int, argument: int, values: tuple[int, ...]) -> Iterator[Instruction]:
    """Allow call `number` with one of `values`; what comes after is not for this call."""
    yield from ((_EQUAL, 0, 2 + 2 * len(values), number), _argument(argument))
    for value in values:
        yield from ((_EQUAL, 0, 1, value), _then(_ALLOW))
    yield _then(_REFUSE)


def _only(table: str, column: int) -> int:
    (number,) = numbers(table, column).values()
    return number


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _argument(which: int) -> Instruction:
    return _load(_ARGS_AT + 8 * which)  # both machines put the low word first


def _then(verdict: int) -> Instruction:
    return (_RETURN, 0, 0, verdict)
