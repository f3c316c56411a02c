# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A back end that breaks every rule: the driver survives, counts, and goes on receiving."""

import os
import re
import select
import struct

import pytest

import vhost_peer as vp
from harness import (HarnessError, assert_same, make_frame, read_frames, wait_capture, wait_until,
                     write_frames)

GOOD = 600  # more than twice around a ring
ALL_ONES = (1 << 64) - 1
EVENTFD_FULL = (1 << 64) - 2  # the largest counter an eventfd has

# Requests by what the driver does when it sends them.
PROBE = (vp.SET_OWNER, vp.GET_FEATURES, vp.GET_PROTOCOL_FEATURES, vp.SET_PROTOCOL_FEATURES)
START = (vp.SET_VRING_CALL, vp.SET_STATUS, vp.SET_FEATURES, vp.SET_MEM_TABLE, vp.SET_VRING_NUM,
         vp.SET_VRING_BASE, vp.SET_VRING_ADDR, vp.SET_VRING_KICK, vp.SET_VRING_ENABLE)
ANSWERED = (vp.GET_FEATURES, vp.GET_PROTOCOL_FEATURES, vp.SET_MEM_TABLE, vp.GET_VRING_BASE)


def name(value):
    """How pytest calls a parameter."""
    return vp.REQUESTS.get(value) if isinstance(value, int) else None


def garbage(request):
    """Answers that are none."""
    value = struct.pack("<Q", 0)
    return {
        "other request": vp.reply(request + 100, value),
        "not a reply": vp.reply(request, value, flags=vp.FLAG_VERSION),
        "wrong version": vp.reply(request, value, flags=vp.FLAG_REPLY),
        "short": vp.reply(request, value[:4]),
        "long": vp.reply(request, value * 512),
        "endless": vp.reply(request, value, size=0xffffffff),
        "rubbish": b"\xff" * 64,
    }


def leave(program):
    """Quit a testpmd that may have given up by itself."""
    if program.alive():
        try:
            program.type("quit")
        except HarnessError:
            pass  # just then
    status = program.wait_end()
    assert status in (0, 1), f"ended with status {status}"


def face(lab, behaviour, request):
    """Let the driver meet a back end up to a request; the process, after that request."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock, behaviour))
    dut = lab.dut(sock, wait=False)
    if request == vp.GET_VRING_BASE:
        dut.wait_prompt()
        dut.command("port stop 0")
    peer.wait_seen(request)
    return dut, sock


def complaint(dut, sock, request):
    """Wait for the driver's message about a request; what it says."""
    return dut.wait_output(
        f"net_ppfrag0: back end at {re.escape(str(sock))}: {vp.REQUESTS[request]}: (.*)")[1]


@pytest.mark.parametrize("request_", PROBE + START + (vp.GET_VRING_BASE,), ids=name)
def test_closes(lab, request_):
    """The back end closes the connection when a request arrives."""
    dut, _ = face(lab, vp.Behaviour(close={request_}), request_)
    leave(dut)
    assert "net_ppfrag0" in dut.output


@pytest.mark.parametrize("request_", ANSWERED, ids=name)
def test_answers_garbage(lab, request_):
    """Answers of the wrong form are recognised."""
    for kind, answer in garbage(request_).items():
        dut, sock = face(lab, vp.Behaviour(replies={request_: answer}), request_)
        assert "malformed" in complaint(dut, sock, request_), kind
        leave(dut)


@pytest.mark.parametrize("request_", ANSWERED, ids=name)
def test_answers_half(lab, request_):
    """The connection closes in the middle of an answer."""
    answer = vp.reply(request_, bytes(8))[:15]
    dut, sock = face(lab, vp.Behaviour(replies={request_: answer}, close={request_}), request_)
    assert "closed the connection" in complaint(dut, sock, request_)
    leave(dut)


@pytest.mark.parametrize("request_", [vp.GET_FEATURES, vp.SET_MEM_TABLE, vp.GET_VRING_BASE],
                         ids=name)
def test_never_answers(lab, request_):
    """A back end that is silent is given up."""
    dut, sock = face(lab, vp.Behaviour(silent={request_}), request_)
    assert "no answer" in complaint(dut, sock, request_)
    leave(dut)


