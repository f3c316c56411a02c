#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Measures what the guide "Performance" shows, and writes its tables.

Every run leaves its JSON in build/figures; the tables in doc/guides/figures are made of what lies
there, so that parts can be measured one at a time, and tables be made without measuring (--tables).
Needs hugepages and a built tree. While "receive" is measured, which takes half an hour, nothing
else may run on the two CPUs.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "build" / "figures"
TABLES = ROOT / "doc" / "guides" / "figures"
TIMEOUT = 900
SOURCE_TIMEOUT = 30

# Of "held": title, title of the memory, megabytes, MTU, data rooms of mbufs and pages, capture.
TRAFFIC = {
    "64": ("64 bytes", "64 MB, 2,176-byte mbufs : 16 KB pages", 64, 1500, 2176, 16384, None),
    "imix": ("IMIX 7:4:1", "256 MB, 2,176-byte mbufs : 16 KB pages", 256, 1500, 2176, 16384,
             "imix"),
    "imix-9000": ("IMIX 7:4:1, MTU 9000", "256 MB, 9,216-byte mbufs : 64 KB pages", 256, 9000,
                  9216, 65535, "imix"),
    "tcp": ("TCP bulk (``tests/data/tcp.pcap``)", "64 MB, 2,176-byte mbufs : 16 KB pages", 64,
            1500, 2176, 16384, ROOT / "tests/data/tcp.pcap"),
    "imix-2k": ("IMIX 7:4:1", "256 MB, 2,176-byte mbufs : 2 KB pages", 256, 1500, 2176, 2176,
                "imix"),
}
# Title, device.
HOLDERS = {"stock": ("Stock", "net_virtio_user0"), "auto": ("net_ppfrag", "net_ppfrag0"),
           "density": ("``preset= density``", "net_ppfrag0,preset=density"),
           "lanes": ("``rx=lanes``", "net_ppfrag0,rx=lanes")}

# Of "long": title, packets, share, life.
LIVES = {
    "pareto20000": ("5 %, Pareto 1.2 from 20,000 packets on", 3000000, 5, "pareto:1.2:20000"),
    "pareto1000": ("5 %, Pareto 1.2 from 1,000 packets on", 600000, 5, "pareto:1.2:1000"),
    "exp": ("2 %, exponential, 200,000 packets", 1000000, 2, "exp:200000"),
}
WAYS = {"lanes": "Lanes", "slots": "Slots",
        "keep-stock": "Stock mbufs moved by ``ppool_keep()``"}

# Of "receive": title, options.
RECEIVES = {
    "64": ("64 bytes", []),
    "imix": ("IMIX", ["--load", "imix"]),
    "64-read": ("64, read", ["--rx", " --touch"]),
    "imix-read": ("IMIX, read", ["--load", "imix", "--rx", " --touch"]),
    "64-aged": ("64, aged", ["--rx", " --touch --hold 65536 --aged"]),
    "imix-aged": ("IMIX, aged", ["--load", "imix", "--rx", " --touch --hold 65536 --aged"]),
    "64-testpmd": ("64, testpmd", ["--program", "testpmd"]),
    "imix-testpmd": ("IMIX, testpmd", ["--load", "imix", "--program", "testpmd"]),
}
REFERENCE = "virtio_user vectorized"
ONLY = "vectorized,user in_order,auto,speed,density,KB pages"  # of all receivers that it knows
RECEIVERS = {
    REFERENCE: "``vectorized=1``",
    "virtio_user in_order mergeable": "``in_order=1, mrg_rxbuf=1``",
    "ppfrag slots, auto": "net_ppfrag, ``preset=auto``",
    "ppfrag slots, speed": "``preset=speed``",
    "ppfrag slots, density": "``preset=density``",
    "ppfrag lanes, 16 KB pages": "``rx=lanes``, 16 KB pages",
    "ppfrag lanes, 64 KB pages": "``rx=lanes``, 64 KB pages",
    "ppfrag lanes, 2 KB pages": "``rx=lanes``, 2 KB pages",
}


class Failed(Exception):
    """A run that did not end as it should."""


def run(command):
    """Run a command to its end."""
    print("+", " ".join(map(str, command)).replace(f"{ROOT}/", ""), flush=True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{command[0]} takes more than {TIMEOUT} s") from e
    if done.returncode != 0:
        raise Failed(f"{command[0]}: status {done.returncode}\n{done.stdout[-2000:]}")


def app(megabytes, cpu, device=None):
    """The command line of dpdk-ppool, up to its command."""
    build = ROOT / "build"
    words = [build / "app/ppool-tool/dpdk-ppool", "-m", str(megabytes), "--no-pci",
             "--single-file-segments", "--file-prefix", f"ppfrag-figures-{os.getpid()}",
             "--lcores", f"0@{cpu}", "-d", build / "lib/ppool/libppool.so",
             "-d", build / "drivers/net/ppfrag/librte_net_ppfrag.so"]
    return [*words, *(["--vdev", device] if device else []), "--"]


class Source:
    """A stock testpmd that sends until this is left."""

    def __init__(self, directory, capture):
        self.socket = directory / "vhost.sock"
        if capture == "imix":
            capture = directory / "imix.pcap"
            run([ROOT / "tests/data/make-captures.py", "imix", "--output", capture])
        self.words = ([ROOT / "config/testpmd.sh", "replay", self.socket, capture] if capture else
                      [ROOT / "config/testpmd.sh", "source", self.socket])

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        end = time.monotonic() + SOURCE_TIMEOUT
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed("the source does not start: " + " ".join(map(str, self.words)))
            time.sleep(0.1)
        return self.socket

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)
        self.process.wait()


