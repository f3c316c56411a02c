# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""net_ppfrag on interfaces of the kernel, by AF_XDP: veth between network namespaces."""

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import without_aio
from harness import TIMEOUT, Program, lcores, wait_until
from test_ping import network_namespace

FRAMES = Path(__file__).with_name("xsk_frames.py")
FILTER = Path(__file__).with_name("xdp_filter.bpf")
TRANSFER = Path(__file__).with_name("tcp_transfer.py")
NEAR, PORT = "near", "port"  # interfaces: of the kernel's side, and of the port
NEAR_MAC, PORT_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ALL_LENGTHS = "60-1514"
JUMBO_LENGTHS = "60-100,1500-1560,3040-3110,4590-4620,8900-9014"
JUMBO_MTU = 9000
RATE = 10000  # frames a second, so that nobody has to be fast
LONG = os.environ.get("PPFRAG_LONG") == "1"
MANY, MANY_RATE = 10_000_000, 45000
TCP_SIZE = 20 << 20
TCP_PORT = 5001
LEGACY = ["--legacy-mem", "-m", "256"]  # of EAL: memory that is not contiguous has gaps
RESTARTS = {"slots": 100, "lanes": 20}


def run(netns, *words, check=True, timeout=TIMEOUT):
    """Run a program in a namespace; what it printed."""
    done = subprocess.run([*netns, *map(str, words)], check=False, capture_output=True, text=True,
                          timeout=timeout)
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@contextlib.contextmanager
def namespace(purpose):
    """A namespace where the kernel sends nothing by itself."""
    with network_namespace(purpose) as netns:
        run(netns, "sh", "-c", "for i in all default; do f=/proc/sys/net/ipv6/conf/$i/disable_ipv6;"
            " [ ! -e $f ] || echo 1 > $f; done")
        run(netns, "ip", "link", "set", "lo", "up")
        yield netns


class Veth:
    """A veth: one end is the kernel's, the other one the port's."""

    def __init__(self, kernel, port, number=0):
        self.kernel = kernel
        self.port = port
        self.near = f"{NEAR}{number}"
        self.iface = f"{PORT}{number}"

    def create(self, mtu=1500, queues=1):
        """Make it."""
        what = ["mtu", mtu, "numtxqueues", queues, "numrxqueues", queues]
        run(self.kernel, "ip", "link", "add", self.near, *what, "type", "veth", "peer", "name",
            self.iface, *what, "netns", Path(self.port[1].split("=")[1]).name)
        for netns, name, mac in ((self.kernel, self.near, NEAR_MAC),
                                 (self.port, self.iface, PORT_MAC)):
            run(netns, "ip", "link", "set", name, "address", mac, "up")
        return self

    def show(self):
        """What ip(8) says of the port's end."""
        return json.loads(run(self.port, "ip", "-d", "-j", "link", "show", self.iface))[0]

    def has_program(self):
        """Whether a program is attached."""
        return "xdp" in self.show()

    def echo(self, lengths, *tag):
        """Send frames; each of them must come back."""
        run(self.kernel, sys.executable, FRAMES, "echo", self.near, lengths, *tag)

    def send(self, count, lengths, rate=RATE, first=0):
        """Send frames, numbered from one on."""
        run(self.kernel, sys.executable, FRAMES, "send", self.near, count, lengths, rate, first)


def need_xdp():
    """Skip where there is no AF_XDP."""
    try:
        socket.socket(44, socket.SOCK_RAW, 0).close()
    except OSError as error:
        pytest.skip(f"no AF_XDP sockets: {error}")


@pytest.fixture
def veth():
    """A veth that is not made yet."""
    need_xdp()
    with namespace("kernel") as kernel, namespace("port") as port:
        yield Veth(kernel, port)


def eal_options(lab, link, devargs="", memory=None, vdevs=()):
    """EAL options for a port on the port's end of a link."""
    return [*(LEGACY if memory == "legacy" else lab.memory(memory)), lcores(1), *lab.plugins(),
            f"--vdev=net_ppfrag0,iface={link.iface}{devargs}", *map("--vdev={}".format, vdevs)]


def start_pmd(lab, link, *options, devargs="", memory=None, vdevs=(), mbufs=2048, mbuf_size=16384):
    """A stock testpmd with the port; it forwards back, or to the other port."""
    return lab.testpmd("dut", [*eal_options(lab, link, devargs, memory, vdevs),
                               "--mbuf-pool-ops-name=ppfrag"],
                       [f"--total-num-mbufs={mbufs}", f"--mbuf-size={mbuf_size}",
                        "--forward-mode=io", "--no-flush-rx", "--disable-link-check", *options],
                       wrapper=link.port)


def end(dut):
    """Nothing went wrong, every byte is accounted for, and nothing is left on the interface."""
    dut.stop()
    for name, value in dut.xstats().items():
        assert value == 0 or not re.search("fifo_miss|bad_used|dropped", name), name
    dut.check_ledgers()
    dut.quit()


