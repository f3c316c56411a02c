# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Asks a DPDK process about its page pools and ports, for ppfrag-top and ppool-exporter.

Nothing is decided here: what the process answers is what callers get. What its numbers are called,
and what type and unit they have, the process says as well (/ppool/keys, /ppfrag/keys).
"""

import json
import os
import re
import socket
from pathlib import Path

SECONDS = 5  # that a process may take to answer: a busy one asks its ledger several times


class TelemetryError(Exception):
    """No answer; the text names the option and the remedy."""


def runtime_root():
    """Where EAL keeps the sockets of all processes of this user."""
    base = "/var/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return Path(os.environ.get("RUNTIME_DIRECTORY", base)) / "dpdk"


def socket_path(prefix, instance=0):
    """The telemetry socket of a process; with --in-memory, several may have the same prefix."""
    name = "dpdk_telemetry.v2" + (f":{instance}" if instance else "")
    return runtime_root() / prefix / name


def answers(path):
    """Whether a process listens there: one that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(SECONDS)
        return sock.connect_ex(str(path)) == 0


def prefixes():
    """The prefixes of processes that can be asked."""
    return sorted({path.parent.name for path in runtime_root().glob("*/dpdk_telemetry.v2*")
                   if answers(path)})


def no_socket(prefix, path):
    """Why there is no socket to connect to, and what to do."""
    others = [other for other in prefixes() if other != prefix]
    hint = f"; there are: {', '.join(others)}" if others else ""
    if path.parent.is_dir():
        return (f"--file-prefix {prefix}: nobody answers at {path}: the process has "
                f"ended, or start it without --no-telemetry{hint}")
    return (f"--file-prefix {prefix}: no process has this prefix (no {path.parent}): give the one "
            f"that the process was started with, and run as its user{hint}")


def choose_prefix(given):
    """The prefix of the process that is meant: the only one there is, where none is given."""
    if given is not None:
        return given
    found = prefixes()
    if len(found) != 1:
        raise TelemetryError("--file-prefix is needed: " + (
            f"there are: {', '.join(found)}" if found else
            f"no DPDK process of this user has telemetry (below {runtime_root()}): start one "
            "without --no-telemetry, or run as the user that runs it"))
    return found[0]


class Telemetry:
    """A connection to a process."""

    def __init__(self, prefix="rte", instance=0):
        self.prefix = prefix
        path = socket_path(prefix, instance)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(str(path))
            hello = json.loads(self.socket.recv(1024))
        except FileNotFoundError as error:
            raise TelemetryError(no_socket(prefix, path)) from error
        except PermissionError as error:
            raise TelemetryError(f"--file-prefix {prefix}: {path} may not be opened: run as the "
                                 "user that runs the process, or as root") from error
        except ConnectionRefusedError as error:
            raise TelemetryError(f"--file-prefix {prefix}: nobody answers at {path}: the process "
                                 "has ended; start it again") from error
        except (OSError, ValueError) as error:
            raise TelemetryError(f"--file-prefix {prefix}: {path}: {error}") from error
        self.limit = hello["max_output_len"]
        self.pid = hello["pid"]
        self.version = hello["version"]

    def close(self):
        """Let others have the connection: EAL takes ten."""
        self.socket.close()

    def ask(self, command, *parameters):
        """The answer to a command; None where the process does not have it, or says nothing."""
        text = ",".join([command, *map(str, parameters)])
        try:
            self.socket.send(text.encode())
            data = self.socket.recv(self.limit)
            answer = json.loads(data) if data else None
        except (OSError, ValueError) as error:
            raise TelemetryError(f"--file-prefix {self.prefix}: no answer to {text}: {error}: "
                                 "has the process ended?") from error
        if answer is None:
            raise TelemetryError(f"--file-prefix {self.prefix}: the process has ended")
        return answer.get(command)

    def ask_dict(self, command, *parameters):
        """The same; empty where the process says that it cannot answer."""
        answer = self.ask(command, *parameters)
        if not isinstance(answer, dict) or "error" in answer:
            return {}
        return answer

    def pools(self):
        """The names of its page pools."""
        names = self.ask("/ppool/list")
        if names is None:
            raise TelemetryError(f"--file-prefix {self.prefix}: process {self.pid} has no page "
                                 "pools: load the library, with the EAL option -d libppool.so")
        return names


def read_queues(state, xstats):
    """Counters of each queue and what telemetry of the driver tells of it, by name: rx_q0."""
    queues = {}
    for name, value in xstats.items():
        match = re.fullmatch(r"([rt]x_q\d+)_(\w+)", name)
        if match:
            queues.setdefault(match[1], {})[match[2]] = value
    for name, values in state.items():
        if isinstance(values, dict):
            queues.setdefault(name, {}).update(values)
    return queues


def read_port(telemetry, port):
    """One port; None where it is none of net_ppfrag, or is being closed."""
    state = telemetry.ask_dict("/ppfrag/queues", port)
    xstats = telemetry.ask_dict("/ethdev/xstats", port)
    if not state or not xstats:
        return None
    of_port = {key: value for key, value in {**state, **xstats}.items()
               if not re.match(r"[rt]x_q\d+", key)}
    return {**of_port, "queues": read_queues(state, xstats)}


def read_pool(telemetry, name):
    """One pool; without ledger where the process cannot map its pages."""
    pool = telemetry.ask_dict("/ppool/stats", name)
    pool["classes"] = telemetry.ask_dict("/ppool/classes", name)
    pool["owners"] = telemetry.ask_dict("/ppool/owners", name)
    pool.update(telemetry.ask_dict("/ppool/info", name))
    pool["occupancy"] = telemetry.ask_dict("/ppool/pages", name)
    return pool


def read_all(telemetry):
    """Everything at one time: pools, accounts and ports."""
    pools = {name: read_pool(telemetry, name) for name in telemetry.pools()}
    ports = {str(port): read_port(telemetry, port)
             for port in telemetry.ask("/ethdev/list") or []}
    return {
        "pid": telemetry.pid,
        "version": telemetry.version,
        "pools": pools,
        "accounts": telemetry.ask_dict("/ppool/accounts"),
        "ports": {name: port for name, port in ports.items() if port is not None},
    }
