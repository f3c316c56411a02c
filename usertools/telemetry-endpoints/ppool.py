# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""An endpoint of dpdk-telemetry-exporter.py (DPDK 24.11 and later): metrics of page pools.

They have the names that ppool-exporter gives them: dpdk_ppool_...
"""

import sys
from pathlib import Path

# This file is loaded by its path, and what it needs lies one directory above it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppool_metrics import collect  # noqa: E402

DESCRIPTIONS = {}


def info():
    """Help and type by name. The exporter looks after metrics() has run, which fills it."""
    return DESCRIPTIONS


def metrics(sock):
    """The metrics of the process at the other end of the socket."""
    found = collect(sock.cmd)
    DESCRIPTIONS.update({metric.name: (metric.help, metric.type) for metric in found})
    return [(metric.name, "+Inf" if value == float("inf") else value, labels)
            for metric in found for labels, value in metric.samples]
