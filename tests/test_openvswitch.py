# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Open vSwitch, whose ports are clients, is killed and started again in mid-traffic."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import TIMEOUT, Program, wait_until, write_frames
from test_reconnect import LONG, SECONDS, Verifier

KILLS = 100 if LONG else 20
VSWITCHD = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


class OpenVswitch:
    """A switch with a database of its own, which survives the daemon."""

    def __init__(self, lab, ports):
        self.lab = lab
        self.ports = ports
        self.dir = lab.dir / "ovs"
        self.dir.mkdir()
        self.db = f"unix:{self.dir}/db.sock"
        self.run("ovsdb-tool", "create", self.dir / "conf.db", SCHEMA)
        self.start("ovsdb-server", self.dir / "conf.db", f"--remote=p{self.db}",
                   f"--pidfile={self.dir}/ovsdb.pid")
        wait_until((self.dir / "db.sock").exists, "the database")
        eal = f"--no-pci --file-prefix={lab.prefix()} --no-telemetry --single-file-segments"
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   "other_config:dpdk-socket-mem=256", "other_config:dpdk-socket-limit=256",
                   "other_config:pmd-cpu-mask=1", f"other_config:dpdk-extra={eal}")
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

    def start(self, *argv):
        """Start a daemon."""
        settings = [f"{name}={self.dir}" for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")]
        name = Path(argv[0]).name
        return self.lab.add(Program(name, ["env", *settings, *argv], self.lab.prefix()))

    def switch_on(self):
        """Start the switch: what comes from one port goes to the other one."""
        self.daemon = self.start(VSWITCHD, self.db, f"--pidfile={self.dir}/vswitchd.pid")
        self.vsctl("--may-exist", "add-br", "br0", "--", "set", "bridge", "br0",
                   "datapath_type=netdev", "fail_mode=secure")
        for name, sock in self.ports.items():
            self.vsctl("--may-exist", "add-port", "br0", name, "--", "set", "interface", name,
                       "type=dpdkvhostuserclient", f"options:vhost-server-path={sock}")
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


@pytest.mark.hugepages
@pytest.mark.skipif(not VSWITCHD.exists() or not SCHEMA.exists() or not shutil.which("ovs-vsctl"),
                    reason="needs openvswitch-switch-dpdk")
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
    switch = OpenVswitch(lab, dict(zip(("v0", "v1"), socks)))
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
    dut.stop()
    dut.check_ledgers()
    for port in range(4):
        dut.command(f"port stop {port}")
    ledger, = dut.check_ledgers().values()
    assert ledger["charged"] == 0
    assert verifier.bad == []
    dut.quit()
