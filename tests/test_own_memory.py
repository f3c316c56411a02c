# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A pool in a memfd: the back end gets it without a copy, and no other memory but the rings."""

import json

import pytest

from harness import PAGE_DEFAULT, Program, lcores, make_frame, wait_until, write_frames
from vhost_peer import RX, VhostPeer

MIB = 1 << 20
FRAMES = 100


@pytest.mark.parametrize("memory", ["default", "no-huge"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 16384), (65280, 1024), (1000000, 512)])
def test_hold(lab, tcp_frames, memory, mbuf_size, mbufs, rx):
    """A stock back end fills such a pool to the last page; of EAL it would be too many files."""
    lab.need(memory)
    sock, result = lab.socket(), lab.dir / "hold.json"
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    hold = lab.app(sock, "hold", "--own-memory", "--mbufs", mbufs, "--mbuf-size", mbuf_size,
                   "--json", result, devargs=f",rx={rx}", memory=memory)
    assert "zero-copy" in hold.output
    peer.start()
    assert hold.wait_end() == 0
    peer.stop()
    measured = json.loads(result.read_text())
    assert measured["ok"] and measured["ledger_balanced"] and measured["own_memory"]
    assert measured["uncharged"] == 0
    assert measured["pool_avail"] == 0
    assert measured["hugepage_bytes"] > mbufs * mbuf_size
    peer.quit()


@pytest.mark.hugepages
@pytest.mark.parametrize("queue_size", [4, 256, 1024])
def test_regions(lab, queue_size, rx):
    """Where each hugepage is a file, the back end sees the pages, the rings, and nothing else."""
    sock, result = lab.socket(), lab.dir / "rx.json"
    peer = lab.add_peer(VhostPeer(sock))
    program = lab.app(sock, "rx", "--own-memory", "--mbufs", 2048, "--mbuf-size", 16384,
                      "--rxd", queue_size, "--seconds", 3600, "--json", result,
                      devargs=f",queue_size={queue_size},rx={rx}", memory="default")
    peer.wait_ready()
    assert peer.rings[RX].num == queue_size
    rings, pool = sorted(peer.regions, key=lambda region: region.size)
    assert rings.size == rings.file_size == 2 * MIB
    assert "memfd:ppool_rx" in pool.file
    assert 2048 * 16384 < pool.size == pool.file_size < 2048 * 16384 + 4 * MIB
    ring = peer.rings[RX]
    frames = [make_frame(60 + number) for number in range(FRAMES)]
    for frame in frames:
        wait_until(lambda: ring.pending() > 0, "a posted buffer")
        peer.send(frame)
    wait_until(lambda: ring.pending() == ring.num, "all buffers to be posted again")
    program.interrupt()
    assert program.wait_end() == 0
    measured = json.loads(result.read_text())
    assert measured["ok"]
    assert measured["ibytes"] == sum(map(len, frames))


@pytest.mark.parametrize("memory", ["single-file", "default", "no-huge"])
def test_ranges(lab, memory):
    """A pool in many ranges of one file is shared, and copied where each is a file."""
    lab.need(memory)
    prefix = lab.prefix()
    unit = lab.add(Program("unit", [
        lab.builddir / "app/test-ppool/dpdk-test-ppool", *lab.memory(memory), lcores(1),
        *lab.plugins(), "--no-pci", f"--file-prefix={prefix}", "--", "unit", "--test",
        "test_ranges", "rings"], prefix))
    assert unit.wait_end() == 0
    if memory == "default":
        assert "ranges of several files" in unit.output
        assert "each hugepage is a file" in unit.output
    else:
        assert "ranges of one file" in unit.output
        assert "zero-copy" in unit.output