@pytest.mark.parametrize("devargs,memory", [
    ("", None), (",xdp_mode=native,preset=density", None), (",xdp_mode=skb", None),
    (",force_copy=0,busy_budget=64,shared_umem=1", None), (",queue_size=64,copybreak=0", None),
    ("", "no-huge"), ("", "default"), ("", "in-memory"), (",rx=lanes", None),
    (",rx=lanes,queue_size=64", "no-huge"), (",umem=own", None),
    (",umem=own,rx=lanes,queue_size=64,xdp_mode=skb", None),
])
def test_every_length(lab, veth, devargs, memory):
    """Frames of every length come and go unchanged."""
    lab.need(memory)
    veth.create()
    dut = start_pmd(lab, veth, devargs=devargs, memory=memory)
    assert veth.has_program()
    dut.start()
    veth.echo(ALL_LENGTHS)
    stats = dut.xstats()
    assert stats["rx_q0_packets"] == stats["tx_q0_packets"] == 1455
    copies = 1455 if "own" in devargs else 0
    assert stats["tx_q0_copied_packets"] == stats["rx_q0_copied_packets"] == copies
    end(dut)
    assert not veth.has_program()


@pytest.mark.parametrize("devargs", ["", ",xdp_mode=skb", ",rx=lanes", ",umem=own",
                                     ",umem=own,rx=lanes"])
@pytest.mark.parametrize("mbuf_size,options", [(16384, []), (2176, ["--enable-scatter"])])
def test_jumbo(lab, veth, devargs, mbuf_size, options):
    """Jumbo frames are contiguous where a slot holds them, else chains. The interface follows."""
    veth.create()
    run(veth.kernel, "ip", "link", "set", veth.near, "mtu", JUMBO_MTU)
    dut = start_pmd(lab, veth, f"--max-pkt-len={JUMBO_MTU + 22}", *options, devargs=devargs,
                  mbuf_size=mbuf_size)
    assert veth.show()["mtu"] == JUMBO_MTU
    dut.start()
    veth.echo(JUMBO_LENGTHS)
    stats = dut.xstats()
    assert (stats["rx_q0_chained_packets"] == 0) == (mbuf_size == 16384)
    assert stats["rx_q0_copied_packets"] > 0
    assert stats["tx_q0_chained_packets"] > 0 or "own" in devargs
    end(dut)


@pytest.mark.parametrize("rx", ["slots", "lanes"])
def test_copy_small_pages(lab, veth, rx):
    """A page holds less than the kernel writes into a chunk at once: it writes less."""
    veth.create()
    dut = start_pmd(lab, veth, "--enable-scatter", devargs=f",umem=own,rx={rx}", mbuf_size=1024)
    dut.start()
    veth.echo(ALL_LENGTHS)
    stats = dut.xstats()
    assert stats["rx_q0_copied_packets"] == 1455
    assert stats["rx_q0_chained_packets"] > 0
    end(dut)


def test_pieces(lab, veth):
    """Where the pool is in pieces, which legacy memory is in most often, packets are copied."""
    lab.need("legacy")
    veth.create()
    dut = start_pmd(lab, veth, memory="legacy", mbufs=8192)
    dut.start()
    veth.echo(ALL_LENGTHS)
    copied = "is no memory of the kernel's: it lies in several pieces" in dut.output
    stats = dut.xstats()
    assert stats["rx_q0_copied_packets"] == stats["tx_q0_copied_packets"] == 1455 * copied
    end(dut)


@pytest.mark.parametrize("devargs", ["", ",xdp_mode=skb", ",rx=lanes"])
def test_tap(lab, veth, devargs):
    """Frames of every length from behind a tap come and go unchanged."""
    run(veth.port, "ip", "tuntap", "add", "dev", veth.iface, "mode", "tap")
    run(veth.port, "ip", "link", "set", veth.iface, "up")
    dut = start_pmd(lab, veth, devargs=devargs)
    assert veth.has_program()
    dut.start()
    run(veth.port, sys.executable, FRAMES, "tap", veth.iface, ALL_LENGTHS)
    stats = dut.xstats()
    assert stats["rx_q0_packets"] == stats["tx_q0_packets"] == 1455
    end(dut)


def test_strip(lab, veth):
    """The driver takes VLAN tags out, where it is told to: also while the port runs."""
    veth.create()
    dut = start_pmd(lab, veth)
    dut.start()
    dut.command("vlan set strip on 0")
    veth.echo("60-70,1510-1514", "tag")
    dut.command("vlan set strip off 0")
    veth.echo(ALL_LENGTHS)
    end(dut)


def test_oversize(lab, veth, rx):
    """Frames over the MTU of the port are dropped and counted, and others pass."""
    veth.create(mtu=JUMBO_MTU)
    dut = start_pmd(lab, veth, devargs=f",rx={rx}")
    dut.start()
    veth.send(20, "9014,60")
    wait_until(lambda: dut.xstats()["rx_q0_oversize_packets"] == 10, "ten oversize frames")
    veth.echo(ALL_LENGTHS)
    assert dut.stats()["ierrors"] == 10
    end(dut)


def test_mtu(lab, veth, rx):
    """The MTU of the port is that of the interface."""
    veth.create()
    run(veth.kernel, "ip", "link", "set", veth.near, "mtu", JUMBO_MTU)
    dut = start_pmd(lab, veth, devargs=f",rx={rx}")
    for mtu in (4000, JUMBO_MTU, 1400):
        dut.command("port stop 0")
        dut.command(f"port config mtu 0 {mtu}")
        assert veth.show()["mtu"] == mtu
        dut.command("port start 0")
        dut.start()
        veth.echo(f"60,{mtu},{mtu + 14}")
        dut.stop()
    dut.command("port stop 0")
    dut.command("port config mtu 0 17000")
    dut.wait_output("MTU 17000 makes frames of up to 17022 bytes, a (slot|page) of pool")
    assert veth.show()["mtu"] == 1400
    dut.command("port start 0")
    end(dut)


