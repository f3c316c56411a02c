#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Busy cycles per packet of net_ppfrag and stock net_virtio_user: receive, forward, send, return.

All work with the same stock dpdk-testpmd with net_vhost, in turn, round by round; who is first
changes from round to round. Prints medians, and ratios to two stock modes: median and quartiles of
the ratios within each round, which a machine that changes its pace disturbs less.
Needs hugepages, a built tree, and both CPUs for itself: what else runs there counts as busy cycles.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 60
GENERATOR_MEM = 256  # megabytes
FRAME_MAX = 1518     # of a capture: what an mbuf of default size holds
FRAMES_MAX = 8000    # that the generator keeps in memory
LOG_LINES = 12       # of a program that failed

# Name, device, data room of its mbufs or pages (None: what the program takes by itself).
RECEIVERS = [
    ("virtio_user in_order mergeable", "net_virtio_user0,in_order=1,mrg_rxbuf=1", None),
    ("virtio_user vectorized", "net_virtio_user0,in_order=0,mrg_rxbuf=0,vectorized=1", None),
    ("virtio_user packed", "net_virtio_user0,packed_vq=1,mrg_rxbuf=1", None),
    ("virtio_user packed in_order", "net_virtio_user0,packed_vq=1,in_order=1,mrg_rxbuf=1", None),
    ("ppfrag lanes, 2 KB pages", "net_ppfrag0,rx=lanes", None),
    ("ppfrag lanes, 16 KB pages", "net_ppfrag0,rx=lanes", 16384),
    ("ppfrag lanes, 64 KB pages", "net_ppfrag0,rx=lanes", 65535),
    ("ppfrag slots, 2 KB pages", "net_ppfrag0,rx=slots,preset=auto", None),
    ("ppfrag slots, auto", "net_ppfrag0,rx=slots,preset=auto", 16384),
    ("ppfrag slots, speed", "net_ppfrag0,rx=slots,preset=speed", 16384),
    ("ppfrag slots, density", "net_ppfrag0,rx=slots,preset=density", 16384),
    ("ppfrag lanes, in_order", "net_ppfrag0,rx=lanes,in_order=1", 16384),
    ("ppfrag slots, in_order", "net_ppfrag0,rx=slots,in_order=1", 16384),
    ("ppfrag packed slots", "net_ppfrag0,packed_vq=1", 16384),
    ("ppfrag packed in_order slots", "net_ppfrag0,packed_vq=1,in_order=1", 16384),
    ("ppfrag packed lanes", "net_ppfrag0,packed_vq=1,rx=lanes", 16384),
]
# What the others are compared with: the most capable and the fastest of the stock ones, and the
# same two with packed rings.
REFERENCES = {"in_order": RECEIVERS[0][0], "vectorized": RECEIVERS[1][0],
              "packed": RECEIVERS[2][0], "packed in_order": RECEIVERS[3][0]}

# Lengths that testpmd sends; imix is a capture that it replays.
LOADS = ("64", "570", "1518", "imix")
# What a stock testpmd does with packets.
FORWARD_MODES = ("rxonly", "txonly", "io", "macswap")


def parse_args():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                epilog=__doc__.splitlines()[-1])
    p.add_argument("--build", type=Path, default=ROOT / "build", help="build directory")
    p.add_argument("--rounds", type=int, default=5, help="measurements of each receiver [5]")
    p.add_argument("--seconds", type=int, default=1, help="of every measurement [1]")
    p.add_argument("--load", choices=LOADS, default="64",
                   help="bytes of a packet, or the mix of 7 x 64, 4 x 570, 1 x 1518 [64]")
    p.add_argument("--pcap", help="replay this capture instead")
    p.add_argument("--program", choices=("rx", "testpmd", "rtt"), default="rx",
                   help="who receives: dpdk-ppool rx, or stock dpdk-testpmd; or"
                   " dpdk-ppool rtt, which counts until a packet is back [rx]")
    p.add_argument("--forward-mode", choices=FORWARD_MODES, default="rxonly",
                   help="with --program testpmd: of the testpmd that is measured [rxonly]")
    p.add_argument("--only", default="", metavar="TEXT,...",
                   help="only receivers whose names contain one of these, e.g. vector,slots")
    p.add_argument("--rx", default="",
                   help="options for dpdk-ppool rx, with a space in front: ' --touch'")
    p.add_argument("--mem", type=int, default=1024, help="megabytes of the receiver [1024]")
    p.add_argument("--cpus", default="0,1", help="of the receiver and of the generator [0,1]")
    p.add_argument("--json", help="write the figures there")
    args = p.parse_args()
    check_options(p, args)
    if args.rounds < 1 or args.seconds < 1 or args.mem < 1:
        p.error("--rounds, --seconds and --mem start from 1")
    args.receivers = [r for r in RECEIVERS if any(t in r[0] for t in args.only.split(","))]
    if not args.receivers:
        p.error(f"--only {args.only}: no receiver's name contains that; names: "
                + "; ".join(name for name, _, _ in RECEIVERS))
    if not (args.build / "app/ppool-tool/dpdk-ppool").exists():
        p.error(f"--build {args.build}: no built tree; run config/setup.sh")
    if not shutil.which("dpdk-testpmd"):
        p.error("there is no dpdk-testpmd: run config/setup.sh")
    check_host(p, args)
    check_files(p, args)
    return args


