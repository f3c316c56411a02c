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

  --check           change nothing, report what is missing; status 1 if anything is
  --hugepages MB    megabytes of hugepages to have (default $huge_mb); 0: use none, but --no-huge
  --driver-sdk DIR  directory with the driver headers of the installed DPDK
  --no-build        leave out the build
END
}

root=$(cd "$(dirname "$0")/.." && pwd -P)
sdk_root=$root/.driver-sdk
local_conf=$root/config/eal.local
check=no
build=yes
huge_mb=4096
driver_sdk=
missing=0

packages=(
	# to build
	build-essential meson ninja-build pkg-config libdpdk-dev libnuma-dev
	# to run: dpdk-testpmd, dpdk-test, hugeadm
	dpdk dpdk-dev libhugetlbfs-bin
	# to test
	clang libclang-rt-dev libcmocka-dev spin python3-pytest python3-scapy
	iproute2 iputils-ping procps
	# to lint
	clang-format cppcheck python3-pyflakes shellcheck
	# guides and reference
	doxygen python3-sphinx
)

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
lack() { say "missing: $*"; missing=$((missing + 1)); }
need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run config/setup.sh as root once"; }

while [ $# -gt 0 ]; do
	case $1 in
	--check) check=yes ;;
	--no-build) build=no ;;
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

# --- packages