def test_ping(lab, veth):
    """Every echo request of the kernel is answered."""
    veth.create()
    dut = start_pmd(lab, veth, "--forward-mode=icmpecho")
    dut.start()
    run(veth.kernel, "ip", "address", "add", "198.18.1.1/30", "dev", veth.near)
    said = run(veth.kernel, "ping", "-n", "-c", "20", "-i", "0.02", "-W", "5", "-s", "1400",
               "198.18.1.2")
    assert "20 packets transmitted, 20 received" in said
    end(dut)


@contextlib.contextmanager
def two_links(plain=True):
    """Two kernels, and in between a namespace for two ports."""
    need_xdp()
    with namespace("left") as left, namespace("right") as right, namespace("port") as port:
        links = [Veth(left, port, 0), Veth(right, port, 1)]
        for number, link in enumerate(links):
            link.create()
            run(link.kernel, "ip", "link", "set", link.near, "address", f"02:00:00:00:01:0{number}")
            run(link.kernel, "ip", "address", "add", f"198.18.3.{number + 1}/24", "dev", link.near)
            if plain:  # a port does not complete checksums unless it is asked to
                run(link.kernel, sys.executable, FRAMES, "plain", link.near)
        yield links


def transfer(left, right):
    """Send a file from one kernel to the other one."""
    with subprocess.Popen([*right.kernel, sys.executable, TRANSFER, "receive", "198.18.3.2",
                           str(TCP_PORT)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "listening\n"
        sent = run(left.kernel, sys.executable, TRANSFER, "send", "198.18.3.2", TCP_PORT, TCP_SIZE)
        assert server.communicate(timeout=TIMEOUT)[0] == sent


@pytest.mark.parametrize("devargs", ["", ",xdp_mode=skb", ",rx=lanes", ",umem=own"])
def test_tcp(lab, devargs):
    """A file passes from one kernel to another through two ports that share one umem."""
    with two_links() as (left, right):
        dut = start_pmd(lab, left, devargs=devargs,
                      vdevs=[f"net_ppfrag1,iface={right.iface}{devargs}"])
        dut.start()
        transfer(left, right)
        for port in range(2):
            assert (dut.xstats(port)["tx_q0_copied_packets"] != 0) == ("own" in devargs)
        assert dut.stats(0)["ibytes"] > TCP_SIZE
        end(dut)


@pytest.mark.parametrize("devargs", ["", ",rx=lanes", ",umem=own"])
def test_checksums(lab, devargs):
    """The kernel completes checksums of TCP that it has not computed before it was forwarded.

    The interface of the port on the right is one that cannot, so that the receiver looks at them.
    """
    with two_links(plain=False) as (left, right):
        run(right.port, sys.executable, FRAMES, "plain", right.iface)
        dut = start_pmd(lab, left, "--forward-mode=csum", "--tx-offloads=0xe",
                        "--eth-peer=0,02:00:00:00:01:00", "--eth-peer=1,02:00:00:00:01:01",
                        devargs=devargs, vdevs=[f"net_ppfrag1,iface={right.iface}{devargs}"])
        if "UDP_CKSUM" not in dut.command("show port 0 tx_offload capabilities"):
            pytest.skip("the kernel is older than 6.11")
        dut.start()
        transfer(left, right)
        for port in range(2):
            stats = dut.xstats(port)
            assert stats["tx_q0_offload_packets"] > 100
            assert stats["tx_q0_bad_offload_packets"] == 0
        end(dut)


class Sleeper(Program):
    """dpdk-ppool rx on the port's end of a link, which sleeps until packets come."""

    def __init__(self, lab, link, *options, devargs=""):
        prefix = lab.prefix()
        super().__init__("sleeper", [
            *link.port, lab.builddir / "app/ppool-tool/dpdk-ppool", "--no-pci",
            f"--file-prefix={prefix}", *eal_options(lab, link, devargs), "--", "rx", "--sleep",
            "--ops", "ppfrag", "--mbuf-size", 16384, "--mbufs", 2048, "--seconds", 3600, *options],
            prefix)
        lab.add(self)
        self.wait_output("^ready|\nready")


def test_sleep(lab, veth, rx):
    """An application sleeps until packets come, and none is slept over."""
    veth.create()
    result = lab.dir / "rx.json"
    sleeper = Sleeper(lab, veth, "--json", result, devargs=f",rx={rx}")
    sent = 0
    # Never more than the ring holds, however late the sleeper is.
    for count, rate in ((300, 1000), *[(800, 0)] * 6):
        veth.send(count, "60-100", rate)
        sent += count
        wait_until(lambda all_of=sent: sleeper.telemetry("/ethdev/stats,0")["ipackets"] == all_of,
                   "all frames")
    sleeper.interrupt()
    assert sleeper.wait_end() == 0
    measured = json.loads(result.read_text())
    assert measured["ok"]
    assert 6 < measured["wakeups"] <= measured["sleeps"]
    assert measured["polls"] < 2 * sent + measured["sleeps"]


class Verify(Program):
    """dpdk-test-ppool verify on the port's end of a link."""

    def __init__(self, lab, link, packets, *options, devargs=""):
        prefix = lab.prefix()
        super().__init__("verify", [
            *link.port, lab.builddir / "app/test-ppool/dpdk-test-ppool", "--no-pci",
            f"--file-prefix={prefix}", *eal_options(lab, link, devargs), "--", "verify", "--ops",
            "ppfrag", "--packets", packets, *options], prefix)
        lab.add(self)
        self.wait_output("^ready|\nready")

    def result(self):
        """It found nothing wrong: what it counted."""
        assert self.wait_end() == 0
        words = self.wait_output(r"received (\d+) .* dry (\d+) times, no mbuf (\d+)")
        return dict(zip(("received", "dry", "no_mbuf"), map(int, words.groups())))


@pytest.mark.parametrize("devargs", [",preset=auto", ",preset=density", ",preset=speed",
                                     ",rx=lanes", ",umem=own", ",umem=own,rx=lanes"])
@pytest.mark.parametrize("mtu,lengths", [(1500, ALL_LENGTHS), (JUMBO_MTU, f"60-700,{9014},60-99")])
def test_held_packets_stay(lab, veth, devargs, mtu, lengths):
    """What an application writes around its packets damages no other, nor do others damage its."""
    veth.create(mtu=mtu)
    mbufs, size = (3072, 2048) if "lanes" in devargs else (1024, 4096)  # a page for each lane
    verify = Verify(lab, veth, 4000, "--mbuf-size", 16384, "--mbufs", mbufs, "--hold", 700, "--mtu",
                    mtu, devargs=f"{devargs},queue_size={size}")
    veth.send(4000, lengths)
    assert verify.result()["received"] == 4000


def test_own_exhaustion(lab, veth):
    """With memory of their own, packets wait in the ring for pages: none is lost."""
    veth.create()
    verify = Verify(lab, veth, 900, "--mbuf-size", 2176, "--mbufs", 250, "--until-dry", "--cache",
                    0, devargs=",umem=own,queue_size=512")
    veth.send(900, ALL_LENGTHS)
    result = verify.result()
    assert result["dry"] >= 1 and result["no_mbuf"] > 0


@pytest.mark.parametrize("how,lengths", [("slots", "60"), ("slots", ALL_LENGTHS),
                                         ("lanes", "1500-1514")])
def test_exhaustion(lab, veth, how, lengths):
    """A pool that is held whole stops reception; when it is freed, what has waited arrives.

    2600 buffers, 2048 of them posted: 552 packets are received, up to 2048 wait.
    """
    veth.create()
    devargs = ",queue_size=2048" + (",preset=speed,copybreak=0" if how == "slots" else ",rx=lanes")
    verify = Verify(lab, veth, 2500, "--mbuf-size", 2176, "--mbufs", 2600, "--until-dry",
                    "--cache", 0, devargs=devargs)
    veth.send(2500, lengths)
    result = verify.result()
    assert result["dry"] >= 1 and result["no_mbuf"] > 0


@pytest.mark.skipif(not LONG, reason="several minutes: with PPFRAG_LONG=1")
def test_ten_million(lab, veth, rx):
    """10,000,000 frames of all kinds of lengths while 700 are held and written around."""
    veth.create()
    # Who is not scheduled for a third of a second loses none. A lane takes a page.
    mbuf_size, mbufs, size = (16384, 8192, 32768) if rx == "slots" else (4096, 24576, 16384)
    verify = Verify(lab, veth, MANY, "--mbuf-size", mbuf_size, "--mbufs", mbufs, "--hold", 700,
                    "--idle", 60000, devargs=f",rx={rx},queue_size={size}")
    run(veth.kernel, sys.executable, FRAMES, "send", veth.near, MANY, "60,570,64,1514,100,61,256",
        MANY_RATE, timeout=3600)
    assert verify.result()["received"] == MANY


@pytest.mark.parametrize("devargs", ["", ",rx=lanes", ",umem=own"])
def test_reflect(lab, veth, devargs):
    """Packets of other pools, and of several segments, are copied to be sent."""
    veth.create()
    verify = Verify(lab, veth, 1455, "--mbuf-size", 16384, "--mbufs", 3072, "--reflect",
                    devargs=devargs)
    veth.echo(ALL_LENGTHS)
    assert verify.result()["received"] == 1455


def test_kill(lab, veth):
    """A port that is killed leaves no program, and the next one starts at once."""
    veth.create()
    for _ in range(3):
        dut = start_pmd(lab, veth)
        dut.start()
        veth.echo("60-200")
        assert veth.has_program() and veth.show()["promiscuity"] > 0
        dut.process.send_signal(signal.SIGKILL)
        dut.kill()
        wait_until(lambda: not veth.has_program(), "no program")
        wait_until(lambda: veth.show()["promiscuity"] == 0, "an interface as it was")


def test_restarts(lab, veth, rx):
    """A port that is stopped gets nothing, and everything again when it is started."""
    veth.create()
    dut = start_pmd(lab, veth, devargs=f",rx={rx}")
    for number in range(RESTARTS[rx]):
        dut.start()
        veth.echo("60-100,1400-1514")
        dut.stop()
        dut.command("port stop 0")
        veth.send(10, "100", 0)
        if number % 4 == 3:  # other rings, thus another socket
            dut.command(f"port config 0 rxq 0 ring_size {256 << number % 3}")
        dut.command("port start 0")
        assert dut.stats()["imissed"] == 0
    assert dut.stats()["ipackets"] == RESTARTS[rx] * 156
    end(dut)


def flows(veth, count):
    """Send datagrams of so many flows."""
    run(veth.kernel, "ip", "address", "replace", "198.18.4.1/24", "dev", veth.near)
    run(veth.kernel, "ip", "neigh", "replace", "198.18.4.2", "lladdr", PORT_MAC, "dev", veth.near)
    run(veth.kernel, sys.executable, FRAMES, "flows", "198.18.4.2", count)


@pytest.mark.parametrize("umem", ["pool", "own"])
def test_queues(lab, veth, umem):
    """Each queue receives its share; all of them share one umem, or each has its own."""
    veth.create(queues=4)
    dut = start_pmd(lab, veth, "--rxq=4", "--txq=4", devargs=f",queue_count=4,umem={umem}")
    dut.start()
    flows(veth, 400)
    dut.wait_received(400)
    stats = dut.xstats()
    shares = [stats[f"rx_q{i}_packets"] for i in range(4)]
    assert sum(shares) == 400 and all(shares), shares
    veth.echo(ALL_LENGTHS)
    end(dut)


def test_two_ports_of_one_interface(lab, veth):
    """Two ports have queues of one interface: the program is shared."""
    veth.create(queues=2)
    dut = start_pmd(lab, veth, vdevs=[f"net_ppfrag1,iface={veth.iface},start_queue=1"])
    dut.start()
    flows(veth, 400)
    wait_until(lambda: sum(dut.stats(i)["ipackets"] for i in range(2)) == 400, "all packets")
    assert all(dut.stats(i)["ipackets"] for i in range(2))
    dut.command("port stop 0")
    dut.command("port close 0")
    assert veth.has_program()
    end(dut)
    assert not veth.has_program()


class Shares:
    """What each of two queues receives of 400 flows; the first one always runs."""

    def __init__(self, dut, veth):
        self.dut = dut
        self.veth = veth
        self.all = self.now()

    def now(self):
        """Packets of each queue so far."""
        stats = self.dut.xstats()
        return [stats[f"rx_q{i}_packets"] for i in range(2)]

    def take(self):
        """Send the flows, wait until those of the first queue are there, and say what came."""
        before = self.now()
        flows(self.veth, 400)
        if self.all == [0, 0]:  # whatever it is
            wait_until(lambda: sum(self.now()) == 400, "all flows")
            self.all = self.now()
            assert all(self.all)
        wait_until(lambda: self.now()[0] == before[0] + self.all[0], "the first queue's share")
        return self.now()[1] - before[1]


def queue_run(dut, what):
    """Stop or start both queues of the second pair; testpmd does not forward meanwhile."""
    dut.stop()
    for direction in ("rxq", "txq"):
        assert "not supported" not in dut.command(f"port 0 {direction} 1 {what}")
        state = "stopped" if what == "stop" else "started"
        assert f"queue state: {state}" in dut.command(f"show {direction} info 0 1")
    dut.start()


@pytest.mark.parametrize("deferred", [False, True], ids=["stopped", "deferred"])
def test_queue_stop_and_start(lab, veth, deferred):
    """Packets of a queue that does not run go to the kernel, also of a new interface."""
    veth.create(queues=2)
    dut = start_pmd(lab, veth, "--rxq=2", "--txq=2", devargs=",queue_count=2")
    dut.start()
    shares = Shares(dut, veth)
    assert shares.take() == shares.all[1]
    if deferred:
        dut.stop()
        dut.command("port stop 0")
        for direction in ("rxq", "txq"):
            dut.command(f"port 0 {direction} 1 deferred_start on")
        dut.command("port start 0")
        dut.start()
    else:
        queue_run(dut, "stop")
    assert shares.take() == 0
    run(veth.kernel, "ip", "link", "delete", veth.near)
    dut.wait_link(False)
    veth.create(queues=2)
    wait_until(lambda: "goes on with the interface" in dut.output, "it goes on")
    dut.wait_link()
    assert shares.take() == 0
    queue_run(dut, "start")
    wait_until(lambda: shares.take() == shares.all[1], "the second queue's share")
    veth.echo("60-100")
    end(dut)


SIZES = {"undersize": 4, "size_64": 1, "size_65_127": 63, "size_128_255": 128,
         "size_256_511": 256, "size_512_1023": 512, "size_1024_1518": 491, "size_1519_max": 0,
         "multicast": 0, "broadcast": 0}


@pytest.mark.parametrize("devargs", ["", ",rx=lanes", ",umem=own"])
def test_sizes(lab, veth, devargs):
    """Each queue counts what it receives and sends by size."""
    veth.create()
    dut = start_pmd(lab, veth, devargs=f",size_stats=1{devargs}")
    dut.start()
    veth.echo(ALL_LENGTHS)
    stats = dut.xstats()
    for queue in ("rx_q0", "tx_q0"):
        assert {name: stats[f"{queue}_{name}_packets"] for name in SIZES} == SIZES
    end(dut)


@pytest.mark.hugepages
def test_secondary(lab, veth):
    """A secondary process reads statistics; its bursts take nothing from the primary's queues."""
    veth.create()
    dut = start_pmd(lab, veth, memory="default")
    second = lab.testpmd("second", ["--proc-type=secondary", f"--file-prefix={dut.prefix}",
                                    lcores(0), *lab.plugins()], ["--forward-mode=rxonly"])
    assert "its queues can be used in the primary process only" in second.output
    second.start()
    dut.start()
    veth.echo(ALL_LENGTHS)
    assert dut.stats()["ipackets"] == 1455
    assert re.search(r"RX-packets: 1455\b", second.command("show port stats 0"))
    second.stop()
    second.quit()
    end(dut)


def test_fewer_to_send(lab, veth):
    """testpmd does not poll receive queues beyond those it sends to, which is said."""
    veth.create(queues=2)
    dut = start_pmd(lab, veth, "--rxq=2", "--txq=1", devargs=",queue_count=2")
    assert "does not poll queues 1 to 1" in dut.output
    end(dut)


def test_one_queue_twice(lab, veth):
    """A queue belongs to one port."""
    veth.create(queues=2)
    refused(lab, veth, "no socket for queue 1 of interface 'port0': Device or resource busy",
            ",queue_count=2", vdevs=[f"net_ppfrag1,iface={veth.iface},start_queue=1,queue_count=2"],
            options=["--rxq=2", "--txq=2"])
    assert not veth.has_program()


def test_channels(lab, veth):
    """A port with fewer queues than the interface says that it does not get everything."""
    veth.create(queues=2)
    dut = start_pmd(lab, veth)
    assert "interface 'port0' receives with 2 queues, the port with 1" in dut.output
    end(dut)


def test_stop_while_down(lab, veth):
    """A stop does not wait for what an interface that is down cannot send."""
    veth.create(queues=8)
    dut = start_pmd(lab, veth, "--rxq=8", "--txq=8", "--forward-mode=txonly",
                    devargs=",queue_count=8,queue_size=64")
    run(veth.port, "ip", "link", "set", veth.iface, "down")
    dut.start()
    wait_until(lambda: all(dut.xstats()[f"tx_q{i}_full"] for i in range(8)), "full rings")
    dut.stop()
    before = dut.xstats()
    dut.command("port stop 0")
    after = dut.xstats()
    for name in (f"tx_q{i}_kicks" for i in range(8)):
        assert after[name] - before[name] < 10  # and not one each millisecond
    end(dut)


def test_missed(lab, veth):
    """What the kernel finds no room for is counted as missed, and a reset counts anew."""
    veth.create()
    dut = start_pmd(lab, veth, devargs=",queue_size=256")
    veth.send(300, "100")
    wait_until(lambda: dut.stats()["imissed"] == 44, "44 missed packets")
    used = dut.command("show port 0 rxq 0 desc used count")
    assert re.search(r"used.*\b256\b", used, re.IGNORECASE | re.DOTALL), used
    dut.command("clear port stats 0")
    assert dut.stats()["imissed"] == 0
    dut.start()
    dut.wait_received(256)
    veth.echo(ALL_LENGTHS)
    dut.stop()
    dut.command("port stop 0")
    dut.command("port close 0")


def test_interface(lab, veth):
    """Address, promiscuous mode and link are those of the interface."""
    veth.create()
    dut = start_pmd(lab, veth)
    assert PORT_MAC.upper() in dut.command("show port info 0")
    for mode, name in (("promisc", "promiscuity"), ("allmulti", "allmulti")):
        dut.command(f"set {mode} 0 off")
        before = veth.show()[name]
        dut.command(f"set {mode} 0 on")
        assert veth.show()[name] == before + 1
        # ethdev asks for it again when a port starts.
        dut.command("port stop 0")
        dut.command("port start 0")
        dut.command(f"set {mode} 0 off")
        assert veth.show()[name] == before
    dut.command("mac_addr set 0 02:00:00:00:00:77")
    assert veth.show()["address"] == "02:00:00:00:00:77"
    dut.wait_link()
    state = dut.telemetry("/ppfrag/queues,0")
    assert state["link"] == 1 and state["rx_q0"]["posted"] > 0
    run(veth.kernel, "ip", "link", "set", veth.near, "down")
    dut.wait_link(False)
    assert dut.telemetry("/ppfrag/queues,0")["link"] == 0
    run(veth.kernel, "ip", "link", "set", veth.near, "up")
    dut.wait_link()
    end(dut)


def compile_filter(lab, name="xsks_map"):
    """tests/xdp_filter.bpf, with a map of that name, as an object file."""
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    done = lab.dir / f"{name}.o"
    triplet = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True,
                             timeout=TIMEOUT, check=True).stdout.strip()
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-x", "c", f"-DMAP={name}",
                    f"-I/usr/include/{triplet}", "-c", FILTER, "-o", done], timeout=TIMEOUT,
                   check=True)
    return done


