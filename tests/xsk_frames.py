# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""One end of a veth, in the namespace that this is started in: sends frames, or receives them.

    xsk_frames.py send IFACE COUNT LENGTHS [RATE [FIRST]]
    xsk_frames.py echo IFACE LENGTHS [tag]
    xsk_frames.py tap IFACE LENGTHS
    xsk_frames.py flows ADDRESS COUNT
    xsk_frames.py plain IFACE

LENGTHS is a list of lengths and ranges, as 60-1514,9014, which is repeated. Every frame has its
number, its length and a pattern of its own. "echo" expects each frame to come back, with addresses
swapped or not, and prints what did not; with "tag" frames have a VLAN tag that does not come back.
"tap" does the same as the program behind a tap.
"flows" sends datagrams of a flow each. "plain" has an interface compute checksums, which ends
segmentation by the receiver, too.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import time

HEADER = bytes.fromhex("02000000000b 02000000000a 88b5")
TAG = bytes.fromhex("8100 0005")
NUMBER = struct.Struct("!II")
PATTERN = bytes(range(256)) * 260
PACKET_IGNORE_OUTGOING, SOL_PACKET, SO_RCVBUFFORCE = 23, 263, 33
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
TUNSETIFF, TAP_FLAGS = 0x400454CA, 0x0002 | 0x1000  # no packet information
ROOM = 1 << 17
WINDOW = 64  # frames under way
PATIENCE = int(os.environ.get("PPFRAG_TIMEOUT", "60")) / 12  # seconds without a frame
STEP = 0.002  # seconds: who sleeps for less sleeps too long


def lengths_of(text):
    """The lengths of a list."""
    out = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        out.extend(range(int(first), int(last or first) + 1))
    return out


def make(number, length):
    """A frame like no other's."""
    start = number * 7 % 256
    return HEADER + NUMBER.pack(number, length) + PATTERN[start:start + length - 22]


def is_whole(frame):
    """Whether a frame is as it was made, its addresses apart."""
    if len(frame) < 22 or frame[12:14] != HEADER[12:14]:
        return False
    number, length = NUMBER.unpack_from(frame, 14)
    return len(frame) == length and frame[14:] == make(number, length)[14:]


def open_socket(iface):
    """A socket that sees what the interface receives."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    sock.bind((iface, 0x88b5))
    return sock


def send(iface, count, lengths, rate="0", first="0"):
    """Send so many frames, numbered from one on."""
    sock, lengths = open_socket(iface), lengths_of(lengths)
    begin = time.monotonic()
    for number in range(int(count)):
        sock.send(make(int(first) + number, lengths[number % len(lengths)]))
        if float(rate) > 0:
            ahead = begin + number / float(rate) - time.monotonic()
            if ahead > STEP:
                time.sleep(ahead)
    print(f"sent {count}")


class Tap:
    """What is behind a tap, in place of a socket."""

    def __init__(self, iface):
        self.file = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.file, TUNSETIFF, struct.pack("16sH22x", iface.encode(), TAP_FLAGS))

    def fileno(self):
        """The file descriptor."""
        return self.file

    def send(self, frame):
        """Have the interface receive a frame."""
        os.write(self.file, frame)

    def recv(self, size):
        """A frame that the interface has sent."""
        return os.read(self.file, size)


def tap(iface, lengths):
    """Send a frame of each length from behind a tap and have all come back."""
    return exchange(Tap(iface), lengths_of(lengths), b"")


def echo(iface, lengths, tag=""):
    """Send a frame of each length and have all come back."""
    return exchange(open_socket(iface), lengths_of(lengths), TAG if tag else b"")


def exchange(sock, lengths, tag):
    """The same with whatever sends and receives."""
    sent = back = bad = 0
    seen = set()
    while back < len(lengths):
        while sent < len(lengths) and sent - back < WINDOW:
            frame = make(sent, lengths[sent])
            sock.send(frame[:12] + tag + frame[12:])
            sent += 1
        if not select.select([sock], [], [], PATIENCE)[0]:
            break
        frame = sock.recv(ROOM)
        back += 1
        if is_whole(frame):
            seen.add(NUMBER.unpack_from(frame, 14)[0])
        else:
            bad += 1
    missing = [lengths[i] for i in range(len(lengths)) if i not in seen]
    print(f"sent {sent}, bad {bad}, missing {missing[:20]}")
    return 0 if bad == 0 and not missing else 1


def flows(address, count):
    """Send datagrams from as many ports."""
    for number in range(int(count)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 20000 + number))
            sock.sendto(NUMBER.pack(number, 0), (address, 9))


def plain(iface):
    """Switch transmit checksums off."""
    value = struct.pack("II", ETHTOOL_STXCSUM, 0)
    data = ctypes.create_string_buffer(value, len(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL,
                    struct.pack("16sP16x", iface.encode(), ctypes.addressof(data)))


COMMANDS = {"send": send, "echo": echo, "tap": tap, "flows": flows, "plain": plain}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
