# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Frames arrive byte for byte and in order, both directions at once."""

import pytest

from harness import (MEMORY_MODES, PAGE_DEFAULT, assert_same, read_frames, wait_capture,
                     write_frames)


def exchange(lab, to_dut, from_dut, memory, mbuf_size, mbufs):
    """Two testpmd forward captures to each other through net_ppfrag."""
    sock = lab.socket()
    ends = {}
    for name, frames in (("peer", to_dut), ("dut", from_dut)):
        ends[name] = lab.dir / f"{name}-out.pcap"
        source = write_frames(lab.dir / f"{name}-in.pcap", frames)
        ends[name + " vdev"] = f"net_pcap0,rx_pcap={source},tx_pcap={ends[name]}"
    peer = lab.peer(sock, [ends["peer vdev"]])
    dut = lab.dut(sock, [ends["dut vdev"]], memory=memory, mbuf_size=mbuf_size, mbufs=mbufs)
    peer.wait_link()
    for program in (dut, peer):
        program.patient()
        program.start()
    wait_capture(ends["dut"], to_dut)
    wait_capture(ends["peer"], from_dut)
    peer.stop()
    dut.stop()
    assert_same(read_frames(ends["dut"]), to_dut)
    assert_same(read_frames(ends["peer"]), from_dut)
    return dut, peer


@pytest.mark.parametrize("memory", MEMORY_MODES)
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 8192), (16384, 4096), (65535, 1536)])
def test_byte_for_byte(lab, all_lengths, tcp_frames, memory, mbuf_size, mbufs):
    """Every length and real TCP traffic, in every memory mode and page size."""
    lab.need(memory)
    dut, peer = exchange(lab, all_lengths + tcp_frames, tcp_frames + all_lengths, memory,
                         mbuf_size, mbufs)
    stats = dut.stats()
    frames = all_lengths + tcp_frames
    assert stats["ipackets"] == stats["opackets"] == len(frames)
    assert stats["ibytes"] == stats["obytes"] == sum(map(len, frames))
    assert stats["ierrors"] == stats["oerrors"] == stats["rx_nombuf"] == 0
    dut.check_ledgers()
    dut.quit()
    peer.quit()
