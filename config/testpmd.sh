#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Stock dpdk-testpmd, set up for a part in an experiment with two programs and one socket.

set -euo pipefail

usage() {
	cat << END
usage: config/testpmd.sh PRESET SOCKET [testpmd options]
       config/testpmd.sh replay SOCKET CAPTURE [testpmd options]

  source    net_vhost, sends 64-byte packets; to be started first
  replay    net_vhost, sends the frames of a capture again and again; likewise
  rx        net_ppfrag, receives into pages of testpmd's default size
  rx-16k    the same, pages of 16 KiB
  rx-jumbo  the same, pages of 63 KiB, MTU 9000
  stock     net_virtio_user with the default mempool, receives

Statistics once a second, end with Ctrl-C. The source polls on the first CPU, the others on the
second if there is one. A capture has 8,000 frames at most, of standard length.
END
	exit "$1"
}

case ${1:-} in
-h | --help) usage 0 ;;
esac
[ $# -ge 2 ] || usage 2
preset=$1
socket=$2
shift 2

# shellcheck source=config/env.sh
. "$(dirname "$0")/env.sh"

mapfile -t cpus < <(/usr/bin/python3 -c '
import os
for c in sorted(os.sched_getaffinity(0)): print(c)')
first=${cpus[0]}
last=${cpus[$((${#cpus[@]} > 1))]}

read -ra eal <<< "$(ppfrag_eal_mem 1024) --no-pci --no-telemetry"
read -ra plugins <<< "$PPFRAG_PLUGINS"
ppfrag=("${plugins[@]}" --vdev "net_ppfrag0,path=$socket" --mbuf-pool-ops-name=ppfrag)
opts=(--auto-start --stats-period 1)
cpu=$last
case $preset in
source)
	eal+=(--vdev "net_vhost0,iface=$socket")
	opts+=(--forward-mode=txonly)
	cpu=$first
	;;
replay)
	[ $# -ge 1 ] || usage 2
	eal+=(--vdev "net_vhost0,iface=$socket" --vdev "net_pcap0,rx_pcap=$1,infinite_rx=1")
	opts+=(--forward-mode=io --no-flush-rx --total-num-mbufs=16384)
	cpu=$first
	shift
	;;
rx)
	eal+=("${ppfrag[@]}")
	opts+=(--forward-mode=rxonly)
	;;
rx-16k)
	eal+=("${ppfrag[@]}")
	opts+=(--forward-mode=rxonly --mbuf-size=16384 --total-num-mbufs=16384)
	;;
rx-jumbo)
	eal+=("${ppfrag[@]}")
	opts+=(--forward-mode=rxonly --mbuf-size=64512 --total-num-mbufs=8192 --max-pkt-len=9018)
	;;
stock)
	eal+=(--vdev "net_virtio_user0,path=$socket")
	opts+=(--forward-mode=rxonly)
	;;
*) usage 2 ;;
esac

exec dpdk-testpmd --lcores "0@$cpu,1@$cpu" --file-prefix "ppfrag-$preset-$$" "${eal[@]}" \
	-- "${opts[@]}" "$@"
