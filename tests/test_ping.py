# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The kernel pings testpmd's icmpecho on net_ppfrag, through a tap of a stock testpmd."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import wait_until

COUNT = 20
TAP = "ppfragtap"
KERNEL, ECHO = "198.18.1.1", "198.18.1.2"


def inside(name):
    """What runs a command in a network namespace.

    Not "ip netns exec": it changes how / is mounted, which in a chroot is no mount point.
    """
    return ["nsenter", f"--net=/run/netns/{name}"]


NETNS = Path("/run/netns")


def netns_is_mounted():
    """Whether NETNS is a mount point; it is one of the very directory."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return str(NETNS) in (line.split()[4] for line in mounts)


def remove_netns_directory(was_there, was_mounted):
    """Take back what "ip netns add" leaves of the first namespace, unless others have some."""
    if any(NETNS.iterdir()):
        return
    while not was_mounted and netns_is_mounted():
        subprocess.run(["umount", NETNS], check=True)
    if not was_there:
        NETNS.rmdir()


@pytest.fixture
def netns():
    """A network namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    name = f"ppfrag-ping-{os.getpid()}"
    before = NETNS.exists(), netns_is_mounted()
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no network namespace: {made.stderr.decode().strip()}")
    yield inside(name)
    subprocess.run(["ip", "netns", "del", name], check=True)
    remove_netns_directory(*before)


@pytest.mark.parametrize("size", [56, 1400])
def test_ping(lab, netns, size, rx):
    """Every echo request is answered."""
    sock = lab.socket()
    peer = lab.peer(sock, [f"net_tap0,iface={TAP}"], wrapper=netns)
    dut = lab.dut(sock, options=["--forward-mode=icmpecho"], devargs=f",rx={rx}")
    peer.wait_link()
    dut.start()
    peer.start()
    subprocess.run([*netns, "ip", "address", "add", f"{KERNEL}/30", "dev", TAP], check=True)
    subprocess.run([*netns, "ip", "link", "set", TAP, "up"], check=True)
    ping = [*netns, "ping", "-n", "-s", str(size), ECHO]
    wait_until(lambda: subprocess.run([*ping, "-c", "1", "-W", "1"], check=False,
                                      capture_output=True).returncode == 0, "the first answer")
    result = subprocess.run([*ping, "-c", str(COUNT), "-i", "0.02", "-W", "5"], check=False,
                            capture_output=True, text=True)
    assert re.search(rf"{COUNT} packets transmitted, {COUNT} received", result.stdout), \
        result.stdout
    assert "wrong data" not in result.stdout
    peer.stop()
    dut.stop()
    dut.check_ledgers()
    dut.quit()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a chroot")
def test_netns_in_chroot(tmp_path):
    """The namespaces of these tests work in a chroot whose / is no mount point."""
    for name in ("ip", "nsenter", "sh"):
        program = Path(shutil.which(name)).resolve()
        needed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True)
        (tmp_path / "bin").mkdir(exist_ok=True)
        shutil.copy(program, tmp_path / "bin" / name)
        for library in re.findall(r"(/\S+) \(0x", needed.stdout):
            copy = tmp_path / library[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, copy)
    for directory in ("proc", "run"):
        (tmp_path / directory).mkdir()
    script = ("ip netns add inner && {} ip -o link && ! ip netns exec inner ip link"
              " && ip netns del inner").format(" ".join(inside("inner")))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"mount -t proc proc {tmp_path}/proc &&"
         f" exec chroot {tmp_path} /bin/sh -c 'PATH=/bin; {script}'"],
        check=False, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount: " in done.stderr:
        pytest.skip(f"no namespaces: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "lo:" in done.stdout
