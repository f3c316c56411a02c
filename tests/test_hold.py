# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Packets are held until no page is left; then everything comes back."""

import json
import re
import time

import pytest

from harness import (PAGE_DEFAULT, Program, assert_same, lcores, make_frame, read_frames,
                     wait_capture, wait_until, write_frames)
from vhost_peer import RX, VhostPeer

MIB = 1 << 20


def run_app(lab, vdev, *options, memory=None):
    """A command of dpdk-ppool with a port of any driver."""
    prefix = lab.prefix()
    return lab.add(Program(options[0], [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(memory), *lab.plugins(),
        lcores(1), "--no-pci", f"--file-prefix={prefix}", f"--vdev={vdev}", "--",
        *map(str, options)], prefix))


def feed(peer, frame, count):
    """Send a frame so many times."""
    ring = peer.rings[RX]
    for _ in range(count):
        wait_until(lambda: ring.pending() > 0, "a posted buffer")
        peer.send(frame)


@pytest.mark.parametrize("memory", ["single-file", "no-huge"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 4096), (16384, 1024), (65535, 512)])
def test_hold_until_empty(lab, tcp_frames, memory, mbuf_size, mbufs, rx):
    """dpdk-ppool holds until the pool is empty, and finds every page again."""
    lab.need(memory)
    sock, result = lab.socket(), lab.dir / "hold.json"
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    hold = lab.app(sock, "hold", "--mbufs", mbufs, "--mbuf-size", mbuf_size, "--json", result,
                   memory=memory, devargs=f",rx={rx}")
    peer.start()
    assert hold.wait_end() == 0
    peer.stop()
    measured = json.loads(result.read_text())
    assert measured["ok"] and measured["ledger_balanced"]
    assert measured["uncharged"] == 0
    assert measured["pool_avail"] == 0 and measured["pool_full"]
    assert measured["truesize"] >= measured["wire_bytes"]
    # Receive buffers take a page each at most, the packets the others.
    assert measured["packets"] >= mbufs - 512
    peer.quit()


@pytest.mark.parametrize("memory", ["single-file", "no-huge"])
@pytest.mark.parametrize("ops,mbuf_size,own", [
    ("ring_mp_mc", PAGE_DEFAULT, []), ("stack", 9728, []), ("ppfrag", PAGE_DEFAULT, []),
    ("ppfrag", 16384, []), ("ppfrag", 65535, []), ("ppfrag", 16384, ["--own-memory"]),
], ids=str)
def test_hold_equal_bytes(lab, memory, ops, mbuf_size, own):
    """Every pool and driver fills the memory of --mem: rings and gaps take what they take."""
    lab.need(memory)
    result = lab.dir / "hold.json"
    hold = run_app(lab, "net_null0", "hold", "--mem", 64, "--ops", ops, "--mbuf-size", mbuf_size,
                   *own, "--json", result, memory=memory)
    assert hold.wait_end() == 0, hold.output
    measured = json.loads(result.read_text())
    assert measured["ok"] and measured["pool_full"]
    # A memfd consists of whole hugepages.
    slack = 2 * MIB if own else MIB // 2
    assert 64 * MIB - slack <= measured["hugepage_bytes"] <= 64 * MIB + slack // 4


def test_hold_counts_the_port(lab, rx):
    """What a driver takes for its rings is part of --mem."""
    sock, result = lab.socket(), lab.dir / "hold.json"
    peer = lab.peer(sock, ["net_null0"])
    hold = lab.app(sock, "hold", "--mem", 64, "--mbuf-size", 16384, "--json", result,
                   devargs=f",rx={rx}")
    peer.start()
    assert hold.wait_end() == 0, hold.output
    measured = json.loads(result.read_text())
    assert 64 * MIB - MIB // 2 <= measured["hugepage_bytes"] <= 64 * MIB + MIB // 8
    peer.quit()


def test_hold_needs_memory(lab):
    """A pool for which EAL has not the memory is an error, not a smaller pool."""
    hold = run_app(lab, "net_null0", "hold", "--mem", 800, memory="no-huge")
    assert hold.wait_end() != 0
    assert "--mem 800: Cannot allocate memory; " in hold.output
    assert "packets per MiB" not in hold.output


@pytest.mark.parametrize("ops", ["ring_mp_mc", "ppfrag"])
def test_hold_source_stops(lab, tcp_frames, ops):
    """A source that ends before the pool does is an error; there are no figures."""
    result = lab.dir / "hold.json"
    source = write_frames(lab.dir / "short.pcap", tcp_frames)
    hold = run_app(lab, f"net_pcap0,rx_pcap={source}", "hold", "--ops", ops, "--mem", 64,
                   "--idle", 700, "--json", result)
    assert hold.wait_end() != 0
    assert re.search(rf"hold: source stopped, pool not full: {len(tcp_frames)} packets held, "
                     r"\d+ of \d+ mbufs left. Have the source send without end", hold.output)
    assert "packets per MiB" not in hold.output
    measured = json.loads(result.read_text())
    assert not measured["ok"] and not measured["pool_full"]


