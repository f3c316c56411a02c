# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The harness itself: what goes wrong beside a test does not fail it."""

import glob

from harness import Program


def test_kill_with_input(lab):
    """A program that has not read what was typed is killed all the same."""
    program = Program("sleep", ["sleep", "60"], lab.prefix())
    program.process.stdin.write(b"never read")
    program.kill()
    assert program.process.returncode != 0


def test_cleanup_after_another(lab, monkeypatch):
    """A hugepage file that somebody else removed first is no error."""
    program = Program("true", ["true"], lab.prefix())
    monkeypatch.setattr(glob, "glob", lambda pattern: [str(lab.dir / "gone_map_0")])
    program.cleanup()
    assert not program.alive()
