# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The stored capture is what it says: whole TCP conversations with losses."""

from collections import Counter

from scapy.all import IP, TCP, Ether, IPv6

from harness import DEFAULT_MTU, ETHER_HEADER


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
