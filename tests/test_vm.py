# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Virtual machines (devtools/vm.sh): devices that do DMA, and the kernel's vhost-net.

Stock drivers of such devices have page pools there. Each guest is started once and runs all cases
that need it. `dpdk-test-ppool -- wire` sends frames from one NIC to another one that is connected
to it, and compares data and DMA addresses.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from guest_pmd import GuestPmd
from harness import wait_until
from test_ping import network_namespace

FRAMES = Path(__file__).with_name("xsk_frames.py")
VM = Path(__file__).resolve().parent.parent / "devtools/vm.sh"
VHOST_KERNEL = Path(__file__).with_name("vhost_kernel.py")
SKIPPED = 77
CASE_SECONDS = 150
GUEST_SECONDS = 900  # where others need the CPUs, too

# How a guest is started, and the models of its NICs: two of each.
GUESTS = {
    "uio": (["--driver", "uio", "--mem", "1800", "--hugepages", "400"],
            ["virtio-net-pci", "e1000e", "vmxnet3", "e1000"]),
    "vfio-48": (["--driver", "vfio", "--iommu-bits", "48"],
                ["virtio-net-pci", "e1000e", "vmxnet3"]),
    "vfio-39": (["--driver", "vfio", "--iommu-bits", "39"], ["virtio-net-pci", "e1000e"]),
    "nodes": (["--driver", "uio", "--numa", "--cpus", "2", "--mem", "4096", "--hugepages", "200",
               "--gigapages", "2"], ["virtio-net-pci", "e1000e"]),
}

FEW = "--frames 200"
JUMBO = f"--mtu 9000 {FEW}"
CHAINS = f"{JUMBO} --mbuf-size 2176 --mbufs 4096 --hold 64"
MEGAPAGES = "--huge-dir=/dev/hugepages --socket-mem=0,128"
GIGAPAGES = "--socket-mem=0,1024"

# Guest, name, model, EAL options, options of wire, and what else it must print. The two models of
# Intel have one driver.
WIRE = [
    *[("uio", name, model, "", options, "IOVA as PA")
      for model in ("virtio-net-pci", "e1000e", "vmxnet3")
      for name, options in {
          "pages": "" if model == "virtio-net-pci" else FEW,
          "slots": f"--into slot --segments 4 {FEW}",
          "keep": f"--into keep {FEW}",
          "jumbo": f"--into slot {JUMBO}",
      }.items()],
    ("uio", "slots", "e1000", "", f"--into slot {FEW}", "IOVA as PA"),
    # Of vmxnet3 under QEMU, frames that need more than one buffer do not arrive.
    *[("uio", "chains", model, "", CHAINS, r"IOVA as PA[^$]* [1-9]\d* as chains")
      for model in ("virtio-net-pci", "e1000e")],
    *[("uio", "memfd", model, "", f"--own-memory {FEW}", "in a memfd")
      for model in ("virtio-net-pci", "e1000e")],
    *[(guest, name, model, "", f"{options} {FEW}", "IOVA as VA")
      for guest in ("vfio-48", "vfio-39")
      for model in GUESTS[guest][1]
      for name, options in {
          "pages": "",
          "memfd": "--own-memory --segments 4",
      }.items()],
    ("vfio-48", "slots", "virtio-net-pci", "", f"--into slot {FEW}", "IOVA as VA"),
    ("vfio-48", "chains", "e1000e", "", CHAINS, r"IOVA as VA[^$]* [1-9]\d* as chains"),
    ("vfio-48", "physical", "e1000e", "--iova-mode=pa", FEW, "IOVA as PA"),
    ("vfio-48", "physical memfd", "e1000e", "--iova-mode=pa", f"--own-memory {FEW}",
     "IOVA as PA"),
    *[("nodes", name, model, eal, f"--node {options} {FEW}", places)
      for model in GUESTS["nodes"][1]
      for name, eal, options, places in [
          ("second node", MEGAPAGES, "", "of 2048 KB, node 0: 0, node 1: [1-9]"),
          ("second node memfd", MEGAPAGES, "--own-memory",
           "of 2048 KB in a memfd, node 0: 0, node 1: [1-9]"),
      ]],
    ("nodes", "1 GB pages", "virtio-net-pci", GIGAPAGES, f"--node {FEW}",
     "of 1048576 KB, node 0: 0, node 1: 1"),
]

