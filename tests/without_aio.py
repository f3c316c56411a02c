# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Runs a program to which the kernel refuses a system call: asynchronous I/O, or membarrier().

    without_aio.py [--membarrier] PROGRAM [ARG...]
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# The numbers of the system calls.
IO_SETUP = {"x86_64": 206, "aarch64": 0}
MEMBARRIER = {"x86_64": 324, "aarch64": 283}

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7fff0000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of BPF


def refuse(number):
    """Have a system call fail as if its resources were exhausted, here and in what is executed."""
    code = b"".join(struct.pack("HBBI", *step) for step in (
        (LOAD_WORD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, number),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EAGAIN),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW)))
    steps = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    for option in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                   (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)):
        if libc.prctl(*option) != 0:
            sys.exit(f"prctl{option}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    words = sys.argv[1:]
    calls = IO_SETUP
    if words[0] == "--membarrier":
        calls, words = MEMBARRIER, words[1:]
    refuse(calls[platform.machine()])
    os.execvp(words[0], words)
