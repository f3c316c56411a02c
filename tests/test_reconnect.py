# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Back ends die and come back in mid-traffic; the port goes on without being touched."""

import os
import struct
import threading
import time

import pytest

import vhost_peer as vp
from harness import POLL_SECONDS, lcores, make_frame, wait_until, write_frames

LONG = os.environ.get("PPFRAG_LONG") == "1"
KILLS = 20
MANY_KILLS = int(os.environ.get("PPFRAG_KILLS", 1000 if LONG else 20))
SECONDS = 2 if LONG else 30  # until packets flow again; CPUs are busy beside other tests
LATE_SECONDS = 5 if LONG else 30  # where they are busy with starting programs, and few of many
LATE_SHARE = 0.05
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
            while len(record := pipe.read(PCAP_RECORD.size)) == PCAP_RECORD.size:
                length = PCAP_RECORD.unpack(record)[2]
                frame = pipe.read(length)
                if len(frame) < length:
                    break  # the writer was killed
                if frame in self.known:
                    self.good += 1
                else:
                    self.bad.append(frame)

    def wait_more(self, frames, seconds):
        """Wait for so many more frames."""
        enough = self.good + frames
        wait_until(lambda: self.good >= enough, f"{frames} more frames", seconds)


def finish(dut, ports, *verifiers):
    """All frames that came were whole, and once its ports have stopped, no pool lacks a byte."""
    dut.stop()
    dut.check_ledgers()
    for port in range(ports):
        dut.command(f"port stop {port}")
    ledger, = dut.check_ledgers().values()
    assert ledger["charged"] == 0
    assert all(verifier.bad == [] for verifier in verifiers)
    dut.quit()


def kill(peer, sock):
    """End a back end as a crash does. A server leaves its socket behind."""
    peer.kill()
    sock.unlink(missing_ok=True)


def flow_again(dut, seconds=SECONDS):
    """Wait until packets are received again."""
    before = dut.stats()["ipackets"]
    wait_until(lambda: dut.stats()["ipackets"] > before + 1000, "packets after a restart", seconds)


class Roles:
    """Who listens at the socket: the stock back end or the port."""

    def __init__(self, lab, server, frames):
        self.lab = lab
        self.server = server
        self.sock = lab.socket()
        self.source = write_frames(lab.dir / "endless.pcap", frames)
        self.vdev = f"net_pcap0,rx_pcap={self.source},infinite_rx=1"

    def make_peer(self, wait=True):
        """Start the program of a back end."""
        iface = f"{self.sock},client=1" if self.server else self.sock
        return self.lab.peer(iface, [self.vdev], wait=wait)

    def start_peer(self):
        """Start a back end that sends without end."""
        peer = self.make_peer()
        peer.start()
        return peer

    def start_dut(self, out, devargs):
        """Start a port that sends without end, and writes what it receives."""
        dut = self.lab.dut(self.sock, [f"{self.vdev},tx_pcap={out}"],
                           devargs=f"{devargs},server={int(self.server)}")
        dut.start()
        return dut

    def kill(self, peer):
        """End a back end as a crash does. A server leaves its socket behind."""
        peer.cleanup()
        self.lab.programs.remove(peer)
        if not self.server:
            self.sock.unlink()


