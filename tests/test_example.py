# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""examples/ppool-hold holds packets under budgets, and its books balance."""

import os
import re
import signal

import pytest
from scapy.all import IP, TCP, UDP, Ether, IPv6

from harness import Program, make_frame, wait_until, write_frames

COLUMNS = ("used", "limit", "held", "delivered", "refusals", "dropped_oldest", "dropped_new")
ENDED = ("held", "delivered", "dropped_oldest", "dropped_new")  # where each packet is in the end
HOLD_ALL = ("--depth", "1M", "--idle", "1M", "--pool", "64M")  # and nothing to compact
PAGE_BYTES = 16576  # a page of 16384 bytes, with what is around them
SMALL = "new=1M,tcp=1M,udp=1M,other=1M"


def make_flow_frame(flow, length, proto=UDP, back=False):
    """A frame of one of 10,000 flows, every other one IPv6; back: of the other direction."""
    low, high = 1024 + flow, 53
    if flow % 2:
        src, dst = IPv6(src="fd00::1", dst="fd00::2"), IPv6(src="fd00::2", dst="fd00::1")
    else:
        src, dst = IP(src="198.18.0.1", dst="198.18.0.2"), IP(src="198.18.0.2", dst="198.18.0.1")
    headers = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / (dst if back else src) / (
        proto(sport=high, dport=low) if back else proto(sport=low, dport=high))
    return bytes(headers / make_frame(max(length - len(headers), 0)))


class Hold(Program):
    """The example."""

    def __init__(self, lab, vdevs, options):
        prefix = lab.prefix()
        cpu = max(os.sched_getaffinity(0))
        super().__init__("hold", [
            lab.builddir / "examples/dpdk-ppool-hold", *lab.memory(), f"--lcores=0@{cpu}",
            *lab.plugins(), "--no-pci", f"--file-prefix={prefix}",
            *map("--vdev={}".format, vdevs), "--", *options], prefix)

    def tables(self):
        """What it has printed: for each second the numbers of all accounts."""
        rows = re.findall(r"^(new|tcp|udp|other) +" + r" +".join([r"(\d+)"] * len(COLUMNS)) + "$",
                          self.output, re.M)
        rows = [(row[0], dict(zip(COLUMNS, map(int, row[1:])))) for row in rows]
        return [dict(rows[i:i + 4]) for i in range(0, len(rows) - 3, 4)]

    def wait_table(self, condition, what):
        """Wait for a table of which something is true; the table."""
        def search():
            assert self.alive(), self.output[-2000:]
            return next(filter(condition, reversed(self.tables())), None)
        return wait_until(search, what)

    def wait_packets(self, count):
        """Wait until so many packets are accounted for; the table."""
        return self.wait_table(lambda table: total(table, *ENDED) == count,
                               f"{count} packets at their end")

    def dumped(self, key):
        """A number of every account, of the library's own dump at the end."""
        values = map(int, re.findall(rf"^  {key} +(\d+)$", self.output, re.M))
        return dict(zip(("new", "tcp", "udp", "other"), values, strict=True))

    def finish(self, how=signal.SIGINT, over=0):
        """End it; the last table. No account was ever over its limit, no packet is unaccounted.

        Compaction may put an account over it by some bytes: where a packet lies then, it may take
        more than before.
        """
        self.process.send_signal(how)
        assert self.wait_end() == 0, self.output[-2000:]
        assert "The books balance." in self.output
        last = self.tables()[-1]
        for table in self.tables():
            assert all(row["used"] <= row["limit"] + over for row in table.values()), table
        for name, high_water in self.dumped("high_water").items():
            assert last[name]["used"] <= high_water <= last[name]["limit"] + over
        assert self.dumped("refusals") == {name: row["refusals"] for name, row in last.items()}
        frags, foreign = self.dumped("frags"), self.dumped("foreign")
        assert {name: row["held"] for name, row in last.items()} == {
            name: frags[name] + foreign[name] // PAGE_BYTES for name in last}
        received = sum(map(int, re.findall(r"(\d+) packets received", self.output)))
        assert received == total(last, *ENDED)
        return last


def total(table, *columns):
    """The sum over all accounts."""
    return sum(row[column] for row in table.values() for column in columns)


def receive(lab, frames, *options, driver="net_ppfrag0", devargs="", endless=False):
    """The example, and a stock peer that sends it these frames."""
    sock = lab.socket()
    source = write_frames(lab.dir / "in.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}{',infinite_rx=1' if endless else ''}"])
    hold = lab.add(Hold(lab, [f"{driver},path={sock}{devargs}"], options))
    peer.wait_link()
    peer.patient()
    peer.start()
    return hold, peer


