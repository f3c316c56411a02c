#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# What devtools/package-test.sh runs in a bare Debian: packages in /packages are installed there,
# and stock testpmd uses them. The argument names one step.

set -euo pipefail

socket=/tmp/ppfrag-try.sock
log=/tmp/ppfrag-try
declare -A pids

die() { echo "package-try: $*" >&2; exit 1; }

# The packages of users; the headers need all of DPDK's, and only have to be installable.
step_install() {
	apt-get -q install -y --no-install-recommends /packages/*.deb
	ldconfig -p | grep -F libppool.so.0
}

step_headers() { apt-get -q install -s --no-install-recommends /packages-dev/*.deb; }

# Every program says how it is used, and has a manual page.
step_programs() {
	local program
	while read -r program; do
		"$program" --help || die "$program --help fails"
		[ -e "/usr/share/man/man1/${program##*/}.1.gz" ] || die "no manual page of $program"
	done < <(dpkg -L ppfrag-tools | grep '^/usr/bin/.')
}

step_size() {
	ppfrag-size --packets 10000
	dpdk-ppool --no-huge -m 256 --no-pci -l "$cpu" -- longhold --packets 20000 --memory 16
	dpdk-ppool-bench --no-huge -m 256 --no-pci -l "$cpu" -- account-perf --rounds 2
}

testpmd() { # name, EAL options, "--", options
	local name=$1
	shift
	stdbuf -oL dpdk-testpmd --no-huge -m 400 --no-pci --lcores "0@$cpu,1@$cpu" \
		--file-prefix "try-$name" "$@" --auto-start --stats-period 1 \
		--total-num-mbufs=8192 > "$log.$name" 2>&1 < /dev/null &
	pids[$name]=$!
}

# Some releases end by the signal itself.
testpmd_end() { # name
	kill -INT "${pids[$1]}" || die "$1 has ended"
	wait "${pids[$1]}" || true
}

# Until a condition holds; a loaded machine takes its time.
wait_for() { # what, command
	local what=$1 i
	shift
	for ((i = 0; i < 120; i++)); do
		if "$@"; then return 0; fi
		sleep 0.5
	done
	tail -n 30 "$log".* >&2
	die "$what"
}

receives() { grep -q 'RX-packets: [1-9]' "$log.rx"; }

# No -d: EAL has to find both plugins.
step_testpmd() {
	testpmd source --vdev "net_vhost0,iface=$socket" -- --forward-mode=txonly
	wait_for "the back end does not start" test -S "$socket"
	testpmd rx --vdev "net_ppfrag0,path=$socket" --mbuf-pool-ops-name=ppfrag \
		-- --forward-mode=rxonly --mbuf-size=16384
	wait_for "no packet is received" receives
	testpmd_end rx
	grep -E 'RX-packets: [1-9]|ppfrag' "$log.rx" | sort -u | tail -n 20
	grep -q 'net_ppfrag0: .* a page of pool' "$log.rx" ||
		die "the port does not receive into pages"
	testpmd_end source
}

step_purge() {
	local left
	apt-get -q purge -y librte-net-ppfrag libppool0 ppfrag-tools
	left=$(find / -xdev \( -path /tmp -o -path /run -o -path /root -o -path '/packages*' \) \
		-prune -o \( -name '*ppool*' -o -name '*ppfrag*' \) -print)
	[ -z "$left" ] || die "is left: $left"
}

cpu=$(sed -nE 's/^Cpus_allowed_list:[[:blank:]]*([0-9]+).*/\1/p' /proc/self/status)
"step_$1"
