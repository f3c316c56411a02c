# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Back ends die and come back in mid-traffic; the port goes on without being touched."""

import os
import struct
import threading
import time

import pytest

import vhost_peer as vp
from harness import lcores, make_frame, wait_until, write_frames

LONG = os.environ.get("PPFRAG_LONG") == "1"
KILLS = 1000 if LONG else 20
SECONDS = 2  # until packets flow again
START = (vp.SET_OWNER, vp.GET_FEATURES, vp.SET_PROTOCOL_FEATURES, vp.SET_FEATURES, vp.SET_MEM_TABLE,
         vp.SET_VRING_BASE, vp.SET_VRING_KICK, vp.SET_VRING_ENABLE)  # requests to hang at
PCAP_HEADER = 24
PCAP_RECORD = struct.Struct("<IIII")


class Verifier(threading.Thread):
    """Reads the capture that a program writes into a pipe: each frame is one of those sent."""

    def __init__(self, path, frames):
        super().__init__(daemon=True)
        os.mkfifo(path)
        self.path = path
        self.known = set(frames)
        self.good = 0
        self.bad = []
        self.start()

    def run(self):
        with self.path.open("rb") as pipe:
            pipe.read(PCAP_HEADER)
            while record := pipe.read(PCAP_RECORD.size):
                frame = pipe.read(PCAP_RECORD.unpack(record)[2])
                if frame in self.known:
                    self.good += 1
                else:
                    self.bad.append(frame)

    def wait_more(self, frames, seconds):
        """Wait for so many more frames."""
        enough = self.good + frames
        wait_until(lambda: self.good >= enough, f"{frames} more frames", seconds)


def kill(peer, sock):
    """End a back end as a crash does. A server leaves its socket behind."""
    peer.kill()
    sock.unlink(missing_ok=True)


def flow_again(dut, seconds=SECONDS):
    """Wait until packets are received again."""
    before = dut.stats()["ipackets"]
    wait_until(lambda: dut.stats()["ipackets"] > before + 1000, "packets after a restart", seconds)


@pytest.mark.parametrize("devargs", ["", ",rx=slots", ",mrg_rxbuf=0"], ids=str)
def test_killed(lab, tcp_frames, devargs):
    """A stock back end is killed and restarted in mid-traffic, both directions."""
    sock = lab.socket()
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)

    def start():
        peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
        peer.start()
        return peer

    peer = start()
    verifier = Verifier(lab.dir / "out.pcap", tcp_frames)
    dut = lab.dut(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1,tx_pcap={verifier.path}"],
                  devargs=devargs)
    dut.start()
    received = 0
    kills = KILLS if devargs == "" else 5
    for number in range(kills):
        verifier.wait_more(1000, SECONDS)
        wait_until(lambda: peer.stats()["ipackets"] > 1000, "packets to the back end", SECONDS)
        kill(peer, sock)
        dut.wait_link(False)
        peer.cleanup()
        lab.programs.remove(peer)
        peer = start()
        flow_again(dut)
        stats = dut.stats()
        assert stats["ipackets"] > received
        received = stats["ipackets"]
        assert dut.xstats()["reconnections"] == number + 1
    dut.stop()
    dut.check_ledgers()
    dut.command("port stop 0")
    dut.command("port stop 1")
    ledger, = dut.check_ledgers().values()
    assert ledger["charged"] == 0
    assert verifier.bad == []
    dut.quit()


