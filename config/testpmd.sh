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
second if there is one. A capture has $frames_max frames at most, of standard length. The first line
tells how to ask for telemetry: /ppool/info and others.
END
	exit "$1"
}

die() {
	echo "testpmd.sh: $*" >&2
	exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd -P)
frames_max=8000
length_max=1518 # of a frame that fits into the mbufs of all presets

case ${1:-} in
-h | --help) usage 0 ;;
source | replay | rx | rx-16k | rx-jumbo | stock) ;;
'') usage 2 >&2 ;;
*) die "unknown preset '$1'; see --help" ;;
esac
if [ $# -lt 2 ]; then
	case $1 in
	source | replay) die "$1 needs a socket: a path at which it can be made" ;;
	*) die "$1 needs the socket that the source made" ;;
	esac
fi
preset=$1
socket=$2
shift 2

# shellcheck source=config/env.sh
. "$root/config/env.sh"

command -v dpdk-testpmd > /dev/null || die "there is no dpdk-testpmd: run config/setup.sh"
[ ${#socket} -lt 108 ] || die "$socket: a socket's path has at most 107 characters"
if [[ $socket == *[,\ ]* ]]; then die "$socket: DPDK takes no path with commas or spaces"; fi

# The source makes the socket, a receiver connects to it.
case $preset in
source | replay)
	dir=$(dirname "$socket")
	[ -w "$dir" ] || die "$socket: no socket can be made there," \
		"$dir is no directory that can be written"
	;;
*)
	[ -S "$socket" ] || die "$socket: there is no socket: start" \
		"'config/testpmd.sh source $socket' in another terminal first"
	;;
esac
case $preset in
rx*)
	for plugin in $PPFRAG_PLUGINS; do
		[ "$plugin" = -d ] || [ -e "$plugin" ] ||
			die "$plugin is not built: run config/setup.sh"
	done
	;;
replay)
	[ $# -ge 1 ] || die "replay needs a capture; see --help"
	capture=$1
	shift
	"$root/usertools/ppfrag-capture" --max-frames $frames_max --max-length $length_max \
		"$capture" > /dev/null || exit 1
	;;
esac

mapfile -t cpus < <(/usr/bin/python3 -c '
import os
for c in sorted(os.sched_getaffinity(0)): print(c)')
first=${cpus[0]}
last=${cpus[$((${#cpus[@]} > 1))]}

# What testpmds that have ended left there.
runtime=$([ "$(id -u)" = 0 ] && echo /var/run/dpdk || echo "${XDG_RUNTIME_DIR:-/tmp}/dpdk")
for dir in "$runtime"/ppfrag-{source,replay,rx,rx-16k,rx-jumbo,stock}-*; do
	[ -e "/proc/${dir##*-}" ] || [ ! -e /proc/self ] || rm -rf "$dir"
done

read -ra eal <<< "$(ppfrag_eal_mem 1024) --no-pci"
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
	eal+=(--vdev "net_vhost0,iface=$socket" --vdev "net_pcap0,rx_pcap=$capture,infinite_rx=1")
	opts+=(--forward-mode=io --no-flush-rx --total-num-mbufs=16384)
	cpu=$first
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
esac

prefix=ppfrag-$preset-$$ # this process becomes testpmd
echo "telemetry: dpdk-telemetry.py -f $prefix"
exec dpdk-testpmd --lcores "0@$cpu,1@$cpu" --file-prefix "$prefix" "${eal[@]}" -- "${opts[@]}" "$@"
