#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Real traffic from one stock dpdk-testpmd into another one that receives with net_ppfrag, and what
# this receiver can hold in the same memory as the stock driver. Everything printed is measured.

set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd -P)
seconds=10
pcap=$root/tests/data/tcp.pcap
json=
iface=no            # a veth in place of a vhost-user socket
page=16384          # data room of the page pool
pages=4096          # of the receiving testpmd
stock=2176          # data room of the stock pool: the default of testpmd
stock_name="default pool"
hold_mb=64          # memory in which packets are held
jumbo_hold_mb=256   # the same where the capture has frames that the default of testpmd cannot take
timeout=60

usage() {
	cat << END
usage: usertools/ppfrag-demo.sh [--iface] [--seconds N] [--pcap FILE] [--json FILE]

Sets the host up where needed (config/setup.sh), lets a stock dpdk-testpmd replay a capture over
vhost-user to a stock dpdk-testpmd that receives with net_ppfrag into a ppfrag mempool, and counts
the packets that $hold_mb MiB hold with net_virtio_user and a default pool, and with ppfrag.
Where the capture has jumbo frames, stock mbufs are as large as these, pages have 64 KB, and packets
are held in $jumbo_hold_mb MiB.

  --iface      receive from an interface of the kernel by AF_XDP, in network namespaces of its own
               with nothing but a veth, and compare with net_af_xdp; frames of 1514 bytes at most
  --seconds N  how long to receive (default $seconds)
  --pcap FILE  replay this capture (default: real TCP traffic, tests/data/tcp.pcap)
  --json FILE  write the result there, too

Environment: PPFRAG_NO_HUGE=1 does it without hugepages.
END
}

die() {
	echo "ppfrag-demo: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--iface) iface=yes ;;
	--seconds | --pcap | --json)
		[ $# -gt 1 ] || die "$1 needs a value; see --help"
		case $1 in
		--seconds) seconds=$2 ;;
		--pcap) pcap=$2 ;;
		--json) json=$2 ;;
		esac
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*) die "unknown option $1; see --help" ;;
	esac
	shift
done
if ! [[ $seconds =~ ^[0-9]{1,5}$ ]] || [ "$((10#$seconds))" = 0 ]; then
	die "--seconds $seconds: a number from 1 to 99999 is expected"
