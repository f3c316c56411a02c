# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Options and fixtures of the end-to-end tests."""

import itertools
import os
import platform
import shutil
import tempfile
from pathlib import Path

import pytest

import harness
import without_aio

ROOT = Path(__file__).resolve().parent.parent
HUGEPAGES_NEEDED = 1 << 30
SHOWN_CHARS = 8000  # of a program's output
NO_HUGEPAGES = "needs hugepages: run config/setup.sh as root"


def pytest_addoption(parser):
    """Options of the tests."""
    parser.addoption("--builddir", default=os.environ.get("PPFRAG_BUILD", ROOT / "build"),
                     type=Path, help="Meson build directory with the plugins and programs")
    forced = "no-huge" if os.environ.get("PPFRAG_NO_HUGE") == "1" else "auto"
    parser.addoption("--memory", choices=("auto", "huge", "no-huge"), default=forced,
                     help="no-huge: run without hugepages; auto: as many as are free decide")


def pytest_configure(config):
    """Markers of the tests."""
    config.addinivalue_line("markers", "hugepages: cannot run without hugepages")


def pytest_ignore_collect(collection_path, config):
    """Virtual machines are a part of their own: started only where their file is asked for."""
    asked = [Path(arg.split("::")[0]).name for arg in config.args]
    return True if collection_path.name == "test_vm.py" and "test_vm.py" not in asked else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Leave a note that a test failed, for the fixtures that end after it."""
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True


class Lab:
    """Starts programs for one test and ends them."""

    def __init__(self, builddir, hugepages):
        self.builddir = builddir
        self.hugepages = hugepages
        self.dir = Path(tempfile.mkdtemp(prefix="ppfrag-"))
        self.programs = []
        self.peers = []
        self.numbers = itertools.count()

    def prefix(self):
        """A --file-prefix nobody else uses."""
        return f"ppfrag-test-{os.getpid()}-{next(self.numbers)}"

    def socket(self):
        """The path of a new vhost-user socket."""
        return self.dir / f"vhost{next(self.numbers)}.sock"

    def plugins(self):
        """EAL options that load the project's plugins."""
        paths = [self.builddir / "lib/ppool/libppool.so",
                 self.builddir / "drivers/net/ppfrag/librte_net_ppfrag.so"]
        return [option for path in paths for option in ("-d", path)]

    def memory(self, mode=None):
        """EAL options of a memory mode; of the machine's where none is asked for."""
        return harness.MEMORY_MODES[mode or ("single-file" if self.hugepages else "no-huge")]

    def add(self, program):
        """Have a program ended with the test."""
        self.programs.append(program)
        return program

    def add_peer(self, peer):
        """Have a VhostPeer closed with the test."""
        self.peers.append(peer)
        return peer

    def need(self, memory):
        """Skip where a memory mode cannot be had."""
        if memory not in (None, "no-huge") and not self.hugepages:
            pytest.skip(NO_HUGEPAGES)

    def testpmd(self, name, eal, options=(), wrapper=(), wait=True):
        """Start a testpmd and wait for its prompt."""
        program = self.add(harness.Testpmd(name, self.prefix(), eal, options, wrapper))
        if wait:
            program.wait_prompt()
        return program

    def peer(self, sock, vdevs=(), options=(), wrapper=(), queues=1, wait=True):
        """Start a stock testpmd whose port 0 is the device at the other end of a socket."""
        eal = [*self.memory(), harness.lcores(0),
               f"--vdev=net_vhost0,iface={sock},queues={queues}", *map("--vdev={}".format, vdevs)]
        return self.testpmd("peer", eal, ["--total-num-mbufs=8192", "--no-flush-rx",
                                          "--disable-link-check", *options], wrapper, wait)

    def dut(self, sock, vdevs=(), options=(), *, devargs="", memory=None, mbufs=8192,
            mbuf_size=None, wrapper=(), wait=True):
        """Start a stock testpmd whose port 0 is net_ppfrag on a socket, with a page pool."""
        eal = [*self.memory(memory), harness.lcores(1), *self.plugins(),
               f"--vdev=net_ppfrag0,path={sock}{devargs}", *map("--vdev={}".format, vdevs),
               "--mbuf-pool-ops-name=ppfrag"]
        options = [f"--total-num-mbufs={mbufs}", "--no-flush-rx", "--disable-link-check", *options]
        if mbuf_size is not None:
            options.append(f"--mbuf-size={mbuf_size}")
        return self.testpmd("dut", eal, options, wrapper, wait)

    def app(self, sock, command, *options, devargs="", memory=None, wrapper=()):
        """Start a command of dpdk-ppool whose port is net_ppfrag on a socket."""
        prefix = self.prefix()
        program = self.add(harness.Program(command, [
            *wrapper, self.builddir / "app/ppool-tool/dpdk-ppool", *self.memory(memory),
            harness.lcores(1), *self.plugins(), "--no-pci", f"--file-prefix={prefix}",
            f"--vdev=net_ppfrag0,path={sock}{devargs}", "--", command, "--ops", "ppfrag",
            *options], prefix))
        program.wait_output("^ready|\nready")
        return program

    def exchange(self, to_dut, from_dut, *, memory=None, prepare=lambda dut: None, burst=32,
                 through=lambda sock: sock, **how):
        """Let a peer and a dut send each other frames; both, after all have arrived unchanged.

        A burst and what it takes in the rings must be small where both send many: else both
        wait for each other to receive. What they connect through, if anything, makes the path
        for the dut of that of the peer.
        """
        self.need(memory)
        sock = self.socket()
        out, vdev = {}, {}
        for name, frames in (("peer", to_dut), ("dut", from_dut)):
            out[name] = self.dir / f"{name}-out.pcap"
            source = harness.write_frames(self.dir / f"{name}-in.pcap", frames)
            vdev[name] = f"net_pcap0,rx_pcap={source},tx_pcap={out[name]}"
        peer = self.peer(sock, [vdev["peer"]])
        dut = self.dut(through(sock), [vdev["dut"]], memory=memory, **how)
        if max(map(len, to_dut + from_dut)) > harness.ROOM_DEFAULT:
            for program in (peer, dut):
                program.read_in_chains(1)
        prepare(dut)
        peer.wait_link()
        for program in (dut, peer):
            program.patient()
            program.command(f"set burst {burst}")
            program.start()
        harness.wait_capture(out["dut"], to_dut)
        harness.wait_capture(out["peer"], from_dut)
        harness.assert_same(harness.read_frames(out["dut"]), to_dut)
        harness.assert_same(harness.read_frames(out["peer"]), from_dut)
        return dut, peer

    def close(self, show):
        """End all programs, the last one first."""
        for program in reversed(self.programs):
            program.cleanup()
        for peer in self.peers:
            peer.close()
        if show:
            for program in self.programs:
                print(f"--- {program.name}: {' '.join(program.argv)}\n"
                      f"{program.output[-SHOWN_CHARS:]}")
        shutil.rmtree(self.dir)


