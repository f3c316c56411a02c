# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A vhost-user back end with a tap of the kernel behind it.

Their headers are the same: what the kernel leaves to its network card, net_ppfrag gets as it is.
"""

import contextlib
import ctypes
import fcntl
import os
import struct
import threading
import time

from vhost_peer import (F_MRG_RXBUF, F_PROTOCOL_FEATURES, F_VERSION_1, NET_HEADER, RX, TX,
                        Behaviour, VhostPeer)

F_OFFLOADS = 1 << 0 | 1 << 1 | 3 << 7 | 3 << 11  # checksums and TCP segmentation, either way
CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
TAP_FLAGS = 0x0002 | 0x1000 | 0x4000  # tap, no packet information, header
TUN_OFFLOADS = 1 | 2 | 4  # checksums, TCP over IPv4 and IPv6
PACKET_MAX = 1 << 17
IDLE_SECONDS = 0.0002


def open_tap(netns, name):
    """A tap in a network namespace that takes packets with offloads."""
    made = []

    def make():
        with open(netns, "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns to {netns}")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_FLAGS))
        fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", NET_HEADER))
        fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_OFFLOADS)
        made.append(tap)
    thread = threading.Thread(target=make)  # the namespace is one of the thread
    thread.start()
    thread.join()
    return made[0]


class TapPeer:
    """Moves packets between the rings and the tap in a thread of its own."""

    def __init__(self, path, netns, name):
        self.tap = open_tap(netns, name)
        self.peer = VhostPeer(path, Behaviour(
            features=F_VERSION_1 | F_MRG_RXBUF | F_PROTOCOL_FEATURES | F_OFFLOADS))
        self.waiting = b""  # from the tap, for want of buffers
        self.largest = [0, 0]  # packet with segments left to do, by ring
        self.stopping = False
        self.thread = None

    def start(self):
        """Begin, once the driver has started its rings."""
        self.peer.wait_ready()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        """Leave rings and tap alone."""
        self.stopping = True
        if self.thread is not None:
            self.thread.join()

    def close(self):
        """End."""
        self.stop()
        self.peer.close()
        os.close(self.tap)

    def _run(self):
        while not self.stopping:
            if not (self._from_tap() | self._to_tap()):
                time.sleep(IDLE_SECONDS)

    def _note(self, ring, data):
        if data[1] != 0:  # gso_type
            self.largest[ring] = max(self.largest[ring], len(data) - NET_HEADER)

    def _from_tap(self):
        try:
            data = self.waiting or os.read(self.tap, PACKET_MAX)
        except OSError:  # nothing there, or it is down
            return False
        self.waiting = data
        ring, used, first = self.peer.rings[RX], [], None
        if ring.pending() < len(data) // 1024 + 1:
            return False
        self._note(RX, data)
        while data:
            head, chain = ring.take()
            first = first or chain
            written = self.peer.fill(chain, data)
            used.append((head, written))
            data = data[written:]
        memory, base = self.peer.at_guest(first[0][0], NET_HEADER)
        struct.pack_into("<H", memory, base + 10, len(used))
        ring.put_used(*used)
        self.waiting = b""
        return True

    def _to_tap(self):
        ring = self.peer.rings[TX]
        moved = ring.pending() > 0
        while ring.pending() > 0:
            head, chain = ring.take()
            data = b""
            for address, length, _ in chain:
                memory, base = self.peer.at_guest(address, length)
                data += memory[base:base + length]
            self._note(TX, data)
            with contextlib.suppress(OSError):  # it is down
                os.write(self.tap, data)
            ring.put_used((head, 0))
        return moved