packages_missing() {
	local p
	for p in "${packages[@]}"; do
		dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q ' installed$' || echo "$p"
	done
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# Lists that are absent or name files the mirror no longer has are brought up to date.
install_packages() {
	local todo p
	mapfile -t todo < <(packages_missing)
	[ ${#todo[@]} -gt 0 ] || return 0
	if [ $check = yes ]; then
		for p in "${todo[@]}"; do lack "package $p"; done
		return 0
	fi
	need_root "installing packages"
	say "installing ${todo[*]}"
	if ! apt install -y --no-install-recommends "${todo[@]}" > /dev/null 2>&1; then
		apt update
		apt install -y --no-install-recommends "${todo[@]}" > /dev/null
	fi
}

# --- driver headers

sdk_headers=(dev_driver.h bus_driver.h bus_vdev_driver.h ethdev_driver.h ethdev_vdev.h)

# Directories in which a compiler finds the headers of the installed DPDK.
dpdk_include_dirs() { pkg-config --cflags-only-I libdpdk | tr ' ' '\n' | sed -n 's/^-I//p'; }

dpdk_has_header() {
	local d
	while read -r d; do
		[ -e "$d/$1" ] && return 0
	done < <(dpdk_include_dirs)
	return 1
}

# The binary package of the installed DPDK, empty if it is none of the distribution's.
dpdk_package() {
	dpkg-query -S "$(pkg-config --variable=includedir libdpdk)/rte_ethdev.h" 2> /dev/null |
		sed 's/[,:].*//'
}

includes_of() {
	sed -nE 's/^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*[<"]([^>"/]+)[>"].*/\1/p' "$1"
}

# Copy the named headers, and what they include that is not installed, from a source tree.
copy_headers() {
	local src=$1 dest=$2 h path todo
	shift 2
	todo=("$@")
	while [ ${#todo[@]} -gt 0 ]; do
		h=${todo[0]}
		todo=("${todo[@]:1}")
		if [ -e "$dest/$h" ] || dpdk_has_header "$h"; then continue; fi
		path=$(find "$src/lib" "$src/drivers/bus" -name "$h" \
			-not -path '*/windows/*' -not -path '*/freebsd/*' -print -quit)
		if [ -z "$path" ]; then continue; fi # of the C library or the kernel
		cp "$path" "$dest/"
		mapfile -t -O ${#todo[@]} todo < <(includes_of "$path")
	done
}

# Fetch and unpack the source package $1 of version $2 under $3. The host's configuration of apt
# is read, with source packages switched on in a copy of its list of mirrors, and left alone.
fetch_source() {
	local name=$1 version=$2 tmp=$3 f opts
	mkdir -p "$tmp/parts" "$tmp/lists/partial" "$tmp/cache"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] || continue
		sed -nE 's/^[[:blank:]]*deb[[:blank:]]/deb-src /p' "$f" \
			> "$tmp/parts/$(basename "$f" .list).list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		sed -E 's/^Types:.*/Types: deb-src/I' "$f" > "$tmp/parts/$(basename "$f")"
	done
	opts=(
		-o Dir::Etc::sourcelist=/dev/null
		-o Dir::Etc::sourceparts="$tmp/parts"
		-o Dir::State::lists="$tmp/lists"
		-o Dir::Cache="$tmp/cache"
		-o APT::Sandbox::User=root
	)
	# A mirror without sources does no harm as long as another one has ours.
	apt "${opts[@]}" update > "$tmp/log" 2>&1 || true
	(cd "$tmp" && apt "${opts[@]}" source "$name=$version" >> "$tmp/log" 2>&1) || {
		cat "$tmp/log" >&2
		return 1
	}
}

take_driver_headers() {
	local version pkg source dest tmp tree h
	if [ -n "$driver_sdk" ]; then return 0; fi # meson looks at it
	if ! version=$(pkg-config --modversion libdpdk 2> /dev/null); then
		lack "DPDK driver headers (no DPDK)"
		return 0
	fi
	if dpdk_has_header ethdev_driver.h; then return 0; fi
	pkg=$(dpdk_package)
	[ -n "$pkg" ] || die "DPDK $version is no package of this distribution and lacks" \
		"ethdev_driver.h: build it with -Denable_driver_sdk=true," \
		"or name the directory of its driver headers with --driver-sdk DIR"
	# shellcheck disable=SC2016 # these are dpkg's
	source=$(dpkg-query -W -f '${source:Package} ${source:Version}\n' "$pkg" | head -n 1)
	dest=$sdk_root/$version
	if [ "$(cat "$dest/PACKAGE" 2> /dev/null)" = "$source" ]; then return 0; fi
	if [ $check = yes ]; then
		lack "driver headers of DPDK $version (source package $source)"
		return 0
	fi

	say "taking the driver headers of DPDK $version from source package $source"
	mkdir -p "$sdk_root"
	tmp=$(mktemp -d "$sdk_root/tmp.XXXXXX")
	# shellcheck disable=SC2064 # now
	trap "rm -rf '$tmp'" EXIT
	fetch_source "${source% *}" "${source#* }" "$tmp" ||
		die "no source package $source at the configured mirrors." \
			"If they have a newer one: apt-get update &&" \
			"apt-get install $pkg dpdk dpdk-dev, then run this again"
	tree=$(find "$tmp" -mindepth 2 -maxdepth 2 -name VERSION -printf '%h\n')
	if [ -z "$tree" ] || [ "$(cat "$tree/VERSION")" != "$version" ]; then
		die "source package $source is not DPDK $version"
	fi
	mkdir -p "$tmp/sdk/include"
	copy_headers "$tree" "$tmp/sdk/include" "${sdk_headers[@]}"
	for h in "${sdk_headers[@]}"; do
		# shellcheck disable=SC2046 # flags
		echo "#include <$h>" | cc $(pkg-config --cflags libdpdk) -I"$tmp/sdk/include" \
			-DALLOW_INTERNAL_API -DALLOW_EXPERIMENTAL_API -fsyntax-only -x c - ||
			die "driver header $h of DPDK $version does not compile"
	done
	cp "$tree/VERSION" "$tmp/sdk/"
	echo "$source" > "$tmp/sdk/PACKAGE"
	rm -rf "$dest"
	mv "$tmp/sdk" "$dest"
	rm -rf "$tmp"
	trap - EXIT
}

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
		meson setup "$dir" "$root" -Ddriver_sdk="$driver_sdk"
	elif [ -n "$driver_sdk" ]; then
		meson configure "$dir" -Ddriver_sdk="$driver_sdk"
	fi
	ninja -C "$dir"
}

install_packages
take_driver_headers
set_up_hugepages
build_tree

if [ $check = yes ]; then
	[ $missing = 0 ] || die "$missing missing; config/setup.sh sees to it"
	say "nothing is missing"
fi
