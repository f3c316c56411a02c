# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Open vSwitch, whose ports are clients, is killed in mid-traffic, or has ports of net_ppfrag."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import TIMEOUT, Program, wait_until, write_frames
from test_reconnect import LONG, SECONDS, Verifier, finish

KILLS = 100 if LONG else 20
VSWITCHD = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


class OpenVswitch:
    """A switch with a database of its own, which survives the daemon.

    Ports are settings of interfaces by name, added in this order.
    """

    def __init__(self, lab, ports, eal=(), cpu=0):
        self.lab = lab
        self.ports = ports
        self.prefix = lab.prefix()
        self.dir = lab.dir / "ovs"
        self.dir.mkdir()
        self.db = f"unix:{self.dir}/db.sock"
        self.run("ovsdb-tool", "create", self.dir / "conf.db", SCHEMA)
        self.start("ovsdb-server", self.dir / "conf.db", f"--remote=p{self.db}",
                   f"--pidfile={self.dir}/ovsdb.pid")
        wait_until((self.dir / "db.sock").exists, "the database")
        extra = " ".join(["--no-pci", f"--file-prefix={self.prefix}", "--single-file-segments",
                          *map(str, eal)])
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   "other_config:dpdk-socket-mem=256", "other_config:dpdk-socket-limit=256",
                   f"other_config:pmd-cpu-mask={1 << cpu:x}", f"other_config:dpdk-extra={extra}")
        self.daemon = None

    def try_run(self, *argv):
        """Run a tool to its end."""
        return subprocess.run([str(arg) for arg in argv], env=self.env(), capture_output=True,
                              text=True, timeout=TIMEOUT, check=False)

    def run(self, *argv):
        """Run a tool that must succeed."""
        done = self.try_run(*argv)
        assert done.returncode == 0, done

    def env(self):
        """Where the tools of Open vSwitch find each other."""
        return dict(os.environ, OVS_RUNDIR=str(self.dir), OVS_LOGDIR=str(self.dir),
                    OVS_DBDIR=str(self.dir))

    def vsctl(self, *argv):
        """Change the configuration."""
        self.run("ovs-vsctl", f"--db={self.db}", *argv)

    def start(self, *argv, prefix=None):
        """Start a daemon."""
        settings = [f"{name}={self.dir}" for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")]
        name = Path(argv[0]).name
        return self.lab.add(Program(name, ["env", *settings, *argv], prefix or self.lab.prefix()))

    def switch_on(self):
        """Start the switch: what comes from one port goes to the other one."""
        self.daemon = self.start(VSWITCHD, self.db, f"--pidfile={self.dir}/vswitchd.pid",
                                 prefix=self.prefix)
        self.vsctl("--may-exist", "add-br", "br0", "--", "set", "bridge", "br0",
                   "datapath_type=netdev", "fail_mode=secure")
        for name, settings in self.ports.items():
            self.vsctl("--may-exist", "add-port", "br0", name, "--", "set", "interface", name,
                       *settings)
        first, second = self.ports
        for one, other in ((first, second), (second, first)):
            flow = f"in_port={one},actions=output:{other}"
            wait_until(lambda flow=flow: self.try_run(
                "ovs-ofctl", "add-flow", "br0", flow).returncode == 0,
                       "the switch to take flows")

    def kill(self):
        """End it as a crash does."""
        self.daemon.cleanup()
        self.lab.programs.remove(self.daemon)


pytestmark = [pytest.mark.hugepages,
              pytest.mark.skipif(not VSWITCHD.exists() or not SCHEMA.exists()
                                 or not shutil.which("ovs-vsctl"),
                                 reason="needs openvswitch-switch-dpdk")]


def test_killed(lab, tcp_frames):
    """Two ports that listen go on with each new switch, and no frame is damaged."""
    source = write_frames(lab.dir / "endless.pcap", tcp_frames)
    verifier = Verifier(lab.dir / "out.pcap", tcp_frames)
    socks = [lab.socket(), lab.socket()]
    dut = lab.dut(socks[0], [f"net_ppfrag1,path={socks[1]},server=1",
                             f"net_pcap0,rx_pcap={source},infinite_rx=1",
                             f"net_pcap1,tx_pcap={verifier.path}"],
                  devargs=",server=1")
    dut.command("set portlist 0,2,1,3")
    dut.start()
    switch = OpenVswitch(lab, {
        name: ["type=dpdkvhostuserclient", f"options:vhost-server-path={sock}"]
        for name, sock in zip(("v0", "v1"), socks)})
    for number in range(KILLS + 1):
        switch.switch_on()
        dut.wait_link(port=0)
        dut.wait_link(port=1)
        verifier.wait_more(1000, SECONDS)
        assert dut.xstats()["reconnections"] == number + 1
        if number < KILLS:
            switch.kill()
            dut.wait_link(False, port=0)
            dut.wait_link(False, port=1)
    finish(dut, 4, verifier)


def own_ports(lab, sock, out, frames, devargs):
    """A switch that has a port of net_ppfrag, and one that plays and records a capture."""
    source = write_frames(lab.dir / "endless.pcap", frames)
    devices = {"p1": f"net_pcap0,rx_pcap={source},infinite_rx=1,tx_pcap={out}",
               "p0": f"net_ppfrag0,path={sock}{devargs}"}
    ports = {name: ["type=dpdk", f'options:dpdk-devargs="{device}"']
             for name, device in devices.items()}
    cpu = max(os.sched_getaffinity(0))
    return OpenVswitch(lab, ports, [*lab.plugins(), "--mbuf-pool-ops-name=ppfrag"], cpu)


def switch_port(switch):
    """The number that DPDK has given to the port of net_ppfrag."""
    daemon = switch.daemon
    return next(port for port in daemon.telemetry("/ethdev/list")
                if daemon.telemetry(f"/ethdev/info,{port}")["name"] == "net_ppfrag0")


@pytest.mark.parametrize("server", [False, True], ids=["client", "server"])
def test_owner(lab, tcp_frames, server):
    """A back end of the switch's port is killed 20 times; packets flow again, and none is damaged.

    Nobody touches the port meanwhile.
    """
    sock = lab.socket()
    verifier = Verifier(lab.dir / "out.pcap", tcp_frames)
    vdev = f"net_pcap0,rx_pcap={write_frames(lab.dir / 'in.pcap', tcp_frames)},infinite_rx=1"

    def start_peer():
        peer = lab.peer(f"{sock},client=1" if server else sock, [vdev])
        peer.start()
        return peer

    peer = None if server else start_peer()
    switch = own_ports(lab, sock, verifier.path, tcp_frames, f",server={int(server)}")
    switch.switch_on()
    peer = peer or start_peer()
    port = switch_port(switch)
    for number in range(KILLS + 1):
        wait_until(lambda: link_is_up(switch, port), "the link", SECONDS)
        verifier.wait_more(1000, SECONDS)
        wait_until(lambda: peer.stats()["ipackets"] > 1000, "packets to the back end", SECONDS)
        xstats = switch.daemon.telemetry(f"/ethdev/xstats,{port}")
        assert xstats["reconnections"] == number + int(server)
        assert xstats["rx_q0_copied_packets"] == xstats["tx_q0_copied_packets"] == 0
        peer.cleanup()
        lab.programs.remove(peer)
        wait_until(lambda: not link_is_up(switch, port), "the link to go down", SECONDS)
        if not server:
            sock.unlink()
        if number < KILLS:
            peer = start_peer()
    switch.vsctl("del-port", "br0", "p1")
    switch.daemon.check_ledgers()
    assert verifier.bad == []


def link_is_up(switch, port):
    """Whether a port of the switch has a back end."""
    return switch.daemon.telemetry(f"/ethdev/link_status,{port}")["status"] == "UP"


@pytest.mark.parametrize("share", [False, True], ids=["own pools", "share=all"])
def test_shared(lab, tcp_frames, share):
    """Each port has a pool of its own: with share=all nothing is copied all the same."""
    sock = lab.socket()
    verifier = Verifier(lab.dir / "out.pcap", tcp_frames)
    back = Verifier(lab.dir / "back.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,tx_pcap={back.path}"])
    peer.start()
    switch = own_ports(lab, sock, verifier.path, tcp_frames, ",share=all" if share else "")
    switch.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:per-port-memory=true")
    switch.switch_on()
    back.wait_more(1000, SECONDS)
    xstats = switch.daemon.telemetry(f"/ethdev/xstats,{switch_port(switch)}")
    assert xstats["tx_q0_packets"] > 1000
    assert (xstats["tx_q0_copied_packets"] == 0) == share
    assert back.bad == []
    switch.vsctl("del-port", "br0", "p1")
    switch.daemon.check_ledgers()
    peer.quit()
