# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Frames arrive byte for byte and in order, both directions at once."""

import re

import pytest

from harness import (ETHER_HEADER, MEMORY_MODES, PAGE_DEFAULT, assert_same, make_frame,
                     read_frames, wait_capture, write_frames)

MTU = 9000


def finish(dut, peer):
    """Nothing was lost, every byte is accounted for, and both programs end."""
    for program in (peer, dut):
        program.stop()
    stats = dut.stats()
    assert stats["ierrors"] == stats["oerrors"] == stats["rx_nombuf"] == 0
    dut.check_ledgers()
    dut.command("port stop all")
    for ledger in dut.check_ledgers().values():
        assert ledger["frags"] == ledger["whole"] == 0
    dut.command("port close all")
    for ledger in dut.check_ledgers().values():
        assert ledger["class_slots"] == 0
    dut.quit()
    peer.quit()


def mixed_lengths():
    """A tenth of all lengths up to what an MTU of 9000 allows, among 64-byte frames."""
    largest = MTU + ETHER_HEADER
    for number, length in enumerate(range(64, largest + 1, 10)):
        yield make_frame(length, number)
        yield make_frame(64, number)
    yield make_frame(largest)


@pytest.mark.parametrize("memory", MEMORY_MODES)
@pytest.mark.parametrize("devargs", ["", ",rx=lanes", ",rx=lanes,in_order=1"],
                         ids=["slots", "lanes", "lanes_in_order"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 8192), (16384, 4096), (65535, 1536)])
def test_byte_for_byte(lab, all_lengths, tcp_frames, memory, devargs, mbuf_size, mbufs):
    """Every length and real TCP traffic, in every memory mode and page size."""
    frames = all_lengths + tcp_frames
    dut, peer = lab.exchange(frames, tcp_frames + all_lengths, memory=memory, devargs=devargs,
                             mbuf_size=mbuf_size, mbufs=mbufs)
    ways = {"Burst mode: Scalar, copy", "Burst mode: Scalar, zero-copy"}
    if "lanes" not in devargs:
        ways = {f"{way} into slots" for way in ways}
    assert re.search("Burst mode: [^(]*[^( ]", dut.command("show rxq info 0 0"))[0] in ways
    stats = dut.stats()
    assert stats["ipackets"] == stats["opackets"] == len(frames)
    assert stats["ibytes"] == stats["obytes"] == sum(map(len, frames))
    finish(dut, peer)


PACKED = {",packed_vq=1": "packed ring", ",packed_vq=1,in_order=1": "packed ring in order"}


@pytest.mark.parametrize("memory", ["single-file", "default"])
@pytest.mark.parametrize("devargs", PACKED)
@pytest.mark.parametrize("more", ["", ",rx=lanes", ",preset=density", ",mrg_rxbuf=0"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 8192), (16384, 4096)])
def test_packed(lab, all_lengths, tcp_frames, memory, devargs, more, mbuf_size, mbufs):
    """The same with packed rings, in zero-copy and in bounce buffers."""
    frames = all_lengths + tcp_frames
    dut, peer = lab.exchange(frames, tcp_frames + all_lengths, memory=memory,
                             devargs=devargs + more, mbuf_size=mbuf_size, mbufs=mbufs)
    for queue in ("rxq", "txq"):
        assert re.search(rf"Burst mode: .*, {PACKED[devargs]}(\n| \()",
                         dut.command(f"show {queue} info 0 0"))
    assert dut.stats()["ipackets"] == len(frames)
    finish(dut, peer)


@pytest.mark.parametrize("memory", MEMORY_MODES)
@pytest.mark.parametrize("devargs", ["preset=speed", "preset=density", "copybreak=0",
                                     "rx=slots,mrg_rxbuf=0", "in_order=1",
                                     "in_order=1,mrg_rxbuf=0", "event_idx=1",
                                     "in_order=1,event_idx=1"])
@pytest.mark.parametrize("mbuf_size,mbufs", [(PAGE_DEFAULT, 8192), (16384, 4096)])
def test_slots(lab, all_lengths, tcp_frames, memory, devargs, mbuf_size, mbufs):
    """The same with other presets than the default."""
    frames = all_lengths + tcp_frames
    dut, peer = lab.exchange(frames, tcp_frames + all_lengths, memory=memory,
                             devargs=f",{devargs}", mbuf_size=mbuf_size, mbufs=mbufs)
    assert dut.stats()["ipackets"] == len(frames)
    finish(dut, peer)


@pytest.mark.parametrize("devargs", ["queue_size=4", "queue_size=64", "queue_size=4096",
                                     "queue_size=4,in_order=1", "mrg_rxbuf=0",
                                     "mac=02:00:00:00:00:09"])
def test_device_options(lab, all_lengths, tcp_frames, devargs, rx):
    """Every device option works."""
    dut, peer = lab.exchange(all_lengths, tcp_frames, devargs=f",{devargs},rx={rx}",
                             burst=4 if "queue_size=4," in f"{devargs}," else 32)
    if devargs.startswith("mac="):
        assert devargs[4:].upper() in dut.command("show port info 0")
    finish(dut, peer)


@pytest.mark.parametrize("how,devargs", [("option", ",rx=lanes"), ("command", ",rx=lanes"),
                                         ("option", ""), ("command", ",preset=density")])