def check_options(p, args):
    """Options that go together."""
    if args.program != "rx" and args.rx:
        p.error("--rx is for --program rx: the others neither read nor hold packets")
    if args.program != "testpmd" and args.forward_mode != "rxonly":
        p.error("--forward-mode is for --program testpmd")
    if (args.program == "rtt" or args.forward_mode == "txonly") and (
            args.load == "imix" or args.pcap):
        p.error("who sends by itself sends packets of one length: leave out --pcap and"
                " --load imix")


def check_host(p, args):
    """Two CPUs that there are, and hugepages for all programs."""
    if not re.fullmatch(r"\d+,\d+", args.cpus) or not (
            {int(cpu) for cpu in args.cpus.split(",")} <= os.sched_getaffinity(0)):
        p.error(f"--cpus {args.cpus}: two of {sorted(os.sched_getaffinity(0))} are expected, as"
                " RECEIVER,GENERATOR")
    values = dict(re.findall(r"^(\w+):\s+(\d+)", Path("/proc/meminfo").read_text(), re.M))
    free = int(values.get("HugePages_Free", 0)) * int(values.get("Hugepagesize", 0)) // 1024
    if free < args.mem + GENERATOR_MEM:
        p.error(f"{free} MB of hugepages are free, {args.mem + GENERATOR_MEM} are needed: lower"
                " --mem, or run config/setup.sh --hugepages MB")


