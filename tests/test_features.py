# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The guide of the driver says what the driver does."""

import csv
import re

from conftest import ROOT
from harness import Program, lcores

GUIDE = ROOT / "doc/guides/nics/ppfrag.rst"
FEATURES = ROOT / "doc/guides/nics/features/ppfrag.ini"
# What no call tells: other tests run there, or read it.
NOT_ANNOUNCED = {"Multiprocess aware", "Linux", "ARMv8", "x86-32", "x86-64", "Usage doc"}
# What net_virtio_user of DPDK 22.11 has: its device arguments, and its features file.
STOCK_ARGUMENTS = {"path", "mac", "cq", "queue_size", "queues", "iface", "server", "mrg_rxbuf",
                   "in_order", "packed_vq", "speed", "vectorized"}
STOCK_FEATURES = {
    "Speed capabilities", "Link status", "Link status event", "Rx interrupt", "Queue start/stop",
    "Scattered Rx", "Promiscuous mode", "Allmulticast mode", "Unicast MAC filter",
    "Multicast MAC filter", "RSS hash", "RSS key update", "RSS reta update", "VLAN filter",
    "Basic stats", "Stats per queue", "Extended stats", "Multiprocess aware", "MTU update"}
PLATFORMS = {"Linux", "ARMv8", "x86-32", "x86-64", "Usage doc"}


def listed():
    """The features of the file."""
    return set(re.findall(r"^(.*\S)\s*= [YP]$", FEATURES.read_text(), re.M))


def rows():
    """The rows of the tables against net_virtio_user."""
    section = GUIDE.read_text().split("\nAgainst net_virtio_user\n")[1].split("\nReceive Inter")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith('   "')]
    return list(csv.reader(lines, skipinitialspace=True))


def test_file(lab):
    """The features file has what a port announces whose back end offers everything."""
    program = lab.add(Program("unit", [
        lab.builddir / "app/test-ppool/dpdk-test-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={(prefix := lab.prefix())}", *lab.plugins(), "--", "unit", "features"],
        prefix))
    assert program.wait_end() == 0, program.output
    announced = set(re.findall(r"^feature: (.*)$", program.output, re.M))
    assert announced == listed() - NOT_ANNOUNCED


def test_table_is_complete():
    """Each device argument and feature of either driver has a row."""
    names = " ".join(row[0] for row in rows())
    guide = GUIDE.read_text().split("\nDevice Arguments\n")[1].split("\nServer\n")[0]
    arguments = {name for line in re.findall(r"^(``\w+``(?:, ``\w+``)*)$", guide, re.M)
                 for name in re.findall(r"\w+", line)}
    assert arguments >= STOCK_ARGUMENTS
    assert {name for name in arguments if f"``{name}``" not in names} == set()
    features = (listed() | STOCK_FEATURES) - PLATFORMS
    assert features - {row[0] for row in rows()} == set()


def test_tests_exist():
    """The tests that the rows name."""
    assert len(rows()) > 60
    for name, *_, shown in rows():
        where, test = shown.strip("`").split()
        if where.endswith(".py"):
            found = f"def {test}(" in (ROOT / "tests" / where).read_text()
        else:
            text = (ROOT / f"app/test-ppool/unit_{where}.c").read_text()
            found = re.search(rf"^{test}\(", text, re.M)
        assert found, f"{name}: {shown}"
