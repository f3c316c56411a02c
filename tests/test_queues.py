# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Many queues, and queues that are stopped and started while the port runs."""

import pytest

from harness import (assert_same, lcores, make_frame, read_frames, wait_capture, wait_until,
                     write_frames)
from vhost_peer import Behaviour, VhostPeer

PEER_QUEUES = 8
FRAMES = 200  # fewer than a ring has descriptors


def frames_of(queue, seed=0):
    """Frames of one queue, like no other queue's."""
    return [make_frame(64 + 13 * number % 1400, 100 * seed + 1000 * queue + number)
            for number in range(FRAMES)]


def pcap(lab, name, sent):
    """A device that sends the frames of each queue by it, and captures what arrives by each."""
    vdev = name.replace("-", "_")
    args = ""
    for queue, frames in enumerate(sent):
        source = write_frames(lab.dir / f"{name}-in{queue}.pcap", frames)
        args += f",rx_pcap={source},tx_pcap={lab.dir}/{name}-out{queue}.pcap"
    return f"net_pcap_{vdev}{args}"


def check(lab, name, sent):
    """All frames have arrived, each by its queue."""
    for queue, frames in enumerate(sent):
        out = lab.dir / f"{name}-out{queue}.pcap"
        wait_capture(out, frames)
        assert_same(read_frames(out), frames)


def finish(dut):
    """Nothing was lost, every byte is accounted for, and the program ends."""
    dut.stop()
    stats = dut.stats()
    assert stats["ierrors"] == stats["oerrors"] == stats["rx_nombuf"] == 0
    dut.check_ledgers()
    dut.quit()


def queues(number):
    """Options of testpmd for so many queue pairs."""
    return [f"--rxq={number}", f"--txq={number}"]


@pytest.mark.parametrize("pairs", [1, 2, 4, 8])
def test_byte_for_byte(lab, pairs, rx):
    """Each queue has frames of its own, both directions, where the peer has more queues."""
    sock = lab.socket()
    to_dut = [frames_of(queue) for queue in range(pairs)]
    to_peer = [frames_of(queue, 1) for queue in range(pairs)]
    peer = lab.peer(sock, [pcap(lab, "peer", to_dut)], queues(pairs), queues=PEER_QUEUES)
    dut = lab.dut(sock, [pcap(lab, "dut", to_peer)], queues(pairs),
                  devargs=f",queues={pairs},rx={rx}", mbufs=16384)
    peer.wait_link()
    for program in (dut, peer):
        program.patient()
        program.start()
    check(lab, "dut", to_dut)
    check(lab, "peer", to_peer)
    xstats = dut.xstats()
    for queue in range(pairs):
        assert xstats[f"rx_q{queue}_packets"] == xstats[f"tx_q{queue}_packets"] == FRAMES
    finish(dut)


@pytest.mark.parametrize("used", [1, 3])
def test_fewer_in_use(lab, used):
    """An application that uses fewer queues than the port has: the others are never enabled."""
    sock = lab.socket()
    to_dut = [frames_of(queue) for queue in range(used)]
    peer = lab.peer(sock, [pcap(lab, "peer", to_dut)], queues(used), queues=PEER_QUEUES)
    dut = lab.dut(sock, [pcap(lab, "dut", to_dut)], queues(used), devargs=",queues=8")
    peer.wait_link()
    for program in (dut, peer):
        program.patient()
        program.start()
    check(lab, "dut", to_dut)
    enabled = {f"set queue enable: 1 to qp idx: {vring}" for vring in range(2 * used)}
    seen = {line.split(") ")[-1] for line in peer.output.splitlines() if "queue enable: 1" in line}
    assert seen == enabled
    finish(dut)


def test_several_ports(lab, rx):
    """Two ports of two queue pairs each in one process, on one lcore, whose packets are bridged."""
    socks = lab.socket(), lab.socket()
    sent = [[frames_of(queue, seed) for queue in range(2)] for seed in range(2)]
    peers = [lab.peer(sock, [pcap(lab, f"peer{number}", sent[number])], queues(2), queues=2)
             for number, sock in enumerate(socks)]
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]},queues=2,rx={rx}"], queues(2),
                  devargs=f",queues=2,rx={rx}", mbufs=16384)
    for program in (dut, *peers):
        program.patient()
        program.start()
    check(lab, "peer0", sent[1])
    check(lab, "peer1", sent[0])
    finish(dut)


def test_peer_has_fewer(lab):
    """A back end with fewer queues than the port is refused, with what helps."""
    sock = lab.socket()
    lab.add_peer(VhostPeer(sock, Behaviour(features=Behaviour.features | 1 << 22, queues=2)))
    dut = lab.dut(sock, devargs=",queues=3", wait=False)
    dut.wait_output(f"net_ppfrag0: queues=3, but the back end at {sock} has 2: give it more or "
                    "the port fewer")
    dut.quit()


def started_pair(lab, rx, deferred=False):
    """A peer with two streams, and a dut with two queues, the second one perhaps deferred."""
    sock = lab.socket()
    to_dut = [frames_of(queue) for queue in range(2)]
    to_peer = [frames_of(queue, 1) for queue in range(2)]
    peer = lab.peer(sock, [pcap(lab, "peer", to_dut)], queues(2), queues=2)
    dut = lab.dut(sock, [pcap(lab, "dut", to_peer)], queues(2), devargs=f",queues=2,rx={rx}")
    peer.wait_link()
    if deferred:
        dut.command("port stop 0")
        for direction in ("rxq", "txq"):
            dut.command(f"port 0 {direction} 1 deferred_start on")
        dut.command("port start 0")
        peer.wait_link()
    for program in (dut, peer):
        program.patient()
        # What cannot be sent, as its queue is stopped, does not keep the others waiting for long.
        program.command("set burst tx delay 20 retry 500")
    return peer, dut, to_dut, to_peer