def check_files(p, args):
    """A capture that can be replayed, and a result that can be written."""
    if args.pcap:
        done = subprocess.run([ROOT / "usertools/ppfrag-capture", "--max-length", str(FRAME_MAX),
                               "--max-frames", str(FRAMES_MAX), args.pcap],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            p.error(f"--pcap {done.stderr.strip()}")
    if args.json:
        try:
            with open(args.json, "w"):
                pass
        except OSError as error:
            p.error(f"--json {args.json}: {error.strerror}")


def eal(name, cpu, megabytes):
    """EAL options: two lcores on one CPU, the first of which only waits."""
    return ["--no-pci", "--in-memory", "--single-file-segments", "-m", str(megabytes),
            "--file-prefix", f"ppfrag-{name}-{os.getpid()}", "--lcores", f"0@{cpu},1@{cpu}"]


def eal_receiver(args, device, sock, ppfrag):
    """EAL options of a receiver of either program."""
    options = eal("rx", args.cpus.split(",")[0], args.mem)
    if ppfrag:
        options += ["-d", args.build / "lib/ppool/libppool.so",
                    "-d", args.build / "drivers/net/ppfrag/librte_net_ppfrag.so"]
    return options + ["--vdev", f"{device},path={sock}"]


class Failure(Exception):
    """A program did not do its part; the end of its log tells more."""

    def __init__(self, text, log):
        lines = Path(log.name).read_text(errors="replace").splitlines()[-LOG_LINES:]
        super().__init__("\n".join(["", *(f"    {line}" for line in lines),
                                    f"ppfrag-rx-compare: {text}; its log is {log.name}"]))


class Testpmd:
    """A stock testpmd that takes commands; its end is that of the 'with' block."""

    def __init__(self, options, log):
        self.log = log
        self.start = os.path.getsize(log.name)
        # Without stdbuf what it prints into a file arrives when it ends.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "dpdk-testpmd", *options], stdin=subprocess.PIPE, stdout=log,
            stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.communicate(b"quit\n", timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()

    def type(self, command):
        """Type a command."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"dpdk-testpmd has ended before '{command}'", self.log) from None

    def wait(self, pattern):
        """Wait for output; the match."""
        end = time.monotonic() + TIMEOUT
        while self.process.poll() is None and time.monotonic() < end:
            text = Path(self.log.name).read_bytes()[self.start:].decode(errors="replace")
            match = re.search(pattern, text)
            if match:
                return match
            time.sleep(0.02)
        ended = "has ended" if self.process.poll() is not None else f"hangs for {TIMEOUT} s"
        raise Failure(f"dpdk-testpmd {ended} before it prints '{pattern}'", self.log)


def generator_part(args, pcap):
    """What the testpmd at the other end is to do."""
    if args.program == "rtt":
        return ["--", "-i", "--forward-mode=io", "--port-topology=loop"]
    if args.forward_mode == "txonly":
        return ["--", "-i", "--forward-mode=rxonly"]
    if pcap:  # whatever it gets, net_pcap drops
        return ["--vdev", f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "--", "-i",
                "--forward-mode=io", "--no-flush-rx"]
    if args.forward_mode != "rxonly":
        return ["--vdev", f"net_null0,size={args.load}", "--", "-i", "--forward-mode=io"]
    return ["--", "-i", "--forward-mode=txonly", f"--txpkts={args.load}"]


def generator(args, sock, pcap, log):
    """A testpmd that sends into net_vhost as fast as it can, or takes, or returns what comes."""
    options = [*eal("gen", args.cpus.split(",")[1], GENERATOR_MEM),
               "--vdev", f"net_vhost0,iface={sock}", *generator_part(args, pcap)]
    sender = Testpmd(options + ["--total-num-mbufs=16384", "--auto-start"], log)
    sender.wait("testpmd> ")
    return sender


def measure_testpmd(args, sock, device, room, log):
    """Receive and free, send or forward with stock testpmd."""
    ppfrag = device.startswith("net_ppfrag")
    options = eal_receiver(args, device, sock, ppfrag)
    if ppfrag:
        options += ["--mbuf-pool-ops-name=ppfrag"]
    options += ["--", "-i", f"--forward-mode={args.forward_mode}", "--record-core-cycles",
                "--no-flush-rx", "--total-num-mbufs=4096"]
    if args.forward_mode == "txonly":
        options += [f"--txpkts={args.load}"]
    elif args.forward_mode != "rxonly":
        options += ["--port-topology=loop"]
    if room:
        options += [f"--mbuf-size={room}"]
    with Testpmd(options, log) as receiver:
        receiver.wait("testpmd> ")
        receiver.type("start")
        time.sleep(0.2)
        receiver.type("clear fwd stats all")
        time.sleep(args.seconds)
        receiver.type("show fwd stats all")
        match = receiver.wait(r"CPU cycles/packet=([0-9.]+) ")
        return {"cycles_per_packet": float(match[1])}


def run_ppool(args, sock, device, room, log, command):
    """A command of dpdk-ppool; its result."""
    ppfrag = device.startswith("net_ppfrag")
    out = Path(log.name).with_suffix(".json")
    out.unlink(missing_ok=True)
    cmd = [args.build / "app/ppool-tool/dpdk-ppool", *eal_receiver(args, device, sock, ppfrag),
           "--", *command, "--ops", "ppfrag" if ppfrag else "ring_mp_mc", "--json", out]
    if room:
        cmd += ["--mbuf-size", str(room)]
    name = f"{device}: dpdk-ppool {command[0]}"
    try:
        subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
                       timeout=TIMEOUT + args.seconds)
        result = json.loads(out.read_text())
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} does not end", log) from None
    except (OSError, ValueError):
        raise Failure(f"{name} has no result", log) from None
    if not result["ok"]:
        raise Failure(f"{name} has failed", log)
    return result


def measure_rx(args, sock, device, room, log):
    """Receive, and free or hold, with dpdk-ppool."""
    return run_ppool(args, sock, device, room, log,
                     ["rx", "--seconds", str(args.seconds), *args.rx.split()])


def measure_rtt(args, sock, device, room, log):
    """Send one packet, wait until it is back: the median of many."""
    result = run_ppool(args, sock, device, room, log, ["rtt", "--length", args.load])
    return {"cycles_per_packet": result["cycles"]["median"]}


def say(text, end="\n"):
    """Tell how far it is; the result alone goes to standard output."""
    print(text, end=end, file=sys.stderr, flush=True)


MEASURES = {"rx": measure_rx, "testpmd": measure_testpmd, "rtt": measure_rtt}
TITLES = {"rx": "busy cycles per packet", "testpmd": "busy cycles per packet",
          "rtt": "cycles until a packet is back"}


def measure_all(args, tmp):
    """The results of each receiver, one of each round."""
    sock = tmp / "sock"
    pcap = args.pcap
    measure = MEASURES[args.program]
    results = {name: [] for name, _, _ in args.receivers}
    with open(tmp / "generator.log", "w") as gen_log, open(tmp / "receiver.log", "w") as log:
        if args.load == "imix" and not pcap:
            pcap = tmp / "imix.pcap"
            subprocess.run([ROOT / "tests/data/make-captures.py", "imix", "--output", pcap],
                           check=True, stdout=gen_log, stderr=gen_log)
        say(f"{args.rounds} rounds of {len(args.receivers)} receivers; starting the generator")
        with generator(args, sock, pcap, gen_log):
            for i in range(args.rounds):
                first = i % len(args.receivers)
                for name, device, room in args.receivers[first:] + args.receivers[:first]:
                    say(f"round {i + 1} of {args.rounds}, {name}: ", end="")
                    results[name].append(measure(args, sock, device, room, log))
                    say(f"{results[name][-1]['cycles_per_packet']:.1f} cycles a packet")
    return results


def ratios(rounds, reference):
    """Median and quartiles of the ratios within rounds; None without the reference."""
    if not reference:
        return None
    values = [a["cycles_per_packet"] / b["cycles_per_packet"] for a, b in zip(rounds, reference)]
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": statistics.median(values), "low": quartiles[0], "high": quartiles[2],
            "rounds": values}


def make_table(results):
    """A row for each receiver."""
    table = []
    for name, rounds in results.items():
        cycles = [r["cycles_per_packet"] for r in rounds]
        bursts = [r["average_burst"] for r in rounds if "average_burst" in r]
        table.append({
            "receiver": name,
            "cycles": cycles,
            "median": statistics.median(cycles),
            "ratio": {key: ratios(rounds, results.get(reference))
                      for key, reference in REFERENCES.items()},
            "average_burst": statistics.median(bursts) if bursts else None,
        })
    return table


def ratio_text(ratio):
    """A ratio and its quartiles."""
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})" if ratio else "-"


def print_table(title, table):
    """For people."""
    keys = "".join(f"  {'to ' + key:>18}" for key in REFERENCES)
    print(f"{title:32}  {'median':>8}  {'min':>8}  {'max':>8}{keys}  {'burst':>6}")
    for row in table:
        burst = row["average_burst"]
        values = "".join(f"  {value:8.1f}"
                         for value in (row["median"], min(row["cycles"]), max(row["cycles"])))
        to = "".join(f"  {ratio_text(row['ratio'][key]):>18}" for key in REFERENCES)
        print(f"{row['receiver']:32}{values}{to}"
              f"  {'-' if burst is None else format(burst, '.1f'):>6}")


def remove_runtime_dirs():
    """What EAL leaves of the programs that have ended."""
    base = "/var/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    for name in ("gen", "rx"):
        shutil.rmtree(f"{base}/dpdk/ppfrag-{name}-{os.getpid()}", ignore_errors=True)


def main():
    """Measure, print, write."""
    args = parse_args()
    tmp = Path(tempfile.mkdtemp(prefix="ppfrag-rx-"))
    try:
        table = make_table(measure_all(args, tmp))
    except Failure as failure:
        say(failure)
        return 1
    finally:
        remove_runtime_dirs()
    shutil.rmtree(tmp)
    print_table(TITLES[args.program], table)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"load": args.pcap or args.load, "program": args.program,
                       "forward_mode": args.forward_mode, "rx": args.rx, "table": table}, f,
                      indent=1)
            f.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