# Each answer, or each byte of one, comes before anybody would give up waiting for it.
@pytest.mark.parametrize("pace", [{"delay": 2}, {"drip": 0.6}], ids=str)
@pytest.mark.parametrize("when", ["probe", "start", "stop"])
def test_slow(lab, when, pace):
    """A back end that takes its time for every request is given up, as a silent one is."""
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock, vp.Behaviour(**pace if when == "probe" else {})))
    dut = lab.dut(sock, wait=False)
    if when != "probe":
        dut.wait_prompt()
        if when == "start":
            dut.command("port stop 0")
        peer.behaviour = vp.Behaviour(**pace)
        dut.type("port stop 0" if when == "stop" else "port start 0")
    dut.wait_output(f"net_ppfrag0: back end at {re.escape(str(sock))}: [A-Z_]*: no answer within")
    leave(dut)


def test_refuses(lab):
    """A request that the back end acknowledges with an error."""
    refusal = vp.reply(vp.SET_MEM_TABLE, struct.pack("<Q", 1))
    dut, sock = face(lab, vp.Behaviour(replies={vp.SET_MEM_TABLE: refusal}), vp.SET_MEM_TABLE)
    assert "refuses" in complaint(dut, sock, vp.SET_MEM_TABLE)
    leave(dut)


def test_lacks_any_layout(lab):
    """Legacy devices that want a header in a descriptor of its own are refused with a message."""
    dut, _ = face(lab, vp.Behaviour(features=vp.F_MRG_RXBUF), vp.GET_FEATURES)
    dut.wait_output("net_ppfrag0: back end .* lacks features 0x8000000 ")
    leave(dut)


class Scene:
    """A driver that forwards what a back end sends it into a capture."""

    def __init__(self, lab, rx, behaviour=None, memory=None, wrapper=()):
        self.sock = lab.socket()
        self.out = lab.dir / "out.pcap"
        self.peer = lab.add_peer(vp.VhostPeer(self.sock, behaviour))
        self.dut = lab.dut(self.sock, [f"net_pcap0,tx_pcap={self.out}"], memory=memory,
                           devargs=f",rx={rx}", wrapper=wrapper)
        self.peer.wait_ready()
        self.dut.start()
        self.sent = []

    @property
    def rx(self):
        """The ring the driver receives from."""
        return self.peer.rings[vp.RX]

    def send_all(self, frames):
        """Send frames as the driver posts buffers for them."""
        for frame in frames:
            wait_until(lambda: self.rx.pending() > 0, "a posted buffer")
            self.peer.send(frame)

    def send(self, seed, count=GOOD):
        """Send good frames."""
        frames = [make_frame(60 + number, seed) for number in range(count)]
        self.send_all(frames)
        self.sent += frames

    def counter(self, name):
        """A counter of the driver."""
        return self.dut.xstats()[name]

    def wait_counter(self, name, value):
        """Wait for a counter to reach a value."""
        wait_until(lambda: self.counter(name) >= value, f"{name} to be {value}")

    def restart(self):
        """Stop and start the port."""
        self.dut.stop()
        self.dut.command("port stop 0")
        self.dut.check_ledgers()
        self.dut.command("port start 0")
        self.peer.wait_ready()
        self.dut.start()

    def end(self):
        """All good frames have arrived; all bytes are accounted for."""
        wait_capture(self.out, self.sent)
        self.dut.stop()
        assert_same(read_frames(self.out), self.sent)
        self.dut.check_ledgers()
        self.dut.command("port stop 0")
        self.dut.command("port close 0")
        ledger, = self.dut.check_ledgers().values()
        assert ledger["frags"] == ledger["class_slots"] == 0
        self.dut.quit()
        assert self.peer.error is None


@pytest.mark.parametrize("behaviour", [
    vp.Behaviour(features=ALL_ONES, protocol_features=ALL_ONES, queues=ALL_ONES),
    vp.Behaviour(features=vp.F_VERSION_1),
    vp.Behaviour(features=vp.F_VERSION_1 | vp.F_MRG_RXBUF),
    vp.Behaviour(protocol_features=0),
], ids=["every feature", "one feature", "no protocol features", "no protocol feature bits"])
def test_features(lab, behaviour, rx):
    """Any set of features that has the one needed works."""
    scene = Scene(lab, rx, behaviour)
    assert scene.peer.features & ~behaviour.features == 0
    scene.send(1)
    scene.end()


