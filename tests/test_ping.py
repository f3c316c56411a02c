# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The kernel pings testpmd's icmpecho on net_ppfrag, through a tap of a stock testpmd."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import wait_until

COUNT = 20
TAP = "ppfragtap"
KERNEL, ECHO = "198.18.1.1", "198.18.1.2"


@pytest.fixture
def netns():
    """A network namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    name = f"ppfrag-ping-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no network namespace: {made.stderr.decode().strip()}")
    yield ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.parametrize("size", [56, 1400])
def test_ping(lab, netns, size):
    """Every echo request is answered."""
    sock = lab.socket()
    peer = lab.peer(sock, [f"net_tap0,iface={TAP}"], wrapper=netns)
    dut = lab.dut(sock, options=["--forward-mode=icmpecho"])
    peer.wait_link()
    dut.start()
    peer.start()
    subprocess.run([*netns, "ip", "address", "add", f"{KERNEL}/30", "dev", TAP], check=True)
    subprocess.run([*netns, "ip", "link", "set", TAP, "up"], check=True)
    ping = [*netns, "ping", "-n", "-s", str(size), ECHO]
    wait_until(lambda: subprocess.run([*ping, "-c", "1", "-W", "1"], check=False,
                                      capture_output=True).returncode == 0, "the first answer")
    result = subprocess.run([*ping, "-c", str(COUNT), "-i", "0.02", "-W", "5"], check=False,
                            capture_output=True, text=True)
    assert re.search(rf"{COUNT} packets transmitted, {COUNT} received", result.stdout), \
        result.stdout
    assert "wrong data" not in result.stdout
    peer.stop()
    dut.stop()
    dut.check_ledgers()
    dut.quit()
