# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What the README claims is what was measured."""

import re
import shutil
import subprocess

from conftest import ROOT

CELL = r"[0-9,]+ \([0-9.]+\)"


def measured():
    """By stock, net_ppfrag, and preset=density: the rows of the measured table."""
    text = (ROOT / "doc/guides/figures/held.rst").read_text()
    rows = re.findall(rf"- ([0-9,]+)\n +- ({CELL})\n +- ({CELL})\n +- {CELL}\n", text)
    assert rows
    return rows


def test_readme_memory():
    """Each row of the README's table of memory is one of devtools/figures.py."""
    text = (ROOT / "README.md").read_text()
    claims = re.findall(rf"^\| [^|]+ \| ([0-9,]+) \| ({CELL}) \| ({CELL}) \|$", text, re.M)
    assert len(claims) == 4
    assert not [claim for claim in claims if claim not in measured()]


def test_figures_without_runs(tmp_path):
    """Tables are made of nothing but what was measured."""
    (tmp_path / "devtools").mkdir()
    tool = shutil.copy(ROOT / "devtools/figures.py", tmp_path / "devtools")
    (tmp_path / "doc/guides").mkdir(parents=True)
    done = subprocess.run([tool, "--tables", "held"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "measure this part first" in done.stderr
    assert not list((tmp_path / "doc").rglob("*.rst"))
