# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Ports are stopped, started and closed, and peers go away, while packets flow or are held."""

import os
import platform
import re
import signal
from pathlib import Path

import pytest

import without_aio
from harness import (WITHOUT_AIO, assert_same, make_frame, read_frames, wait_capture, wait_until,
                     write_frames)
from vhost_peer import GET_VRING_BASE, NET_HEADER, RX, TX, Behaviour, VhostPeer

RESTARTS = 10
HELD = 200
SENT = 50
RING = 256


@pytest.fixture
def endless(lab, tcp_frames):
    """Starts a peer that sends real traffic again and again."""
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)

    def start(sock):
        peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
        peer.start()
        return peer
    return start


def in_use(dut, rx, ports=0):
    """Received packets that are held, where so many ports have their rings full of slots."""
    ledger, = dut.check_ledgers().values()
    if rx == "lanes":
        assert ledger["class_slots"] == 0
        return ledger["frags"]
    assert ledger["frags"] == 0
    return ledger["class_slots"] - ports * RING


def wait_traffic(program):
    """Wait until a port that receives goes on receiving."""
    before = program.stats()["ipackets"]
    program.wait_received(before + 1000)


def test_restart_in_traffic(lab, endless, rx):
    """A port that is stopped and started in traffic receives again, and no page is lost."""
    sock = lab.socket()
    endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], devargs=f",rx={rx}")
    for _ in range(RESTARTS):
        dut.start()
        wait_traffic(dut)
        dut.stop()
        dut.command("port stop 0")
        assert in_use(dut, rx, ports=1) == 0
        dut.command("port start 0")
    dut.start()
    wait_traffic(dut)
    dut.quit()


def test_bounce_in_traffic(lab, endless, rx):
    """The same with a port that sends what it receives."""
    sock = lab.socket()
    endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=macswap"], devargs=f",rx={rx}")
    for _ in range(RESTARTS):
        dut.start()
        wait_traffic(dut)
        dut.stop()
        dut.command("port stop 0")
        assert in_use(dut, rx, ports=1) == 0
        dut.command("port start 0")
    dut.quit()


def test_peer_killed(lab, endless, rx):
    """A peer that dies in mid-traffic takes the link down; a new one brings traffic back."""
    sock = lab.socket()
    peer = endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=macswap"], devargs=f",rx={rx}")
    dut.start()
    for _ in range(2):
        wait_traffic(dut)
        peer.kill()
        dut.wait_link(False)
        assert dut.alive()
        os.unlink(sock)
        peer = endless(sock)
        dut.stop()
        dut.command("port stop 0")
        dut.command("port start 0")
        dut.wait_link()
        dut.start()
    wait_traffic(dut)
    peer.kill()
    dut.wait_link(False)
    dut.stop()
    dut.check_ledgers()
    dut.quit()


def test_hang_up(lab, rx):
    """A peer that closes the connection, again and again."""
    sock = lab.socket()
    out = lab.dir / "out.pcap"
    peer = lab.add_peer(VhostPeer(sock))
    dut = lab.dut(sock, [f"net_pcap0,tx_pcap={out}"], devargs=f",rx={rx}")
    dut.start()
    sent = []
    for number in range(3):
        peer.wait_ready()
        frames = [make_frame(100 + i, number) for i in range(100)]
        for frame in frames:
            peer.send(frame)
        sent += frames
        wait_capture(out, sent)
        peer.hang_up()
        dut.wait_link(False)
        dut.stop()
        dut.command("port stop 0")
        dut.command("port start 0")
        dut.wait_link()
        dut.start()
    assert_same(read_frames(out), sent)
    dut.stop()
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("leave", ["stop", "close"])
def test_held_packets_survive(lab, leave, rx):
    """What a second port still has to send stays whole when the first one is stopped or closed."""
    socks = lab.socket(), lab.socket()
    source, sink = (lab.add_peer(VhostPeer(sock)) for sock in socks)
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]},rx={rx}"], devargs=f",rx={rx}")
    source.wait_ready()
    sink.wait_ready()
    dut.start()
    frames = [make_frame(60 + 7 * i) for i in range(HELD)]
    for frame in frames:
        source.send(frame)
    wait_until(lambda: sink.rings[1].pending() == HELD, f"{HELD} packets in the ring of port 1")
    dut.stop()
    assert in_use(dut, rx, ports=2) >= HELD
    dut.command("port stop 0")
    if leave == "close":
        dut.command("port close 0")
    ports = 1 if leave == "close" else 2
    assert in_use(dut, rx, ports) == HELD
    received = [sink.receive() for _ in range(HELD)]
    assert_same([frame for frame, _ in received], frames)
    sink.rings[1].put_used(*((head, 0) for _, head in received))
    dut.command("port stop 1")
    assert in_use(dut, rx, ports) == 0
    dut.quit()


def wait_quarantine(dut, buffers):
    """Wait until so many buffers are in quarantine."""
    wait_until(lambda: dut.xstats()["quarantined_buffers"] == buffers,
               f"{buffers} buffers in quarantine")


def places(peer, chain):
    """Where the buffers of a chain are, as (memory, offset, length)."""
    return [(*peer.at_guest(address, length), length) for address, length, _ in chain]


def read_places(chain):
    """What is there."""
    return b"".join(memory[base:base + length] for memory, base, length in chain)


def scribble(chain):
    """Overwrite it."""
    for memory, base, length in chain:
        memory[base:base + length] = b"\xff" * length


