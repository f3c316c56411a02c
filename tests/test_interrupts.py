# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""An application that sleeps until packets come."""

import json

import pytest

from harness import make_frame, wait_until, write_frames
from vhost_peer import RX, VhostPeer

FRAMES = 100


def start(lab, sock, wrapper, rx):
    """Start a receiver that sleeps."""
    program = lab.app(sock, "rx", "--sleep", "--mbufs", 2048, "--seconds", 3600,
                      "--json", lab.dir / "rx.json", devargs=f",rx={rx}", wrapper=wrapper)
    assert ("io_setup() is refused" in program.output) == bool(wrapper)
    return program


def finish(lab, program):
    """End the receiver; what it measured."""
    program.interrupt()
    assert program.wait_end() == 0
    measured = json.loads((lab.dir / "rx.json").read_text())
    assert measured["ok"]
    return measured


def test_one_by_one(lab, aio_wrapper, rx):
    """Each frame wakes the application, which wakes the back end for the buffer posted again."""
    sock = lab.socket()
    peer = lab.add_peer(VhostPeer(sock))
    program = start(lab, sock, aio_wrapper, rx)
    peer.wait_ready()
    ring = peer.rings[RX]
    frames = [make_frame(60 + number) for number in range(FRAMES)]
    wait_until(ring.kicked, "a notification of the first buffers")
    for frame in frames:
        peer.send(frame)
        wait_until(ring.kicked, "a notification of posted buffers")
        assert ring.pending() == ring.num
    measured = finish(lab, program)
    assert measured["ibytes"] == sum(map(len, frames))
    # It may find a frame just before it falls asleep. The first one is not counted.
    assert FRAMES / 2 < measured["wakeups"] <= FRAMES + 1
    assert measured["polls"] <= FRAMES + measured["sleeps"]


@pytest.mark.parametrize("event_idx", [0, 1])
@pytest.mark.parametrize("burst", [1, 32])
def test_stock_peer(lab, tcp_frames, burst, event_idx, aio_wrapper, rx):
    """All frames of a stock back end arrive at an application that sleeps in between."""
    sock = lab.socket()
    source = write_frames(lab.dir / "in.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}"])
    program = start(lab, sock, aio_wrapper, f"{rx},event_idx={event_idx}")
    peer.wait_link()
    peer.patient()
    peer.command(f"set burst {burst}")
    peer.start()
    wait_until(lambda: program.telemetry("/ethdev/stats,0")["ipackets"] == len(tcp_frames),
               "all frames")
    assert finish(lab, program)["ibytes"] == sum(map(len, tcp_frames))
    peer.quit()
