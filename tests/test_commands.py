# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Every command of README.md and the guides runs, or a table says why not.

Where a guide has a new command, add it to RUN, with SUBSTITUTIONS for what it may not touch here,
or to TESTED or NOT_RUN. The first pattern that matches counts.
"""

import os
import platform
import re
import subprocess
from dataclasses import dataclass

import pytest

from conftest import ROOT
from guide_commands import Command, blocks
from harness import Program, wait_until
from test_xsk import need_xdp

LONG = os.environ.get("PPFRAG_LONG") == "1"
COMMAND_TIMEOUT = 240


@dataclass
class Run:
    """How a command is run. It ends with status 0."""
    ready: str = ""  # what it prints once the next command can be run beside it
    until: str = ""  # it is interrupted when it has printed this
    receives: bool = False  # and its port 0 has received packets
    prints: str = ""  # what is in its output in the end
    always: bool = True  # or with PPFRAG_LONG=1 only: another one of its kind runs always


SOURCE = Run(ready="Port statistics")
HELD = r"packets held"
RUN = {
    # sources of packets, which go on until their block ends, or until another one takes the socket
    r"^config/testpmd\.sh (source|replay) ": SOURCE,
    r"^dpdk-testpmd .*net_vhost0,iface=[^ ]*sock --.* --stats-period 1$": SOURCE,
    r"^dpdk-testpmd .*net_vhost0,iface=[^ ,]* -- --forward-mode=txonly": Run(ready="Press enter"),
    # receivers
    r"^dpdk-testpmd .*net_ppfrag0.*--stats-period 1$": Run(until="RX-packets: [1-9]"),
    r"^dpdk-testpmd .*net_ppfrag0.*--forward-mode=rxonly": Run(until="Press enter", receives=True),
    r"^\S+ .*net_virtio_user0.* -- hold ": Run(prints=HELD),
    r"^\$app .*net_ppfrag0.* -- hold ": Run(prints=HELD),
    r"^build/app/.* -- hold ": Run(prints=HELD, always=False),
    r"^dpdk-\S+ --in-memory .* -- hold ": Run(prints=HELD, always=False),
    r"^build/examples/dpdk-ppool-hold .*--file-prefix hold": Run(ready="pool: .* pages free"),
    r"^nsenter .*dpdk-ppool-hold ": Run(ready="pool: .* pages free"),
    r"^(build/examples/)?dpdk-ppool-hold (?!.*iface=eth1).* -- ": Run(until="pool: .* pages free",
                                                      prints="The books balance"),
    r" longhold --live .*( --ops ring_mp_mc| --json auto\.json)$": Run(prints="live +wire",
                                                                      always=False),
    r" longhold --live ": Run(prints="live +wire"),
    # the pool alone
    r"^\$app .* longhold ": Run(prints="live +wire", always=False),
    r" longhold .*--page 16384,65535$": Run(prints="live +wire"),
    r" longhold .*--page 16384$": Run(prints="live +wire", always=False),
    r" longhold .*--json longhold\.json$": Run(prints="live +wire"),
    r" mempool-perf --json ": Run(prints="ppfrag"),
    r"^dpdk-\S+ [^.]* frag-perf ": Run(prints="carve"),
    r" -- unit carver ": Run(prints="PASSED"),
    # tools
    r"^(usertools/)?ppfrag-plot (--.* )?[a-z_]+\.json [a-z_]+\.svg$": Run(),
    r"^(usertools/)?ppfrag-size ": Run(prints="packets per MiB"),
    r"^usertools/ppfrag-top -f hold --once$": Run(prints="Accounts"),
    r"^tests/data/make-captures\.py ": Run(),
    # interfaces of the kernel
    r"^ip (netns|-n) ": Run(),
    r"^nsenter .*dpdk-testpmd .*iface=veth1": Run(ready="Press enter"),
    r"^nsenter .*ping ": Run(until="bytes from"),
    r"^nsenter .*bash -c ": Run(),
    # the receiver that is moved over; a captured line of each is in the guide
    r"^cc -O2 |^patch ": Run(),
    r"^/tmp/stock ": Run(until="[1-9][0-9]* dropped", prints="(?m)^6784 packets held, [1-9]"),
    r"^/tmp/moved .*net_ppfrag0": Run(until="[1-9][0-9]* dropped",
                                      prints="(?m)^1[56]... packets held, [1-9]"),
    r"^/tmp/moved ": Run(until="[1-9][0-9]* dropped", prints="(?m)^1[01]... packets held, [1-9]"),
    # variables for those that follow
    r"^(\. config/env\.sh|export |app=|eal=)": Run(),
}

# By tests of this directory, or a part of devtools/test.sh.
TESTED = {
    r"^usertools/ppfrag-demo\.sh$": "test_usertools.py test_demo_equal_bytes",
    r"^(held in|net_virtio_user, default|net_ppfrag, ppfrag|[0-9.]+x$)":
        "test_usertools.py test_demo_equal_bytes",  # what it prints
    r"^usertools/ppfrag-demo\.sh --iface$": "test_usertools.py test_demo_iface",
    r"^usertools/ppfrag-demo\.sh --pcap ": "test_usertools.py test_demo",
    r"^dpdk-testpmd .*--mbuf-size=16384 --total-num-mbufs=16384$": "test_cmdline.py test_readme",
    r"^dpdk-testpmd -d build\S* -d build\S* \.\.\.$": "test_cmdline.py test_readme",
    r"^dpdk-testpmd \.\.\. .*server=1|,client=1": "test_reconnect.py test_late_features",
    r"^usertools/ppfrag-plot auto\.json density\.json": "test_bench.py test_plot_several",
    r"^dpdk-\S+ \.\.\. -- frag-perf ": "test_bench.py test_frag_perf",
    r"^usertools/ppfrag-rx-compare\.py .*--forward-mode ":
        "test_usertools.py test_rx_compare_both_ways",
    r"^usertools/ppfrag-rx-compare\.py .*rtt": "test_usertools.py test_rx_compare_both_ways",
    r"^usertools/ppfrag-rx-compare\.py ": "test_usertools.py test_rx_compare",
    r"^dpdk-testpmd -d \.\.\.|--proc-type=secondary": "test_secondary.py test_order_of_plugins",
    r"dpdk-proc-info ": "test_secondary.py test_proc_info",
    r"dpdk-dumpcap ": "test_secondary.py test_dumpcap",
    r"^show rxq info ": "test_forward.py test_byte_for_byte",
    r"^port (0 [rt]xq|stop|start) ": "test_queues.py test_stop_and_start",
    r"^ip_reassembly ": "test_applications.py test_ip_reassembly",
    r"^l3fwd ": "test_applications.py test_l3fwd",
    r"^ovs-vsctl ": "test_openvswitch.py test_shared",
    r"iface=veth1 -- hold |^tests/xsk_frames\.py ": "test_usertools.py test_demo_iface",
    r"^dpdk-telemetry\.py$|^/ppool/": "test_telemetry.py test_pool_keys",
    r"^usertools/ppfrag-top -f rte$": "test_top.py test_screen",
    r"^usertools/ppool-exporter ": "test_exporter.py test_metrics",
    r"^dpdk-telemetry-exporter\.py ": "test_exporter.py test_endpoint",
    r"^(config/setup\.sh|meson setup build|ninja -C build)$": "devtools/test.sh build",
    r"^ninja -C build doc$": "devtools/test.sh doc",
    r"^ninja -C build install$|^cc prog\.c |^make$": "devtools/test.sh install",
    r"^devtools/cross\.sh i386$": "devtools/test.sh i386",
    r"^devtools/lint\.sh ": "devtools/test.sh lint",
    r"^devtools/package(-test)?\.sh|^apt-get install \./build": "devtools/test.sh package",
    r"^apt-get install .*librte-net-vhost": "devtools/test.sh package",
    r"^devtools/vm\.sh |/dev/vhost-net,|^modprobe vhost_net$|^ip .* tap0": "devtools/test.sh vm",
}

NOT_RUN = {
    r"^devtools/test\.sh( |$)": "runs this test, and takes an hour",
    r"^devtools/versions\.sh": "builds and tests up to seven releases of DPDK, for hours",
    r"^apt-get install python3-": "config/setup.sh does it, or tests that need it are skipped",
    r"iface=eth1": "needs an interface that it may take",
    r"^modprobe vfio-pci$|0000:00:10\.0": "needs a network card",
    r"^perf record ": "needs perf(1) of the running kernel; the command runs in test_bench.py",
}

# Names of files, sockets, programs and memory that are this test's own; durations that are short.
SUBSTITUTIONS = [
    (r"/run/(vhost|ppfrag|a|b)\.sock", r"{dir}/\1.sock"),
    (r"/tmp/", "{dir}/"),
    (r"(?<!\S)(?=ppfrag-(plot|size))", "usertools/"),  # as if installed, with all that follow
    (r"(?<!\S)dpdk-(?=(test-)?ppool(-bench)? )", "{build}/app/*/dpdk-"),
    (r"(?<!\S)dpdk-ppool-hold(?= )", "{build}/examples/dpdk-ppool-hold"),
    (r"(?<![\w./-])build/", "{build}/"),
    (r'^eal="', 'eal="--file-prefix {prefix} '),
    (r"((?:app/\*|examples)/dpdk-\S+)(?!\S| \$PPFRAG)", r"\1 {plugins}"),
    (r"dpdk-testpmd(?=.*net_ppfrag0)(?!.* -d )", "dpdk-testpmd {plugins}"),
    (r"(dpdk-testpmd|\$app|dpdk-ppool-hold|app/\S+)(?! -- )(?=\s)(?=.* -- )(?!.*--file-prefix)",
     r"\1 --file-prefix {prefix}"),
    (r"(--file-prefix[= ]|-f )(source|rx|tx|hold)\b", r"\1{prefix}-\2"),
    (r"\b(left|right)\b", r"{prefix}-\1"),
    (r"--packets [0-9]{7,}", "--packets 60000"),
    (r"pareto:1\.2:20000(?!,)", "pareto:1.2:1000"),
    (r"longhold --json", "longhold --packets 60000 --ways stock,slots --json"),
    (r"mempool-perf", "mempool-perf --ms 2 --rounds 1 --keep 32 --bulk 32"),
    (r"frag-perf --rounds 9", "frag-perf --rounds 1 --held 0,1024 --page 16384"),
    (r"-m 1536|-m 1500|-m 1024", "-m 512"),
    (r"ppfrag_eal_mem (640|1500)", "ppfrag_eal_mem 320"),
    (r"--mem 256", "--mem 32"),
]
# Where there are no hugepages to be had.
WITHOUT_HUGEPAGES = [
    (r" --in-memory| --single-file-segments", ""),
    (r"(dpdk-testpmd|app/\S+|dpdk-ppool-hold)(?=\s)(?!.*(--no-huge|PPFRAG))(?=.* -- )",
     r"\1 --no-huge"),
    (r"(?<=--no-huge)(?=.* -- )(?!.* -m )", " -m 800"),
]

# Documents that have commands of others, run with PPFRAG_LONG=1.
LIKE_OTHERS = ("packages.rst", "ppool_hold.rst", "dpdk-ppool-hold.rst", "ppfrag_top.rst")

TABLES = {"RUN": RUN, "TESTED": TESTED, "NOT_RUN": NOT_RUN}
BLOCKS = blocks()


def rule(command):
    """The name of the table and the pattern that a command is found by."""
    for name, table in TABLES.items():
        for pattern in table:
            if re.search(pattern, command.text):
                return name, pattern
    return None


def to_run(block):
    """The commands of a block that are run, and how."""
    found = [(command, rule(command)) for command in block.commands]
    return [(command, RUN[place[1]]) for command, place in found if place and place[0] == "RUN"]


def test_every_command_is_known():
    """No command is in no table, and no pattern is left over."""
    unknown, used = [], set()
    for block in BLOCKS:
        for command in block.commands:
            place = rule(command)
            used.add(place)
            if not place:
                unknown.append(f"{block.where}: {command.text}")
    assert not unknown, "add to a table of tests/test_commands.py:\n" + "\n".join(unknown)
    left = {(name, pattern) for name, table in TABLES.items() for pattern in table} - used
    assert not left, "no guide has such a command any more"


def test_named_tests_exist():
    """Those that run what is not run here."""
    script = (ROOT / "devtools/test.sh").read_text()
    for where, name in (test.split() for test in TESTED.values()):
        if where.endswith(".py"):
            assert f"\ndef {name}(" in (ROOT / "tests" / where).read_text(), f"{where} {name}"
        else:
            assert f"\npart_{name}() " in script, name


class Session:
    """Runs commands as a user would, in a directory in which the checkout seems to be."""

    def __init__(self, lab):
        self.lab = lab
        self.dir = lab.dir / "checkout"
        self.dir.mkdir()
        for path in ROOT.iterdir():
            if not path.name.startswith((".", "build")):
                (self.dir / path.name).symlink_to(path)
        self.prefix = lab.prefix()
        self.names = {"dir": str(lab.dir), "build": str(lab.builddir), "prefix": self.prefix,
                      "plugins": " ".join(map(str, lab.plugins()))}
        self.variables = []
        self.beside = []

    def close(self):
        """Remove what outlives programs."""
        for end in ("left", "right"):
            if os.path.exists(f"/run/netns/{self.prefix}-{end}"):
                subprocess.run(["ip", "netns", "delete", f"{self.prefix}-{end}"], check=True)

    def adapt(self, text):
        """A command with this test's own names."""
        for pattern, into in SUBSTITUTIONS + ([] if self.lab.hugepages else WITHOUT_HUGEPAGES):
            text = re.sub(pattern, into, text)
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def start(self, text):
        """Start a command in a shell that has the variables of the block."""
        no_huge = [] if self.lab.hugepages else ["PPFRAG_NO_HUGE=1"]
        one = "" if ";" in text else "exec "
        script = "\n".join([f"cd {self.dir} || exit", *self.variables, f"{one}{text}"])
        prefix = re.search(r"--file-prefix[= ](\S+)", text)
        return self.lab.add(Program(text.split()[0], [
            "env", f"PPFRAG_BUILD={self.lab.builddir}", *no_huge, "bash", "-euc", script],
            prefix[1] if prefix else self.prefix))

    def end_beside(self):
        """End what runs beside."""
        while self.beside:
            program = self.beside.pop()
            program.interrupt()
            assert program.wait_end() == 0, program.output

    def run(self, command, how):
        """Run a command of a block; its output."""
        text = self.adapt(command.text)
        if re.match(r"\. |export |\w+=", text):
            self.variables.append(text)
            return ""
        if how == SOURCE:
            self.end_beside()
        elif re.search("net_(ppfrag|virtio_user)0.*path=", text) and not self.beside:
            self.run(Command("config/testpmd.sh source /run/vhost.sock"), SOURCE)
        program = self.start(text)
        if how.ready:
            program.wait_output(how.ready, timeout=COMMAND_TIMEOUT)
            self.beside.append(program)
            return program.output
        if how.until:
            program.wait_output(how.until, timeout=COMMAND_TIMEOUT)
            if how.receives:
                wait_until(lambda: program.telemetry("/ethdev/stats,0")["ipackets"], "packets")
            program.interrupt()
        assert program.wait_end(COMMAND_TIMEOUT) == 0, program.output[-4000:]
        assert re.search(how.prints, program.output), program.output[-4000:]
        return program.output