@pytest.mark.parametrize("server", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("devargs", ["", ",rx=slots", ",mrg_rxbuf=0", ",in_order=1",
                                     ",in_order=1,rx=lanes", ",packed_vq=1",
                                     ",packed_vq=1,in_order=1,rx=lanes"], ids=str)
def test_killed(lab, tcp_frames, devargs, server):
    """A stock back end is killed and restarted in mid-traffic, both directions."""
    roles = Roles(lab, server, tcp_frames)
    verifier = Verifier(lab.dir / "out.pcap", tcp_frames)
    if server:
        dut = roles.start_dut(verifier.path, devargs)
        peer = roles.start_peer()
        dut.wait_link()
    else:
        peer = roles.start_peer()
        dut = roles.start_dut(verifier.path, devargs)
    before = dut.xstats()["reconnections"]
    for number in range(KILLS if devargs == "" else 5):
        verifier.wait_more(1000, SECONDS)
        wait_until(lambda: peer.stats()["ipackets"] > 1000, "packets to the back end", SECONDS)
        received = dut.stats()["ipackets"]
        roles.kill(peer)
        dut.wait_link(False)
        peer = roles.start_peer()
        flow_again(dut)
        assert dut.stats()["ipackets"] > received
        assert dut.xstats()["reconnections"] == before + number + 1
    finish(dut, 2, verifier)
    assert not server or not roles.sock.exists()


class Relay:
    """A port of the dut, its back end, and the next one, which is there before that is killed."""

    def __init__(self, lab, number, server, frames):
        self.roles = Roles(lab, server, frames)
        self.verifier = Verifier(lab.dir / f"out{number}.pcap", frames)
        self.port = number
        self.active = self.roles.start_peer()
        self.standby = None
        self.good = 0
        self.killed_at = 0
        self.reconnections = 0

    def vdevs(self):
        """The port, and the one that it exchanges frames with."""
        sock, server = self.roles.sock, int(self.roles.server)
        return (f"net_ppfrag{self.port},path={sock},server={server}",
                f"net_pcap{self.port},rx_pcap={self.roles.source},infinite_rx=1,"
                f"tx_pcap={self.verifier.path}")

    def prepare(self):
        """Start the next back end: at the same path, or it waits for the port to accept it."""
        if not self.roles.server:
            self.roles.sock.unlink()
        self.standby = self.roles.make_peer(wait=False)

    def flows(self, dut):
        """Whether the port has a new connection, and frames arrive both ways."""
        return (dut.xstats(self.port)["reconnections"] == self.reconnections
                and self.verifier.good > self.good + 1000
                and self.active.stats()["ipackets"] > 1000)

    def state(self, dut):
        """For the message when they do not."""
        return (f"port {self.port}: connection {dut.xstats(self.port)['reconnections']} instead of "
                f"{self.reconnections}, {self.verifier.good - self.good} frames received, "
                f"{self.active.stats()['ipackets']} by the back end")

    def wait_flows(self, dut):
        """Wait for that; the seconds since the back end before was killed."""
        limit = self.killed_at + LATE_SECONDS
        while not self.flows(dut):
            assert time.monotonic() < limit, self.state(dut)
            time.sleep(POLL_SECONDS)
        return time.monotonic() - self.killed_at

    def kill(self):
        """The next back end takes the place of the one there is."""
        self.standby.wait_prompt()
        self.active.cleanup()
        self.killed_at = time.monotonic()
        self.roles.lab.programs.remove(self.active)
        self.standby.start()
        self.active = self.standby
        self.good = self.verifier.good
        self.reconnections += 1


def test_many_kills(lab, tcp_frames):
    """1,000 kills with PPFRAG_LONG=1: of two ports in turn, one of them a server.

    The next back end is there when one is killed, so that nobody waits for programs to start.
    """
    relays = [Relay(lab, number, server, tcp_frames)
              for number, server in enumerate((False, True))]
    (first, source0), (second, source1) = (relay.vdevs() for relay in relays)
    sock = relays[0].roles.sock
    dut = lab.dut(sock, [second, source0, source1],
                  devargs=first.removeprefix(f"net_ppfrag0,path={sock}"))
    dut.command("set portlist 0,2,1,3")
    dut.start()
    for relay in relays:
        dut.wait_link(port=relay.port)
        relay.reconnections = dut.xstats(relay.port)["reconnections"]
        relay.killed_at = time.monotonic()
    began = time.monotonic()
    waits = []
    for number in range(-1, MANY_KILLS):
        if number >= 0:
            relays[number % 2].kill()
        other = relays[(number + 1) % 2]
        waits.append(other.wait_flows(dut))
        other.prepare()
    relays[(MANY_KILLS - 1) % 2].wait_flows(dut)
    late = sum(wait > SECONDS for wait in waits)
    print(f"{MANY_KILLS} kills in {time.monotonic() - began:.0f} s; frames again after "
          f"{sum(waits) / len(waits):.2f} s, {max(waits):.2f} s at most, "
          f"{late} later than {SECONDS} s")
    assert late <= 1 + LATE_SHARE * MANY_KILLS
    finish(dut, 4, *(relay.verifier for relay in relays))


def test_dut_killed(lab, tcp_frames):
    """A port that listens is killed, too: the next one replaces the socket it leaves behind."""
    roles = Roles(lab, True, tcp_frames)
    peer = roles.start_peer()
    for number in range(3):
        verifier = Verifier(lab.dir / f"out{number}.pcap", tcp_frames)
        dut = roles.start_dut(verifier.path, "")
        dut.wait_link()
        verifier.wait_more(1000, SECONDS)
        dut.kill()
        assert roles.sock.exists()
        assert verifier.bad == []
    peer.quit()


def test_path_in_use(lab):
    """A path at which somebody listens, or where there is a file, is refused; both stay."""
    sock = lab.socket()
    lab.add_peer(vp.VhostPeer(sock))
    dut = lab.dut(sock, devargs=",server=1", wait=False)
    dut.wait_output(f"net_ppfrag0: cannot listen at path={sock}: another process listens there")
    dut.kill()
    assert sock.exists()
    path = lab.dir / "file"
    path.write_text("mine")
    dut = lab.dut(path, devargs=",server=1", wait=False)
    dut.wait_output(f"net_ppfrag0: cannot listen at path={path}: there is a file")
    dut.kill()
    assert path.read_text() == "mine"


def test_one_at_a_time(lab):
    """A back end that comes while there is one waits until that has gone."""
    sock = lab.socket()
    dut = lab.dut(sock, devargs=",server=1", options=["--forward-mode=rxonly"])
    dut.start()
    assert not dut.link_up()
    first, second = (lab.add_peer(vp.VhostPeer(sock, client=True)) for _ in range(2))
    first.wait_ready()
    dut.wait_link()
    first.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 1, "a frame")
    assert second.seen == []
    first.hang_up()
    second.wait_ready()
    dut.wait_link()
    wait_until(lambda: second.rings[vp.RX].pending() > 0, "buffers")
    second.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 2, "another frame")
    dut.stop()
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("scatter", [False, True], ids=["whole frames", "chains"])
def test_late_features(lab, scatter):
    """A port that was set up alone meets a back end without mergeable buffers."""
    sock = lab.socket()
    options = ["--forward-mode=rxonly"]
    if scatter:
        options += ["--enable-scatter", "--max-pkt-len=4000"]
    dut = lab.dut(sock, devargs=",server=1", options=options)
    dut.start()
    peer = lab.add_peer(vp.VhostPeer(sock, vp.Behaviour(
        features=vp.F_VERSION_1 | vp.F_PROTOCOL_FEATURES), client=True))
    if scatter:
        dut.wait_output("has no mergeable buffers, which receive queue 0 was set up for")
        dut.wait_output("Port 0: reset event")
        peer = lab.add_peer(vp.VhostPeer(sock, client=True))
    peer.wait_ready()
    dut.wait_link()
    for _ in range(600):
        wait_until(lambda: peer.rings[vp.RX].pending() > 0, "buffers")
        peer.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 600, "600 frames")
    dut.stop()
    dut.check_ledgers()
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


def receive_first(dut, peer):
    """A new back end has the rings, and the first frame it sends arrives."""
    peer.wait_ready()
    peer.send(make_frame(100))
    wait_until(lambda: dut.stats()["ipackets"] == 1, "a frame")


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
    receive_first(dut, peer)
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
    receive_first(dut, peer)
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
    receive_first(dut, peer)
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