@pytest.mark.parametrize("mbuf_size,mbufs", [(16384, 4096), (65535, 1536)])
def test_jumbo(lab, how, devargs, mbuf_size, mbufs):
    """MTU 9000 and small frames out of one pool, each frame in one piece."""
    frames = list(mixed_lengths())

    def prepare(dut):
        if how == "command":
            dut.command("port stop 0")
            dut.command(f"port config mtu 0 {MTU}")
            dut.command("port start 0")
        dut.command("set verbose 1")
    dut, peer = lab.exchange(
        frames, frames, mbuf_size=mbuf_size, mbufs=mbufs, prepare=prepare, devargs=devargs,
        options=[f"--max-pkt-len={MTU + ETHER_HEADER + 4}"] if how == "option" else [])
    segments = re.findall(r"length=\d+ - nb_segs=(\d+)", dut.output)
    assert len(segments) >= len(frames) and set(segments) == {"1"}
    assert "mb_pool_1" not in dut.output
    finish(dut, peer)


@pytest.mark.parametrize("memory", MEMORY_MODES)
@pytest.mark.parametrize("direction,devargs", [("receive", ""), ("send", ""),
                                               ("receive", ",rx=lanes"),
                                               ("receive", ",in_order=1"),
                                               ("send", ",in_order=1"),
                                               ("send", ",in_order=1,indirect=0"),
                                               ("send", ",indirect=0"),
                                               ("receive", ",rx=lanes,in_order=1")])
def test_chains(lab, memory, direction, devargs):
    """MTU 9000 in small pages, in chains, where the application asks for it."""
    frames = list(mixed_lengths())
    few = frames[:10]

    def prepare(dut):
        for setting in ("0 rx_offload scatter on", f"mtu 0 {MTU}"):
            dut.command("port stop 0")
            dut.command(f"port config {setting}")
            dut.command("port start 0")
        dut.command("set verbose 1")
    ways = (frames, few) if direction == "receive" else (few, frames)
    dut, peer = lab.exchange(*ways, memory=memory, prepare=prepare, devargs=devargs)
    segments = re.findall(r"length=9014 - nb_segs=(\d+)", dut.output)
    assert segments and min(map(int, segments)) > 1
    finish(dut, peer)


@pytest.mark.parametrize("rx,mtu,frame,part,room,size,more", [
    ("lanes", 9000, 9022, "page", 2048, 9216, ""),
    ("slots", 9000, 9022, "slot", 1856, 10240, ""),
    ("slots", 2000, 2022, "slot", 1856, 3072, ", rx=lanes"),
])
def test_frames_too_large(lab, rx, mtu, frame, part, room, size, more):
    """What is too long for small pages without chains is refused, with what helps."""
    sock = lab.socket()
    lab.peer(sock)
    dut = lab.dut(sock, devargs=f",rx={rx}")
    dut.command("port stop 0")
    assert (f"net_ppfrag0: MTU {mtu} makes frames of up to {frame} bytes, a {part} of pool "
            f"mb_pool_0 holds {room}: use larger mbufs (testpmd --mbuf-size={size}), a smaller "
            f"MTU (mtu={room - 22} where the application takes the largest){more} or "
            "RTE_ETH_RX_OFFLOAD_SCATTER") in dut.command(f"port config mtu 0 {mtu}")
    dut.command("port start 0")
    dut.wait_link()
    dut.quit()


@pytest.mark.parametrize("rx,mtu,size", [("lanes", 9000, 9216), ("slots", 9000, 10240),
                                         ("slots", 2000, 3072), ("lanes", 2000, PAGE_DEFAULT)])
def test_remedies(lab, rx, mtu, size):
    """What that message names does help."""
    frames = [make_frame(mtu + ETHER_HEADER, number) for number in range(100)]

    def prepare(dut):
        dut.command("port stop 0")
        dut.command(f"port config mtu 0 {mtu}")
        dut.command("port start 0")
    dut, peer = lab.exchange(frames, frames, mbuf_size=size, mbufs=2048, prepare=prepare,
                             devargs=f",rx={rx}")
    finish(dut, peer)


def test_two_queue_pairs(lab, all_lengths, tcp_frames, rx):
    """Each queue has frames of its own, both directions."""
    sock = lab.socket()
    sent = {"peer": [all_lengths, tcp_frames], "dut": [tcp_frames, all_lengths]}
    vdev = {}
    for name, queues in sent.items():
        vdev[name] = "net_pcap0"
        for queue, frames in enumerate(queues):
            source = write_frames(lab.dir / f"{name}-in{queue}.pcap", frames)
            vdev[name] += f",rx_pcap={source},tx_pcap={lab.dir}/{name}-out{queue}.pcap"
    queues = ["--rxq=2", "--txq=2"]
    peer = lab.peer(sock, [vdev["peer"]], queues, queues=2)
    dut = lab.dut(sock, [vdev["dut"]], queues, devargs=f",queues=2,rx={rx}")
    peer.wait_link()
    for program in (dut, peer):
        program.patient()
        program.start()
    for receiver, sender in (("dut", "peer"), ("peer", "dut")):
        for queue, frames in enumerate(sent[sender]):
            out = lab.dir / f"{receiver}-out{queue}.pcap"
            wait_capture(out, frames)
            assert_same(read_frames(out), frames)
    finish(dut, peer)
