# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""TCP of the kernel through every mode of the rings, by one queue pair and by eight."""

import itertools
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import TIMEOUT, wait_until
from test_offload import PORT, End
from test_ping import network_namespace
from test_queues import queues
from vhost_peer import F_IN_ORDER, F_MRG_RXBUF

LONG = os.environ.get("PPFRAG_LONG") == "1"
CHECKSUMS_OFF = Path(__file__).with_name("checksums_off.py")
SIZE = 1 << 20  # of a connection
CONNECTIONS = 4
F_RING_PACKED = 1 << 34

# packed_vq, in_order, mrg_rxbuf, rx, queue pairs
ALL = list(itertools.product((0, 1), (0, 1), (0, 1), ("slots", "lanes"), (1, 8)))
# Each value with each other one of any two of these.
SOME = [(0, 0, 0, "slots", 1), (0, 0, 1, "lanes", 8), (0, 1, 0, "lanes", 8), (0, 1, 1, "slots", 1),
        (1, 0, 0, "lanes", 1), (1, 0, 1, "slots", 8), (1, 1, 0, "slots", 8), (1, 1, 1, "lanes", 1)]


class Wire(End):
    """A network namespace with a virtual wire, one end of which is a port of a program there.

    Not a tap: net_tap does not start with more than four queues.
    """

    def __init__(self, number, netns):
        super().__init__(number, netns)
        self.other = f"{self.tap}p"
        self.ip("link", "add", self.tap, "type", "veth", "peer", "name", self.other)
        self.ip("link", "set", self.other, "up")
        # What leaves the kernel has its checksums, and fits into the MTU.
        subprocess.run([*self.netns, sys.executable, CHECKSUMS_OFF, self.tap], check=True)

    def vdev(self, pairs):
        """The port, of so many queue pairs."""
        return f"net_af_packet0,iface={self.other},qpairs={pairs}"


@pytest.fixture
def wires():
    """One in each of two namespaces that reach each other by what the test puts in between."""
    with network_namespace("left") as left, network_namespace("right") as right:
        yield Wire(1, left), Wire(2, right)


def agreed(peer):
    """The features that the back end was told."""
    told = re.findall(r"negotiated Virtio features: (0x[0-9a-f]+)", peer.output)
    return int(told[-1], 16)


def transfer_all(sender, receiver, address):
    """Send a file by several connections at once; each must arrive as it is."""
    with ExitStack() as stack:
        servers = [stack.enter_context(receiver.run("receive", address, PORT + number))
                   for number in range(CONNECTIONS)]
        assert all(server.stdout.readline() == "listening\n" for server in servers)
        clients = [stack.enter_context(sender.run("send", address, PORT + number, SIZE))
                   for number in range(CONNECTIONS)]
        digests = [end.communicate(timeout=TIMEOUT)[0] for end in (*clients, *servers)]
    assert digests[:CONNECTIONS] == digests[CONNECTIONS:] and len(digests[0]) > 64


@pytest.mark.parametrize("packed,in_order,mrg,into,pairs", ALL if LONG else SOME)
def test_modes(lab, wires, packed, in_order, mrg, into, pairs):
    """A file goes there and back, byte for byte, in the mode that was asked for."""
    sock = lab.socket()
    near, far = wires
    peer = lab.peer(sock, [far.vdev(pairs)], queues(pairs), far.netns, pairs)
    dut = lab.dut(sock, [near.vdev(pairs)], queues(pairs), wrapper=near.netns,
                  devargs=f",packed_vq={packed},in_order={in_order},mrg_rxbuf={mrg},rx={into},"
                          f"queues={pairs}")
    peer.wait_link()
    for program in (dut, peer):
        program.start()
    for end in (near, far):
        end.up(1500)
    wait_until(lambda: near.reaches(far.address4), "an answer to a ping")
    transfer_all(near, far, far.address4)
    transfer_all(far, near, near.address6)
    features = agreed(peer)
    assert bool(features & F_RING_PACKED) == packed
    assert bool(features & F_IN_ORDER) == in_order
    assert bool(features & F_MRG_RXBUF) == mrg
    for program in (dut, peer):
        program.stop()
    xstats = dut.xstats()
    used = [queue for queue in range(pairs) if xstats[f"rx_q{queue}_packets"] > 0]
    assert len(used) >= min(pairs, 2)
    assert all(xstats[f"{way}_q{queue}_bad_used"] == 0
               for way in ("rx", "tx") for queue in range(pairs))
    dut.check_ledgers()
    dut.quit()
