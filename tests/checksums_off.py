# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Have the kernel fill in checksums itself, and cut segments, before a device sends: ethtool -K tx
off, for where there is no ethtool."""

import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


def main(name):
    """Of a device of this network namespace."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP16x", name.encode(),
                                                   ctypes.addressof(value)))


if __name__ == "__main__":
    main(*sys.argv[1:])
