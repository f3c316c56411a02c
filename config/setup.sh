#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# From a bare Debian to a built tree: packages, DPDK driver headers, hugepages, build.
# Does only what is missing, so that it can be run again at any time.

set -euo pipefail

usage() {
	cat << END
usage: config/setup.sh [options]

Installs packages, takes the DPDK driver headers, reserves hugepages, builds into build/.
Steps that change the host need root.

  --tests           what devtools/test.sh needs, too: compilers, checkers, Sphinx, and of the
                    sources of DPDK the examples that tests run
  --check           change nothing, report what is missing; status 1 if anything is
  --hugepages MB    megabytes of hugepages to have (default $huge_mb); 0: use none, but --no-huge
  --driver-sdk DIR  a source tree of the installed DPDK, or of another patch release of it, or a
                    directory of its driver headers: copied, so that this is needed only once
  --no-build        leave out the build
  --only-headers    take the DPDK driver headers, and do nothing else
END
}

root=$(cd "$(dirname "$0")/.." && pwd -P)
local_conf=$root/config/eal.local
check=no
tests=no
build=yes
only_headers=no
huge_mb=4096
driver_sdk=
headers_taken=no
packages_new=no
missing=0

packages=(
	# to build; dpkg-dev unpacks source packages
	gcc libc6-dev dpkg-dev meson ninja-build pkg-config libdpdk-dev libnuma-dev libcmocka-dev
	# to run: dpdk-testpmd, dpdk-telemetry.py, hugeadm; to read captures
	dpdk dpdk-dev libhugetlbfs-bin python3-scapy
	# for veths and taps
	iproute2
	# for the screen of ppfrag-top, for ppool-exporter
	python3-rich python3-prometheus-client
)
test_packages=(
	# to build in other ways: g++ and make, clang, guides and reference
	build-essential clang libclang-rt-dev doxygen python3-sphinx python3-sphinx-rtd-theme
	# to test: models, network namespaces, ping, another shell
	spin python3-pytest iputils-ping procps busybox
	# to look at a screen. Tests unpack prometheus, too, but do not install it: it is a service
	python3-pyte
	# to lint
	clang-format cppcheck python3-pyflakes shellcheck
)

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
lack() { say "missing: $*"; missing=$((missing + 1)); }
need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run config/setup.sh as root once"; }

while [ $# -gt 0 ]; do
	case $1 in
	--tests) tests=yes ;;
	--check) check=yes ;;
	--no-build) build=no ;;
	--only-headers) only_headers=yes ;;
	--hugepages | --driver-sdk)
		[ $# -gt 1 ] || die "$1 needs a value"
		if [ "$1" = --hugepages ]; then huge_mb=$2; else driver_sdk=$2; fi
		shift
		;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; die "unknown option $1" ;;
	esac
	shift
done
[[ $huge_mb =~ ^[0-9]+$ ]] || die "--hugepages $huge_mb: not a number of megabytes"

[ $tests = no ] || packages+=("${test_packages[@]}")
if [ -n "$driver_sdk" ] && [ ! -d "$driver_sdk" ]; then
	die "--driver-sdk $driver_sdk: no such directory"
fi

# shellcheck source=config/progress.sh
. "$root/config/progress.sh"

# --- packages

packages_missing() {
	local p
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q ' installed$' || echo "$p"
	done
}

# Its progress goes to where its messages go, but not by descriptor 1, which the scripts of
# packages would then be without.
apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 "$@" 3>&1
}

