# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""One end of a TCP connection through the kernel: sends pseudo-random bytes, or receives them.

Prints the SHA-256 of the bytes.
"""

import hashlib
import random
import socket
import sys

CHUNK = 1 << 20
TIMEOUT = 60


def receive(address, port):
    """Accept one connection and read it to its end."""
    digest = hashlib.sha256()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        server.settimeout(TIMEOUT)
        print("listening", flush=True)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(TIMEOUT)
            while data := connection.recv(CHUNK):
                digest.update(data)
    return digest.hexdigest()


def send(address, port, size):
    """Connect and send so many bytes."""
    digest = hashlib.sha256()
    source = random.Random(size)
    with socket.create_connection((address, port), TIMEOUT) as connection:
        while size > 0:
            data = source.randbytes(min(size, CHUNK))
            digest.update(data)
            connection.sendall(data)
            size -= len(data)
    return digest.hexdigest()


def main(how, address, port, *size):
    """Do as the arguments say."""
    print({"receive": receive, "send": send}[how](address, int(port), *map(int, size)))


if __name__ == "__main__":
    main(*sys.argv[1:])