# Guest, name, options of our own driver of virtio-net-pci, options of wire, and what it must print.
OURS = [
    *[("uio", name, args, options, f"net_ppfrag, IOVA as PA{more}")
      for name, args, options, more in [
          ("slots", "", "", ""),
          ("lanes", "rx=lanes", "", ""),
          ("restarts", "preset=density", f"--restarts 3 {FEW}", ""),
          ("restarts lanes", "rx=lanes,size_stats=1", f"--restarts 3 --segments 4 {FEW}", ""),
          ("chains", "", CHAINS, r"[^$]* [1-9]\d* as chains"),
          ("chains lanes", "rx=lanes", CHAINS, r"[^$]* [1-9]\d* as chains"),
          ("not mergeable", "mrg_rxbuf=0,queue_size=64", f"--own-memory {FEW}", ""),
      ]],
    *[("vfio-48", name, args, options, "net_ppfrag, IOVA as VA")
      for name, args, options in [
          ("slots", "", ""),
          ("lanes", "rx=lanes", f"--restarts 1 --segments 4 {FEW}"),
          ("memfd", "", f"--own-memory --segments 4 {FEW}"),
      ]],
    ("vfio-39", "slots", "", FEW, "net_ppfrag, IOVA as VA"),
]

# Guest, name, and unit suites that ask where memory is.
SUITES = [("uio", "unit suites", "iova"), ("vfio-48", "unit suites", "iova")]

TESTPMD = ("dpdk-testpmd --lcores 0@0,1@0 -m 128 --log-level=lib.eal:warning "
           "--no-telemetry --file-prefix")


STOCK = ("virtio-net-pci",)


class Guest:
    """The results of a guest that ran all its cases."""

    def __init__(self, name, builddir):
        self.name = name
        self.builddir = builddir
        self.commands = {}
        self.results = {}
        self.skipped = None

    def nic(self, model, which):
        """A shell word: the address of one of the two NICs of a model."""
        at = 2 * GUESTS[self.name][1].index(model) + which + 1
        return f"$(echo $VM_NICS | cut -d ' ' -f {at})"

    def plugins(self):
        """EAL options."""
        return (f"-d {self.builddir}/lib/ppool/libppool.so "
                f"-d {self.builddir}/drivers/net/ppfrag/librte_net_ppfrag.so")

    def program(self, eal):
        """The start of a command line of dpdk-test-ppool."""
        return " ".join([str(self.builddir / "app/test-ppool/dpdk-test-ppool"), "-l 0",
                         "--log-level=lib.eal:warning", eal, self.plugins()])

    def nics(self, model, args=""):
        """EAL options: the two NICs of a model."""
        return " ".join(f"-a {self.nic(model, which)}{args}" for which in (0, 1))

    def add_wire(self, name, model, eal, options, args=""):
        """A case: frames between the two NICs of a model."""
        nics = self.nics(model, args)
        self.commands[name] = f"{self.program(eal)} {nics} -- wire --wait 10 {options}"

    def add_ours(self, name, args, options, eal=""):
        """The same by our own driver of virtio-net-pci."""
        claim = ",ppfrag=1" + (f",{args}" if args else "")
        self.add_wire(name, "virtio-net-pci", eal, options, claim)

    def add_stock(self, name, model, options):
        """A case: a stock testpmd whose packets go round between the two NICs."""
        nics = self.nics(model)
        self.commands[name] = (
            f"sleep 6 | {TESTPMD} stock -d {self.builddir}/lib/ppool/libppool.so {nics} "
            f"--mbuf-pool-ops-name=ppfrag -- --total-num-mbufs=4096 --tx-first {options}")

    def script(self):
        """Runs the cases, and says where each begins and ends."""
        lines = []
        for name, command in self.commands.items():
            limited = f"timeout {CASE_SECONDS} sh -c {shlex.quote(command)}"
            lines += [f"echo; echo '=== begin {name}'", limited,
                      "status=$?; echo; echo \"=== end $status\""]
        return "\n".join(lines)

    def run(self):
        """Start the guest; all results are there then."""
        options, models = GUESTS[self.name]
        pairs = [option for model in models for option in ("--pair", model)]
        done = subprocess.run(
            [VM, *options, *pairs, "--seconds", str(GUEST_SECONDS), "--", "sh", "-c",
             self.script()], capture_output=True, text=True, errors="replace",
            timeout=GUEST_SECONDS + 120, check=False)
        if done.returncode == SKIPPED:
            self.skipped = done.stderr.splitlines()[-1]
        for match in re.finditer(r"^=== begin (.*)\n([^$]*?)^=== end (\d+)", done.stdout, re.M):
            self.results[match[1]] = (int(match[3]), match[2])
        self.end = f"guest {self.name}: status {done.returncode}\n{done.stderr}" \
                   f"{done.stdout[-2000:]}"

    def output(self, name, status=0):
        """What a case printed. It must have ended with this status."""
        if not self.commands or self.skipped:
            pytest.skip(self.skipped)
        assert name in self.results, f"'{name}' did not end: {self.end}"
        ended, output = self.results[name]
        assert ended == status, f"status {ended} of: {self.commands[name]}\n{output}"
        return output


def case_name(name, model):
    """The name of a case within its guest."""
    return f"{model} {name}"