@pytest.fixture(scope="session")
def hugepages(request):
    """Whether the tests may use hugepages."""
    choice = request.config.getoption("--memory")
    if choice == "auto":
        return harness.free_hugepages() >= HUGEPAGES_NEEDED
    return choice == "huge"


@pytest.fixture
def lab(request, hugepages):
    """Starts programs for one test, and shows their output where it fails."""
    if request.node.get_closest_marker("hugepages") and not hugepages:
        pytest.skip(NO_HUGEPAGES)
    made = Lab(request.config.getoption("--builddir").resolve(), hugepages)
    yield made
    made.close(show=getattr(request.node, "failed", False))


@pytest.fixture(params=harness.AIO_WRAPPERS)
def aio_wrapper(request):
    """What to start a program with that may, or may not, have the kernel raise eventfds."""
    wrapper = harness.AIO_WRAPPERS[request.param]
    if wrapper and platform.machine() not in without_aio.IO_SETUP:
        pytest.skip("needs the number of io_setup() on this machine")
    return wrapper


@pytest.fixture(params=["slots", "lanes"])
def rx(request):
    """What a port receives into: the value of its device argument."""
    return request.param


@pytest.fixture(scope="session")
def tcp_frames():
    """Real TCP traffic; see data/make-captures.py."""
    return harness.read_frames(Path(__file__).parent / "data/tcp.pcap")


@pytest.fixture(scope="session")
def all_lengths():
    """A frame of every length from 60 bytes to what an MTU of 1500 allows."""
    largest = harness.DEFAULT_MTU + harness.ETHER_HEADER
    return [harness.make_udp_frame(length)
            for length in range(harness.MIN_FRAME, largest + 1)]
