# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Stands between two ends of a vhost-user connection, and hides features of the back end."""

import contextlib
import select
import socket
import struct
import threading

from vhost_peer import FLAG_REPLY, GET_FEATURES, HEADER, SET_FEATURES

FDS_MAX = 16


def read_all(end, length):
    """So many bytes, and the descriptors that came with them; none: the connection has ended."""
    data, fds = b"", []
    while len(data) < length:
        part, more, _, _ = socket.recv_fds(end, length - len(data), FDS_MAX)
        fds += more
        if not part:
            return b"", fds
        data += part
    return data, fds


class FeatureMask:
    """One connection: a listener for the end that connects, a connection to the one that listens.

    The back end is the one that listens, unless the front end is said to be the server.
    """

    def __init__(self, listen, connect, hidden, front_end_is_server=False):
        self.hidden = hidden
        self.target = str(connect)
        self.swapped = front_end_is_server
        self.acked = 0  # features that the front end has agreed to
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(listen))
        self.listener.listen(1)
        self.ends = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        """End it."""
        for end in (self.listener, *self.ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.thread.join()

    def _run(self):
        with contextlib.suppress(OSError):
            self.ends.append(self.listener.accept()[0])
            self.ends.append(socket.socket(socket.AF_UNIX))
            self.ends[1].connect(self.target)
            back = self.ends[0 if self.swapped else 1]
            while all(self._pass(end, back) for end in select.select(self.ends, [], [])[0]):
                pass
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass(self, source, back):
        """One message to the other side. Whether there was one."""
        target = self.ends[1 - self.ends.index(source)]
        header, fds = read_all(source, HEADER.size)
        if not header:
            return False
        request, flags, size = HEADER.unpack(header)
        body, more = read_all(source, size) if size else (b"", [])
        if request == GET_FEATURES and flags & FLAG_REPLY and source is back:
            body = struct.pack("<Q", struct.unpack("<Q", body)[0] & ~self.hidden)
        if request == SET_FEATURES and source is not back:
            self.acked, = struct.unpack("<Q", body)
        socket.send_fds(target, [header + body], fds + more)
        for fd in fds + more:
            socket.close(fd)
        return True