@pytest.mark.parametrize("pause,options,full", [(1, [], True), (3, ["--idle", 1000], False)],
                         ids=["pause", "stop"])
def test_hold_pause(lab, pause, options, full, rx):
    """A source that pauses goes on and fills the pool, unless it pauses for longer than --idle."""
    sock, result = lab.socket(), lab.dir / "hold.json"
    peer = lab.add_peer(VhostPeer(sock))
    hold = lab.app(sock, "hold", "--mbufs", 1024, "--json", result, *options,
                   devargs=f",rx={rx}")
    peer.wait_ready()
    feed(peer, make_frame(1514), 300)
    time.sleep(pause)
    assert hold.alive() == full
    hold.wait_output("packets held, ")  # progress
    if full:
        feed(peer, make_frame(1514), 500)  # each takes a page, and each posted buffer
    assert (hold.wait_end() == 0) == full, hold.output
    measured = json.loads(result.read_text())
    assert measured["ok"] == measured["pool_full"] == full
    assert (measured["packets"] > 600) == full
    assert ("source stopped, pool not full" in hold.output) != full


def test_hold_no_packet(lab):
    """Nobody sends: how long it will wait, and that it waited in vain."""
    hold = run_app(lab, "net_null0,no-rx=1", "hold", "--mem", 16, "--wait", 6)
    assert hold.wait_end() != 0
    assert "no packet for 5 of --wait 6 seconds" in hold.output
    assert "hold: no packet came within --wait 6 seconds" in hold.output


def test_rx_source_stops(lab, tcp_frames):
    """Cycles of a source that stopped at once are none of the time asked for."""
    result = lab.dir / "rx.json"
    source = write_frames(lab.dir / "short.pcap", tcp_frames)
    rx = run_app(lab, f"net_pcap0,rx_pcap={source}", "rx", "--seconds", 2, "--json", result)
    assert rx.wait_end() != 0
    assert "rx: source stopped: no packet in the last " in rx.output
    assert "busy cycles" not in rx.output
    assert not json.loads(result.read_text())["ok"]


def test_rx_aged(lab, tcp_frames, rx):
    """Packets that only age the pool are received, but not counted; none is lost or freed twice."""
    sock, result = lab.socket(), lab.dir / "rx.json"
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    program = lab.app(sock, "rx", "--hold", 1000, "--aged", "--seconds", 1, "--mbuf-size", 16384,
                      "--json", result, devargs=f",rx={rx}")
    peer.start()
    assert program.wait_end() == 0
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
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={prefix}", "--", "rx", "--aged"], prefix))
    assert rx.wait_end() != 0
    assert "rx: --aged needs --hold N" in rx.output


@pytest.mark.parametrize("devargs", [",rx=lanes", "", ",preset=density"],
                         ids=["lanes", "slots", "density"])
@pytest.mark.parametrize("mbuf_size,mbufs,count", [(PAGE_DEFAULT, 1536, 4000),
                                                   (16384, 1025, 15000)])
def test_reception_resumes(lab, devargs, mbuf_size, mbufs, count):
    """An application that holds too much stops reception; when it lets go all frames arrive."""
    lengths = (1514, 60, 1514, 700) if mbuf_size == PAGE_DEFAULT else (1514,)
    frames = [make_frame(lengths[number % len(lengths)], number)
              for number in range(1000)] * (count // 1000)
    sock, out = lab.socket(), lab.dir / "out.pcap"
    source = write_frames(lab.dir / "in.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}"])
    dut = lab.dut(sock, [f"net_pcap0,tx_pcap={out}"],
                  ["--forward-mode=noisy", "--noisy-tx-sw-buffer-size=32768",
                   "--noisy-tx-sw-buffer-flushtime=1000"], mbufs=mbufs, mbuf_size=mbuf_size,
                  devargs=devargs)
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
    assert dut.stats()["rx_nombuf"] > 0, "no packet had to wait"
    assert dut.stats()["ipackets"] == len(frames)
    assert after["frags"] == 0
    assert after["whole"] == 0
    # All descriptors have a buffer again.
    assert after["class_slots"] == before["class_slots"]
    dut.command("port stop 0")
    dut.command("port close 0")
    final, = dut.check_ledgers().values()
    assert final["pages"] == before["pages"] == sum(
        final[term] for term in ("free", "data", "header", "class_pages"))
    assert final["data_bytes"] == final["open"]
    assert final["class_slots"] == 0
    dut.quit()
    peer.quit()