def used_with(identifier=None, length=None, data=b""):
    """Use one posted buffer and return a wrong id or length for it, then the right ones."""
    def sabotage(scene):
        head, chain = scene.rx.take()
        scene.peer.fill(chain, data)
        wrong_id = head if identifier is None else identifier(scene.rx)
        capacity = sum(descriptor[1] for descriptor in chain)
        scene.rx.put_used((wrong_id, length(capacity) if length else 100))
        return head
    return sabotage


def twice(scene):
    """The same buffer two times."""
    frame = make_frame(99)
    head, chain = scene.rx.take()
    length = scene.peer.fill(chain, bytes(10) + b"\1\0" + frame)
    scene.rx.put_used((head, length), (head, length))
    scene.sent.append(frame)


# Each is one used entry that the driver has to ignore and count.
BAD_ENTRIES = {
    "id of no descriptor": used_with(identifier=lambda ring: ring.num),
    "id of 32 bits": used_with(identifier=lambda ring: 0xffffffff),
    "id with rubbish above 16 bits": used_with(identifier=lambda ring: 0x10000),
    "length 0": used_with(length=lambda capacity: 0),
    "length below the header": used_with(length=lambda capacity: 11),
    "length beyond the buffer": used_with(length=lambda capacity: capacity + 1),
    "length of 32 bits": used_with(length=lambda capacity: 0xffffffff),
    "twice": twice,
}


@pytest.mark.parametrize("memory", ["single-file", "default", "no-huge"])
def test_bad_used_entries(lab, memory, rx):
    """Each wrong used entry is counted; good frames before and after it arrive."""
    lab.need(memory)
    scene = Scene(lab, rx, memory=memory)
    for number, (kind, sabotage) in enumerate(BAD_ENTRIES.items()):
        scene.send(number)
        wait_capture(scene.out, scene.sent)
        assert scene.counter("rx_q0_bad_used") == number, f"before {kind}"
        sabotage(scene)
        scene.wait_counter("rx_q0_bad_used", number + 1)
    scene.send(len(BAD_ENTRIES))
    scene.end()


@pytest.mark.parametrize("memory", ["single-file", "default", "no-huge"])
def test_short_frames(lab, memory, rx):
    """Frames shorter than an Ethernet header are dropped, and are no fault of the ring."""
    lab.need(memory)
    scene = Scene(lab, rx, memory=memory)
    for length in range(14):
        head, chain = scene.rx.take()
        scene.rx.put_used((head, scene.peer.fill(chain, bytes(10) + b"\1\0" + bytes(length))))
    scene.send(1)
    wait_capture(scene.out, scene.sent)
    assert scene.counter("rx_q0_short_packets") == 14
    assert scene.counter("rx_q0_bad_used") == 0
    scene.end()


def test_header_rubbish(lab, rx):
    """Whatever a virtio header claims of offloads, the frame arrives."""
    scene = Scene(lab, rx)
    for number in range(100):
        frame = make_frame(200 + number)
        head, chain = scene.rx.take()
        length = scene.peer.fill(chain, b"\xff" * 10 + b"\1\0" + frame)
        scene.rx.put_used((head, length))
        scene.sent.append(frame)
    scene.end()


def test_scribbled_rings(lab, rx):
    """The driver does not read back what it has written where the back end can write, too."""
    scene = Scene(lab, rx)
    scene.send(1, 100)
    wait_capture(scene.out, scene.sent)
    taken = [scene.rx.take() for _ in range(100)]
    scene.rx.scribble()
    for number, (head, chain) in enumerate(taken):
        frame = make_frame(300 + number)
        length = scene.peer.fill(chain, bytes(10) + b"\1\0" + frame)
        scene.rx.put_used((head, length))
        scene.sent.append(frame)
    wait_capture(scene.out, scene.sent)
    scene.restart()
    scene.send(3)
    scene.end()


def clog(fd):
    """Make an eventfd one that has no room and whose writers wait until it has."""
    os.set_blocking(fd, True)
    value = os.eventfd_read(fd) if select.select([fd], [], [], 0)[0] else 0
    assert value < EVENTFD_FULL
    os.eventfd_write(fd, EVENTFD_FULL)