def has_libbpf(lab):
    """Whether the driver was built with libbpf."""
    driver = lab.builddir / "drivers/net/ppfrag/librte_net_ppfrag.so"
    return "libbpf.so" in run((), "ldd", driver)


def test_own_program(lab, veth):
    """A program of the user's hands some packets to the port, and others to the kernel."""
    if not has_libbpf(lab):
        pytest.skip("built without libbpf")
    veth.create()
    dut = start_pmd(lab, veth, devargs=f",xdp_prog={compile_filter(lab)}")
    assert veth.has_program()
    dut.start()
    veth.echo(ALL_LENGTHS)
    for netns, name, number in ((veth.kernel, veth.near, 1), (veth.port, veth.iface, 2)):
        run(netns, "ip", "address", "add", f"198.18.1.{number}/30", "dev", name)
    run(veth.kernel, "ping", "-n", "-c", "3", "-i", "0.1", "-W", "5", "198.18.1.2")
    assert dut.stats()["ipackets"] == 1455
    end(dut)
    assert not veth.has_program()


def test_own_program_refused(lab, veth):
    """What is wrong with a program is said."""
    veth.create()
    if not has_libbpf(lab):
        refused(lab, veth, "takes libbpf, which this driver was built without", ",xdp_prog=/x.o")
        return
    refused(lab, veth, "xdp_prog=/x.o: it cannot be opened as an object file for BPF",
            ",xdp_prog=/x.o")
    refused(lab, veth, "has no map 'xsks_map' of the type BPF_MAP_TYPE_XSKMAP",
            f",xdp_prog={compile_filter(lab, 'other')}")


