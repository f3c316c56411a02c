# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Packets are held until no page is left; then everything comes back."""

import json

import pytest

from harness import (PAGE_DEFAULT, Program, assert_same, lcores, make_frame, read_frames,
                     wait_capture, write_frames)


@pytest.mark.parametrize("memory", ["single-file", "no-huge"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 4096), (16384, 1024), (65535, 512)])
def test_hold_until_empty(lab, tcp_frames, memory, mbuf_size, mbufs):
    """dpdk-test-ppool holds until the pool is empty, and finds every page again."""
    lab.need(memory)
    sock, result = lab.socket(), lab.dir / "hold.json"
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    hold = lab.app(sock, "hold", "--mbufs", mbufs, "--mbuf-size", mbuf_size, "--json", result,
                   memory=memory)
    peer.start()
    assert hold.wait_end() == 0
    peer.stop()
    measured = json.loads(result.read_text())
    assert measured["ok"] and measured["ledger_balanced"]
    assert measured["uncharged"] == 0
    assert measured["pool_avail"] == 0
    assert measured["truesize"] >= measured["wire_bytes"]
    # Receive buffers take a page each at most, the packets the others.
    assert measured["packets"] >= mbufs - 512
    peer.quit()


def test_rx_aged(lab, tcp_frames):
    """Packets that only age the pool are received, but not counted; none is lost or freed twice."""
    sock, result = lab.socket(), lab.dir / "rx.json"
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    rx = lab.app(sock, "rx", "--hold", 1000, "--aged", "--seconds", 1, "--mbuf-size", 16384,
                 "--json", result)
    peer.start()
    assert rx.wait_end() == 0
    peer.stop()
    measured = json.loads(result.read_text())
    assert measured["ok"] and measured["aged"]
    assert measured["packets"] > 1000
    assert measured["ipackets"] >= measured["packets"] + 2 * 1000
    peer.quit()


def test_rx_aged_needs_hold(lab):
    """Without packets to hold there is nothing to free in random order."""
    prefix = lab.prefix()
    rx = lab.add(Program("rx", [
        lab.builddir / "app/test-ppool/dpdk-test-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={prefix}", "--", "rx", "--aged"], prefix))
    assert rx.wait_end() != 0
    assert "rx: --aged needs --hold N" in rx.output


@pytest.mark.parametrize("mbuf_size,mbufs,count", [(PAGE_DEFAULT, 1536, 4000),
                                                   (16384, 1025, 15000)])
def test_reception_resumes(lab, mbuf_size, mbufs, count):
    """An application that holds too much stops reception; when it lets go all frames arrive."""
    frames = [make_frame(1514, number) for number in range(1000)] * (count // 1000)
    sock, out = lab.socket(), lab.dir / "out.pcap"
    source = write_frames(lab.dir / "in.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}"])
    dut = lab.dut(sock, [f"net_pcap0,tx_pcap={out}"],
                  ["--forward-mode=noisy", "--noisy-tx-sw-buffer-size=32768",
                   "--noisy-tx-sw-buffer-flushtime=1000"], mbufs=mbufs, mbuf_size=mbuf_size)
    peer.wait_link()
    before, = dut.check_ledgers().values()
    peer.patient()
    dut.start()
    peer.start()
    wait_capture(out, frames)
    dut.stop()
    assert_same(read_frames(out), frames)
    after, = dut.check_ledgers().values()
    assert after["page_empty"] > 0, "the pool was never empty"
    assert after["frags"] == 0
    assert after["whole"] == 0
    dut.command("port stop 0")
    dut.command("port close 0")
    final, = dut.check_ledgers().values()
    assert final["pages"] == before["pages"] == final["free"] + final["data"] + final["header"]
    assert final["data_bytes"] == final["open"]
    dut.quit()
    peer.quit()
