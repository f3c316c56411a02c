# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""A small vhost-user back end that can misbehave at every step."""

import array
import ctypes
import mmap
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

GET_FEATURES = 1
SET_FEATURES = 2
SET_OWNER = 3
RESET_OWNER = 4
SET_MEM_TABLE = 5
SET_VRING_NUM = 8
SET_VRING_ADDR = 9
SET_VRING_BASE = 10
GET_VRING_BASE = 11
SET_VRING_KICK = 12
SET_VRING_CALL = 13
GET_PROTOCOL_FEATURES = 15
SET_PROTOCOL_FEATURES = 16
GET_QUEUE_NUM = 17
SET_VRING_ENABLE = 18
SET_STATUS = 39
GET_STATUS = 40

REQUESTS = {value: name for name, value in list(globals().items())
            if name.isupper() and isinstance(value, int)}

FLAG_VERSION = 1
FLAG_REPLY = 4
FLAG_NEED_REPLY = 8
HEADER = struct.Struct("<III")  # request, flags, size of what follows
NO_FD = 0x100

F_MRG_RXBUF = 1 << 15
F_ANY_LAYOUT = 1 << 27
F_PROTOCOL_FEATURES = 1 << 30
F_VERSION_1 = 1 << 32
F_IN_ORDER = 1 << 35
PROTOCOL_MQ = 1 << 0
PROTOCOL_REPLY_ACK = 1 << 3
PROTOCOL_STATUS = 1 << 16

RX, TX = 0, 1  # rings of the first queue pair, as the driver sees them
NET_HEADER = 12
DESC = struct.Struct("<QIHH")  # address, length, flags, next
DESC_NEXT = 1
DESC_WRITE = 2
USED_ELEM = struct.Struct("<II")  # id, length


@dataclass
class Behaviour:
    """What to do instead of following the protocol. Keys are requests."""
    features: int = F_VERSION_1 | F_MRG_RXBUF | F_PROTOCOL_FEATURES
    protocol_features: int = PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_STATUS
    queues: int = 1
    replies: dict = field(default_factory=dict)  # raw bytes to answer with
    silent: set = field(default_factory=set)     # never answer
    close: set = field(default_factory=set)      # close the connection, after that answer if any
    delay: float = 0                             # seconds before each answer
    drip: float = 0                              # seconds before each byte of an answer
    cling: bool = False                          # keep memory and connection at its end


class Region:
    """A part of the driver's memory."""

    def __init__(self, fd, guest, size, user, offset):
        self.guest = guest
        self.size = size
        self.user = user
        self.offset = offset
        self.file = os.readlink(f"/proc/self/fd/{fd}")
        self.file_size = os.fstat(fd).st_size
        self.memory = mmap.mmap(fd, self.file_size)


class Ring:
    """A split ring, by its addresses in the driver's memory."""

    def __init__(self, peer):
        self.peer = peer
        self.num = 0
        self.base = 0
        self.desc = self.used = self.avail = None
        self.kick = self.call = None
        self.enabled = False
        self.next_avail = 0
        self.next_used = 0

    def set_addresses(self, desc, used, avail):
        """Where the driver keeps the three parts."""
        self.desc, self.used, self.avail = (self.peer.at_user(a) for a in (desc, used, avail))
        self.next_used = self._word(self.used, 2).value

    @staticmethod
    def _word(place, offset):
        """A 16-bit word of shared memory. Not by struct: that writes byte by byte."""
        memory, base = place
        return ctypes.c_uint16.from_buffer(memory, base + offset)

    def pending(self):
        """How many chains of descriptors the driver has posted."""
        return (self._word(self.avail, 2).value - self.next_avail) & 0xFFFF

    def take(self):
        """The next posted chain: its head and its descriptors as (address, length, flags)."""
        assert self.pending() > 0
        head = self._word(self.avail, 4 + 2 * (self.next_avail % self.num)).value
        self.next_avail = (self.next_avail + 1) & 0xFFFF
        chain, index = [], head
        while True:
            memory, base = self.desc
            address, length, flags, index = DESC.unpack_from(memory, base + DESC.size * index)
            chain.append((address, length, flags))
            if not flags & DESC_NEXT:
                return head, chain

    def put_used(self, *elements):
        """Give back descriptors, right or wrong ones: (id, length), all at once."""
        memory, base = self.used
        for number, element in enumerate(elements):
            slot = (self.next_used + number) % self.num
            USED_ELEM.pack_into(memory, base + 4 + USED_ELEM.size * slot, *element)
        self.set_used_index(self.next_used + len(elements))

    def set_used_index(self, index):
        """Publish an index, right or wrong."""
        self.next_used = index & 0xFFFF
        self._word(self.used, 2).value = self.next_used
        if self.call is not None and not self._word(self.avail, 0).value & 1:
            os.eventfd_write(self.call, 1)

    def kicked(self):
        """Whether the driver has notified of posted buffers since it was asked last."""
        try:
            return os.eventfd_read(self.kick) > 0
        except BlockingIOError:
            return False

    def scribble(self):
        """Overwrite the descriptor table and the avail ring with rubbish."""
        memory, base = self.desc
        memory[base:base + DESC.size * self.num] = bytes(range(1, 17)) * self.num
        memory, base = self.avail
        memory[base:base + 4 + 2 * self.num] = b"\xa5" * (4 + 2 * self.num)