def resumes(dut, veth, times=1, lengths=ALL_LENGTHS):
    """A port goes on by itself when its interface is there again."""
    wait_until(lambda: dut.output.count("goes on with the interface 'port0'") == times, "more")
    dut.wait_link()
    assert dut.xstats()["reconnections"] == times
    veth.echo(lengths)


def test_link_events(lab, veth):
    """The kernel's end goes down and up: the application is told of it."""
    veth.create()
    dut = start_pmd(lab, veth, "--print-event=intr_lsc")
    dut.start()
    dut.wait_link()
    for state in ("down", "up", "down", "up"):
        seen = dut.output.count("link state change event")
        run(veth.kernel, "ip", "link", "set", veth.near, state)
        wait_until(lambda seen=seen: dut.output.count("link state change event") > seen, "an event")
        dut.wait_link(state == "up")
    veth.echo("60-100")
    end(dut)


def test_deleted(lab, veth):
    """Without an interface a port cannot be started; with its successor it can."""
    veth.create()
    dut = start_pmd(lab, veth)
    dut.start()
    veth.echo("60-100")
    run(veth.kernel, "ip", "link", "delete", veth.near)
    dut.wait_output("interface 'port0' was deleted: the link is down")
    dut.wait_link(False)
    dut.stop()
    dut.command("port stop 0")
    dut.command("port start 0")
    dut.wait_output("there is no interface 'port0' in this network namespace")
    veth.create()
    dut.command("port start 0")
    dut.wait_link()
    dut.start()
    veth.echo(ALL_LENGTHS)
    end(dut)


