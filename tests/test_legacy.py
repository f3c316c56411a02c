# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A stock net_vhost from before virtio 1.0: what it offers of that is hidden from the port."""

import pytest

from feature_mask import FeatureMask
from harness import assert_same, make_frame, read_frames, wait_capture, write_frames
from vhost_peer import F_ANY_LAYOUT, F_MRG_RXBUF, F_VERSION_1

FRAMES = 200


@pytest.fixture
def hide(lab):
    """Put a FeatureMask in front of a socket; the path that stands for it."""
    masks = []

    def make(sock, hidden=F_VERSION_1):
        path = lab.socket()
        masks.append(lab.add_peer(FeatureMask(path, sock, hidden)))
        return path
    yield make
    assert all(mask.acked & F_ANY_LAYOUT for mask in masks)


@pytest.mark.parametrize("hidden", [F_VERSION_1 | F_MRG_RXBUF, F_VERSION_1],
                         ids=["10 bytes", "12 bytes"])
def test_all_lengths(lab, hide, all_lengths, rx, hidden):
    """Frames of every length, both ways, with either length of header."""
    dut, _ = lab.exchange(all_lengths, all_lengths, devargs=f",rx={rx}",
                          through=lambda sock: hide(sock, hidden))
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("memory,mrg", [("default", 0), ("default", 1)])
def test_copied(lab, hide, all_lengths, memory, mrg):
    """The same where the back end cannot reach the pool."""
    lab.need(memory)
    dut, _ = lab.exchange(all_lengths, all_lengths, memory=memory, devargs=f",mrg_rxbuf={mrg}",
                          through=hide)
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("devargs", [",mrg_rxbuf=0,indirect=1,event_idx=1",
                                     ",mrg_rxbuf=0,packed_vq=1,in_order=1"])
def test_rings(lab, hide, tcp_frames, devargs):
    """Real TCP traffic, whatever else is asked for."""
    dut, _ = lab.exchange(tcp_frames, tcp_frames, devargs=devargs, through=hide)
    dut.check_ledgers()
    dut.quit()


def test_server(lab):
    """The port has started before there is a back end: its queues expect long headers."""
    sock, path = lab.socket(), lab.socket()
    frames = [make_frame(60 + n) for n in range(FRAMES)]
    dut = lab.dut(path, options=["--forward-mode=io"], devargs=",server=1,mrg_rxbuf=0")
    dut.start()
    lab.add_peer(FeatureMask(sock, path, F_VERSION_1, front_end_is_server=True))
    source, out = write_frames(lab.dir / "in.pcap", frames), lab.dir / "out.pcap"
    peer = lab.peer(f"{sock},client=1", [f"net_pcap0,rx_pcap={source},tx_pcap={out}"])
    peer.wait_link()
    peer.patient()
    peer.start()
    wait_capture(out, frames)
    assert_same(read_frames(out), frames)
    dut.stop()
    dut.check_ledgers()
    dut.quit()