@pytest.mark.parametrize("memory", ["single-file", "default"])
def test_unconfirmed_stop(lab, memory, rx):
    """What a back end had that does not say that it has stopped is used by nobody else."""
    lab.need(memory)
    socks = lab.socket(), lab.socket()
    old = Behaviour(silent={GET_VRING_BASE}, cling=True)
    source, sink = (lab.add_peer(VhostPeer(*args)) for args in ((socks[0], old), socks[1:]))
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]},rx={rx}"], devargs=f",rx={rx}",
                  memory=memory)
    source.wait_ready()
    sink.wait_ready()
    dut.start()
    rings = source.rings
    posted = [places(source, rings[RX].take()[1])[0] for _ in range(rings[RX].num)]
    sent = [make_frame(100 + i, 1) for i in range(SENT)]
    for frame in sent:
        sink.send(frame)
    wait_until(lambda: rings[TX].pending() == SENT, f"{SENT} packets in the ring of port 0")
    flying = [places(source, rings[TX].take()[1]) for _ in range(SENT)]
    taken = len(posted) + sum(map(len, flying))
    dut.stop()
    dut.command("port stop 0")
    assert dut.xstats()["quarantines"] == 1
    wait_quarantine(dut, taken)
    dut.check_ledgers()

    source.behaviour = Behaviour()
    dut.command("port start 0")
    source.wait_ready()
    dut.start()
    frames = [make_frame(60 + 7 * i) for i in range(HELD)]
    for frame in frames:
        source.send(frame)
    wait_until(lambda: sink.rings[TX].pending() == HELD, f"{HELD} packets in the ring of port 1")
    scribble(posted)
    received = [sink.receive() for _ in range(HELD)]
    assert_same([frame for frame, _ in received], frames)
    assert_same([read_places(chain)[NET_HEADER:] for chain in flying], sent)
    wait_quarantine(dut, taken)

    source.let_go()
    wait_quarantine(dut, 0)
    sink.rings[TX].put_used(*((head, 0) for _, head in received))
    dut.stop()
    dut.command("port stop 0")
    dut.command("port stop 1")
    assert in_use(dut, rx, 0 if memory == "default" else 2) == 0
    dut.quit()


def test_closed_in_quarantine(lab, rx):
    """A port is closed in the end, whatever its back end does; all pages are back."""
    sock = lab.socket()
    source = lab.add_peer(VhostPeer(sock, Behaviour(silent={GET_VRING_BASE}, cling=True)))
    dut = lab.dut(sock, devargs=f",rx={rx}")
    source.wait_ready()
    ring = source.rings[RX]
    dut.command("port stop 0")
    wait_quarantine(dut, ring.num)
    dut.command("port close 0")
    ledger, = dut.check_ledgers().values()
    assert ledger["free"] == ledger["pages"] - ledger["header"] - ledger["class_pages"]
    assert ledger["class_slots"] == 0
    dut.quit()


def test_peer_stopped(lab, endless, rx):
    """A peer that is stopped by a signal keeps what it had until it goes on."""
    sock = lab.socket()
    peer = endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], devargs=f",rx={rx}")
    dut.start()
    wait_traffic(dut)
    os.killpg(peer.process.pid, signal.SIGSTOP)
    dut.stop()
    dut.command("port stop 0")
    assert dut.xstats()["quarantined_buffers"] > 0
    dut.check_ledgers()
    os.killpg(peer.process.pid, signal.SIGCONT)
    wait_quarantine(dut, 0)
    assert in_use(dut, rx) == 0
    dut.command("port start 0")
    dut.wait_link()
    dut.start()
    wait_traffic(dut)
    dut.quit()


def test_hotplug(lab, endless, rx):
    """Ports come and go in a running program, and leave neither pages nor memory behind."""
    sock, hot = lab.socket(), lab.socket()
    endless(sock)
    endless(hot)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], devargs=f",rx={rx}")
    zones = None
    for _ in range(5):
        dut.command(f"port attach net_ppfrag1,path={hot},rx={rx}")
        dut.command("port start 1")
        dut.start()
        dut.wait_received(1000, port=1)
        wait_traffic(dut)
        dut.stop()
        for command in ("port stop 1", "port close 1", "device detach net_ppfrag1"):
            dut.command(command)
        assert in_use(dut, rx, ports=1) == 0
        zones = zones or dut.telemetry("/eal/memzone_list")
        assert dut.telemetry("/eal/memzone_list") == zones
    dut.start()
    wait_traffic(dut)
    dut.quit()


@pytest.mark.skipif(platform.machine() not in without_aio.IO_SETUP,
                    reason="needs the number of io_setup() on this machine")
def test_close_loads_nothing(lab):
    """What cancels the thread that wakes the back end is there when the port is closed.

    An application may have gone to a place without libraries meanwhile.
    """
    sock = lab.socket()
    lab.peer(sock)
    dut = lab.dut(sock, wrapper=WITHOUT_AIO)
    maps = Path(f"/proc/{dut.process.pid}/maps")
    before = set(re.findall(r" (/.*[.]so.*)$", maps.read_text(), re.M))
    assert any("libgcc_s" in name for name in before)
    dut.command("port stop 0")
    dut.command("port close 0")
    assert set(re.findall(r" (/.*[.]so.*)$", maps.read_text(), re.M)) == before
    dut.quit()
