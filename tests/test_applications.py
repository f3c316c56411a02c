# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Examples of DPDK run on net_ppfrag as they are, and receive into page pools."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.all import IP, UDP, Ether, IPv6, IPv6ExtHdrFragment, fragment, fragment6

from conftest import ROOT
from harness import (Program, assert_same, make_frame, read_frames, wait_capture, wait_until,
                     write_frames)

FRAGMENT = 1400
DATAGRAMS = (1473, 2000, 2801, 4000, 6500, 8000)  # bytes, each more than an MTU of 1500 holds
ROUNDS = 20
NEXT_HOP = "02:00:00:00:00:55"
MAC = "02:00:00:00:00:66"  # of the port that sends
POOL = "mbuf_pool_0:0"  # of port 0 of l3fwd


def pkg_config(*words):
    """What pkg-config says of DPDK."""
    return subprocess.run(["pkg-config", *words, "libdpdk"], capture_output=True, text=True,
                          check=True).stdout.strip()


def sources():
    """Where the sources of DPDK's examples are, or None."""
    places = (ROOT / ".driver-sdk" / pkg_config("--modversion") / "examples",
              Path(pkg_config("--variable=prefix")) / "share/dpdk/examples")
    return next((place for place in places if (place / "l3fwd/Makefile").exists()), None)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Builds an example; the program."""
    place = sources()
    if place is None:
        pytest.skip("needs the sources of DPDK's examples: config/setup.sh --tests, or with "
                    "--driver-sdk SOURCES")
    work = tmp_path_factory.mktemp("examples")
    shutil.copytree(place / "common", work / "common")

    def build(name):
        shutil.copytree(place / name, work / name, dirs_exist_ok=True)
        subprocess.run(["make", "-C", work / name, "shared"], check=True)
        return work / name / "build" / f"{name}-shared"
    return build


def start(lab, program, vdevs, *options):
    """Start an example with page pools on the last CPU."""
    prefix = lab.prefix()
    return lab.add(Program(program.name, [
        program, *lab.memory(), f"--lcores=0@{max(os.sched_getaffinity(0))}", *lab.plugins(),
        "--no-pci", f"--file-prefix={prefix}", "--mbuf-pool-ops-name=ppfrag",
        *map("--vdev={}".format, vdevs), "--", *options], prefix))


def finish(program):
    """All bytes are accounted for, and it ends."""
    program.check_ledgers()
    program.interrupt()
    program.wait_end()


def make_datagrams(count):
    """So many UDP datagrams over IPv4 and IPv6; each whole, and its fragments in any order."""
    order = random.Random(1)
    link = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for number in range(count):
        data = UDP(sport=1024 + number, dport=9) / make_frame(DATAGRAMS[number % 6], number)
        if number % 2:
            head = link / IPv6(src="fd00::1", dst="fd00::2")
            data.chksum = IPv6(bytes((head / data)[IPv6]))[UDP].chksum
            parts = fragment6(head / IPv6ExtHdrFragment(id=number) / data, FRAGMENT)
        else:
            head = link / IP(src="198.18.0.1", dst="198.18.0.2", id=number)
            parts = fragment(head / data, FRAGMENT // 8 * 8)
        first, *others = [bytes(part) for part in parts]
        order.shuffle(others)
        # With IPv6, the example looks for the header at its old place where the first fragment
        # arrives last, after the library has moved it: here another one does.
        others.insert(order.randrange(1 if number % 2 else 0, len(others) + 1), first)
        yield bytes(head / data), others


def interleave(datagrams):
    """Fragments of up to four datagrams mixed, the last ones first, and what they complete."""
    sent, whole = [], []
    for first in range(0, len(datagrams), 4):
        group = [(frame, list(parts)) for frame, parts in datagrams[first:first + 4]]
        while group:
            for frame, parts in list(group):
                sent.append(parts.pop())
                if not parts:
                    whole.append(frame)
                    group.remove((frame, parts))
    return sent, whole


def test_ip_reassembly(lab, examples, rx):
    """Real fragments come back as the datagrams they were made of, byte for byte."""
    program = examples("ip_reassembly")
    sent, whole = interleave(list(make_datagrams(len(DATAGRAMS) * ROUNDS)))
    expected = [bytes(Ether(src=MAC, dst="02:00:00:00:00:00", type=Ether(frame).type))
                + frame[14:] for frame in whole]
    sock, out = lab.socket(), lab.dir / "out.pcap"
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={write_frames(lab.dir / 'in.pcap', sent)},"
                           f"tx_pcap={out}"])
    dut = start(lab, program, [f"net_ppfrag0,path={sock},mac={MAC},mtu=1500,rx={rx}"],
                "-p", "1", "--maxflows=512", "--flowttl=30s")
    dut.wait_output("entering main loop")
    peer.wait_link()
    peer.patient()
    peer.start()
    wait_capture(out, expected)
    assert_same(read_frames(out), expected)
    xstats = dut.telemetry("/ethdev/xstats,0")
    assert xstats["rx_q0_packets"] == len(sent)
    assert xstats["tx_q0_packets"] == xstats["tx_q0_chained_packets"] == len(whole)
    assert xstats["rx_q0_copied_packets"] == xstats["tx_q0_copied_packets"] == 0
    finish(dut)
    peer.quit()


def test_ip_reassembly_mtu(lab, examples):
    """It asks for the largest MTU there is, which its mbufs do not hold; the remedy is named."""
    sock = lab.socket()
    peer = lab.peer(sock)
    dut = start(lab, examples("ip_reassembly"), [f"net_ppfrag0,path={sock},rx=slots"], "-p", "1",
                "--maxflows=512")
    dut.wait_output(r"a slot of pool mbuf_pool_0_0 holds 1856: use larger mbufs .*, a smaller MTU "
                    r"\(mtu=1834 where the application takes the largest\)")
    dut.wait_end()
    peer.quit()


def make_routed(count):
    """Frames for l3fwd, and what it makes of them."""
    for number in range(count):
        data = UDP(sport=1024 + number, dport=9) / make_frame(number * 7 % 1400, number)
        head = (IPv6(src="fd00::1", dst="2001:200::2", hlim=64) if number % 2 else
                IP(src="198.18.0.1", dst="198.18.0.2", ttl=64, id=number))
        frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / head / data
        want = Ether(bytes(frame))
        want.src, want.dst = MAC, NEXT_HOP
        if number % 2 == 0:  # it leaves the hop limit of IPv6 as it is
            want[IP].ttl -= 1
            del want[IP].chksum
        yield bytes(frame), bytes(want)


@pytest.mark.parametrize("share", ["", f",share={POOL}", ",share=all"], ids=str)
def test_l3fwd(lab, examples, share):
    """It routes from one port to another; with share= not even the foreign pool is copied."""
    program = examples("l3fwd")
    # No more than the ring takes: l3fwd drops what does not fit.
    sent, expected = map(list, zip(*make_routed(500)))
    rules = {}
    for version, route in ((4, "R198.18.0.0/24 1"),
                           (6, "R2001:0200:0000:0000:0000:0000:0000:0000/64 1")):
        rules[version] = lab.dir / f"rules{version}"
        rules[version].write_text(route + "\n")
    socks, out = [lab.socket(), lab.socket()], lab.dir / "out.pcap"
    source = write_frames(lab.dir / "in.pcap", sent)
    peer = lab.peer(socks[0], [f"net_vhost1,iface={socks[1]}", f"net_pcap0,rx_pcap={source}",
                               f"net_pcap1,tx_pcap={out}"])
    peer.command("set portlist 2,0,1,3")
    dut = start(lab, program, [f"net_ppfrag0,path={socks[0]}",
                               f"net_ppfrag1,path={socks[1]},mac={MAC},queue_size=512{share}"],
                "-p", "3", "-P", "--config=(0,0,0),(1,0,0)", "--per-port-pool", "--parse-ptype",
                f"--eth-dest=1,{NEXT_HOP}", "--lookup=lpm", f"--rule_ipv4={rules[4]}",
                f"--rule_ipv6={rules[6]}")
    dut.wait_output("entering main loop")
    for port in (0, 1):
        peer.wait_link(port=port)
    peer.patient()
    peer.start()
    wait_capture(out, expected)
    assert_same(read_frames(out), expected)
    wait_until(lambda: dut.telemetry("/ethdev/xstats,1")["tx_q0_packets"] == len(sent), "counters")
    copied = dut.telemetry("/ethdev/xstats,1")["tx_q0_copied_packets"]
    assert copied == 0 if share else copied > len(sent) / 2
    assert POOL in dut.ledgers()
    finish(dut)
    peer.quit()