@contextlib.contextmanager
def traffic(veth):
    """Frames come until their interface is gone."""
    with subprocess.Popen([*veth.kernel, sys.executable, FRAMES, "send", veth.near, "1000000",
                           "60-1514", str(RATE)], stderr=subprocess.DEVNULL) as sender:
        yield
        assert sender.wait(TIMEOUT) != 0


@pytest.mark.parametrize("devargs", ["", ",xdp_mode=skb,rx=lanes", ",queue_count=2", ",umem=own"])
def test_deleted_under_traffic(lab, veth, devargs):
    """A port goes on by itself with every successor of its interface, also of another MTU."""
    queues = 2 if "queue_count" in devargs else 1
    veth.create(queues=queues)
    dut = start_pmd(lab, veth, f"--rxq={queues}", f"--txq={queues}", "--print-event=intr_lsc",
                    devargs=devargs)
    dut.start()
    dut.wait_link()
    for times in range(1, 3):
        with traffic(veth):
            dut.wait_received(1000 * times)
            told = dut.output.count("link state change event")
            run(veth.kernel, "ip", "link", "delete", veth.near)
        dut.wait_link(False)
        veth.create(mtu=1500 - 100 * (times % 2), queues=queues)
        run(veth.kernel, "ip", "link", "set", veth.near, "mtu", 1500)
        resumes(dut, veth, times)
        assert veth.show()["mtu"] == 1500 and veth.show()["promiscuity"] > 0
        wait_until(lambda all_of=told + 2:
                   dut.output.count("link state change event") >= all_of, "down, and up")
    end(dut)
    assert not veth.has_program()