@pytest.fixture
def session(lab):
    """What commands are run in."""
    made = Session(lab)
    yield made
    for program in lab.programs:
        program.kill()
    made.close()


def can_show(builddir):
    """Whether output is that of the machine for which the guides are written."""
    linked = subprocess.run(["ldd", builddir / "lib/ppool/libppool.so"], capture_output=True,
                            text=True, check=True).stdout
    return platform.machine() == "x86_64" and "librte_eal.so.23 " in linked


def need(block):
    """Skip where commands of a block need what this host has not."""
    text = " ".join(command.text for command in block.commands)
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs CPUs 0 and 1, which guides name")
    if "ppfrag-top" in text:
        pytest.importorskip("rich")
    if "netns" in text:
        need_xdp()
        if os.geteuid() != 0:
            pytest.skip("needs root, for network namespaces")


def is_runnable(block):
    """Whether a block is run: not for nothing but a source, or what runs with PPFRAG_LONG=1."""
    hows = [how for _, how in to_run(block)]
    if block.where.split("/")[-1].split(":")[0] in LIKE_OTHERS and not LONG:
        return False
    return bool(hows) and (LONG or any(how.always and how not in (SOURCE, Run()) for how in hows))


RUNNABLE = [block for block in BLOCKS if is_runnable(block)]


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.where)
def test_run(session, block):
    """The commands of a block, in their order, print what the guide shows."""
    need(block)
    for command, how in to_run(block):
        if not how.always and not LONG:
            continue
        output = session.run(command, how)
        if command.output and can_show(session.lab.builddir):
            assert output.strip() == "\n".join(command.output).strip()
    session.end_beside()
