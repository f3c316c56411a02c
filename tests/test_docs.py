# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""What the README claims was measured, and what documents point to exists."""

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import ROOT
from guide_commands import documents

GUIDES = ROOT / "doc/guides"
LINK_TIMEOUT = 30
# Made when it is needed, or of DPDK.
ELSEWHERE = {"config/eal.local", "debian/driver-sdk", "ethdev_driver.h", "dpdk-telemetry.py",
             "dpdk-telemetry-exporter.py"}

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


def places(pattern, paths=None):
    """Where a pattern is in documents: document, what it matched."""
    return [(path, match) for path in paths or documents()
            for match in re.findall(pattern, path.read_text())]


def exists(path, name):
    """Whether there is a guide or an included file of this name, seen from a document."""
    return ((GUIDES / name.lstrip("/")) if name.startswith("/") else path.parent / name).exists()


def headings(path):
    """What links to the headings of a Markdown file have behind #."""
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", path.read_text(), re.M)}


def test_markdown_links():
    """Links of README and others lead to files, and to headings of these."""
    found = places(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)",
                   [*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md")])
    assert len(found) > 10
    for path, (name, heading) in found:
        target = path.parent / name if name else path
        built = name.startswith("group__") or name.endswith(("_8h.html", ".h"))  # by Doxygen
        assert built or target.exists(), f"{path.name}: {name}"
        assert not heading or heading in headings(target), f"{path.name}: {name}#{heading}"


def test_guide_links():
    """Guides that other guides name exist, and so do the labels of sections and pictures."""
    guides = sorted(GUIDES.rglob("*.rst"))
    for path, name in places(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", guides):
        assert exists(path, f"{name}.rst"), f"{path.name}: :doc:`{name}`"
    labels = {label for _, label in places(r"(?m)^\.\. _`?([^`:\n]+)`?:$", guides)}
    for path, label in places(r":ref:`(?:[^`<]*<)?([^`>]+)>?`", guides):
        assert label in labels, f"{path.name}: :ref:`{label}`"
    for path, name in places(r"\.\. (?:figure|image|include|literalinclude):: (\S+)", guides):
        assert exists(path, name), f"{path.name}: {name}"


def test_guides_are_reachable():
    """Every guide is in a table of contents, or included."""
    named = {GUIDES / "index.rst"}
    for path in GUIDES.rglob("*.rst"):
        text = path.read_text()
        for tree in re.findall(r"\.\. toctree::\n((?: +.*\n|\n)+)", text):
            entries = re.findall(r"^ +(?:[^:<\n]+<)?([\w./-]+)>?$", tree, re.M)
            named |= {(path.parent / f"{name}.rst").resolve() for name in entries}
        named |= {(path.parent / name).resolve()
                  for name in re.findall(r"\.\. include:: (\S+)", text)}
    assert set(GUIDES.rglob("*.rst")) - named == set()


def test_named_files():
    """Files of the project that documents name."""
    tops = {path.name for path in ROOT.iterdir()
            if path.is_dir() and not path.name.startswith((".", "build"))}
    tracked = {path.name for path in ROOT.iterdir()}
    tracked |= {path.name for top in tops for path in (ROOT / top).rglob("*")}
    name = r"`{1,2}([\w.*-]+/[\w./*-]*|[\w-]+\.(?:sh|py|rst|c|h|md))`{1,2}"
    found = [(path, text) for path, text in places(name)
             if text not in ELSEWHERE and (text.split("/")[0] in tops or "/" not in text)]
    assert len(found) > 50
    for path, text in found:
        there = list(ROOT.glob(text.rstrip("/"))) if "/" in text else text in tracked
        assert there, f"{path.relative_to(ROOT)} names {text}"


def test_named_functions():
    """Functions of the library that documents name are declared in its public headers."""
    headers = "".join(path.read_text() for path in (ROOT / "lib/ppool").glob("*.h"))
    found = {name for _, name in places(r"`(ppool_\w+)\(")}
    assert len(found) > 40
    assert {name for name in found if f"\n{name}(" not in headers
            and not re.search(rf"\b{name}\(", headers)} == set()


def test_moved_over():
    """The tutorial says that five lines move the receiver over."""
    lines = (ROOT / "examples/receiver/ppfrag.diff").read_text().splitlines()
    added = [line for line in lines if line.startswith("+") and line[1:].strip()]
    assert len(added) - 1 == 5  # but for the name of the file
    assert "moved over in five lines" in (GUIDES / "tutorial.rst").read_text().replace("\n", " ")


@pytest.mark.skipif(os.environ.get("PPFRAG_LONG") != "1", reason="asks other hosts")
def test_external_links():
    """Addresses of others answer."""
    found = {address.rstrip(".,;:") for _, address in places(r"https?://[^\s>)`\"|]+")}
    for address in sorted(found):
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=LINK_TIMEOUT).close()
        except urllib.error.HTTPError as error:
            assert error.code in (403, 405, 429), f"{address}: {error}"  # no answer to programs
        except urllib.error.URLError as error:
            pytest.skip(f"no network: {address}: {error}")
