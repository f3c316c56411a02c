# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The command line of the manual works literally; wrong ones say what is wrong."""

import os
import re
import shlex
import shutil
import socket
import stat
from pathlib import Path

import pytest

from conftest import ROOT
from harness import (MEMORY_MODES, Program, assert_same, lcores, read_frames, wait_capture,
                     write_frames)


@pytest.mark.parametrize("memory", MEMORY_MODES)
def test_stock_defaults(lab, all_lengths, memory):
    """testpmd with default options receives, and sends back what it has received.

    It drops what a full ring does not take: there are fewer frames than descriptors.
    """
    lab.need(memory)
    sock, back = lab.socket(), lab.dir / "back.pcap"
    frames = all_lengths[::7]
    source = write_frames(lab.dir / "in.pcap", frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},tx_pcap={back}"])
    prefix = lab.prefix()
    dut = lab.add(Program("dut", [
        "dpdk-testpmd", *lab.plugins(), "--vdev", f"net_ppfrag0,path={sock}",
        "--mbuf-pool-ops-name=ppfrag", f"--file-prefix={prefix}", "--no-pci", lcores(1),
        *(["--no-huge", "-m", "1024"] if memory == "no-huge" else lab.memory(memory))], prefix))
    dut.wait_output("Press enter to exit")
    peer.patient()
    peer.start()
    wait_capture(back, frames)
    assert_same(read_frames(back), frames)
    dut.check_ledgers()
    dut.process.stdin.write(b"\n")
    dut.process.stdin.flush()
    assert dut.wait_end() == 0
    peer.quit()


@pytest.mark.parametrize("count,memory", [(16, "single-file"), (64, "single-file"),
                                          (16, "no-huge")])
def test_readme(lab, tcp_frames, count, memory):
    """The command line of the README takes no more memory than it says, on however many lcores."""
    lab.need(memory)
    sock = lab.socket()
    source = write_frames(lab.dir / "in.pcap", tcp_frames)
    peer = lab.peer(sock, [f"net_pcap0,rx_pcap={source},infinite_rx=1"])
    readme = (ROOT / "README.md").read_text()
    text = re.search(r"^ +(dpdk-testpmd (?:.*\\\n)*.*)", readme, re.M)[1]
    other = re.search(r"Without hugepages: `(.*)` instead of\n`(.*)`", readme)
    words = [word.replace("build/", f"{lab.builddir}/").replace("/run/vhost.sock", str(sock))
             for word in shlex.split(text.replace("\\\n", " "))]
    assert "--no-pci" in words
    eal, options = words[1:words.index("--")], words[words.index("--") + 1:]
    if memory == "no-huge":
        eal.remove(other[2])
        eal += shlex.split(other[1])
    on_cpus = ",".join(f"{n}@{lcores(n)[-1]}" for n in range(count))
    dut = lab.testpmd("dut", [*eal, f"--lcores={on_cpus}"], options)
    dut.command("set fwd rxonly")
    peer.wait_link()
    dut.start()
    peer.start()
    dut.wait_received(1000)
    dut.stop()
    ledger, = dut.check_ledgers().values()
    assert ledger["page_bytes"] > 16384
    assert ledger["memory_bytes"] < 400 << 20
    dut.quit()
    peer.stop()
    peer.quit()


# Starts a program with another library than those it loads by itself, and that of stdbuf.
PRELOAD = ("sh", "-c", 'LD_PRELOAD="$0 ${LD_PRELOAD-}" exec "$@"')


def test_two_copies(lab):
    """Of two copies of the library the first is used, and answers; both are named."""
    first, second = lab.dir / "libppool.so.0", lab.builddir / "lib/ppool/libppool.so.0"
    shutil.copy(second, first)
    sock = lab.socket()
    peer = lab.peer(sock)
    dut = lab.dut(sock, options=["--forward-mode=rxonly"], wrapper=[*PRELOAD, first])
    assert re.search(f"PPOOL: libppool is loaded twice: {first} is used, {second} is not: "
                     "leave out -d, or run 'ninja -C build uninstall'\n", dut.output)
    peer.command("set fwd txonly")
    peer.wait_link()
    dut.start()
    peer.start()
    dut.wait_received(1000)
    peer.stop()
    dut.stop()
    name, = dut.check_ledgers()
    assert dut.telemetry(f"/ppool/stats,{name}")["pages"] > 0
    dut.quit()
    peer.quit()


SOCK = "{sock}"  # replaced with the path of a socket that nobody listens on