def receive_full(lab, frames):
    """The example, with a full account and packets that go on coming."""
    hold, _ = receive(lab, frames, "--budget", "tcp=256K,other=64K", "--depth", "1M",
                      "--idle", "60000", endless=True)
    hold.wait_table(lambda table: table["tcp"]["dropped_oldest"] > 0, "TCP to be dropped")
    return hold


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-new"])
def test_full_account(lab, policy):
    """UDP exceeds its budget and loses what the policy says; TCP loses nothing."""
    udp = [make_flow_frame(flow, 1000) for flow in range(10)]
    tcp = [make_flow_frame(flow, 1000, TCP) for flow in range(10)]
    rounds = 100
    options = ["--drop-new"] if policy == "drop-new" else []
    hold, peer = receive(lab, (udp * 4 + tcp) * rounds, "--budget",
                         "new=1M,tcp=2M,udp=256K,other=64K", *HOLD_ALL, *options)
    hold.wait_packets(50 * rounds)
    last = hold.finish()
    assert last["tcp"]["held"] == 10 * rounds
    assert last["tcp"]["refusals"] == 0
    lost, none = (("dropped_oldest", "dropped_new") if policy == "drop-oldest"
                  else ("dropped_new", "dropped_oldest"))
    assert last["udp"]["held"] + last["udp"][lost] == 40 * rounds
    assert last["udp"][none] == 0
    assert last["udp"]["held"] > 100
    # Full: the next one did not fit.
    assert last["udp"]["used"] > last["udp"]["limit"] - 4096
    assert total(last, "used") == last["tcp"]["used"] + last["udp"]["used"]
    assert all(value == 0 for value in hold.dumped("foreign").values())
    peer.quit()


def test_scan(lab):
    """Flows of one packet take nothing from others but the budget of new flows."""
    flows = [[make_flow_frame(flow, 200, TCP)] * 10 for flow in range(20)]
    scan = [make_flow_frame(100 + probe, 60, TCP) for probe in range(1000)]
    frames = []
    for number, flow in enumerate(flows):
        frames += scan[50 * number:50 * (number + 1)] + flow
    hold, peer = receive(lab, frames, "--budget", "new=128K,tcp=1M", *HOLD_ALL)
    hold.wait_packets(len(frames))
    last = hold.finish()
    assert last["tcp"]["held"] == 200
    assert last["tcp"]["refusals"] == 0
    assert last["new"]["dropped_oldest"] > 0
    assert last["new"]["held"] + last["new"]["dropped_oldest"] == len(scan)
    peer.quit()


@pytest.mark.parametrize("idle", [200, 60000])
def test_flows_end(lab, idle):
    """Deep flows are delivered at once, others when they are idle; a flow has two directions."""
    frames = [make_flow_frame(flow, 60 + 100 * number, proto, back=number % 2 == 1)
              for number in range(13) for flow in range(10) for proto in (TCP, UDP)]
    hold, peer = receive(lab, frames, "--budget", SMALL, "--depth", "8", "--idle", idle)
    table = hold.wait_packets(len(frames))
    if idle == 200:
        table = hold.wait_table(lambda table: total(table, "delivered") == len(frames),
                                "all flows to be delivered")
        assert total(table, "used") == 0
    for name in ("tcp", "udp"):
        assert table[name]["delivered"] == (130 if idle == 200 else 80)
    last = hold.finish()
    assert total(last, "held") == (0 if idle == 200 else 100)
    peer.quit()


@pytest.mark.parametrize("driver", ["net_pcap", "net_virtio_user"])
@pytest.mark.parametrize("options", [[], ["--drop-new"]])
def test_other_drivers(lab, driver, options):
    """A stock driver fills whole pages, and that is what they are charged for."""
    frames = [make_flow_frame(0, 100)] * 300
    options = ["--budget", SMALL, *HOLD_ALL, *options]
    if driver == "net_pcap":
        source = write_frames(lab.dir / "in.pcap", frames)
        hold = lab.add(Hold(lab, [f"net_pcap0,rx_pcap={source}"], options))
    else:
        hold, _ = receive(lab, frames, *options, driver="net_virtio_user0")
    hold.wait_packets(len(frames))
    last = hold.finish()
    assert last["udp"]["held"] == (1 << 20) // PAGE_BYTES
    assert last["udp"]["used"] == last["udp"]["held"] * PAGE_BYTES
    assert hold.dumped("foreign")["udp"] == last["udp"]["used"]


@pytest.mark.parametrize("driver", ["net_pcap", "net_virtio_user", "net_ppfrag"])
def test_keep(lab, driver):
    """Whatever the driver, packets are charged for slots of their size, and the books know it."""
    flows = range(10)
    frames = [make_flow_frame(flow, size) for flow in flows for size in (100, 600, 1500)] * 10
    options = ["--keep", "--budget", SMALL, *HOLD_ALL]
    if driver == "net_pcap":
        source = write_frames(lab.dir / "in.pcap", frames)
        hold = lab.add(Hold(lab, [f"net_pcap0,rx_pcap={source}"], options))
    else:
        # What net_ppfrag receives into slots needs no moving.
        devargs = ",rx=lanes" if driver == "net_ppfrag" else ""
        hold, _ = receive(lab, frames, *options, driver=f"{driver}0", devargs=devargs)
    hold.wait_packets(len(frames))
    last = hold.finish()
    assert last["udp"]["held"] == len(frames)
    assert last["udp"]["used"] < 1250 * len(frames)
    assert hold.dumped("foreign")["udp"] == 0
    assert f", {len(frames)} packets in slots, 0 found none" in hold.output