def test_moved(lab, veth):
    """A port goes on by itself when its interface is moved back, and set up."""
    veth.create()
    dut = start_pmd(lab, veth)
    dut.start()
    there = Path(veth.kernel[1].split("=")[1]).name
    here = Path(veth.port[1].split("=")[1]).name
    for times in range(1, 3):
        run(veth.port, "ip", "link", "set", veth.iface, "netns", there)
        wait_until(lambda times=times: dut.output.count("was moved to another") == times, "a move")
        dut.wait_link(False)
        run(veth.kernel, "ip", "link", "set", veth.iface, "netns", here)
        run(veth.port, "ip", "link", "set", veth.iface, "address", PORT_MAC, "up")
        resumes(dut, veth, times)
    end(dut)


def test_replaced(lab, veth):
    """An interface that has another name now is left alone: the port goes on with that of its own.

    Its sockets are those of a live interface until then.
    """
    veth.create()
    dut = start_pmd(lab, veth)
    dut.start()
    run(veth.port, "sh", "-c", f"ip link set {veth.iface} down; ip link set {veth.iface} name old")
    run(veth.kernel, "ip", "link", "set", veth.near, "name", "oldnear")
    veth.create()
    dut.wait_output("another interface has its name now: the link is down")
    resumes(dut, veth)
    assert "xdp" not in json.loads(run(veth.port, "ip", "-d", "-j", "link", "show", "old"))[0]
    end(dut)


