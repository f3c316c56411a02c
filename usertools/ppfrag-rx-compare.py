#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Busy cycles per received packet of net_ppfrag and of stock net_virtio_user.

Both receive from the same stock dpdk-testpmd with net_vhost, in turn, round by round. Prints the
median of each and its ratio to the first stock mode. Needs hugepages and a built tree.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

STOCK = "--ops ring_mp_mc"
RECEIVERS = [
    ("virtio_user in_order mergeable", "net_virtio_user0,in_order=1,mrg_rxbuf=1", STOCK),
    ("virtio_user vectorized", "net_virtio_user0,in_order=0,mrg_rxbuf=0,vectorized=1", STOCK),
    ("ppfrag 2 KB pages", "net_ppfrag0", "--ops ppfrag"),
    ("ppfrag 16 KB pages", "net_ppfrag0", "--ops ppfrag --mbuf-size 16384"),
    ("ppfrag 64 KB pages", "net_ppfrag0", "--ops ppfrag --mbuf-size 65535"),
]

# Lengths that testpmd sends.
LOADS = {"64": "64", "570": "570", "1518": "1518"}


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build"), help="build directory")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=1, help="of every measurement")
    p.add_argument("--load", choices=sorted(LOADS, key=int), default="64", help="bytes of a packet")
    p.add_argument("--pcap", help="replay this capture instead")
    p.add_argument("--rx", default="", help="options for dpdk-test-ppool rx, e.g. '--touch'")
    p.add_argument("--mem", type=int, default=1024, help="megabytes of the receiver")
    p.add_argument("--cpus", default="0,1", help="of the receiver and of the generator")
    p.add_argument("--json", help="write the figures there")
    return p.parse_args()


class Generator:
    """A stock testpmd that sends into net_vhost as fast as it can."""

    def __init__(self, args, sock, log):
        cpu = args.cpus.split(",")[1]
        cmd = ["dpdk-testpmd", "--no-pci", "--in-memory", "--single-file-segments", "-m", "256",
               "--file-prefix", "ppfrag-gen-%d" % os.getpid(), "--lcores", "0@%s,1@%s" % (cpu, cpu),
               "--vdev", "net_vhost0,iface=" + sock]
        if args.pcap:
            cmd += ["--vdev", "net_pcap0,rx_pcap=%s,infinite_rx=1" % args.pcap, "--",
                    "--forward-mode=io"]
        else:
            cmd += ["--", "--forward-mode=txonly", "--txpkts=" + LOADS[args.load]]
        cmd += ["--total-num-mbufs=16384", "--auto-start"]
        self.process = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=log, stderr=log)
        for _ in range(200):
            if os.path.exists(sock):
                return
            time.sleep(0.05)
        self.stop()
        raise SystemExit("dpdk-testpmd with net_vhost does not come up, see " + log.name)

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(args, sock, vdev, options, out, log):
    cpu = args.cpus.split(",")[0]
    cmd = [os.path.join(args.build, "app/test-ppool/dpdk-test-ppool"), "--no-pci", "--in-memory",
           "--single-file-segments", "-m", str(args.mem),
           "--file-prefix", "ppfrag-rx-%d" % os.getpid(),
           "--lcores", "0@%s,1@%s" % (cpu, cpu),
           "-d", os.path.join(args.build, "drivers/net/ppfrag/librte_net_ppfrag.so"),
           "--vdev", "%s,path=%s" % (vdev, sock), "--", "rx",
           "--seconds", str(args.seconds), "--json", out] + options.split() + args.rx.split()
    if os.path.exists(out):
        os.unlink(out)
    subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
                   timeout=60 + args.seconds)
    try:
        with open(out) as f:
            return json.load(f)
    except (OSError, ValueError):
        raise SystemExit("%s: no result, see %s" % (vdev, log.name))


def main():
    args = parse_args()
    tmp = tempfile.mkdtemp(prefix="ppfrag-rx-")
    sock = os.path.join(tmp, "sock")
    cycles = {name: [] for name, _, _ in RECEIVERS}
    with open(os.path.join(tmp, "log"), "w") as log:
        generator = Generator(args, sock, log)
        try:
            for _ in range(args.rounds):
                for name, vdev, options in RECEIVERS:
                    r = measure(args, sock, vdev, options, os.path.join(tmp, "json"), log)
                    cycles[name].append(r["cycles_per_packet"])
        finally:
            generator.stop()
    base = statistics.median(cycles[RECEIVERS[0][0]])
    print("%-32s %8s %8s %8s %7s" % ("busy cycles per packet", "median", "min", "max", "ratio"))
    table = []
    for name, values in cycles.items():
        m = statistics.median(values)
        table.append({"receiver": name, "cycles": values, "median": m, "ratio": m / base})
        print("%-32s %8.1f %8.1f %8.1f %7.2f" % (name, m, min(values), max(values), m / base))
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"load": args.pcap or args.load, "rx": args.rx, "table": table}, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
