# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""net_ppfrag with the kernel's vhost-net, against the stack of the kernel.

For a machine that has /dev/vhost-net, and root: test_vm.py has a guest run it. Elsewhere,

    pytest tests/vhost_kernel.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import TIMEOUT, wait_until
from test_offload import End, forward_checksums, leave_to_hardware, receive_offloads
from test_ping import network_namespace
from test_queues import queues

DEVICE = "/dev/vhost-net"
FRAMES = Path(__file__).with_name("xsk_frames.py")
TAP = "ppfragtap1"
MAC = "02:00:00:00:00:11"
KERNEL, ECHO, NOBODY = "198.18.1.1", "198.18.1.2", "198.18.1.3"
PAIRS = 4
FLOWS = 64
SIZE = 2 << 20
PORT = 5001
MTU, JUMBO = 1500, 9000
LONG = os.environ.get("PPFRAG_LONG") == "1"


long = pytest.mark.skipif(not LONG, reason="takes long in a guest: needs PPFRAG_LONG=1")


def ip(*words):
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True)


def tap_up():
    """Set the tap up. It has no addresses but of IPv4, so that it is quiet."""
    Path(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6").write_text("1")
    ip("link", "set", TAP, "up")
    ip("address", "replace", f"{KERNEL}/24", "dev", TAP)
    ip("neighbour", "replace", NOBODY, "lladdr", "02:00:00:00:00:12", "dev", TAP)


def tap_state(what):
    """What the kernel says of the tap."""
    return Path(f"/sys/class/net/{TAP}/{what}").read_text().strip()


def tap_exists():
    """Whether there is the tap."""
    return Path(f"/sys/class/net/{TAP}").exists()


def run_echo(lengths):
    """Send frames by a socket on the tap; the status is 0 where each comes back as it was sent."""
    return subprocess.run([sys.executable, FRAMES, "echo", TAP, lengths], check=False,
                          capture_output=True, text=True, timeout=TIMEOUT)


def wait_echo():
    """The kernel has noticed the carrier, some time after that was set."""
    wait_until(lambda: run_echo("60").returncode == 0, "a frame that comes back")


def echo(lengths):
    """Each frame comes back."""
    wait_echo()
    done = run_echo(lengths)
    assert done.returncode == 0, done.stdout + done.stderr


def send_flows(dut):
    """As many packets, of a flow each, arrive."""
    before = dut.stats()["ipackets"]
    subprocess.run([sys.executable, FRAMES, "flows", NOBODY, str(FLOWS)], check=True)
    dut.wait_received(before + FLOWS)


def run_ping(count):
    """What ping(8) says."""
    return subprocess.run(["ping", "-n", "-c", str(count), "-i", "0.02", "-W",
                           str(TIMEOUT // 12), "-s", "1400", ECHO], check=False,
                          capture_output=True, text=True)


def ping():
    """The first ping is answered some time, and then all are."""
    wait_until(lambda: run_ping(1).returncode == 0, "an answer to a ping")
    assert " 10 received" in (done := run_ping(10)).stdout, done.stdout


def restart(dut, *between):
    """Stop the port, whose tap has no carrier then, and start it. The tap stays."""
    dut.stop()
    dut.command("port stop 0")
    number = tap_state("ifindex")
    assert tap_state("carrier") == "0"
    for command in between:
        dut.command(command)
    assert tap_state("ifindex") == number
    dut.command("port start 0")
    assert tap_state("carrier") == "1"
    dut.start()
    dut.wait_link()


@pytest.fixture(name="dut")
def start_dut(lab):
    """A testpmd with a port that has several queue pairs, and sends back what it receives.

    A vhost-user back end could not reach its memory, of which each hugepage is a file.
    """
    dut = lab.dut(DEVICE, options=[*queues(PAIRS), "--forward-mode=io"], mbufs=3000,
                  mbuf_size=16384, memory="default",
                  devargs=f",iface={TAP},mac={MAC},queues={PAIRS},size_stats=1")
    assert "zero-copy into slots" in dut.output
    assert tap_state("address") == MAC
    assert not dut.link_up()
    tap_up()
    dut.wait_link()
    dut.start()
    return dut


def finish(dut):
    """Nothing was wrong, and every byte is accounted for; the tap goes with the port."""
    dut.stop()
    xstats = dut.xstats()
    assert all(value == 0 for name, value in xstats.items()
               if re.search("bad_|copied|oversize|short|quarantine", name)), xstats
    dut.check_ledgers()
    dut.quit()
    assert not tap_exists()


def test_one_port(dut):
    """Frames of every length, flows, ping, stop and start of all kinds, and a tap that is deleted.

    One after the other in one process: guests are slow.
    """
    echo(f"60-{MTU + 14}")
    send_flows(dut)
    assert all(dut.xstats()[f"rx_q{i}_packets"] > 0 for i in range(PAIRS))

    dut.stop()
    dut.command("set fwd icmpecho")
    dut.start()
    ping()
    restart(dut)
    ping()
    restart(dut, "port reset 0")
    ping()

    # More than the ring has room for, while nobody receives; then all goes on.
    dut.stop()
    subprocess.run([sys.executable, FRAMES, "send", TAP, "3000", "60-1514"], check=True)
    dut.start()
    ping()

    ip("link", "set", TAP, "down")
    dut.wait_link(up=False)
    tap_up()
    dut.wait_link()
    ping()
    dut.command("set link-down port 0")
    assert tap_state("carrier") == "0"
    dut.command("set link-up port 0")
    dut.wait_link()
    ping()

    ip("link", "delete", TAP)
    wait_until(lambda: dut.xstats()["reconnections"] == 1 and tap_exists(), "another tap")
    assert tap_state("address") == MAC
    tap_up()
    dut.wait_link()
    ping()
    finish(dut)


@long
def test_jumbo(lab):
    """Lanes, and frames of a larger MTU, which the tap is told; fewer queues than there are."""
    dut = lab.dut(DEVICE, options=["--forward-mode=io", f"--max-pkt-len={JUMBO + 22}"],
                  mbufs=2000, mbuf_size=32768,
                  devargs=f",iface={TAP},rx=lanes,queues={PAIRS},event_idx=1,packed_vq=1")
    assert f"back end at {DEVICE} has no packed rings: split ones are used" in dut.output
    assert tap_state("mtu") == str(JUMBO)
    tap_up()
    dut.wait_link()
    dut.start()
    echo(",".join(map(str, (*range(60, JUMBO + 14, 61), JUMBO + 14))))
    # With one queue, all flows come by it; then by three.
    for count in (1, 3):
        dut.stop()
        dut.command("port stop 0")
        dut.command(f"port config all rxq {count}")
        dut.command(f"port config all txq {count}")
        dut.command("port start 0")
        dut.start()
        dut.wait_link()
        wait_echo()
        send_flows(dut)
    for way in ("rxq", "txq"):
        dut.command(f"port 0 {way} 1 stop")
        dut.command(f"port 0 {way} 1 start")
    send_flows(dut)
    finish(dut)


def transfer(sender, receiver, address):
    """Send a file; it must arrive as it is."""
    with receiver.run("receive", address, PORT) as server:
        assert server.stdout.readline() == "listening\n"
        with sender.run("send", address, PORT, SIZE) as client:
            sent = client.communicate(timeout=TIMEOUT)[0]
        received = server.communicate(timeout=TIMEOUT)[0]
    assert sent == received and len(sent) > 64


def test_tcp(lab):
    """TCP through two ports: checksums and segments are left to the kernel at the other side.

    The taps are in namespaces other than that of the program, whose memory lies in no hugepages.
    """
    with network_namespace("left") as left, network_namespace("right") as right:
        near, far = ends = End(1, left), End(2, right)
        dut = lab.dut(DEVICE, [f"net_ppfrag1,path={DEVICE},iface={far.tap},rx=lanes"],
                      memory="no-huge", mbuf_size=16384, mbufs=3000,
                      devargs=f",iface={near.tap}")
        forward_checksums(dut)
        for port, end in enumerate(ends):
            leave_to_hardware(dut, port)
            receive_offloads(dut, port)
            ip("link", "set", end.tap, "netns", end.netns[1].split("/")[-1])
            end.up(MTU)
            dut.wait_link(port=port)
        dut.start()
        wait_until(lambda: near.reaches(far.address4), "an answer to a ping")
        transfer(near, far, far.address4)
        transfer(far, near, near.address6)
        dut.stop()
        for port in range(2):
            xstats = dut.xstats(port)
            assert xstats["rx_q0_bad_header_packets"] == xstats["tx_q0_bad_offload_packets"] == 0
            assert xstats["tx_q0_offload_packets"] > 0
            # Packets of many segments, either way.
            assert xstats["rx_q0_bytes"] > SIZE
            assert xstats["rx_q0_packets"] + xstats["tx_q0_packets"] < 2 * SIZE // MTU
        dut.check_ledgers()
        dut.quit()


REFUSED = {
    "iface=lo": "an interface of this name is no tap: choose another name",
    "iface=ppfragone,queues=2": "an interface of this name is no tap, or one of a single queue",
    "iface=ppfragtaken": "another program has it: choose another name",
    f"iface={TAP},server=1": "option 'server=1' is for sockets, and path=/dev/vhost-net is",
}


def test_refused(lab):
    """What cannot be has a message that tells what helps; what is there already is used."""
    ip("tuntap", "add", "dev", "ppfragone", "mode", "tap")
    ip("tuntap", "add", "dev", "ppfragmany", "mode", "tap", "multi_queue")
    dut = lab.dut(DEVICE, devargs=",iface=ppfragtaken", mbufs=2000)
    for devargs, message in REFUSED.items():
        assert message in dut.command(f"port attach net_ppfrag1,path={DEVICE},{devargs}")
    for number, name in enumerate(("ppfragone", "ppfragmany"), 1):
        dut.command(f"port attach net_ppfrag{number},path={DEVICE},iface={name}")
        assert f"net_ppfrag{number}" in dut.command("show port summary all")
    dut.command("port attach net_ppfrag3,path=/dev/vhost-net")  # chooses a name
    assert Path("/sys/class/net/tap0").exists()
    for path, module in (("/dev/net/tun", "tun"), (DEVICE, "vhost_net")):
        Path(path).rename(f"{path}.away")
        try:
            assert f"load its module: modprobe {module}" in dut.command(
                f"port attach net_ppfrag4,path={DEVICE},iface={TAP}")
        finally:
            Path(f"{path}.away").rename(path)
    dut.check_ledgers()
    dut.quit()
    assert not Path("/sys/class/net/tap0").exists()
    for name in ("ppfragone", "ppfragmany"):
        ip("link", "delete", name)


@long
def test_without_capability(lab):
    """A tap that root has made is used without CAP_NET_ADMIN; none is made without that."""
    ip("tuntap", "add", "dev", TAP, "mode", "tap", "user", "root")
    dut = lab.dut(DEVICE, options=["--forward-mode=io"], mbufs=2000, devargs=f",iface={TAP}",
                  wrapper=["setpriv", "--bounding-set", "-net_admin"])
    tap_up()
    dut.wait_link()
    dut.start()
    echo("60-200")
    dut.stop()
    dut.command("port stop 0")
    assert "ip link set dev ppfragtap1 mtu 1400" in (
        dut.command("port config mtu 0 1400") + dut.command("port start 0"))
    assert "this takes CAP_NET_ADMIN: run as root, or let root make the tap: ip tuntap" in (
        dut.command(f"port attach net_ppfrag1,path={DEVICE},iface=ppfragnew"))
    dut.check_ledgers()
    dut.quit()
    assert tap_exists()
    ip("link", "delete", TAP)