class VhostPeer:
    """Listens on a socket and serves one connection after another in a thread of its own.

    As a client it connects to a driver that listens, once.
    """

    def __init__(self, path, behaviour=None, client=False):
        self.behaviour = behaviour or Behaviour()
        self.seen = []              # names of the requests that arrived
        self.connected = 0          # connections accepted so far
        self.features = 0
        self.status = 0
        self.regions = []
        self.rings = [Ring(self), Ring(self)]
        self.changed = threading.Condition()
        self.stopping = False
        self.error = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection = None
        self.client = client
        if client:
            self.listener.connect(str(path))
        else:
            self.listener.bind(str(path))
            self.listener.listen(1)
        self.clung = []             # connections that it should have closed, and what came by them
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    # Control, by the test

    def close(self):
        """Stop serving."""
        self.stopping = True
        os.write(self.wake_write, b"x")
        self.thread.join()
        self.let_go()
        self.listener.close()
        os.close(self.wake_read)
        os.close(self.wake_write)

    def hang_up(self):
        """Close the connection; a new one will be accepted."""
        self.connection.shutdown(socket.SHUT_RDWR)

    def let_go(self):
        """Close what it clung to."""
        for connection, _, _ in self.clung:
            connection.close()
        self.clung.clear()

    def wait_ready(self, timeout=60):
        """Wait until the driver has started both rings."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: all(ring.enabled and ring.desc for ring in self.rings), timeout), \
                f"the driver did not start the rings; requests: {self.seen}"

    def wait_seen(self, request, timeout=60):
        """Wait until a request has arrived."""
        name = REQUESTS[request]
        with self.changed:
            assert self.changed.wait_for(lambda: name in self.seen, timeout), \
                f"{name} did not arrive; requests: {self.seen}"

    def at_guest(self, address, length):
        """Where a guest physical address is mapped; it must lie inside one region."""
        for region in self.regions:
            if region.guest <= address and address + length <= region.guest + region.size:
                return region.memory, address - region.guest + region.offset
        raise AssertionError(f"{length} bytes at {address:#x} are outside the shared memory")

    def at_user(self, address):
        """Where a virtual address of the driver is mapped."""
        for region in self.regions:
            if region.user <= address < region.user + region.size:
                return region.memory, address - region.user + region.offset
        raise AssertionError(f"{address:#x} is outside the shared memory")

    def fill(self, chain, data):
        """Write into a posted buffer as far as it reaches; the number of bytes."""
        written = 0
        for address, length, flags in chain:
            assert flags & DESC_WRITE
            piece = data[written:written + length]
            memory, base = self.at_guest(address, len(piece))
            memory[base:base + len(piece)] = piece
            written += len(piece)
        return written

    def send(self, frame, buffers=None):
        """Give the driver a frame, in as many buffers as it takes."""
        data = bytes(10) + struct.pack("<H", 1) + frame
        ring = self.rings[RX]
        used, first = [], None
        while data:
            head, chain = ring.take()
            first = first or chain
            written = self.fill(chain, data)
            used.append((head, written))
            data = data[written:]
        memory, base = self.at_guest(first[0][0], NET_HEADER)
        struct.pack_into("<H", memory, base + 10, len(used) if buffers is None else buffers)
        ring.put_used(*used)

    def receive(self):
        """Take one frame that the driver sends: its bytes and the head to give back."""
        head, chain = self.rings[TX].take()
        data = b""
        for address, length, flags in chain:
            assert not flags & DESC_WRITE
            memory, base = self.at_guest(address, length)
            data += memory[base:base + length]
        return data[NET_HEADER:], head

    # The protocol, in the thread

    def _serve(self):
        try:
            for self.connection in self._connections():
                with self.changed:
                    self.connected += 1
                    self.changed.notify_all()
                try:
                    while self._wait(self.connection) and self._one_message():
                        pass
                except OSError:
                    pass  # the driver has closed first
                if self.behaviour.cling:
                    self.clung.append((self.connection, self.rings, self.regions))
                    self.rings, self.regions = [Ring(self), Ring(self)], []
                else:
                    self.connection.close()
                self._forget()
        except Exception as error:  # reported to the test, which runs in another thread
            self.error = error
            raise
        finally:
            if self.connection is not None:
                self.connection.close()
            self._forget()

    def _connections(self):
        if self.client:
            yield self.listener
        else:
            while self._wait(self.listener):
                yield self.listener.accept()[0]

    def _wait(self, sock):
        ready, _, _ = select.select([sock, self.wake_read], [], [])
        return not self.stopping and sock in ready

    def _forget(self):
        with self.changed:
            for ring in self.rings:
                for fd in (ring.kick, ring.call):
                    if fd is not None:
                        os.close(fd)
            self.rings = [Ring(self), Ring(self)]
            self.regions = []
            self.status = 0
            self.changed.notify_all()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data

    def _one_message(self):
        fds = array.array("i")
        data, ancillary, _, _ = self.connection.recvmsg(
            HEADER.size, socket.CMSG_SPACE(16 * fds.itemsize))
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
        if not data:
            return False
        data += self._exactly(HEADER.size - len(data))
        request, flags, size = HEADER.unpack(data)
        payload = self._exactly(size)
        with self.changed:
            self.seen.append(REQUESTS.get(request, str(request)))
            keep_on = self._handle(request, flags, payload, list(fds))
            self.changed.notify_all()
        return keep_on

    def _handle(self, request, flags, payload, fds):
        answer = self._follow(request, payload, fds)
        if request in self.behaviour.replies:
            self._answer(self.behaviour.replies[request])
        elif request in self.behaviour.silent | self.behaviour.close:
            pass
        elif answer is not None:
            self._answer(reply(request, answer))
        elif flags & FLAG_NEED_REPLY:
            self._answer(reply(request, struct.pack("<Q", 0)))
        return request not in self.behaviour.close

    def _answer(self, data):
        time.sleep(self.behaviour.delay)
        if not self.behaviour.drip:
            self.connection.sendall(data)
            return
        for number in range(len(data)):
            time.sleep(self.behaviour.drip)
            self.connection.sendall(data[number:number + 1])

    def _follow(self, request, payload, fds):
        """What a correct back end does; the payload of the answer where there is one."""
        if request == GET_FEATURES:
            return struct.pack("<Q", self.behaviour.features)
        if request == GET_PROTOCOL_FEATURES:
            return struct.pack("<Q", self.behaviour.protocol_features)
        if request == GET_QUEUE_NUM:
            return struct.pack("<Q", self.behaviour.queues)
        if request == GET_STATUS:
            return struct.pack("<Q", self.status)
        if request == SET_STATUS:
            self.status, = struct.unpack("<Q", payload)
        elif request == SET_FEATURES:
            self.features, = struct.unpack("<Q", payload)
        elif request == SET_MEM_TABLE:
            self._set_memory(payload, fds)
        elif request in (SET_VRING_KICK, SET_VRING_CALL):
            self._set_fd(request, payload, fds)
        elif request in (SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE, GET_VRING_BASE):
            return self._set_state(request, *struct.unpack("<II", payload))
        elif request == SET_VRING_ADDR:
            index, _, desc, used, avail, _ = struct.unpack("<IIQQQQ", payload)
            self.rings[index].set_addresses(desc, used, avail)
        return None

    def _set_memory(self, payload, fds):
        count, _ = struct.unpack_from("<II", payload)
        assert count == len(fds), f"{count} regions and {len(fds)} file descriptors"
        self.regions = [Region(fd, *struct.unpack_from("<QQQQ", payload, 8 + 32 * number))
                        for number, fd in enumerate(fds)]
        for fd in fds:
            os.close(fd)

    def _set_fd(self, request, payload, fds):
        value, = struct.unpack("<Q", payload)
        ring = self.rings[value & 0xFF]
        name = "kick" if request == SET_VRING_KICK else "call"
        if getattr(ring, name) is not None:
            os.close(getattr(ring, name))
        setattr(ring, name, None if value & NO_FD else fds[0])
        if request == SET_VRING_KICK and not self.features & F_PROTOCOL_FEATURES:
            ring.enabled = True

    def _set_state(self, request, index, value):
        ring = self.rings[index]
        if request == SET_VRING_NUM:
            ring.num = value
        elif request == SET_VRING_BASE:
            ring.next_avail = value
        elif request == SET_VRING_ENABLE:
            ring.enabled = bool(value)
        else:
            ring.enabled = False
            return struct.pack("<II", index, ring.next_avail)
        return None


def reply(request, payload, size=None, flags=FLAG_VERSION | FLAG_REPLY):
    """An answer of the back end; size other than the payload's for a lie."""
    return HEADER.pack(request, flags, len(payload) if size is None else size) + payload
