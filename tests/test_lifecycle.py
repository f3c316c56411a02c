# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Ports are stopped, started and closed, and peers go away, while packets flow or are held."""

import os

import pytest

from harness import (assert_same, make_frame, read_frames, wait_capture, wait_until,
                     write_frames)
from vhost_peer import VhostPeer

RESTARTS = 10
HELD = 200


@pytest.fixture
def endless(lab, tcp_frames):
    """Starts a peer that sends real traffic again and again."""
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)

    def start(sock):
        peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
        peer.start()
        return peer
    return start


def wait_traffic(program):
    """Wait until a port that receives goes on receiving."""
    before = program.stats()["ipackets"]
    program.wait_received(before + 1000)


def test_restart_in_traffic(lab, endless):
    """A port that is stopped and started in traffic receives again, and no page is lost."""
    sock = lab.socket()
    endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"])
    for _ in range(RESTARTS):
        dut.start()
        wait_traffic(dut)
        dut.stop()
        dut.command("port stop 0")
        ledger, = dut.check_ledgers().values()
        assert ledger["frags"] == 0
        assert ledger["charged"] == 0
        dut.command("port start 0")
    dut.start()
    wait_traffic(dut)
    dut.quit()


def test_bounce_in_traffic(lab, endless):
    """The same with a port that sends what it receives."""
    sock = lab.socket()
    endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=macswap"])
    for _ in range(RESTARTS):
        dut.start()
        wait_traffic(dut)
        dut.stop()
        dut.command("port stop 0")
        ledger, = dut.check_ledgers().values()
        assert ledger["frags"] == 0
        dut.command("port start 0")
    dut.quit()


def test_peer_killed(lab, endless):
    """A peer that dies in mid-traffic takes the link down; a new one brings traffic back."""
    sock = lab.socket()
    peer = endless(sock)
    dut = lab.dut(sock, options=["--forward-mode=macswap"])
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


def test_hang_up(lab):
    """A peer that closes the connection, again and again."""
    sock = lab.socket()
    out = lab.dir / "out.pcap"
    peer = lab.add_peer(VhostPeer(sock))
    dut = lab.dut(sock, [f"net_pcap0,tx_pcap={out}"])
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
def test_held_packets_survive(lab, leave):
    """What a second port still has to send stays whole when the first one is stopped or closed."""
    socks = lab.socket(), lab.socket()
    source, sink = (lab.add_peer(VhostPeer(sock)) for sock in socks)
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]}"])
    source.wait_ready()
    sink.wait_ready()
    dut.start()
    frames = [make_frame(60 + 7 * i) for i in range(HELD)]
    for frame in frames:
        source.send(frame)
    wait_until(lambda: sink.rings[1].pending() == HELD, f"{HELD} packets in the ring of port 1")
    dut.stop()
    ledger, = dut.check_ledgers().values()
    assert ledger["frags"] >= HELD
    dut.command("port stop 0")
    if leave == "close":
        dut.command("port close 0")
    ledger, = dut.check_ledgers().values()
    assert ledger["frags"] == HELD
    received = [sink.receive() for _ in range(HELD)]
    assert_same([frame for frame, _ in received], frames)
    sink.rings[1].put_used(*((head, 0) for _, head in received))
    dut.command("port stop 1")
    ledger, = dut.check_ledgers().values()
    assert ledger["frags"] == 0
    dut.quit()


def test_hotplug(lab, endless):
    """Ports come and go in a running program, and leave neither pages nor memory behind."""
    sock, hot = lab.socket(), lab.socket()
    endless(sock)
    endless(hot)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"])
    zones = None
    for _ in range(5):
        dut.command(f"port attach net_ppfrag1,path={hot}")
        dut.command("port start 1")
        dut.start()
        dut.wait_received(1000, port=1)
        wait_traffic(dut)
        dut.stop()
        for command in ("port stop 1", "port close 1", "device detach net_ppfrag1"):
            dut.command(command)
        ledger, = dut.check_ledgers().values()
        assert ledger["charged"] == 0
        zones = zones or dut.telemetry("/eal/memzone_list")
        assert dut.telemetry("/eal/memzone_list") == zones
    dut.start()
    wait_traffic(dut)
    dut.quit()