# Lists that are absent or name files the mirror no longer has are brought up to date.
install_packages() {
	local todo p log
	mapfile -t todo < <(packages_missing "$@")
	[ ${#todo[@]} -gt 0 ] || return 0
	if [ $check = yes ]; then
		for p in "${todo[@]}"; do lack "package $p"; done
		return 0
	fi
	need_root "installing packages"
	say "installing ${todo[*]}"
	log=$(mktemp)
	if ! progress_run "setup: packages" "$log" apt install -y --no-install-recommends \
		"${todo[@]}"; then
		if ! progress_run "setup: lists of packages" "$log" apt update ||
			! progress_run "setup: packages" "$log" apt install -y \
				--no-install-recommends "${todo[@]}"; then
			grep -v 'status:' "$log" | tail -n 20 >&2
			rm -f "$log"
			die "apt-get cannot install ${todo[*]}: see above"
		fi
	fi
	rm -f "$log"
	packages_new=yes
}

# --- driver headers

# shellcheck source=config/driver-headers.sh
. "$root/config/driver-headers.sh"

# --- hugepages

# shellcheck source=config/env.sh
. "$root/config/env.sh"

if [ "$huge_mb" != 0 ] && [ "$huge_mb" -lt "$PPFRAG_MIN_HUGE" ]; then
	die "--hugepages $huge_mb: at least $PPFRAG_MIN_HUGE, or 0 for none"
fi

use_no_huge() {
	say "$1: DPDK programs of this tree run with --no-huge from now on"
	{
		echo "# Written by config/setup.sh: $1."
		echo "PPFRAG_NO_HUGE=1"
	} > "$local_conf"
}

# Never a smaller pool than there is. Half of the memory at hand stays with the kernel.
reserve_hugepages() {
	local kb have available want
	kb=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
	have=$(ppfrag_huge_mb Total)
	available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	want=$huge_mb
	if [ "$want" -gt $((have + available / 2)) ]; then
		want=$((have + available / 2))
		say "memory for $want MB of hugepages, not $huge_mb"
	fi
	[ "$want" -gt "$have" ] || return 0
	need_root "reserving hugepages"
	{ echo 1 > /proc/sys/vm/compact_memory; } 2> /dev/null || true
	# Where there are fewer pages hugeadm complains and leaves those: the result counts.
	hugeadm --pool-pages-min "${kb}KB:$((want * 1024 / kb))" > /dev/null 2>&1 || true
	say "hugepages: $(ppfrag_huge_mb Total) MB"
}

mount_hugetlbfs() {
	ppfrag_huge_dir > /dev/null && return 0
	need_root "mounting hugetlbfs"
	mkdir -p /dev/hugepages
	mount -t hugetlbfs nodev /dev/hugepages 2> /dev/null
}

check_hugepages() {
	if [ "$huge_mb" = 0 ] || [ -e "$local_conf" ]; then
		say "no hugepages are used: --no-huge"
		return 0
	fi
	[ "$(ppfrag_huge_mb Total)" -ge "$PPFRAG_MIN_HUGE" ] ||
		lack "hugepages: $(ppfrag_huge_mb Total) MB of $huge_mb"
	ppfrag_huge_dir > /dev/null || lack "a mount of hugetlbfs"
}

set_up_hugepages() {
	local got
	if [ $check = yes ]; then
		check_hugepages
		return 0
	fi
	rm -f "$local_conf"
	if [ "$huge_mb" = 0 ]; then
		use_no_huge "hugepages not wanted"
		return 0
	fi
	reserve_hugepages
	got=$(ppfrag_huge_mb Total)
	if [ "$got" -lt "$PPFRAG_MIN_HUGE" ]; then
		use_no_huge "hugepages cannot be had ($got MB of at least $PPFRAG_MIN_HUGE)"
	elif ! mount_hugetlbfs; then
		use_no_huge "hugetlbfs cannot be mounted"
	fi
}

# --- build

build_tree() {
	local dir=$PPFRAG_BUILD so
	if [ $build = no ]; then return 0; fi
	if [ $check = yes ]; then
		for so in lib/ppool/libppool.so drivers/net/ppfrag/librte_net_ppfrag.so; do
			[ -e "$dir/$so" ] || lack "$dir/$so"
		done
		return 0
	fi
	if [ ! -e "$dir/build.ninja" ]; then
		meson setup "$dir" "$root"
	elif [ $headers_taken = yes ] || [ $packages_new = yes ]; then
		# There may be targets for them now, such as the guides.
		meson setup --reconfigure "$dir" "$root"
	fi
	ninja -C "$dir"
}

if [ $only_headers = yes ]; then
	driver_headers_take "$driver_sdk"
	exit 0
fi
unusable=$(ppfrag_place) || die "$unusable"
install_packages "${packages[@]}"
driver_headers_take "$driver_sdk"
set_up_hugepages
build_tree

if [ $check = yes ]; then
	again=config/setup.sh
	if [ $tests = yes ]; then again+=" --tests"; fi
	[ $missing = 0 ] || die "$missing missing; $again sees to it"
	say "nothing is missing"
fi
