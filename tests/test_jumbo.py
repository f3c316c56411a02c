# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""MTU 9000 and small packets out of one pool, each packet in one piece."""

import re

import pytest

from harness import (ETHER_HEADER, assert_same, make_frame, read_frames, wait_capture,
                     write_frames)

MTU = 9000


def mixed_lengths():
    """A tenth of all lengths up to what the MTU allows, among 64-byte frames."""
    largest = MTU + ETHER_HEADER
    for number, length in enumerate(range(64, largest + 1, 10)):
        yield make_frame(length, number)
        yield make_frame(64, number)
    yield make_frame(largest)


@pytest.mark.parametrize("how", ["option", "command"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(16384, 4096), (65535, 1536)])
def test_jumbo(lab, how, mbuf_size, mbufs):
    """Frames of up to 9014 bytes, contiguous, and 64-byte frames, both directions at once."""
    frames = list(mixed_lengths())
    source = write_frames(lab.dir / "in.pcap", frames)
    sock, to_dut, from_dut = lab.socket(), lab.dir / "dut.pcap", lab.dir / "peer.pcap"
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},tx_pcap={from_dut}"])
    dut = lab.dut(sock, [f"net_pcap0,rx_pcap={source},tx_pcap={to_dut}"],
                  [f"--max-pkt-len={MTU + ETHER_HEADER + 4}"] if how == "option" else [],
                  mbufs=mbufs, mbuf_size=mbuf_size)
    if how == "command":
        dut.command("port stop 0")
        dut.command(f"port config mtu 0 {MTU}")
        dut.command("port start 0")
    peer.wait_link()
    dut.command("set verbose 1")
    for program in (dut, peer):
        program.patient()
        program.start()
    wait_capture(to_dut, frames)
    wait_capture(from_dut, frames)
    peer.stop()
    dut.stop()
    assert_same(read_frames(to_dut), frames)
    assert_same(read_frames(from_dut), frames)
    segments = re.findall(r"length=\d+ - nb_segs=(\d+)", dut.output)
    assert len(segments) >= len(frames) and set(segments) == {"1"}
    assert "mb_pool_1" not in dut.output
    dut.check_ledgers()
    dut.quit()
    peer.quit()
