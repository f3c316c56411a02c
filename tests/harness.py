# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Runs stock DPDK programs against each other and looks into them."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader, wrpcap

TIMEOUT = int(os.environ.get("PPFRAG_TIMEOUT", "60"))  # longer where code is emulated
NO_PORT = 10000  # ports from this number on do not exist
POLL_SECONDS = 0.02
ETHER_HEADER = 14
MIN_FRAME = 60
DEFAULT_MTU = 1500
LOCAL_HEADER = bytes.fromhex("020000000002 020000000001 88b5")  # for experiments
PAGE_DEFAULT = 2176  # data room of testpmd's mbufs where nothing else is asked for
ROOM_DEFAULT = PAGE_DEFAULT - 128  # without headroom

# How a DPDK process gets its memory. In "default" every hugepage is a file of its own, more of
# them than a vhost-user message can carry.
MEMORY_MODES = {
    "default": [],
    "single-file": ["--single-file-segments"],
    "in-memory": ["--in-memory", "--single-file-segments"],
    "no-huge": ["--no-huge", "-m", "512"],
}


# What a program is started with where the kernel is to refuse it asynchronous I/O, or not.
WITHOUT_AIO = (sys.executable, str(Path(__file__).with_name("without_aio.py")))
AIO_WRAPPERS = {"aio": (), "no aio": WITHOUT_AIO}


class HarnessError(AssertionError):
    """A program did not do what the test waited for."""


def wait_until(condition, what, timeout=TIMEOUT):
    """Poll until the condition holds; its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise HarnessError(f"timeout of {timeout} s: {what}")
        time.sleep(POLL_SECONDS)


def runtime_dir(prefix):
    """Where EAL keeps the sockets of a process."""
    base = "/var/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return Path(base) / "dpdk" / prefix


def hugepage_mounts():
    """Where hugetlbfs is mounted."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] == "hugetlbfs"]


def free_hugepages():
    """Bytes of free hugepages of the default size."""
    values = dict(re.findall(r"^(\w+):\s+(\d+)", Path("/proc/meminfo").read_text(), re.M))
    return int(values.get("HugePages_Free", 0)) * int(values.get("Hugepagesize", 0)) * 1024


def lcores(worker):
    """Two lcores: the first floats over all CPUs and waits, the second polls on one of them."""
    cpus = sorted(os.sched_getaffinity(0))
    everywhere = ",".join(map(str, cpus))
    return f"--lcores=0@({everywhere}),1@{cpus[worker % len(cpus)]}"


def linked_mempools(program):
    """The mempool drivers that a program is linked with, by name."""
    done = subprocess.run(["ldd", shutil.which(program)], capture_output=True, text=True,
                          timeout=TIMEOUT, check=True)
    return dict(re.findall(r"(librte_mempool_\S+) => (\S+)", done.stdout))


def mempools_to_preload(program):
    """What a secondary process lacks to have the mempool drivers of a testpmd in the same order.

    See doc/guides/mempool/ppfrag.rst.
    """
    here = linked_mempools(program)
    return [path for driver, path in linked_mempools("dpdk-testpmd").items() if driver not in here]