def test_clogged_kick(lab, aio_wrapper, rx):
    """The driver does not wait for room in the eventfd by which it wakes the back end."""
    scene = Scene(lab, rx, wrapper=aio_wrapper)
    assert ("io_setup() is refused" in scene.dut.output) == bool(aio_wrapper)
    scene.send(1, 100)
    wait_capture(scene.out, scene.sent)
    for ring in scene.peer.rings:
        clog(ring.kick)
    kicks = scene.counter("rx_q0_kicks")
    scene.send(2)
    wait_capture(scene.out, scene.sent)
    assert scene.counter("rx_q0_kicks") > kicks
    scene.restart()
    scene.send(3)
    scene.end()


def buffers(count):
    """One frame whose header claims so many buffers."""
    return lambda scene: scene.peer.send(make_frame(77), buffers=count)


def index_by(step):
    """A used index that moves without entries."""
    return lambda scene: scene.rx.set_used_index(scene.rx.next_used + step)


WRECKS = {
    "0 buffers": buffers(0),
    "2 buffers, 1 used": buffers(2),
    "65535 buffers": buffers(65535),
    "index back": index_by(-1),
    "index far ahead": index_by(1000),
    "index half around": index_by(0x8000),
}


def test_wrecked_ring(lab, rx):
    """After these nobody can know where the next frame starts: restarting the port helps."""
    scene = Scene(lab, rx)
    arrived = 0
    for number, (kind, sabotage) in enumerate(WRECKS.items()):
        good = [make_frame(60 + i, number) for i in range(GOOD)]
        scene.send_all(good)
        wait_until(lambda: len(read_frames(scene.out)) >= arrived + GOOD, f"frames before {kind}")
        assert_same(read_frames(scene.out)[arrived:], good)
        sabotage(scene)
        for _ in range(100):
            if scene.rx.pending() > 0:
                scene.peer.send(make_frame(88))
        assert scene.dut.alive(), kind
        scene.restart()
        arrived = len(read_frames(scene.out))
    scene.dut.stop()
    scene.dut.check_ledgers()
    scene.dut.quit()


def test_talks_unasked(lab, rx):
    """Bytes nobody asked for take the link down, no more."""
    scene = Scene(lab, rx)
    scene.send(1)
    wait_capture(scene.out, scene.sent)
    scene.peer.connection.sendall(b"\xa5" * 100)
    scene.dut.wait_link(False)
    scene.restart()
    scene.dut.wait_link()
    scene.send(2)
    scene.end()


TX_SABOTAGE = {
    "id of no descriptor": lambda ring, heads: [(ring.num, 0)],
    "id of 32 bits": lambda ring, heads: [(0xffffffff, 0)],
    "twice": lambda ring, heads: [(heads.pop(), 0)] * 2,
}


@pytest.mark.parametrize("kind", TX_SABOTAGE)
def test_bad_used_entry_tx(lab, kind):
    """A wrong used entry of the transmit ring is counted, and all frames are sent."""
    frames = [make_frame(60 + i, 5) for i in range(GOOD)]
    source = write_frames(lab.dir / "in.pcap", frames)
    sock = lab.socket()
    peer = lab.add_peer(vp.VhostPeer(sock))
    dut = lab.dut(sock, [f"net_pcap0,rx_pcap={source}"])
    peer.wait_ready()
    dut.patient()
    dut.start()
    ring = peer.rings[vp.TX]
    received, heads = [], []
    while len(received) < GOOD:
        wait_until(lambda: ring.pending() > 0, "a sent frame")
        frame, head = peer.receive()
        received.append(frame)
        heads.append(head)
        if len(received) == 64:
            ring.put_used(*TX_SABOTAGE[kind](ring, heads))
            wait_until(lambda: dut.xstats()["tx_q0_bad_used"] == 1, "tx_q0_bad_used")
        if len(heads) >= 64 or ring.pending() == 0:
            ring.put_used(*((head, 0) for head in heads))
            heads.clear()
    assert_same(received, frames)
    dut.stop()
    dut.command("port stop 0")
    dut.check_ledgers()
    dut.quit()