def held():
    """Hold until no buffer is left, each kind of traffic with each driver."""
    cpu = sorted(os.sched_getaffinity(0))[-1]
    for traffic, (_, _, megabytes, mtu, stock, page, capture) in TRAFFIC.items():
        for holder, (_, device) in HOLDERS.items():
            sizes = (["--ops", "ring_mp_mc", "--mbuf-size", stock] if holder == "stock" else
                     ["--ops", "ppfrag", "--mbuf-size", page])
            with tempfile.TemporaryDirectory() as name, Source(Path(name), capture) as socket:
                run([*app(2 * megabytes + 128, cpu, f"{device},path={socket}"), "hold", "--mem",
                     str(megabytes), "--mtu", str(mtu), *map(str, sizes),
                     "--json", RUNS / f"held.{traffic}.{holder}.json"])


def held_long():
    """Hold a share for a time with a long tail."""
    for life, (_, packets, share, words) in LIVES.items():
        for way in WAYS:
            run([*app(1500, 0), "longhold", "--packets", str(packets), "--share", str(share),
                 "--life", words, "--page", "16384,65535", "--ways", way,
                 "--json", RUNS / f"long.{life}.{way}.json"])


def receive():
    """Cycles to receive and free."""
    for name, (_, options) in RECEIVES.items():
        run([ROOT / "usertools/ppfrag-rx-compare.py", "--rounds", "9", "--only", ONLY,
             "--json", RUNS / f"receive.{name}.json", *options])


def read(name):
    """What a run has left."""
    path = RUNS / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise Failed(f"{path}: {e}: measure this part first") from e


def held_rows():
    """How many packets a MiB holds."""
    yield ["Traffic", "Memory", *(title for title, _ in HOLDERS.values())]
    for traffic, (title, memory, *_) in TRAFFIC.items():
        found = {h: read(f"held.{traffic}.{h}")["packets_per_mib"] for h in HOLDERS}
        stock = found.pop("stock")
        yield [title, memory, f"{stock:,.0f}",
               *(f"{n:,.0f} ({n / stock:.1f})" for n in found.values())]


def long_rows():
    """What the held share pins."""
    yield ["Held", "Pages", *WAYS.values()]
    for life, (title, *_) in LIVES.items():
        results = [read(f"long.{life}.{way}")["results"] for way in WAYS]
        for row in zip(*results):
            ratios = [r["pinned_to_stock"] for r in row]
            yield [title, f"{round(row[0]['page'] / 1024)} KB",
                   *(f"{r['mean']:.2f} ({r['worst']:.2f})" for r in ratios)]


def receive_rows():
    """Ratios to the fastest stock path."""
    yield ["", *(title for title, _ in RECEIVES.values())]
    tables = [{row["receiver"]: row for row in read(f"receive.{name}")["table"]}
              for name in RECEIVES]
    for receiver, title in RECEIVERS.items():
        cells = [f"{t[receiver]['ratio']['vectorized']['median']:.2f}" for t in tables]
        if receiver == REFERENCE:
            cells = [f"{c} ({t[receiver]['median']:.0f})" for c, t in zip(cells, tables)]
        yield [title, *cells]


# How a part is measured, the rows of its table, the widths of its columns.
PARTS = {"held": (held, held_rows, "22 30 12 12 12 12"),
         "long": (held_long, long_rows, "40 12 16 16 16"),
         "receive": (receive, receive_rows, "28 9 9 9 9 9 9 9 9")}


def cpu_model():
    """What /proc calls this processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")),
                "unknown processor")


def note(part):
    """Record when and where a part was measured."""
    today = datetime.date.today()
    when = f"{today.day} {today:%B %Y}"
    (RUNS / f"{part}.json").write_text(json.dumps({"date": when, "cpu": cpu_model()}) + "\n")


def write_table(part, rows, widths):
    """A table in reStructuredText, with what was measured when."""
    where = read(part)
    lines = ["..  SPDX-License-Identifier: BSD-3-Clause",
             "    Copyright(c) 2026 The ppfrag authors", "",
             ".. list-table:: Measured on " + f"{where['date']}, {where['cpu']}",
             "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    lines += ["", f"Made by ``devtools/figures.py {part}``."]
    path = TABLES / f"{part}.rst"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path.relative_to(ROOT))


def main():
    """Measure, and write tables."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], default=[],
                        help="what to measure: " + ", ".join(PARTS) + "; nothing: all")
    parser.add_argument("--tables", action="store_true",
                        help="measure nothing, write the tables of what was measured")
    args = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    TABLES.mkdir(exist_ok=True)
    try:
        for part in args.part or PARTS:
            measure, rows, widths = PARTS[part]
            if not args.tables:
                measure()
                note(part)
            write_table(part, list(rows()), widths)
    except Failed as e:
        print(f"figures.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