# Device arguments and what the driver says of them.
BAD_DEVARGS = {
    "": "net_ppfrag0: option 'path=SOCKET' of the vhost-user back end is missing",
    "path=": "net_ppfrag0: option 'path=' is invalid; it takes a path of the back end's socket, "
             "shorter than 108 characters",
    f"path=/{'x' * 108}": "shorter than 108 characters",
    f"path={SOCK},path={SOCK}": "net_ppfrag0: option 'path' is given more than once",
    f"path={SOCK},mac=1": "net_ppfrag0: option 'mac=1' is invalid; it takes a "
                          "unicast MAC address, as 02:00:00:00:00:01",
    f"path={SOCK},mac=ff:ff:ff:ff:ff:ff": "unicast MAC address, as 02:00:00:00:00:01",
    f"path={SOCK},mac=00:00:00:00:00:00": "unicast MAC address, as 02:00:00:00:00:01",
    f"path={SOCK},queue_size=0": "net_ppfrag0: option 'queue_size=0' is invalid; it takes a "
                                 "power of 2 from 4 to 32768",
    f"path={SOCK},queue_size=100": "option 'queue_size=100' is invalid",
    f"path={SOCK},queue_size=65536": "option 'queue_size=65536' is invalid",
    f"path={SOCK},queue_size=-256": "option 'queue_size=-256' is invalid",
    f"path={SOCK},queue_size=256k": "option 'queue_size=256k' is invalid",
    f"path={SOCK},queue_size": "option 'queue_size=' is invalid",
    f"path={SOCK},queues=0": "net_ppfrag0: option 'queues=0' is invalid; it takes a "
                             "number of queue pairs from 1 to 128",
    f"path={SOCK},queues=129": "option 'queues=129' is invalid",
    f"path={SOCK},mtu=67": "net_ppfrag0: option 'mtu=67' is invalid; it takes a "
                           "largest MTU from 68 to 65385",
    f"path={SOCK},mtu=65386": "option 'mtu=65386' is invalid",
    f"path={SOCK},mrg_rxbuf=2": "net_ppfrag0: option 'mrg_rxbuf=2' is invalid; it takes a "
                                "number, 0 or 1",
    f"path={SOCK},rx=frags": "net_ppfrag0: option 'rx=frags' is invalid; it takes a "
                             "way to receive, slots or lanes",
    f"path={SOCK},copybreak=65408": "net_ppfrag0: option 'copybreak=65408' is invalid; it takes a "
                                    "length in bytes from 0 to 65407",
    f"path={SOCK},preset=fast": "net_ppfrag0: option 'preset=fast' is invalid; it takes a "
                                "preset, auto, speed or density",
    f"path={SOCK},preset=density,rx=lanes": "net_ppfrag0: option 'preset' is about slots, and "
                                            "rx=lanes receives into none: leave one of the two out",
    f"path={SOCK},rx=lanes,copybreak=0": "net_ppfrag0: option 'copybreak' is about slots, and "
                                         "rx=lanes receives into none: leave one of the two out",
    f"path={SOCK},share=": "net_ppfrag0: option 'share=' is invalid; it takes a name of a "
                           "mempool, of 25 characters at most, or all; up to 8 times",
    f"path={SOCK},share={'x' * 26}": f"option 'share={'x' * 26}' is invalid",
    f"path={SOCK}{''.join(f',share=pool{n}' for n in range(9))}":
        "option 'share=pool8' is invalid",
    f"path={SOCK},server=2": "option 'server=2' is invalid; it takes a number, 0 or 1",
    f"path={SOCK},speed=11": "option 'speed=11' is invalid; it takes a speed in Mbps",
    f"path={SOCK},event_idx=-1": "option 'event_idx=-1' is invalid; it takes a number, 0 or 1",
    f"path={SOCK},indirect=yes": "option 'indirect=yes' is invalid; it takes a number, 0 or 1",
    f"path={SOCK},packed_vq=2": "option 'packed_vq=2' is invalid; it takes a number, 0 or 1",
    f"path={SOCK},in_order=2": "option 'in_order=2' is invalid; it takes a number, 0 or 1",
    f"path={SOCK},vectorized=1": "option 'vectorized=1' of net_virtio_user is not supported",
    f"path={SOCK},cq=1": "option 'cq=1' of net_virtio_user is not supported",
    f"path={SOCK},iface=tap0": "options 'path' and 'iface' exclude each other",
    "path=/dev/vhost-net,server=1": "net_ppfrag0: option 'server=1' is for sockets, and "
                                    "path=/dev/vhost-net is the kernel's: leave it out",
    "path=/dev/null": "net_ppfrag0: path=/dev/null refuses VHOST_SET_OWNER of queue pair 0: "
                      "Inappropriate ioctl for device; it is no vhost-net: "
                      "use path=/dev/vhost-net",
    f"path={SOCK},force_copy=1": "option 'force_copy' is for ports with iface=, "
                                 "this one has path=",
    "iface=lo,server=1": "option 'server' is for ports with path=, this one has iface=",
    "iface=": "option 'iface=' is invalid; it takes a name of an interface, shorter than 16",
    "iface=lo,start_queue=896": "option 'start_queue=896' is invalid; it takes a number from 0",
    "iface=lo,queue_count=129": "option 'queue_count=129' is invalid; it takes a number of queues",
    "iface=lo,xdp_mode=hw": "option 'xdp_mode=hw' is invalid; it takes a mode, native or skb",
    "iface=lo,umem=shared": "option 'umem=shared' is invalid; it takes a memory, pool or own",
    "iface=lo,busy_budget=65536": "option 'busy_budget=65536' is invalid; it takes a number from",
    "iface=lo,use_cni=1": "option 'use_cni=1' of net_af_xdp is not supported: leave it out",
    "iface=lo": "interface 'lo' is none of Ethernet",
    "iface=nothing": "there is no interface 'nothing' in this network namespace: see 'ip link'",
    f"path={SOCK},frobnicate=1": "net_ppfrag0: unknown option 'frobnicate'; known are: "
                                 "path, mac, queue_size, queues, server, speed, mtu, mrg_rxbuf, "
                                 "packed_vq, in_order, indirect, event_idx, size_stats, rx, "
                                 "copybreak, preset, share, iface, start_queue, "
                                 "queue_count, xdp_mode, force_copy, shared_umem, umem, "
                                 "busy_budget, xdp_prog",
    f"path={SOCK}": f"net_ppfrag0: cannot connect to path={SOCK}: No such file or directory; "
                    "start the vhost-user back end (the server) first",
}


