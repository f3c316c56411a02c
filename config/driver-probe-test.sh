#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Whether driver headers that do not describe the installed DPDK are refused: takes those that do,
# and moves one thing at a time.

set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd -P)
check=no
dpdk_identity="none, this is a test"
say() { echo "$*"; }

# shellcheck source=config/driver-headers.sh
. "$root/config/driver-headers.sh"

dpdk_version=$(pkg-config --modversion libdpdk) || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sdk_root_real=$sdk_root
sdk_root=$work/sdk
mkdir -p "$sdk_root" "$work/true" "$work/moved"
failed=0

fail() {
	echo "failed: $*"
	failed=$((failed + 1))
}

# The headers of this build, wherever they are.
headers_now() {
	local h d
	for d in "$sdk_root_real/$dpdk_version/include" $(dpdk_include_dirs); do
		for h in "${sdk_headers[@]}"; do
			[ ! -e "$d/$h" ] || cp -n "$d"/*.h "$work/true"
		done
	done
	[ -e "$work/true/ethdev_driver.h" ]
}

# Put a pointer in front of a member of a structure: what is behind it moves.
moved() { # header, structure, member
	local file=$work/moved/$1
	rm -rf "$work/moved"
	cp -r "$work/true" "$work/moved"
	sed -i -E "/^struct .*\\b$2 \\{/,/^\\}/s/^[ \\t].*[ *\\t]$3(\\[.*\\])?;/void *moved;\\n&/" \
		"$file"
	if cmp -s "$work/true/$1" "$file"; then
		fail "struct $2 has no member $3"
	elif headers_probe "$work/moved" "$work/log" 2> /dev/null; then
		fail "struct $2 with something in front of $3 passes for the true one"
	else
		echo "refused: struct $2 with something in front of $3: $(tail -n 1 "$work/log")"
	fi
}

# Headers that call themselves of another release: taken or refused.
claimed() { # version, expected status
	local status=0
	echo "$1" > "$work/true/VERSION"
	headers_from "$work/true" "headers that say $1" || status=$?
	[ "$status" = "$2" ] || fail "headers of $1 for DPDK $dpdk_version: status $status"
}

headers_now || {
	echo "failed: there are no driver headers: run config/setup.sh"
	exit 1
}
headers_probe "$work/true" "$work/log" || {
	cat "$work/log"
	fail "the headers of DPDK $dpdk_version itself are refused"
}
moved ethdev_driver.h rte_eth_dev_data rx_queues
moved ethdev_driver.h rte_eth_dev_data dev_private
moved ethdev_driver.h rte_eth_dev_data mac_addrs
moved ethdev_driver.h rte_eth_dev_data numa_node
moved ethdev_driver.h rte_eth_dev data
moved ethdev_driver.h rte_eth_dev dev_ops
moved ethdev_driver.h rte_eth_dev intr_handle
moved ethdev_driver.h eth_dev_ops dev_start
moved ethdev_driver.h eth_dev_ops rx_queue_start
moved ethdev_driver.h eth_dev_ops pool_ops_supported
moved bus_vdev_driver.h rte_vdev_driver probe
moved bus_vdev_driver.h rte_vdev_device device
moved dev_driver.h rte_device numa_node

branch=$(branch_of "$dpdk_version")
claimed "$branch.99" 0
[ "$(cat "$sdk_root/$dpdk_version/VERSION")" = "$branch.99" ] || fail "headers were not kept"
claimed 17.11.1 1
echo "driver headers: $failed failed"
[ $failed = 0 ]
