# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A program without inline functions uses the library: tests/binding.py, with Python's ctypes."""

import json
import os
import subprocess
from pathlib import Path

from harness import lcores

BINDING = Path(__file__).parent / "binding.py"
PACKETS = 200  # as there


def test_binding(lab):
    """It reserves, commits, keeps packets and takes slots; the books are exact at each step."""
    library = lab.builddir / "lib/ppool/libppool.so.0"
    done = subprocess.run(
        [BINDING, library, "--no-huge", "-m", "256", "--no-pci", f"--file-prefix={lab.prefix()}",
         lcores(1)],
        env={**os.environ, "LD_PRELOAD": f"{library} {os.environ.get('LD_PRELOAD', '')}"},
        text=True, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])
    assert list(steps) == ["received", "kept", "slots", "freed"]
    assert all(books["wrong"] == 0 for books in steps.values())
    received, kept, slots, freed = steps.values()
    assert received["frags"] == received["same"] == PACKETS
    assert received["charged"] + received["slot_charged"] == received["truesize"] > 0
    assert received["class_live"] == 0
    assert kept["moved"] == kept["same"] == PACKETS
    assert kept["frags"] == kept["charged"] == kept["slot_charged"] == 0
    assert kept["class_live"] == kept["truesize"] > 0
    assert slots["same"] == PACKETS
    assert slots["class_live"] == slots["truesize"]
    assert slots["truesize"] > kept["truesize"]
    assert not any(freed.values())