def queue_run(dut, what):
    """Stop or start both queues of the second pair."""
    for direction in ("rxq", "txq"):
        answer = dut.command(f"port 0 {direction} 1 {what}")
        assert "not supported" not in answer
        # A second time is harmless.
        dut.command(f"port 0 {direction} 1 {what}")
        state = "stopped" if what == "stop" else "started"
        assert f"queue state: {state}" in dut.command(f"show {direction} info 0 1")


@pytest.mark.parametrize("deferred", [False, True], ids=["stopped", "deferred"])
def test_stop_and_start(lab, rx, deferred):
    """One queue pair is stopped, the other goes on; started again, both do."""
    peer, dut, to_dut, to_peer = started_pair(lab, rx, deferred)
    if not deferred:
        queue_run(dut, "stop")
    assert peer.link_up()
    for program in (dut, peer):
        program.start()
    check(lab, "dut", to_dut[:1])
    check(lab, "peer", to_peer[:1])
    for program in (peer, dut):
        program.stop()
    xstats = dut.xstats()
    assert xstats["rx_q1_packets"] == xstats["tx_q1_packets"] == 0
    dut.check_ledgers()
    queue_run(dut, "start")
    # Have all captures sent, and written, once more.
    for program in (dut, peer):
        program.command("port stop 1")
        program.command("port start 1")
    for program in (dut, peer):
        program.start()
    check(lab, "dut", to_dut)
    check(lab, "peer", to_peer)
    finish(dut)


def test_stopped_in_traffic(lab, tcp_frames, rx):
    """A queue pair is stopped and started many times while the peer never stops sending."""
    sock = lab.socket()
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1,rx_pcap={source}"],
                    queues(2), queues=2)
    dut = lab.dut(sock, options=["--forward-mode=macswap", *queues(2)],
                  devargs=f",queues=2,rx={rx}")
    peer.start()
    for _ in range(5):
        before = dut.xstats()
        dut.start()
        wait_until(lambda: dut.xstats()["rx_q1_packets"] > before["rx_q1_packets"] + 500,
                   "packets of queue 1")
        dut.stop()
        queue_run(dut, "stop")
        stopped = dut.xstats()
        dut.start()
        wait_until(lambda: dut.xstats()["rx_q0_packets"] > stopped["rx_q0_packets"] + 500,
                   "packets of queue 0")
        dut.stop()
        assert dut.xstats()["rx_q1_packets"] == stopped["rx_q1_packets"]
        dut.check_ledgers()
        queue_run(dut, "start")
    dut.command("port stop all")
    for ledger in dut.check_ledgers().values():
        assert ledger["frags"] == ledger["whole"] == 0
    dut.quit()


def test_taken_back(lab, rx):
    """The peer does not send what a stopped queue has: it loses the ring, other queues go on."""
    sock = lab.socket()
    peer = lab.peer(sock, options=["--forward-mode=rxonly", *queues(2)], queues=2)
    dut = lab.dut(sock, options=["--forward-mode=txonly", *queues(2)],
                  devargs=f",queues=2,rx={rx}")

    def flows(queue):
        before = peer.xstats()[f"rx_q{queue}_packets"]
        wait_until(lambda: peer.xstats()[f"rx_q{queue}_packets"] > before + 1000,
                   f"packets of queue {queue}")

    peer.start()
    dut.start()
    flows(1)
    peer.stop()
    full = dut.xstats()["tx_q1_full"]
    wait_until(lambda: dut.xstats()["tx_q1_full"] > full, "a full ring")
    dut.stop()
    asked = len(peer.output)
    queue_run(dut, "stop")
    peer.wait_output("VHOST_USER_GET_VRING_BASE", asked)
    peer.start()
    dut.start()
    flows(0)
    dut.stop()
    queue_run(dut, "start")
    dut.start()
    flows(1)
    finish(dut)


def test_size_counters(lab, all_lengths, rx):
    """Packets are counted as net_virtio_user counts them, by the same names."""
    dut, _ = lab.exchange(all_lengths, all_lengths, devargs=f",size_stats=1,rx={rx}")
    counted = dut.xstats()
    bounds = {"undersize": (0, 63), "size_64": (64, 64), "size_65_127": (65, 127),
              "size_128_255": (128, 255), "size_256_511": (256, 511),
              "size_512_1023": (512, 1023), "size_1024_1518": (1024, 1518),
              "size_1519_max": (1519, 65535)}
    for queue in ("rx_q0", "tx_q0"):
        for name, (low, high) in bounds.items():
            number = sum(low <= len(frame) <= high for frame in all_lengths)
            assert counted[f"{queue}_{name}_packets"] == number
        assert counted[f"{queue}_good_packets"] == len(all_lengths)
        assert counted[f"{queue}_good_bytes"] == sum(map(len, all_lengths))
    sock = lab.socket()
    lab.peer(sock)
    stock = lab.testpmd("stock", [*lab.memory(), lcores(1), f"--vdev=net_virtio_user0,path={sock}"],
                        ["--total-num-mbufs=4096"])
    names = {name for name in stock.xstats() if name.startswith(("rx_q0", "tx_q0"))}
    assert "rx_q0_size_64_packets" in names
    assert names <= set(counted)