def rename(netns, before, after):
    """Give an interface another name."""
    run(netns, "sh", "-c", f"ip link set {before} down; ip link set {before} name {after};"
        f" ip link set {after} up")


def test_taken_meanwhile(lab, veth):
    """A successor whose queue belongs to another program is tried until that one ends."""
    veth.create()
    dut = start_pmd(lab, veth)
    dut.start()
    run(veth.kernel, "ip", "link", "delete", veth.near)
    dut.wait_link(False)
    taken = Veth(veth.kernel, veth.port, 9).create()
    other = start_pmd(lab, taken)
    other.start()
    rename(veth.kernel, taken.near, veth.near)
    rename(veth.port, taken.iface, veth.iface)
    dut.wait_output("no socket for queue 0 of interface 'port0': Device or resource busy")
    assert not dut.link_up(0)
    end(other)
    resumes(dut, veth)
    end(dut)


def test_deleted_while_held(lab, veth, rx):
    """Packets that the application holds outlive the interface that they came from."""
    veth.create()
    verify = Verify(lab, veth, 4000, "--mbuf-size", 16384, "--mbufs", 3072, "--hold", 700,
                    "--idle", 60000, devargs=f",rx={rx},queue_size=1024")
    for times in range(1, 5):
        veth.send(1000, ALL_LENGTHS, first=1000 * (times - 1))
        if times == 4:
            break
        wait_until(lambda all_of=1000 * times: verify.telemetry("/ethdev/stats,0")["ipackets"] ==
                   all_of, "all frames")
        run(veth.kernel, "ip", "link", "delete", veth.near)
        veth.create()
        wait_until(lambda times=times: verify.output.count("goes on with the") == times, "more")
    assert verify.result()["received"] == 4000


def test_deleted_while_asleep(lab, veth, rx):
    """An application that sleeps is woken by packets of the successor."""
    veth.create()
    sleeper = Sleeper(lab, veth, devargs=f",rx={rx}")
    for times in range(1, 4):
        veth.send(100, "60-100", 0)
        wait_until(lambda all_of=100 * times: sleeper.telemetry("/ethdev/stats,0")["ipackets"] ==
                   all_of, "all frames")
        run(veth.kernel, "ip", "link", "delete", veth.near)
        veth.create()
        wait_until(lambda times=times: sleeper.output.count("goes on with the") == times, "more")
    sleeper.interrupt()
    assert sleeper.wait_end() == 0


@pytest.mark.skipif(platform.machine() not in without_aio.MEMBARRIER,
                    reason="the number of the system call is not known here")
def test_no_membarrier(lab, veth):
    """Where bursts cannot be kept off the queues, a port needs a restart, and says so."""
    veth.create()
    veth.port = (*veth.port, sys.executable, without_aio.__file__, "--membarrier")
    dut = start_pmd(lab, veth)
    veth.port = veth.port[:-3]
    dut.start()
    run(veth.kernel, "ip", "link", "delete", veth.near)
    dut.wait_link(False)
    veth.create()
    dut.wait_output("there is an interface 'port0' again: stop and start the port to use it")
    assert dut.telemetry("/ethdev/link_status,0")["status"] == "DOWN"
    dut.stop()
    dut.command("port stop 0")
    dut.command("port start 0")
    dut.wait_link()
    dut.start()
    veth.echo(ALL_LENGTHS)
    end(dut)


def refused(lab, link, message, devargs="", *, wrapper=(), options=(), vdevs=()):
    """Start a testpmd whose port does not start: it must say why."""
    dut = lab.testpmd("refused", [*eal_options(lab, link, devargs, vdevs=vdevs),
                                  "--mbuf-pool-ops-name=ppfrag"],
                      ["--total-num-mbufs=2048", "--disable-link-check", *options],
                      wrapper=[*link.port, *wrapper], wait=False)
    dut.wait_output(re.escape(message))
    dut.kill()


BOUNDED = ("setpriv", "--bounding-set")


@pytest.mark.parametrize("wrapper,message", [
    ((*BOUNDED, "-net_raw"), "with the capability CAP_NET_RAW"),
    ((*BOUNDED, "-bpf,-sys_admin"), "with the capabilities CAP_BPF and CAP_NET_ADMIN"),
    ((*BOUNDED, "-net_admin,-sys_admin"), "CAP_NET_ADMIN"),
    (("prlimit", "--memlock=1048576", *BOUNDED, "-ipc_lock"),
     "raise the limit of locked memory (ulimit -l)"),
], ids=["net_raw", "bpf", "net_admin", "memlock"])
def test_privilege(lab, veth, wrapper, message):
    """What is missing is said by its name."""
    veth.create()
    refused(lab, veth, message, wrapper=wrapper)
    assert not veth.has_program()


def test_refused(lab, veth):
    """Queues that are not there, are taken, or have a program of another process."""
    veth.create(queues=2)
    refused(lab, veth, "it has no such queue: use a smaller start_queue", ",start_queue=2")
    first = start_pmd(lab, veth)
    refused(lab, veth, "no socket for queue 0 of interface 'port0': Device or resource busy: "
            "another socket has it")
    refused(lab, veth, "it has a program already, of another process", ",start_queue=1")
    first.start()
    end(first)
    refused(lab, veth, "a slot of pool mb_pool_0 holds",
            options=["--max-pkt-len=9018", "--mbuf-size=2176"])