class Program:
    """A DPDK program: a process group whose output is kept and can be waited for."""

    def __init__(self, name, argv, prefix):
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.prefix = prefix
        self.output = ""
        self.changed = threading.Condition()
        # Without stdbuf what printf() writes into a pipe arrives when the program ends.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", *self.argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while data := self.process.stdout.read1(65536):
            with self.changed:
                self.output += data.decode(errors="replace").replace("\r", "")
                self.changed.notify_all()

    def wait_output(self, pattern, start=0, timeout=TIMEOUT):
        """Wait until the output from an offset on matches a regular expression; the match."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                match = re.compile(pattern).search(self.output, start)
                if match:
                    return match
                if not self.reader.is_alive():
                    raise HarnessError(f"{self.name} ended before it printed: {pattern}")
                if not self.changed.wait(min(1, end - time.monotonic())) \
                        and time.monotonic() > end:
                    raise HarnessError(f"{self.name} did not print in {timeout} s: {pattern}")

    def alive(self):
        """Whether the process runs."""
        return self.process.poll() is None

    def wait_end(self, timeout=TIMEOUT):
        """Wait for the process to end; its exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"{self.name} did not end in {timeout} s") from error
        self.reader.join()
        return status

    def interrupt(self):
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """End it as a crash would."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reader.join()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # what was typed last, and it has not read
        self.process.stdout.close()

    def cleanup(self):
        """Kill it and remove what EAL leaves behind."""
        self.kill()
        shutil.rmtree(runtime_dir(self.prefix), ignore_errors=True)
        for mount in hugepage_mounts():
            for path in glob.glob(f"{mount}/{self.prefix}map_*"):
                Path(path).unlink(missing_ok=True)  # by another process of that prefix, meanwhile

    def telemetry(self, command):
        """The answer to a telemetry command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(str(runtime_dir(self.prefix) / "dpdk_telemetry.v2"))
            limit = json.loads(sock.recv(1024))["max_output_len"]
            sock.send(command.encode())
            answer = json.loads(sock.recv(limit))
        return answer[command.split(",")[0]]

    def ledgers(self):
        """The ledger of each page pool, by the pool's name. Only when no traffic flows."""
        return {name: self.telemetry(f"/ppool/info,{name}")
                for name in self.telemetry("/ppool/list")}

    def check_ledgers(self):
        """There are page pools, and each accounts for every byte; the ledgers."""
        ledgers = self.ledgers()
        assert ledgers, f"{self.name} has no page pool"
        for name, ledger in ledgers.items():
            text = f"{self.name}: page pool {name}: {ledger}"
            assert ledger["violations"] == 0, text
            assert ledger["pages"] == sum(
                ledger[term] for term in ("free", "whole", "data", "header", "class_pages")), text
            assert ledger["data_bytes"] == sum(
                ledger[term] for term in ("charged", "stranded", "open")), text
            assert ledger["header_bytes"] == ledger["slot_charged"] + ledger["slot_idle"], text
            assert ledger["class_bytes"] == ledger["class_live"] + ledger["class_idle"], text
        return ledgers


