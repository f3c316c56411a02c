# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Suricata receives on net_ppfrag, counts exactly, and goes on with the next back end."""

import json
import os
import shutil
import subprocess

import pytest
from scapy.all import IP, UDP, Ether

from harness import Program, make_frame, wait_until, write_frames

SECONDS = 3  # until packets are seen again, with the second that the port waits
MARKED, NOISE = 9, 10  # destination ports: each frame gives an alert; seen and counted
FRAMES = 500
RESTARTS = 3
RULES = f'alert udp any any -> any {MARKED} (msg:"marked"; sid:{MARKED};)\n' \
        f'alert udp any any -> any {NOISE} (msg:"noise"; noalert; sid:{NOISE};)\n'


def has_dpdk():
    """Whether Suricata is there, and can receive from DPDK: that of Debian 12 cannot."""
    if not shutil.which("suricata"):
        return False
    done = subprocess.run(["suricata", "--build-info"], capture_output=True, text=True, check=False)
    return any(line.split() == ["DPDK", "support:", "yes"] for line in done.stdout.splitlines())


pytestmark = pytest.mark.skipif(not has_dpdk(), reason="needs Suricata with support for DPDK")


def make_frames(port, group=0):
    """UDP datagrams to a port, each of a flow of its own."""
    for number in range(group * FRAMES, (group + 1) * FRAMES):
        yield bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
                    / IP(src="198.18.0.1", dst="198.18.0.2") / UDP(sport=1024 + number, dport=port)
                    / make_frame(32 + number * 7 % 1400, number))


class Suricata(Program):
    """An IDS with one thread that receives from a port."""

    def __init__(self, lab, sock):
        prefix = lab.prefix()
        self.log = lab.dir / "suricata"
        self.log.mkdir()
        config, rules = lab.dir / "suricata.yaml", lab.dir / "suricata.rules"
        config.write_text(self.yaml(lab, prefix, sock))
        rules.write_text(RULES)
        super().__init__("suricata", ["suricata", "--dpdk", "-c", config, "-S", rules,
                                      "-l", self.log], prefix)

    def yaml(self, lab, prefix, sock):
        """Its configuration."""
        eal = {"proc-type": "primary", "no-pci": "", "file-prefix": prefix,
               "mbuf-pool-ops-name": "ppfrag", "vdev": f"net_ppfrag0,path={sock}",
               "d": lab.plugins()[1::2]}
        memory = lab.memory()
        for option, value in zip(memory, [*memory[1:], "--"]):
            if option.startswith("-"):
                eal[option.lstrip("-")] = "" if value.startswith("-") else value
        cpus = sorted(os.sched_getaffinity(0))
        lines = [f"    {key}: " + (json.dumps([str(v) for v in value]) if key == "d" else
                                   f'"{value}"' if value else "")
                 for key, value in eal.items()]
        return "\n".join([
            "%YAML 1.1", "---", "dpdk:", "  eal-params:", *lines, "  interfaces:",
            "    - interface: net_ppfrag0", "      threads: 1", "      mempool-size: 8191",
            "      mempool-cache-size: 257", "      rx-descriptors: 256",
            "      tx-descriptors: 256", "      copy-mode: none", "      copy-iface: none",
            "      checksum-checks: true", "      checksum-checks-offload: true",
            "      mtu: 1500", "      promisc: true",
            "threading:", "  set-cpu-affinity: yes", "  cpu-affinity:",
            f"    - management-cpu-set: {{cpu: [{cpus[0]}]}}",
            f"    - worker-cpu-set: {{cpu: [{cpus[-1]}], mode: exclusive}}",
            "stats: {enabled: yes, interval: 1}",
            "outputs:", "  - eve-log:", "      enabled: yes", "      filename: eve.json",
            "      types: [alert, stats]", ""])

    def events(self, kind):
        """What it has reported, without a line it has not finished."""
        path = self.log / "eve.json"
        text = path.read_text() if path.exists() else ""
        events = map(json.loads, text[:text.rfind("\n") + 1].splitlines())
        return [event for event in events if event["event_type"] == kind]

    def wait_alerts(self, count):
        """Wait for so many alerts."""
        wait_until(lambda: len(self.events("alert")) >= count, f"{count} alerts")

    def received(self):
        """Packets that the port has received."""
        return self.telemetry("/ethdev/stats,0")["ipackets"]


def start_peer(lab, sock, frames, endless=False):
    """A stock back end that sends frames."""
    source = write_frames(lab.dir / f"{len(lab.programs)}.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source}{',infinite_rx=1' if endless else ''}"])
    peer.patient()
    return peer


def test_restarts(lab):
    """Each frame gives one alert; back ends end in mid-traffic, and the next one is heard."""
    noise = list(make_frames(NOISE))
    sock = lab.socket()
    peer = start_peer(lab, sock, make_frames(MARKED))
    ids = lab.add(Suricata(lab, sock))
    ids.wait_output("Engine started")
    peer.wait_link()
    peer.start()
    ids.wait_alerts(FRAMES)
    assert ids.received() == FRAMES
    for number in range(1, RESTARTS + 1):
        peer.cleanup()
        sock.unlink()
        peer = start_peer(lab, sock, noise, endless=True)
        peer.start()
        before = ids.received()
        wait_until(lambda before=before: ids.received() > before + FRAMES, "frames", SECONDS)
        peer.cleanup()
        sock.unlink()
        peer = start_peer(lab, sock, make_frames(MARKED, number))
        peer.wait_link()
        peer.start()
        ids.wait_alerts((number + 1) * FRAMES)
    received = ids.received()
    assert [event["src_port"] for event in ids.events("alert")] == [
        1024 + number for number in range((RESTARTS + 1) * FRAMES)]
    assert all(event["alert"]["signature_id"] == MARKED for event in ids.events("alert"))
    xstats = ids.telemetry("/ethdev/xstats,0")
    assert xstats["reconnections"] == 2 * RESTARTS and xstats["rx_q0_copied_packets"] == 0
    assert xstats["rx_missed_errors"] == xstats["rx_errors"] == 0
    ids.check_ledgers()
    ids.interrupt()
    assert ids.wait_end() == 0
    stats = ids.events("stats")[-1]["stats"]  # before its end, it is late with what it counts
    assert stats["decoder"]["pkts"] == stats["capture"]["packets"] == received
    peer.quit()
