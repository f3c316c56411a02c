# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The captures are what they say: whole TCP conversations with losses, and the simple IMIX."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from scapy.all import IP, TCP, UDP, Ether, IPv6

from harness import DEFAULT_MTU, ETHER_HEADER, read_frames

MAKE_CAPTURES = Path(__file__).parent / "data/make-captures.py"


def stream_and_sequence(packet):
    """What a retransmission has in common with what it repeats."""
    network = packet[IP] if IP in packet else packet[IPv6]
    tcp = packet[TCP]
    return network.src, tcp.sport, network.dst, tcp.dport, tcp.seq, len(tcp.payload)


def test_tcp_capture(tcp_frames):
    """Frames fit into the MTU, checksums are right, and data was sent again."""
    assert all(len(frame) <= DEFAULT_MTU + ETHER_HEADER for frame in tcp_frames)
    segments = [packet for packet in map(Ether, tcp_frames) if TCP in packet]
    assert {IP in packet for packet in segments} == {True, False}
    for packet in segments:
        checksum = packet[TCP].chksum
        del packet[TCP].chksum
        assert Ether(bytes(packet))[TCP].chksum == checksum
    data = [packet for packet in segments if len(packet[TCP].payload) > 0]
    assert max(Counter(map(stream_and_sequence, data)).values()) > 1
    flags = Counter(str(packet[TCP].flags) for packet in segments)
    assert flags["S"] > 0 and flags["FA"] > 0


def test_imix_capture(tmp_path):
    """The shares are right for every flow, checksums too, and it is the same each time."""
    captures = [tmp_path / "imix.pcap", tmp_path / "again.pcap"]
    for capture in captures:
        subprocess.run([MAKE_CAPTURES, "imix", "--output", capture], check=True)
    assert captures[0].read_bytes() == captures[1].read_bytes()
    frames = read_frames(captures[0])
    lengths = Counter(map(len, frames))
    assert lengths == {64: 7 * lengths[1518], 570: 4 * lengths[1518], 1518: lengths[1518]}
    flows = {}
    for frame in set(frames):
        packet = Ether(frame)
        before = packet[IP].chksum, packet[UDP].chksum
        del packet[IP].chksum, packet[UDP].chksum
        after = Ether(bytes(packet))
        assert before == (after[IP].chksum, after[UDP].chksum)
        flows.setdefault((after[IP].src, after[UDP].sport), set()).add(len(frame))
    assert len(flows) == 64
    assert all(sizes == set(lengths) for sizes in flows.values())
    # Well shuffled: no length is ever due.
    runs = sum(len(a) != len(b) for a, b in zip(frames, frames[1:]))
    assert 0.4 < runs / len(frames) < 0.7


@pytest.mark.parametrize("name,share", [("jumbo", 1), ("imix-jumbo", 10)])
def test_jumbo_captures(tmp_path, name, share):
    """One frame of so many has 9000 bytes, the others are the simple IMIX."""
    capture = tmp_path / "jumbo.pcap"
    subprocess.run([MAKE_CAPTURES, name, "--output", capture], check=True)
    lengths = Counter(map(len, read_frames(capture)))
    assert lengths[9000] * share == lengths.total()
    assert lengths[64] == 7 * lengths[1518] and lengths[570] == 4 * lengths[1518]