def test_two_ports(lab):
    """Frags and whole pages in one account: what is dropped is the oldest, of whatever kind."""
    pages = [make_flow_frame(0, 100)] * 40
    frags = [make_flow_frame(flow, 1400) for flow in range(4)] * 1000
    sock = lab.socket()
    source = write_frames(lab.dir / "pages.pcap", pages)
    sent = write_frames(lab.dir / "frags.pcap", frags)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={sent}"])
    hold = lab.add(Hold(lab, [f"net_pcap0,rx_pcap={source}", f"net_ppfrag0,path={sock}"],
                        ["--budget", SMALL, *HOLD_ALL]))
    hold.wait_packets(len(pages))
    peer.wait_link()
    peer.patient()
    peer.start()
    hold.wait_packets(len(pages) + len(frags))
    last = hold.finish(signal.SIGTERM)
    assert last["udp"]["dropped_oldest"] > len(pages)
    assert hold.dumped("foreign")["udp"] == 0
    peer.quit()


def test_compaction(lab):
    """Small packets, held for long, each in a page with many that are not: the pool is enough."""
    udp = [make_flow_frame(flow, 300) for flow in range(8)]
    tcp = make_flow_frame(0, 60, TCP)
    hold, peer = receive(lab, (udp * 4 + [tcp]) * 30, *HOLD_ALL, "--pool", "16M", "--budget",
                         "new=64K,tcp=4M,udp=1M,other=64K", devargs=",rx=lanes", endless=True)
    # Some 10,000 packets, in 1,000 pages.
    table = hold.wait_table(lambda table: table["tcp"]["dropped_oldest"] > 0, "TCP to be full")
    peer.stop()
    assert table["tcp"]["held"] > 8000
    hold.finish(over=table["tcp"]["limit"] // 50)
    freed, = map(int, re.findall(r"(\d+) bytes freed by compaction", hold.output)[-1:])
    assert freed > 16 << 20
    peer.quit()


def test_real_traffic(lab, tcp_frames):
    """Real TCP, endless, under a budget that is too small for it, until SIGTERM."""
    hold, _ = receive(lab, tcp_frames, "--budget", "tcp=256K,other=64K", *HOLD_ALL, endless=True)
    hold.wait_table(lambda table: table["tcp"]["dropped_oldest"] > 10 * len(tcp_frames),
                    "TCP to be dropped")
    last = hold.finish(signal.SIGTERM)
    assert len(hold.tables()) >= 2
    assert last["tcp"]["used"] > last["tcp"]["limit"] - 4096


# Options, and what is said of them.
BAD_OPTIONS = {
    "--budget tpc=1M": "--budget 'tpc=1M': give NAME=SIZE, as tcp=64M,udp=8M; "
                       "names are new, tcp, udp and other",
    "--budget tcp=1M,udp": "--budget 'udp': give NAME=SIZE",
    "--budget tcp=": "--budget '': give a number from 32768 on",
    "--budget tcp=32767": "--budget '32767': give a number from 32768 on, of up to 9 digits, "
                          "and K, M or G behind it if need be",
    "--budget tcp=64MB": "--budget '64MB': give a number",
    "--budget tcp=-64M": "--budget '-64M': give a number",
    "--idle 0": "--idle '0': give a number from 1 on",
    "--depth all": "--depth 'all': give a number from 1 on",
    "--pool 16M": "--pool: 16 MB are less than budgets and receive rings take, 108 MB: "
                  "raise --pool or lower --budget",
    "--budget tcp=999999G": "or lower --budget",
    "--frobnicate": "usage: ppool-hold",
    "--budget": "usage: ppool-hold",
    "now": "unexpected argument 'now': see --help",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options(lab, options):
    """Each wrong option has its message."""
    hold = lab.add(Hold(lab, ["net_null0"], options.split()))
    assert hold.wait_end() == 1
    assert BAD_OPTIONS[options] in hold.output


def test_no_port(lab):
    """Without a device there is nothing to receive from."""
    hold = lab.add(Hold(lab, [], []))
    assert hold.wait_end() == 1
    assert "no port: give EAL a device, as --vdev net_ppfrag0,path=SOCKET" in hold.output


def test_help(lab):
    """Every option is listed."""
    hold = lab.add(Hold(lab, [], ["--help"]))
    assert hold.wait_end() == 0
    for option in ("budget", "drop-new", "keep", "idle", "depth", "pool"):
        assert f"  --{option} " in hold.output
