# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""TCP of the kernel through net_ppfrag, with checksums and segmentation left to the other side."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness import TIMEOUT, wait_until
from tap_peer import TapPeer
from test_ping import network_namespace

TRANSFER = Path(__file__).with_name("tcp_transfer.py")
SIZE = 20 << 20
PORT = 5001
MSS = 1400
MAX_PACKET = 65000
NET4, NET6 = "198.18.2", "fd00:18"


class End:
    """A network namespace with a tap that a program makes there."""

    def __init__(self, number, netns):
        self.netns = netns
        self.tap = f"ppfragtap{number}"
        self.address4 = f"{NET4}.{number}"
        self.address6 = f"{NET6}::{number}"

    def ip(self, *words):
        """Run ip(8) there."""
        subprocess.run([*self.netns, "ip", *words], check=True)

    def up(self, mtu):
        """Give the tap its addresses."""
        self.ip("link", "set", self.tap, "mtu", str(mtu), "up")
        self.ip("address", "add", f"{self.address4}/24", "dev", self.tap)
        self.ip("address", "add", f"{self.address6}/64", "dev", self.tap, "nodad")

    def run(self, *words):
        """Start an end of a connection there."""
        return subprocess.Popen([*self.netns, sys.executable, TRANSFER, *map(str, words)],
                                stdout=subprocess.PIPE, text=True)

    def reaches(self, address):
        """Whether a ping is answered."""
        done = subprocess.run([*self.netns, "ping", "-c", "1", "-W", "1", address], check=False,
                              capture_output=True)
        return done.returncode == 0


@pytest.fixture
def ends():
    """Two namespaces that reach each other by what the test puts in between."""
    with network_namespace("left") as left, network_namespace("right") as right:
        yield End(1, left), End(2, right)


def transfer(sender, receiver, address):
    """Send a file; it must arrive as it is."""
    with receiver.run("receive", address, PORT) as server:
        assert server.stdout.readline() == "listening\n"
        with sender.run("send", address, PORT, SIZE) as client:
            sent = client.communicate(timeout=TIMEOUT)[0]
        received = server.communicate(timeout=TIMEOUT)[0]
    assert sent == received and len(sent) > 64


def leave_to_hardware(program, port, tso=True):
    """Have testpmd ask a port for checksums, and for segments of MSS bytes."""
    program.command(f"port stop {port}")
    for layer in ("ip", "tcp", "udp"):
        program.command(f"csum set {layer} hw {port}")
    if tso:
        program.command(f"tso set {MSS} {port}")
    program.command(f"port start {port}")


def forward_checksums(program):
    """Forward frames with their addresses."""
    program.command("set fwd csum")
    for port in range(2):
        program.command(f"csum mac-swap off {port}")


@pytest.mark.parametrize("version", [4, 6])
def test_send(lab, ends, version):
    """net_ppfrag hands packets of 64 KB to net_vhost, which leave by a tap in segments."""
    sock = lab.socket()
    near, far = ends
    peer = lab.peer(f"{sock},tso=1", [f"net_tap0,iface={far.tap}"], wrapper=far.netns)
    dut = lab.dut(sock, [f"net_tap0,iface={near.tap}"], wrapper=near.netns, mbuf_size=16384,
                  mbufs=4096)
    for program in (dut, peer):
        forward_checksums(program)
    leave_to_hardware(dut, 0)
    leave_to_hardware(peer, 1)
    dut.command("port stop 1")
    dut.command("port config 1 rx_offload scatter on")
    dut.command("port start 1")
    peer.wait_link()
    for program in (dut, peer):
        program.start()
    near.up(MAX_PACKET)
    far.up(MAX_PACKET)
    address = far.address4 if version == 4 else far.address6
    wait_until(lambda: near.reaches(address), "an answer to a ping")
    transfer(near, far, address)
    for program in (dut, peer):
        program.stop()
    xstats = dut.xstats()
    assert xstats["tx_q0_bad_offload_packets"] == 0
    assert xstats["tx_q0_offload_packets"] < 10 * SIZE // MAX_PACKET
    if version == 4:  # net_tap leaves others whole
        assert peer.xstats(1)["tx_good_packets"] > SIZE // MSS
    dut.check_ledgers()
    dut.quit()


def receive_offloads(program, port):
    """Have testpmd ask a port for all that the back end can do."""
    program.command(f"port stop {port}")
    for offload in ("tcp_cksum", "udp_cksum", "tcp_lro"):
        program.command(f"port config {port} rx_offload {offload} on")
    program.command(f"port start {port}")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("devargs,memory", [("", None), (",rx=slots", None), ("", "default")])
def test_both_ways(lab, ends, version, devargs, memory):
    """Packets of 64 KB, without checksums, from one kernel through two ports into another one.

    In memory of the default mode packets are copied.
    """
    lab.need(memory)
    socks = [lab.socket(), lab.socket()]
    peers = [lab.add_peer(TapPeer(sock, end.netns[1].split("=")[1], end.tap))
             for sock, end in zip(socks, ends)]
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]}{devargs}"], devargs=devargs,
                  memory=memory, mbuf_size=16384, mbufs=4096)
    forward_checksums(dut)
    for port in range(2):
        leave_to_hardware(dut, port)
        receive_offloads(dut, port)
    for peer in peers:
        peer.start()
    dut.start()
    near, far = ends
    for end in ends:
        end.up(1500)
    address = far.address4 if version == 4 else far.address6
    wait_until(lambda: near.reaches(address), "an answer to a ping")
    transfer(near, far, address)
    for peer in peers:
        peer.stop()
    dut.stop()
    assert peers[0].largest[0] > 30000 and peers[1].largest[1] > 30000
    for port in range(2):
        xstats = dut.xstats(port)
        assert xstats["rx_q0_bad_header_packets"] == xstats["tx_q0_bad_offload_packets"] == 0
    dut.check_ledgers()
    dut.quit()
