# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""Metrics out of telemetry: their names and labels, for ppool-exporter and DPDK's own exporter.

Type, unit and help of each come from the process itself, by /ppool/keys and /ppfrag/keys: a number
that the library tells is a metric, and there is no list of them here.
"""

import math
import re
from collections import namedtuple

PREFIX = "dpdk_ppool_"  # that of DPDK's own exporter for an endpoint called ppool
UNLIMITED = (1 << 64) - 1
UNITS = ("bytes", "pages", "slots", "packets", "descriptors")  # that become part of a name

Metric = namedtuple("Metric", "name type help samples")  # samples: (labels, value)


def metric_name(key, kind, unit):
    """The name of a metric, without prefix: with its unit, and _total where it counts."""
    name = key
    if unit in UNITS and not re.search(rf"(^|_){unit}$", name):
        name += f"_{unit}"
    return f"{name}_total" if kind == "counter" else name


class Collection:
    """Metrics of one moment."""

    def __init__(self):
        self.metrics = {}

    def add(self, keys, prefix, values, labels):
        """Each of these values that has a key."""
        for key, value in values.items():
            text = re.fullmatch(r"(gauge|counter), ([^:]*): (.*)", keys.get(key, ""))
            if not text or not isinstance(value, int):
                continue
            kind, unit, meaning = text.groups()
            name = metric_name(prefix + key, kind, unit)
            meaning = meaning if meaning.startswith(unit) else f"{unit} {meaning}"
            metric = self.metrics.setdefault(name, Metric(name, kind, meaning, []))
            metric.samples.append((labels, math.inf if value == UNLIMITED else value))


def ask_dict(ask, command, parameter=None):
    """The answer; empty where the process does not have the command, or says that it cannot."""
    answer = ask(command, parameter)
    return answer if isinstance(answer, dict) and "error" not in answer else {}


def add_pool(ask, keys, metrics, name):
    """A pool, its slots by size and its holders."""
    labels = {"pool": name}
    metrics.add(keys["info"], "", ask_dict(ask, "/ppool/info", name), labels)
    for slot in ask_dict(ask, "/ppool/classes", name).values():
        metrics.add(keys["classes"], "size_", slot, {**labels, "room": str(slot["room"])})
    of_holder = {key: text for key, text in keys["owners"].items()
                 if key not in ("process", "pid")}
    for owner in ask_dict(ask, "/ppool/owners", name).values():
        metrics.add(of_holder, "holder_", owner, {
            **labels, **{key: str(owner[key]) for key in ("process", "pid", "lcore")}})


def part_of(keys, prefix):
    """Keys with a prefix, without it."""
    return {key[len(prefix):]: text for key, text in keys.items() if key.startswith(prefix)}


def add_port(ask, keys, metrics, number):
    """A port and its queues."""
    state = ask_dict(ask, "/ppfrag/queues", number)
    counters = ask_dict(ask, "/ethdev/xstats", number)
    if not state:
        return
    port = {"port": state["name"]}
    metrics.add(keys, "port_", {"link": state["link"]}, port)
    metrics.add(keys, "", {"port_epoch": state["port_epoch"]}, port)
    metrics.add(part_of(keys, "port_"), "port_", counters, port)
    for name, queue in state.items():
        if isinstance(queue, dict):
            metrics.add(part_of(keys, "queue_"), "queue_", queue,
                        {**port, "queue": name[len("rx_q"):], "pool": queue["pool"]})
    for name, value in counters.items():
        counter = re.fullmatch(r"([rt]x_)q(\d+)_(\w+)", name)
        if counter:
            way, number_of_queue, key = counter.groups()
            metrics.add(part_of(keys, way), way, {key: value},
                        {**port, "queue": number_of_queue})


def collect(ask):
    """All metrics; ask(command, parameter) is a question to the process."""
    metrics = Collection()
    keys = {command: ask_dict(ask, "/ppool/keys", command)
            for command in ("info", "classes", "owners", "accounts")}
    for name in ask("/ppool/list", None) or []:
        add_pool(ask, keys, metrics, name)
    for account in ask_dict(ask, "/ppool/accounts").values():
        metrics.add(keys["accounts"], "account_", account, {"account": account["name"]})
    of_ports = ask_dict(ask, "/ppfrag/keys")
    for number in ask("/ethdev/list", None) or []:
        add_port(ask, of_ports, metrics, number)
    return list(metrics.metrics.values())