@pytest.fixture(scope="module")
def guests(request):
    """Guests by name, each started when it is first asked for."""
    builddir = request.config.getoption("--builddir").resolve()
    made = {name: Guest(name, builddir) for name in GUESTS}
    for guest, name, model, eal, options, _ in WIRE:
        made[guest].add_wire(case_name(name, model), model, eal, options)
    for guest, name, args, options, _ in OURS:
        made[guest].add_ours(case_name(name, "ours"), args, options)
    made["uio"].add_ours("late", "", FEW, "-d librte_net_virtio.so")
    made["uio"].add_ours("wrong", "path=/tmp/socket", FEW)
    for guest, name, suites in SUITES:
        made[guest].commands[name] = f"{made[guest].program('-m 256')} --no-pci -- unit {suites}"
    for model in STOCK:
        made["uio"].add_stock(case_name("testpmd", model), model, "--mbuf-size=16384")
    started = set()

    def get(name):
        if name not in started:
            started.add(name)
            made[name].run()
        return made[name]

    return get


def check_wire(output, expected):
    """All frames are there, and their addresses are right."""
    sent, received = map(int, re.search(r"(\d+) sent, (\d+) received", output).groups())
    assert sent == received > 0, output
    assert int(re.search(r"^addresses +(\d+) compared", output, re.M)[1]) > sent
    assert re.search(expected, output), output


@pytest.mark.parametrize("case", WIRE, ids=lambda case: f"{case[0]}, {case[2]}, {case[1]}")
def test_frames_and_addresses(guests, case):
    """What a NIC wrote is what was sent, and lies where the pool and the kernel say it does."""
    guest, name, model, _, _, expected = case
    check_wire(guests(guest).output(case_name(name, model)), expected)


@pytest.mark.parametrize("case", OURS, ids=lambda case: f"{case[0]}, {case[1]}")
def test_virtio_pci(guests, case):
    """The same by net_ppfrag itself, with its own way to receive and send."""
    guest, name, _, _, expected = case
    check_wire(guests(guest).output(case_name(name, "ours")), expected)


def test_net_virtio_first(guests):
    """Where net_virtio was loaded first it takes devices with ppfrag=1, and this is said."""
    output = guests("uio").output("late")
    assert "net_virtio, IOVA as PA" in output
    assert len(re.findall("has ppfrag=1, but driver net_virtio took it", output)) == 2


def test_wrong_option(guests):
    """Options of other kinds of ports are refused, with the reason."""
    output = guests("uio").output("wrong", status=1)
    assert "option 'path' is for other ports than devices of the PCI bus" in output


@pytest.mark.parametrize("model", STOCK)
def test_testpmd(guests, model):
    """A stock testpmd forwards with a page pool."""
    output = guests("uio").output(case_name("testpmd", model))
    total = output[output.index("Accumulated forward statistics"):]
    assert int(re.search(r"RX-packets: (\d+)", total)[1]) > 100
    assert int(re.search(r"TX-packets: (\d+)", total)[1]) > 100


TAP = "vmtap"
QUEUES = 2
ALL_LENGTHS = "60-1514"
FLOWS = 64
FRAMES_TO = "02:00:00:00:00:0b"  # of xsk_frames.py
GROUP, GROUP_MAC = "239.1.2.3", "01:00:5e:01:02:03"


@pytest.fixture(name="tap")
def fixture_tap():
    """A namespace in which a guest's QEMU can make a tap."""
    done = subprocess.run([VM, "--check"], capture_output=True, text=True, check=False)
    if done.returncode == SKIPPED:
        pytest.skip(done.stderr.splitlines()[-1])
    with network_namespace("vm") as netns:
        yield netns