@pytest.mark.parametrize("devargs", BAD_DEVARGS)
def test_bad_devargs(lab, devargs):
    """Each wrong device argument has its message; the program goes on without the port."""
    sock = str(lab.socket())
    message = BAD_DEVARGS[devargs].replace(SOCK, sock)
    devargs = devargs.replace(SOCK, sock)
    eal = [*lab.memory(), lcores(1), *lab.plugins(), "--mbuf-pool-ops-name=ppfrag",
           f"--vdev=net_ppfrag0{',' if devargs else ''}{devargs}"]
    dut = lab.testpmd("dut", eal, ["--total-num-mbufs=2048"])
    assert message in dut.output
    assert dut.telemetry("/ethdev/list") == []
    dut.quit()


@pytest.mark.skipif(Path("/dev/vhost-net").exists(), reason="this machine has vhost-net")
def test_no_vhost_net(lab):
    """Where the kernel has no vhost-net, the message tells how to get it."""
    dut = lab.dut("/dev/vhost-net", devargs=",iface=tap0")
    assert ("net_ppfrag0: cannot open path=/dev/vhost-net of the kernel's vhost-net: No such file "
            "or directory; load its module: modprobe vhost_net\n") in dut.output
    dut.quit()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_no_permission(lab):
    """A device that the user may not open. Root may, unless it is without a capability."""
    device = lab.dir / "vhost-net"
    os.mknod(device, stat.S_IFCHR, os.makedev(1, 3))
    dut = lab.dut(device, wrapper=["setpriv", "--bounding-set", "-dac_override"])
    assert (f"net_ppfrag0: cannot open path={device} of the kernel's vhost-net: Permission denied; "
            "run as root, or give the user access to it\n") in dut.output
    dut.quit()


def test_no_listener(lab):
    """A socket file that nobody listens on any more."""
    sock = lab.socket()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sock))
    dut = lab.dut(sock)
    assert f"net_ppfrag0: cannot connect to path={sock}: Connection refused; " in dut.output
    dut.quit()


def test_wrong_pool_ops(lab):
    """A pool with other ops is refused, with the option that helps."""
    sock = lab.socket()
    lab.peer(sock)
    eal = [*lab.memory(), lcores(1), *lab.plugins(), f"--vdev=net_ppfrag0,path={sock}",
           "--mbuf-pool-ops-name=ring_mp_mc"]
    dut = lab.testpmd("dut", eal, ["--total-num-mbufs=2048"])
    assert ("net_ppfrag0: pool mb_pool_0 has mempool ops 'ring_mp_mc', 'ppfrag' are needed: "
            "add the EAL option --mbuf-pool-ops-name=ppfrag") in dut.output
    assert "Fail to configure port 0 rx queues" in dut.output
    dut.quit()