class Testpmd(Program):
    """dpdk-testpmd with its command line."""
    __test__ = False

    def __init__(self, name, prefix, eal, options, wrapper=()):
        argv = [*wrapper, "dpdk-testpmd", "--no-pci", f"--file-prefix={prefix}", *eal, "--", "-i",
                *options]
        super().__init__(name, argv, prefix)
        self.commands = 0

    def type(self, text):
        """Type a line."""
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise HarnessError(f"{self.name} has ended before: {text}") from error

    def command(self, text, timeout=TIMEOUT):
        """Type a command; what it printed.

        The prompt would tell that it is done, but is written byte by byte and mixes with the
        messages of other threads. The answer to a question about a port that does not exist is
        written in one piece, and this port is another one each time.
        """
        start = len(self.output)
        self.commands += 1
        port = NO_PORT + self.commands
        self.type(text)
        self.type(f"show port info {port}")
        end = self.wait_output(f"Invalid port {port}\n", start, timeout)
        return self.output[start:end.start()]

    def wait_prompt(self):
        """Wait until it takes commands."""
        self.command("")

    def dump_mempool(self, name):
        """What DPDK says about a mempool."""
        dump = self.command(f"dump_mempool {name}")
        if "Command not found" in dump:  # DPDK 25.11 and later
            dump = self.command(f"dump mempool {name}")
        return dump

    def check_ledgers(self):
        """The same, and DPDK itself counts as many free objects."""
        ledgers = super().check_ledgers()
        for name, ledger in ledgers.items():
            dump = self.dump_mempool(name)
            counts = dict(re.findall(r"^ *(\w+)=(\d+)$", dump, re.M))
            assert ledger["pages"] == int(counts["size"]), dump
            assert ledger["free"] + ledger["idle"] == (
                int(counts["common_pool_count"]) + int(counts["total_cache_count"])), (ledger, dump)
        return ledgers

    def start(self):
        """Start forwarding."""
        self.command("start")

    def stop(self):
        """Stop forwarding."""
        self.command("stop")

    def quit(self):
        """Leave as a user does."""
        self.type("quit")
        status = self.wait_end()
        assert status == 0, f"{self.name} ended with status {status}"

    def stats(self, port=0):
        """Basic statistics."""
        return self.telemetry(f"/ethdev/stats,{port}")

    def xstats(self, port=0):
        """Extended statistics."""
        return self.telemetry(f"/ethdev/xstats,{port}")

    def link_up(self, port=0):
        """Whether the link is up."""
        return self.telemetry(f"/ethdev/link_status,{port}")["status"] == "UP"

    def wait_link(self, up=True, port=0):
        """Wait for the link to be up, or down."""
        wait_until(lambda: self.link_up(port) == up,
                   f"link of port {port} of {self.name} {'up' if up else 'down'}")

    def wait_received(self, packets, port=0):
        """Wait until a port has received so many packets."""
        wait_until(lambda: self.stats(port)["ipackets"] >= packets,
                   f"{packets} packets received by port {port} of {self.name}")

    def read_in_chains(self, port):
        """Have net_pcap read frames larger than an mbuf: from DPDK 26.07 on it has to be told."""
        if "SCATTER" in self.command(f"show port {port} rx_offload capabilities"):
            self.command(f"port stop {port}")
            self.command(f"port config {port} rx_offload scatter on")
            self.command(f"port start {port}")

    def patient(self):
        """Forward without loss: wait, for some seconds, for room in the ring of a slow peer."""
        self.command("set fwd io retry")
        self.command("set burst tx delay 20 retry 250000")


def read_frames(path):
    """The frames of a capture."""
    with contextlib.closing(RawPcapReader(str(path))) as reader:
        return [data for data, _ in reader]


def make_frame(length, seed=0):
    """A frame of a length, with bytes like no other's."""
    pattern = bytes((i * 31 + length * 7 + seed * 13) % 256 for i in range(256))
    frame = LOCAL_HEADER + seed.to_bytes(4, "big") + pattern * (length // 256 + 1)
    return frame[:length]


def make_udp_frame(length):
    """A frame of a length with a UDP datagram, both checksums right."""
    headers = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
        src="198.18.0.1", dst="198.18.0.2") / UDP(sport=length, dport=9)
    return bytes(headers / make_frame(length - len(headers)))


def write_frames(path, frames):
    """A capture of these frames."""
    wrpcap(str(path), list(frames), linktype=1)
    return path


def capture_bytes(frames):
    """Size of a capture file that net_pcap writes."""
    return 24 + sum(16 + len(frame) for frame in frames)


def assert_same(received, sent):
    """The same frames in the same order."""
    for number, (got, want) in enumerate(zip(received, sent)):
        if got != want:
            same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                        min(len(got), len(want)))
            raise AssertionError(f"frame {number}: {len(got)} bytes instead of {len(want)}, "
                                 f"different from byte {same} on")
    assert len(received) == len(sent)


def wait_capture(path, frames):
    """Wait until a capture has the size of these frames; not for long when no more arrive."""
    size = capture_bytes(frames)
    start = since = time.monotonic()
    seen = -1
    while seen < size:
        now = path.stat().st_size if path.exists() else 0
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > TIMEOUT / 4:
            raise HarnessError(f"{path.name} stays at {seen} of {size} bytes")
        if time.monotonic() - start > TIMEOUT:
            raise HarnessError(f"{path.name} has {seen} of {size} bytes after {TIMEOUT} s")
        time.sleep(POLL_SECONDS)