def in_netns(netns, *words, check=True):
    """Run a command there; whether it ended well."""
    done = subprocess.run([*netns, *map(str, words)], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.returncode == 0


def tap_up(netns):
    """Wait for the tap, and have it carry nothing of the kernel's own."""
    wait_until(lambda: in_netns(netns, "ip", "link", "show", TAP, check=False), "a tap",
               GUEST_SECONDS)
    in_netns(netns, "sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{TAP}/disable_ipv6")
    for words in (("link", "set", TAP, "up"), ("address", "add", "198.18.3.1/24", "dev", TAP),
                  ("neighbour", "add", "198.18.3.2", "lladdr", "02:00:00:00:00:0b", "dev", TAP),
                  ("route", "add", f"{GROUP}/32", "dev", TAP)):
        in_netns(netns, "ip", *words)


def echo(netns):
    """Frames of every length come back unchanged."""
    wait_until(lambda: in_netns(netns, sys.executable, FRAMES, "echo", TAP, "60", check=False),
               "a frame that comes back", GUEST_SECONDS)
    in_netns(netns, sys.executable, FRAMES, "echo", TAP, ALL_LENGTHS)


def used_queues(pmd, netns):
    """Send datagrams of many flows until all queues have received some; the counters."""
    def send():
        in_netns(netns, sys.executable, FRAMES, "flows", "198.18.3.2", FLOWS)
        stats = pmd.xstats()
        return stats if all(stats[f"rx_q{i}_packets"] for i in range(QUEUES)) else None
    return wait_until(send, f"packets in {QUEUES} queues", GUEST_SECONDS)


def to_group(pmd, netns):
    """Send datagrams to a multicast address; how many frames of that kind were received so far."""
    in_netns(netns, sys.executable, FRAMES, "flows", GROUP, FLOWS)
    stats = pmd.xstats()
    return sum(stats[f"rx_q{i}_multicast_packets"] for i in range(QUEUES))


@pytest.mark.parametrize("driver,args", [("uio", ""), ("vfio", ",rx=lanes")])
def test_queues(request, tap, driver, args):
    """Several queues, a tap of the kernel at the other end: control queue, link, restarts."""
    builddir = request.config.getoption("--builddir").resolve()
    guest = Guest("uio", builddir)
    pmd = GuestPmd(
        VM, ["--driver", driver, "--nic",
             f"virtio-net-pci,mq=on:tap,ifname={TAP},queues={QUEUES},script=no,downscript=no"],
        f"{TESTPMD} queues {guest.plugins()} -a $1,ppfrag=1,size_stats=1{args} "
        "--mbuf-pool-ops-name=ppfrag -- "
        f"-i --rxq={QUEUES} --txq={QUEUES} --total-num-mbufs=4096 --mbuf-size=16384 "
        "--disable-link-check", wrapper=tap, seconds=GUEST_SECONDS)
    try:
        tap_up(tap)
        pmd.begin()
        pmd.command("start")
        echo(tap)
        used_queues(pmd, tap)
        for line in ("stop", "port stop 0", "port start 0", "start"):
            pmd.command(line)
        echo(tap)
        stats = used_queues(pmd, tap)
        assert all(stats[f"{way}_q{i}_bad_used"] == 0 for way in ("rx", "tx")
                   for i in range(QUEUES))
        for line in ("stop", "port 0 rxq 1 stop", "port 0 rxq 1 start", "port 0 txq 1 stop",
                     "port 0 txq 1 start", "set link-down port 0", "set link-up port 0", "start",
                     f"mac_addr add 0 {FRAMES_TO}", "set promisc 0 off", "set allmulti 0 off"):
            assert not re.search("[Ee]rror|[Ff]ail|first", pmd.command(line))
        echo(tap)
        pmd.command(f"mac_addr remove 0 {FRAMES_TO}")
        before = to_group(pmd, tap)
        assert not in_netns(tap, sys.executable, FRAMES, "echo", TAP, "60", check=False)
        assert to_group(pmd, tap) == before
        for line in (f"mcast_addr add 0 {GROUP_MAC}", "stop", "port stop 0", "port start 0",
                     "start"):
            pmd.command(line)
        wait_until(lambda: to_group(pmd, tap) > before, "a multicast frame", GUEST_SECONDS)
        pmd.command("set promisc 0 on")
        echo(tap)
        used_queues(pmd, tap)
        assert "Link status: up" in pmd.command("show port info 0")
        pmd.quit()
    finally:
        pmd.close()


@pytest.mark.parametrize("case", SUITES, ids=lambda case: case[0])
def test_unit_suites(guests, case):
    """The suites that ask where memory is pass where physical addresses, IOMMU or nodes matter."""
    guest, name, _ = case
    output = guests(guest).output(name)
    assert re.search(r"^unit: \d+ suites, [1-9]\d* tests, 0 failed,.*: PASSED", output, re.M)
    print(output.splitlines()[-1])


def test_vhost_kernel(request):
    """The tests that need /dev/vhost-net pass in a guest whose kernel has it."""
    builddir = request.config.getoption("--builddir").resolve()
    done = subprocess.run(
        [VM, "--driver", "none", "--modules", "tun,vhost_net", "--cpus", "2", "--mem", "2200",
         "--hugepages", "600", "--seconds", str(GUEST_SECONDS), "--",
         "env", f"PPFRAG_LONG={os.environ.get('PPFRAG_LONG', '0')}", "PPFRAG_TIMEOUT=240",
         "/usr/bin/python3", "-m", "pytest", "-ra", "--color=no", "-p",
         "no:cacheprovider", f"--builddir={builddir}", VHOST_KERNEL],
        capture_output=True, text=True, errors="replace", timeout=GUEST_SECONDS + 120, check=False)
    if done.returncode == SKIPPED:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    summary = re.search(r"=+ (.*) in [0-9.]+s", done.stdout)[1]
    assert summary in ("5 passed", "3 passed, 2 skipped"), done.stdout
    print(summary)