fi
seconds=$((10#$seconds))
if [ -n "$json" ]; then : 2> /dev/null > "$json" || die "--json $json: cannot be written"; fi
# shellcheck source=config/env.sh
unusable=$(. "$root/config/env.sh" && ppfrag_place) || die "$unusable"

# Once: what is missing on this host.
host_ready=no
set_up() {
	if [ $host_ready = yes ]; then return 0; fi
	if ! "$root/config/setup.sh" --check > /dev/null 2>&1; then
		echo "Setting this host up; the first time takes some minutes."
		"$root/config/setup.sh" || die "config/setup.sh failed, see above"
	fi
	host_ready=yes
}

# A capture that cannot be replayed is refused before these minutes, but takes Python to read.
command -v /usr/bin/python3 > /dev/null || set_up
capture=$("$root/usertools/ppfrag-capture" --max-length 9014 "$pcap" 2>&1) || die "--pcap $capture"
read -r frames average longest <<< "$capture"

# --- programs: started in the background, ended with this script, whatever happens

work=
pids=()
namespaces=()

cleanup() {
	local pid prefix name
	{ # quietly: bash would tell of each of them
		for pid in "${pids[@]}"; do kill -KILL "$pid" || true; done
		wait
	} 2> /dev/null
	for name in "${namespaces[@]}"; do ip netns delete "$name"; done
	for prefix in gen rx hold; do rm -rf "/var/run/dpdk/ppfrag-demo-$$-$prefix"; done
	if [ -n "$work" ]; then rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'echo; exit 130' INT TERM

# Start a program whose input is a pipe $work/NAME.in and whose output goes to $work/NAME.log.
launch() {
	local name=$1
	shift
	mkfifo "$work/$name.in"
	: > "$work/$name.log"
	# Without stdbuf its messages would stay in a buffer until it ends.
	# shellcheck disable=SC2086 # words
	${within[$name]:-} stdbuf -oL "$@" <> "$work/$name.in" > "$work/$name.log" 2>&1 &
	pids+=($!)
	pid[$name]=$!
}
declare -A pid
declare -A within # by name: what enters its namespace

# The end of a program's output, where it failed.
show_log() {
	sed 's/^/    /' "$work/$1.log" | tail -n 15 >&2
	die "$2"
}

# Wait until a program has printed a pattern.
wait_log() {
	local name=$1 pattern=$2 begin=$SECONDS told=$SECONDS
	while ! grep -q -- "$pattern" "$work/$name.log"; do
		kill -0 "${pid[$name]}" 2> /dev/null ||
			show_log "$name" "$name has ended, see above"
		[ $((SECONDS - begin)) -lt $timeout ] ||
			show_log "$name" "$name does not answer for $timeout s"
		if [ $((SECONDS - told)) -ge 5 ]; then
			told=$SECONDS
			echo "  waiting for $name, $((SECONDS - begin)) of at most $timeout s"
		fi
		sleep 0.1
	done
}

# Wait for the end of a program that tells how far it is in lines of a pattern; its status.
wait_end() {
	local name=$1 pattern=$2 line told=
	while kill -0 "${pid[$name]}" 2> /dev/null; do
		line=$(grep -E -- "$pattern" "$work/$name.log" | tail -n 1 || true)
		[ "$line" = "$told" ] || echo "  $line"
		told=$line
		sleep 0.2
	done
	wait "${pid[$name]}"
}

no_port=10000 # ports from this number on do not exist

# Type a command and wait until it is done. The prompt would tell, but is written byte by byte and
# mixes with messages of other threads; the answer to a question about another port each time does
# not. Not to be called in a subshell, which would forget the number.
type_into() {
	no_port=$((no_port + 1))
	printf '%s\n' "$2" "show port info $no_port" > "$work/$1.in"
	wait_log "$1" "Invalid port $no_port"
}

quit() {
	echo quit > "$work/$1.in"
	wait "${pid[$1]}" || show_log "$1" "$1 has failed, see above"
}

# The last number behind a name in a program's output.
last_number() {
	grep -oE "$2[^0-9]*[0-9.]+" "$work/$1.log" | tail -n 1 | grep -oE '[0-9.]+$'
}

# --- the host

set_up
# shellcheck source=config/env.sh
. "$root/config/env.sh"
work=$(mktemp -d)
sock=$work/vhost.sock
source_port=net_vhost0,iface=$sock,queues=1
stock_port=net_virtio_user0,path=$sock
ppfrag_port=net_ppfrag0,path=$sock

# A veth between two namespaces: the kernel's end is the source's, the other one is the port.
make_veth() {
	local name
	command -v ip > /dev/null || die "--iface needs ip(8): apt-get install iproute2"
	[ "$(id -u)" = 0 ] || die "--iface needs root: it makes network namespaces"
	for name in "ppfrag-demo-$$-gen" "ppfrag-demo-$$-rx"; do
		ip netns add "$name" || die "--iface: no network namespace can be made"
		namespaces+=("$name")
	done
	ip -n "${namespaces[0]}" link add demo0 type veth \
		peer name demo1 netns "${namespaces[1]}" ||
		die "--iface: no veth can be made"
	ip -n "${namespaces[0]}" link set demo0 up
	ip -n "${namespaces[1]}" link set demo1 up
	within[gen]="nsenter --net=/run/netns/${namespaces[0]}"
	within[rx]="nsenter --net=/run/netns/${namespaces[1]}"
	within[hold]=${within[rx]}
	source_port=net_pcap1,tx_iface=demo0
	stock_port=net_af_xdp0,iface=demo1
	ppfrag_port=net_ppfrag0,iface=demo1
}

if [ $iface = yes ]; then
	[ "$longest" -le 1514 ] || die "--iface: $pcap has a frame of $longest bytes, net_af_xdp" \
		"takes 1514 at most"
	make_veth
fi
stock_driver=${stock_port%%0,*}

mapfile -t cpus < <(/usr/bin/python3 -c '
import os
for c in sorted(os.sched_getaffinity(0)): print(c)')
first=${cpus[0]}
last=${cpus[-1]}
all=$(IFS=,; echo "${cpus[*]}")

# --- the capture

mtu=$((longest > 1514 ? longest - 14 : 1500))
if [ "$longest" -gt 1518 ]; then
	# Pages serve any mix of lengths; stock mbufs hold the longest frame, whatever comes.
	page=65535
	pages=2048
	stock=$(((mtu + 18 + 4 + 128 + 255) / 256 * 256))
	stock_name="$stock-byte mbufs"
	hold_mb=$jumbo_hold_mb
fi
if [ "$iface-$PPFRAG_NO_HUGE" = yes-1 ]; then
	# net_af_xdp registers so much memory as the mbufs have bytes, but here each begins a
	# page: what is behind that could not be received into. These mbufs fill their pages.
	stock=3840
	stock_name="$stock-byte mbufs"
fi
source_room=$(((longest > 2044 ? longest + 4 : 2048) + 128)) # testpmd adds a checksum
source_mbufs=$((frames + 4096))
source_mb=$((source_mbufs * (source_room + 256) / 1048576 + 64))
rx_mb=256
need_mb=$((source_mb + (hold_mb + 64 > rx_mb ? hold_mb + 64 : rx_mb)))
if [ "$PPFRAG_NO_HUGE" = 1 ]; then
	memory="no hugepages (--no-huge)"
	free_mb=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	[ "$need_mb" -le "$free_mb" ] || die "$pcap has $frames frames and needs $need_mb MB of" \
		"memory, $free_mb are available: take a shorter one"
else
	memory="hugepages"
	free_mb=$(ppfrag_huge_mb Free)
	[ "$need_mb" -le "$free_mb" ] || die "$pcap has $frames frames and needs $need_mb MB of" \
		"hugepages, $free_mb are free: take a shorter one, or config/setup.sh --hugepages N"
fi

# EAL options of a program with its own name, memory and CPU.
eal() { # name, megabytes, CPU
	echo "$(ppfrag_eal_mem "$2") --no-pci --file-prefix ppfrag-demo-$$-$1" \
		"--lcores 0@($all),1@$3"
}

start_source() {
	rm -f "$sock" "$work/gen.in"
	# shellcheck disable=SC2046 # options
	launch gen dpdk-testpmd $(eal gen "$source_mb" "$first") \
		--vdev "$source_port" \
		--vdev "net_pcap0,rx_pcap=$pcap,infinite_rx=1" \
		-- -i --no-flush-rx --disable-link-check --total-num-mbufs="$source_mbufs" \
		--mbuf-size="$source_room" --max-pkt-len=$((mtu + 18))
	type_into gen ''
}

# --- receive

echo "Capture $pcap: $frames frames, $average bytes on average, $longest at most"
echo "Memory: $memory; MTU $mtu, pages of $page bytes, stock mbufs of $stock"
[ "$first" != "$last" ] ||
	echo "One CPU only: source and receiver take turns, which costs most of the rate"

echo "Starting a source and a receiver"
start_source
# shellcheck disable=SC2046,SC2086 # options
launch rx dpdk-testpmd $PPFRAG_PLUGINS $(eal rx "$rx_mb" "$last") \
	--vdev "$ppfrag_port" --mbuf-pool-ops-name=ppfrag \
	-- -i --forward-mode=rxonly --record-core-cycles --disable-link-check \
	--mbuf-size="$page" --total-num-mbufs="$pages" --max-pkt-len=$((mtu + 18))
type_into rx ''
grep 'net_ppfrag0' "$work/rx.log" || true
type_into rx start
type_into gen start

count() { # sets "now"
	type_into rx "show port stats 0"
	now=$(last_number rx RX-packets:) || show_log rx "no statistics"
}

count
before=$now
started=$EPOCHREALTIME
shown=$before
for ((s = 1; s <= seconds; s++)); do
	sleep 1
	count
	printf '  %3d s  %14d packets  %10d packets/s\n' $s $((now - before)) $((now - shown))
	shown=$now
done
count
elapsed=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
packets=$((now - before))
type_into gen stop
type_into rx stop
[ "$packets" -gt 0 ] || show_log rx "no packet arrived"
cycles=$(last_number rx CPU.cycles/packet=) || show_log rx "no cycles per packet"
quit rx
quit gen

# --- hold, in the same memory, the stock driver and this one

# net_af_xdp keeps what it has posted when its port is closed, after all was counted.
keeps_posted() {
	[ "$iface-$1" = yes-stock ] && [ -s "$work/stock.json" ] &&
		grep -q 'mbufs did not come back to the pool' "$work/hold.log"
}

hold() { # name, port, options of the command
	local name=$1 device=$2
	shift 2
	start_source
	rm -f "$work/hold.in"
	# shellcheck disable=SC2046,SC2086 # options
	launch hold "$PPFRAG_BUILD/app/ppool-tool/dpdk-ppool" $PPFRAG_PLUGINS \
		$(ppfrag_eal_mem $((hold_mb + 64))) --no-pci --file-prefix "ppfrag-demo-$$-hold" \
		--lcores "0@$last" --vdev "$device" \
		-- hold --mem "$hold_mb" --mtu "$mtu" --json "$work/$name.json" "$@"
	wait_log hold '^ready'
	type_into gen start
	wait_end hold 'packets held,|no packet for' || keeps_posted "$name" ||
		show_log hold "dpdk-ppool hold with ${device%%,*} failed, see above"
	type_into gen stop
	quit gen
}

echo "Holding packets in $hold_mb MiB until no buffer is left: $stock_driver, $stock_name"
hold stock "$stock_port" --ops ring_mp_mc --mbuf-size "$stock"
echo "Holding packets in $hold_mb MiB until no buffer is left: net_ppfrag, ppfrag pool"
hold ppfrag "$ppfrag_port" --ops ppfrag --mbuf-size "$page"

# --- the table

/usr/bin/python3 - "$work" "$json" "$pcap" "$frames" "$average" "$memory" "$packets" "$elapsed" \
	"$cycles" "$hold_mb" "$stock_driver, $stock_name" << 'END'
import json
import sys

(work, output, pcap, frames, average, memory, packets, elapsed, cycles, hold_mb,
 stock_name) = sys.argv[1:]
stock, ppfrag = (json.load(open(f"{work}/{name}.json")) for name in ("stock", "ppfrag"))
for name, held in (("stock", stock), ("ppfrag", ppfrag)):
    # Both fill the same bytes, or there is nothing to compare.
    share = held["hugepage_bytes"] / (int(hold_mb) << 20)
    if not held["pool_full"] or not 0.99 < share < 1.01:
        sys.exit(f"ppfrag-demo: {name} took {share:.1%} of {hold_mb} MiB"
                 f"{'' if held['pool_full'] else ', and its pool is not full'}: no comparison")
truesize = ppfrag["truesize"] / ppfrag["packets"]
wire = ppfrag["wire_bytes"] / ppfrag["packets"]
result = {
    "capture": pcap,
    "frames": int(frames),
    "frame_bytes": float(average),
    "memory": memory,
    "packets": int(packets),
    "seconds": float(elapsed),
    "packets_per_second": int(packets) / float(elapsed),
    "cycles_per_packet": float(cycles),
    "truesize_per_packet": truesize,
    "hold": {"stock": stock, "ppfrag": ppfrag},
}
# The kernel, with the source, works on the same CPUs.
cycles_line = ("" if "net_af_xdp" in stock_name else
               f"cycles per packet            {result['cycles_per_packet']:.0f}\n")
print(f"""
received with net_ppfrag     {result["packets"]} packets in {result["seconds"]:.1f} s
rate                         {result["packets_per_second"] / 1e6:.3f} million packets/s
{cycles_line}truesize per packet          {truesize:.0f} bytes, for {wire:.0f} on the wire

{f"held in {hold_mb} MiB":32}     packets  MiB taken    per MiB    bytes each   truesize""")
for name, held in ((stock_name, stock), ("net_ppfrag, ppfrag pool", ppfrag)):
    print(f"{name:32}{held['packets']:12}{held['hugepage_bytes'] / (1 << 20):11.1f}"
          f"{held['packets_per_mib']:11.0f}"
          f"{held['hugepage_bytes'] / held['packets']:14.0f}"
          f"{held['truesize'] / held['packets']:11.0f}")
print(f"{'':32}{'':23}{ppfrag['packets_per_mib'] / stock['packets_per_mib']:10.2f}x")
if output:
    with open(output, "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")
    print(f"\nwritten to {output}")
END
