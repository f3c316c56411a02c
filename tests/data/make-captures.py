#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Make the captures that tests, benchmarks and the demo replay.

tcp   Real TCP traffic of the kernel's own stack, with losses and reordering; kept in the tree.
      Two network namespaces, each with a tap interface, talk to each other through this process.
      It is the wire: it loses and swaps some of the frames, always the same ones of a direction,
      and records what arrives. Needs root, /dev/net/tun and iproute2.

imix  The simple IMIX, 7 frames of 64, 4 of 570 and 1 of 1518 bytes, shuffled; the same bytes on
      every machine, made in a second where it is needed. Many flows of UDP.

jumbo       The same with frames of 9000 bytes only.
imix-jumbo  The simple IMIX, but for one frame of ten, which has 9000 bytes.

    tests/data/make-captures.py tcp                   # tests/data/tcp.pcap
    tests/data/make-captures.py imix --output FILE

Needs scapy.
"""

import argparse
import fcntl
import http.client
import http.server
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from scapy.utils import PcapWriter

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
MTU = 1500
LOSE_EVERY = 61      # frames of one direction
SWAP_EVERY = 37
QUIET_SECONDS = 0.5  # nothing on the wire for so long after the client's end: done

HTTP_PORT = 80
DISCARD_PORT = 9
PAGES = (0, 180, 1400, 2900, 9000, 30000)  # bytes of the bodies the client asks for
UPLOADS = (1, 500, 12000, 45000)

MIX_FLOWS = 64
# Bytes of a frame without its checksum, and how many there are of each flow: 3072 frames and more,
# too many to be learnt by heart.
MIXES = {
    "imix": {64: 28, 570: 16, 1518: 4},
    "jumbo": {9000: 48},
    "imix-jumbo": {64: 63, 570: 36, 1518: 9, 9000: 12},
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET /N with N bytes."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = bytes(i * 7 % 251 for i in range(int(self.path[1:])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class DualStackServer(http.server.ThreadingHTTPServer):
    """Listens on IPv6 and IPv4."""
    address_family = socket.AF_INET6
    daemon_threads = True


def receive_all(listener):
    """Read every connection to its end and answer with the number of bytes."""
    while True:
        conn, _ = listener.accept()
        with conn:
            total = 0
            while data := conn.recv(65536):
                total += len(data)
            conn.sendall(str(total).encode())


def serve():
    """The server, in its namespace."""
    listener = socket.create_server(("::", DISCARD_PORT), family=socket.AF_INET6,
                                    dualstack_ipv6=True)
    threading.Thread(target=receive_all, args=(listener,), daemon=True).start()
    server = DualStackServer(("::", HTTP_PORT), Handler)
    print("ready", flush=True)
    server.serve_forever()


def download(address):
    """All pages over one connection."""
    conn = http.client.HTTPConnection(address, HTTP_PORT, timeout=60)
    for size in PAGES:
        conn.request("GET", f"/{size}")
        assert len(conn.getresponse().read()) == size
    conn.close()


def upload(address, size):
    """One connection that sends, and hears how much arrived."""
    with socket.create_connection((address, DISCARD_PORT), timeout=60) as conn:
        conn.sendall(bytes(i * 11 % 253 for i in range(size)))
        conn.shutdown(socket.SHUT_WR)
        assert int(conn.recv(64)) == size


def transfer():
    """The client, in its namespace."""
    for address in ("198.18.0.2", "2001:db8::2"):
        download(address)
        threads = [threading.Thread(target=upload, args=(address, size)) for size in UPLOADS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def run(*command):
    """Run a command that has to succeed."""
    subprocess.run(command, check=True)


class Host:
    """A namespace with a tap interface, the other end of which is self.fd."""

    def __init__(self, name, number):
        self.netns = f"ppfrag-{name}-{os.getpid()}"
        tap = f"ppf{os.getpid() % 100000}{name}"
        run("ip", "netns", "add", self.netns)
        try:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP_NO_PI))
            run("ip", "link", "set", tap, "address", f"02:00:00:00:00:0{number}", "mtu", str(MTU),
                "netns", self.netns)
            self.inside("ip", "address", "add", f"198.18.0.{number}/24", "dev", tap)
            self.inside("ip", "address", "add", f"2001:db8::{number}/64", "dev", tap, "nodad")
            self.inside("ip", "link", "set", tap, "up")
        except Exception:
            self.close()
            raise

    def command(self, *command):
        """The command line that runs a command in this namespace."""
        # "ip netns exec" mounts / anew, which cannot be done in a chroot.
        return ("nsenter", f"--net=/run/netns/{self.netns}") + command

    def inside(self, *command):
        """Run a command in this namespace."""
        run(*self.command(*command))

    def start(self, role):
        """Start this script in this namespace."""
        return subprocess.Popen(self.command(sys.executable, __file__, "tcp", "--role", role),
                                stdout=subprocess.PIPE)

    def close(self):
        """Remove the namespace and what is in it."""
        run("ip", "netns", "del", self.netns)


class Direction:
    """One direction of the wire."""

    def __init__(self, source, sink, capture):
        self.source = source
        self.sink = sink
        self.capture = capture
        self.count = 0
        self.late = None

    def forward(self):
        """Take one frame, lose it, keep it back or deliver it."""
        frame = os.read(self.source.fd, 65536)
        self.count += 1
        if self.count % LOSE_EVERY == 0:
            return
        if self.count % SWAP_EVERY == 0 and self.late is None:
            self.late = frame
            return
        self.deliver(frame)
        self.flush()

    def flush(self):
        """Deliver the frame that was kept back."""
        if self.late is not None:
            frame, self.late = self.late, None
            self.deliver(frame)

    def deliver(self, frame):
        """Record a frame and hand it to the other side."""
        self.capture.write(frame)
        os.write(self.sink.fd, frame)


def wire(client_host, server_host, capture):
    """Carry frames until the client has ended and all is quiet."""
    directions = [Direction(client_host, server_host, capture),
                  Direction(server_host, client_host, capture)]
    selector = selectors.DefaultSelector()
    for direction in directions:
        selector.register(direction.source.fd, selectors.EVENT_READ, direction)
    client = client_host.start("client")
    last = time.monotonic()
    try:
        while client.poll() is None or time.monotonic() - last < QUIET_SECONDS:
            ready = selector.select(timeout=0.01)
            for key, _ in ready:
                key.data.forward()
                last = time.monotonic()
            if not ready:
                for direction in directions:
                    direction.flush()
    finally:
        client.kill()
        client.wait()
    if client.returncode != 0:
        sys.exit("make-captures.py: the transfers failed")


def make_tcp(output):
    """Build the network, run the transfers, write the capture."""
    client_host = Host("c", 1)
    try:
        server_host = Host("s", 2)
        try:
            server = server_host.start("server")
            try:
                server.stdout.readline()
                with PcapWriter(str(output), linktype=1) as capture:
                    wire(client_host, server_host, capture)
            finally:
                server.terminate()
                server.wait()
        finally:
            server_host.close()
    finally:
        client_host.close()


def udp_frame(flow, length):
    """A frame of a flow with a UDP datagram, both checksums right."""
    # Not at the top: in a fresh namespace scapy warns that it finds no addresses.
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    headers = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
        src=f"198.18.0.{flow + 1}", dst=f"198.19.0.{flow + 1}", id=0, flags="DF"
    ) / UDP(sport=49152 + flow, dport=DISCARD_PORT)
    data = bytes(i * 13 % 251 for i in range(length - len(headers)))
    return bytes(headers / data)


def make_mix(output, mix):
    """Shuffle the frames of all flows, write the capture."""
    frames = []
    for flow in range(MIX_FLOWS):
        for length, count in mix.items():
            frames += [udp_frame(flow, length)] * count
    random.Random(1).shuffle(frames)
    with PcapWriter(str(output), linktype=1) as capture:
        capture.write_header(None)
        for number, frame in enumerate(frames):
            capture.write_packet(frame, sec=0, usec=number)


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture", choices=("tcp", *MIXES), help="which one")
    parser.add_argument("--output", type=Path, help="where to [tests/data/CAPTURE.pcap]")
    parser.add_argument("--role", choices=("server", "client"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    output = args.output or Path(__file__).parent / f"{args.capture}.pcap"
    if args.role == "server":
        serve()
    elif args.role == "client":
        transfer()
    elif args.capture == "tcp" and os.geteuid() != 0:
        sys.exit("make-captures.py: network namespaces need root; run it with sudo")
    else:
        try:
            if args.capture == "tcp":
                make_tcp(output)
            else:
                make_mix(output, MIXES[args.capture])
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"make-captures.py: {output}: {error}")
    if args.role is None:
        print(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