def test_secondary_goes_on(lab):
    """Queues that a secondary process drives go on, with queues that nobody drives beside them."""
    sock = lab.socket()

    def start():
        peer = lab.peer(sock, options=["--forward-mode=txonly"])
        peer.start()
        return peer

    peer = start()
    dut = lab.dut(sock)
    second = lab.testpmd("second", ["--proc-type=secondary", f"--file-prefix={dut.prefix}",
                                    *lab.memory(), lcores(1), *lab.plugins()],
                         ["--forward-mode=rxonly"])
    second.start()
    for _ in range(3):
        flow_again(dut)
        kill(peer, sock)
        dut.wait_link(False)
        peer = start()
    flow_again(dut)
    second.stop()
    second.quit()
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("request_", START, ids=vp.REQUESTS.get)
def test_hung(lab, request_):
    """A back end hangs in the handshake: calls of the application do not; the next one works."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock))
    dut = lab.dut(sock, options=["--forward-mode=rxonly"])
    peer.wait_ready()
    dut.start()
    peer.behaviour = vp.Behaviour(silent={request_})
    seen = peer.seen.count(vp.REQUESTS[request_])
    peer.hang_up()
    dut.wait_link(False)
    wait_until(lambda: peer.seen.count(vp.REQUESTS[request_]) > seen, "the request it hangs at")
    began = time.monotonic()
    dut.stop()
    dut.stats()
    dut.command("port stop 0")
    assert time.monotonic() - began < SECONDS
    dut.check_ledgers()
    peer.behaviour = vp.Behaviour()
    dut.command("port start 0")
    dut.wait_link()
    dut.start()
    peer.wait_ready()
    peer.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 1, "a frame")
    dut.stop()
    dut.quit()


def test_hung_alone(lab):
    """After a back end that hangs the port finds a good one by itself."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock))
    dut = lab.dut(sock, options=["--forward-mode=rxonly"])
    peer.wait_ready()
    dut.start()
    peer.behaviour = vp.Behaviour(silent={vp.SET_VRING_KICK})
    seen = peer.seen.count("SET_VRING_KICK")
    peer.hang_up()
    wait_until(lambda: peer.seen.count("SET_VRING_KICK") > seen, "the request it hangs at")
    peer.behaviour = vp.Behaviour()
    dut.wait_link()  # after the handshake has timed out
    peer.wait_ready()
    peer.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 1, "a frame")
    dut.stop()
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("request_", [vp.SET_OWNER, vp.GET_FEATURES, vp.SET_VRING_ADDR],
                         ids=vp.REQUESTS.get)
def test_comes_and_goes(lab, request_):
    """A back end that ends in each handshake: the port tries again, slowly, and says so once."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock))
    dut = lab.dut(sock, options=["--forward-mode=rxonly"])
    peer.wait_ready()
    dut.start()
    peer.behaviour = vp.Behaviour(close={request_})
    connected = peer.connected
    said = len(dut.output)
    peer.hang_up()
    dut.wait_link(False)
    time.sleep(4)
    assert 2 < peer.connected - connected < 20
    assert dut.output[said:].count("net_ppfrag0:") < 10
    peer.behaviour = vp.Behaviour()
    dut.wait_link()
    peer.wait_ready()
    peer.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 1, "a frame")
    dut.stop()
    dut.check_ledgers()
    dut.quit()


def test_sleeper(lab, aio_wrapper):
    """An application that sleeps until packets come receives from the next back end, too."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock))
    rx = lab.app(sock, "rx", "--sleep", "--mbufs", 2048, "--seconds", 3600, "--json",
                 lab.dir / "rx.json", wrapper=aio_wrapper)
    for number in range(5):
        peer.wait_ready()
        wait_until(lambda: peer.rings[vp.RX].pending() == peer.rings[vp.RX].num, "buffers")
        peer.send(make_frame(100 + number))
        wait_until(lambda: rx.telemetry("/ethdev/stats,0")["ipackets"] == number + 1, "a frame")
        peer.hang_up()
        wait_until(lambda: not rx_link(rx), "the link to go down")
        wait_until(lambda: rx_link(rx), "the link to come up", SECONDS + 1)
    rx.interrupt()
    assert rx.wait_end() == 0


def rx_link(program):
    """Whether the link of port 0 is up."""
    return program.telemetry("/ethdev/link_status,0")["status"] == "UP"
