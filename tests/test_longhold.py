# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A few of many packets are held for long, received from a stock program by one driver or another.

Lifetimes are numbers of packets, so that it does not matter how fast these come. No time is judged.
"""

import json

import pytest

from harness import Program, lcores, make_frame, write_frames

PACKETS = 500000
LOAD = ["--packets", PACKETS, "--share", 5, "--life", "pareto:1.2:20000"]
IMIX = [64] * 7 + [570] * 4 + [1518]
RING = 256  # descriptors
MB = 1000000
SLOTS = "net_ppfrag0,preset="
LANES = "net_ppfrag0,rx=lanes"
TIGHT_MB = 8  # a ring and stock mbufs for 2,800 packets; 3,500 are held at a time, and more


@pytest.fixture
def source(lab):
    """The socket of a stock testpmd that sends IMIX without end."""
    frames = [make_frame(length, number) for number in range(20) for length in IMIX]
    capture = write_frames(lab.dir / "imix.pcap", frames)
    sock = lab.socket()
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={capture},infinite_rx=1"])
    peer.start()
    return sock


def longhold(lab, sock, device, *options):
    """Receive and hold; what it printed and the document that it wrote."""
    result, prefix = lab.dir / "longhold.json", lab.prefix()
    program = lab.add(Program("longhold", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), *lab.plugins(), lcores(1),
        "--no-pci", f"--file-prefix={prefix}", f"--vdev={device},path={sock}", "--", "longhold",
        "--live", *map(str, LOAD), *map(str, options), "--json", result], prefix))
    assert program.wait_end() == 0, program.output
    document = json.loads(result.read_text())
    assert document["ok"] and document["live"] and document["packets"] == PACKETS
    return program.output, document


def check_series(document):
    """The result; what holds of any driver and pool, at each moment."""
    result, = document["results"]
    series, stock_bytes = result["series"], document["stock_bytes"]
    for live, wire, charged, pinned, stock in zip(*(
            series[name] for name in ("live", "wire", "charged", "pinned", "stock"))):
        assert 64 * live <= wire <= 1518 * live
        assert wire < charged <= pinned
        assert stock == live * stock_bytes
    # The heaviest tails aside, 5 % are held for 120,000 packets on average.
    assert 2500 < result["live"] < 6000
    assert result["wire_bytes"] / result["live"] == pytest.approx(sum(IMIX) / len(IMIX), rel=0.15)
    # What lcores keep at hand does not grow with what is held.
    assert max(series["reserve"]) < MB
    return result


@pytest.mark.parametrize("device,options,low,high", [
    ("net_virtio_user0", ["--ops", "ring_mp_mc"], 1, 1),
    ("net_virtio_user0", ["--ops", "ring_mp_mc", "--keep", "--memory", 16], 0.28, 0.36),
    (SLOTS + "density", ["--mbuf-size", 16384], 0.28, 0.36),
    (SLOTS + "auto", ["--mbuf-size", 16384], 0.28, 0.55),
    (LANES, ["--mbuf-size", 16384, "--mem", 100], 4, 7),
], ids=["stock", "stock keep", "density", "auto", "lanes"])
def test_pinned(lab, source, device, options, low, high):
    """What is pinned is the multiple of what stock mbufs take that the guides tell."""
    _, document = longhold(lab, source, device, *options)
    result = check_series(document)
    assert result["received"] >= PACKETS and result["lost"] == 0 == result["failed"]
    assert "dry_after" not in result
    assert low <= result["pinned_to_stock"]["mean"] <= result["pinned_to_stock"]["worst"] <= high
    stock_ring = RING * document["stock_bytes"]
    if device == LANES:
        assert result["posted"] == 0 < result["open"]
        return
    # Rings are never far from full, and a slot for the longest frame is no longer than an mbuf.
    assert stock_ring // 2 < max(result["series"]["posted"]) <= stock_ring
    assert result["open"] == 0
    if "--keep" not in options and "virtio_user" in device:
        assert result["series"]["pinned"] == result["series"]["stock"]


def test_dry_pool(lab, source):
    """In memory in which stock mbufs run dry, slots go on receiving, and nothing is lost."""
    memory = ["--mem", TIGHT_MB]
    output, document = longhold(lab, source, "net_virtio_user0", "--ops", "ring_mp_mc", *memory)
    stock, = document["results"]
    assert "pool is dry after " in output
    assert 0 < stock["dry_after"] < PACKETS // 2
    # It goes on with what is freed, and counts what it misses.
    assert stock["received"] > stock["dry_after"] and stock["lost"] > 0
    assert PACKETS <= stock["received"] + stock["lost"] < 2 * PACKETS
    assert max(stock["series"]["pinned"]) <= stock["pool_bytes"]

    output, document = longhold(lab, source, SLOTS + "auto", "--mbuf-size", 16384, "--cache", 0,
                                *memory)
    slots = check_series(document)
    assert "pool is dry" not in output and "dry_after" not in slots and slots["lost"] == 0
    assert slots["pool_bytes"] <= TIGHT_MB << 20
    assert slots["received"] >= PACKETS
    # The packets with which stock mbufs would have filled this memory.
    series = slots["series"]
    full = next(packet for packet, stock_bytes in zip(series["packet"], series["stock"])
                if stock_bytes > slots["pool_bytes"])
    assert slots["received"] - full > PACKETS // 4
    assert max(series["pinned"]) < slots["pool_bytes"]


def test_source_stops(lab, tcp_frames):
    """A source that ends before the packets do is an error, and what was held comes back."""
    source = write_frames(lab.dir / "short.pcap", tcp_frames)
    prefix = lab.prefix()
    program = lab.add(Program("longhold", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={prefix}", f"--vdev=net_pcap0,rx_pcap={source}", "--", "longhold",
        "--live", "--wait", "1"], prefix))
    assert program.wait_end() != 0
    assert (f"longhold: no packet for --wait 1 seconds, after {len(tcp_frames)} of --packets "
            "1000000; have the source send without end") in program.output
    assert "did not come back" not in program.output


@pytest.mark.parametrize("ops", ["ring_mp_mc", "ppfrag"])
def test_uncounted(lab, ops):
    """net_null does not count that it has no mbuf; the pool is seen to be dry all the same."""
    result, prefix = lab.dir / "longhold.json", lab.prefix()
    program = lab.add(Program("longhold", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={prefix}", "--vdev=net_null0", "--", "longhold", "--live",
        *map(str, LOAD), "--ops", ops, "--mbufs", "1024", "--json", str(result)], prefix))
    assert program.wait_end() == 0, program.output
    measured, = json.loads(result.read_text())["results"]
    assert "pool is dry after " in program.output
    assert measured["rx_nombuf"] == 0 < measured["lost"]
    assert measured["received"] > measured["dry_after"] > 1024


@pytest.mark.parametrize("packets,ok", [(200000000, True), (1000000000000, False)])
def test_interrupt(lab, packets, ok):
    """Ctrl-C ends a run early; with what was measured, if anything was."""
    result, prefix = lab.dir / "longhold.json", lab.prefix()
    program = lab.add(Program("longhold", [
        lab.builddir / "app/ppool-tool/dpdk-ppool", *lab.memory(), lcores(1), "--no-pci",
        f"--file-prefix={prefix}", "--vdev=net_null0", "--", "longhold", "--live", "--packets",
        str(packets), "--life", "exp:1000", "--json", str(result)], prefix))
    program.wait_output("ready\n")
    if ok:
        program.wait_output(r"net_null +2176 +\d+ +\d+ ")
    program.interrupt()
    assert (program.wait_end() == 0) == ok
    document = json.loads(result.read_text())
    assert document["ok"] == ok
    if ok:
        measured, = document["results"]
        assert measured["samples"] > 0 and measured["received"] < packets
    else:
        assert "longhold: interrupted before the first sample that counts" in program.output
    assert "did not come back" not in program.output
