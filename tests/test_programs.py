# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Programs for users, benchmarks and tests are apart, and say which of them has a command."""

import re
import subprocess

import pytest

PROGRAMS = {
    "dpdk-ppool": "app/ppool-tool",
    "dpdk-ppool-bench": "app/ppool-bench",
    "dpdk-test-ppool": "app/test-ppool",
}


def run(lab, program, *words):
    """A program that ends at once."""
    return subprocess.run([lab.builddir / PROGRAMS[program] / program, *words], text=True,
                          capture_output=True, check=False, timeout=60)


def commands(lab, program):
    """Those that its help lists."""
    done = run(lab, program, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {program} [EAL options] -- ")
    names = re.findall(r"^  ([a-z-]+) +\w", done.stdout, re.M)
    assert len(names) > 2
    return names


@pytest.mark.parametrize("program", PROGRAMS)
def test_commands(lab, program):
    """Each command is there, with its help, and every other program says where."""
    for command in commands(lab, program):
        done = run(lab, program, "--", command, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"{program} [EAL options] -- {command} ")
        for other in PROGRAMS.keys() - {program}:
            done = run(lab, other, "--", command, "--unknown")
            assert done.returncode == 1
            assert done.stderr == (f"{other}: '{command}' is a command of another program: "
                                   f"{program} [EAL options] -- {command}\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown(lab, program):
    """A command that no program has; those that there are."""
    done = run(lab, program, "--", "frobnicate")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{program}: unknown command 'frobnicate'\nusage: {program} ")


@pytest.mark.parametrize("program", ["dpdk-ppool", "dpdk-ppool-bench"])
def test_no_test_framework(lab, program):
    """What users run needs no library for tests."""
    path = lab.builddir / PROGRAMS[program] / program
    libraries = subprocess.run(["ldd", path], text=True, capture_output=True, check=True).stdout
    assert "librte_eal" in libraries
    assert "cmocka" not in libraries
