# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
# shellcheck shell=bash
#
# To be sourced by config/setup.sh: the headers for drivers of the installed DPDK, which go to
# .driver-sdk/VERSION. There
#
#   include/  the headers
#   examples/ programs of DPDK that the tests build and run; empty where they were not there
#   VERSION   of the DPDK they are from
#   PACKAGE   the DPDK they were taken for; another package of it makes setup.sh look again

sdk_root=${root:?}/.driver-sdk
sdk_examples=(common ip_reassembly l3fwd)
sdk_headers=(dev_driver.h bus_driver.h bus_pci_driver.h bus_vdev_driver.h ethdev_driver.h
	ethdev_vdev.h)
releases=https://fast.dpdk.org/rel

# Directories in which a compiler finds the headers of the installed DPDK.
dpdk_include_dirs() { pkg-config --cflags-only-I libdpdk | tr ' ' '\n' | sed -n 's/^-I//p'; }

dpdk_has_header() {
	local d
	while read -r d; do
		[ -e "$d/$1" ] && return 0
	done < <(dpdk_include_dirs)
	return 1
}

# Name and version of the source package of the installed DPDK, empty if it is of none.
dpdk_source() {
	local pkg
	pkg=$(dpkg-query -S "$(pkg-config --variable=includedir libdpdk)/rte_ethdev.h" \
		2> /dev/null | sed 's/[,:].*//')
	# shellcheck disable=SC2016 # these are dpkg's
	[ -z "$pkg" ] ||
		dpkg-query -W -f '${source:Package} ${source:Version}\n' "$pkg" | head -n 1
}

# 24.11 of 24.11.8, 24.11.8-0+deb13u1 and 24.11-rc1: patch releases keep their structures.
branch_of() { echo "$1" | sed -nE 's/^([0-9]+\.[0-9]+)([^0-9].*)?$/\1/p'; }

# --- from a tree or a directory

includes_of() {
	sed -nE 's/^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*[<"]([^>"/]+)[>"].*/\1/p' "$1"
}

# Where a source tree, or a directory of headers alone, has them.
header_dirs() {
	if [ -d "$1/lib/ethdev" ]; then
		echo "$1/lib"
		echo "$1/drivers/bus"
	else
		echo "$1"
	fi
}

# Copy the named headers, and what they include that is not installed.
copy_headers() {
	local src=$1 dest=$2 h path todo dirs
	shift 2
	todo=("$@")
	mapfile -t dirs < <(header_dirs "$src")
	while [ ${#todo[@]} -gt 0 ]; do
		h=${todo[0]}
		todo=("${todo[@]:1}")
		if [ -e "$dest/$h" ] || dpdk_has_header "$h"; then continue; fi
		path=$(find "${dirs[@]}" -name "$h" \
			-not -path '*/windows/*' -not -path '*/freebsd/*' -print -quit)
		if [ -z "$path" ]; then continue; fi # of the C library or the kernel
		cp "$path" "$dest/"
		mapfile -t -O ${#todo[@]} todo < <(includes_of "$path")
	done
}

# Copy the examples that tests run, if they are there.
copy_examples() {
	local src=$1/examples dest=$2 name
	mkdir "$dest"
	for name in "${sdk_examples[@]}"; do
		[ ! -d "$src/$name" ] || cp -r "$src/$name" "$dest/"
	done
}

sdk_flags=(-DALLOW_INTERNAL_API -DALLOW_EXPERIMENTAL_API -D_GNU_SOURCE)

headers_compile() {
	local include=$1 h
	for h in "${sdk_headers[@]}"; do
		# shellcheck disable=SC2046 # flags
		echo "#include <$h>" | cc $(pkg-config --cflags libdpdk) -isystem "$include" \
			"${sdk_flags[@]}" -fsyntax-only -x c - || return 1
	done
}

# Whether headers of another patch release have the layouts of the installed library.
headers_probe() {
	local include=$1 log=$2
	# shellcheck disable=SC2046 # flags
	cc -fPIE -pie $(pkg-config --cflags libdpdk) -isystem "$include" "${sdk_flags[@]}" \
		"$root/config/driver-probe.c" -o "$log.probe" $(pkg-config --libs libdpdk) \
		-lrte_bus_vdev > "$log" 2>&1 && timeout 60 "$log.probe" >> "$log" 2>&1
}

# Take the driver headers of a source tree, or of a directory of headers, if they fit.
headers_from() { # directory, whose they are
	local dir=$1 whose=$2 tmp version f
	version=
	for f in "$dir/VERSION" "$dir/../VERSION"; do
		if [ -z "$version" ] && [ -e "$f" ]; then version=$(< "$f"); fi
	done
	if [ -z "$version" ]; then
		say "$whose: no file VERSION there tells of which DPDK these headers are"
		return 1
	fi
	if [ "$(branch_of "$version")" != "$(branch_of "$dpdk_version")" ]; then
		say "$whose: DPDK $version, but only headers of a" \
			"$(branch_of "$dpdk_version") release can fit DPDK $dpdk_version"
		return 1
	fi
	tmp=$(mktemp -d "$sdk_root/tmp.XXXXXX")
	mkdir "$tmp/include"
	copy_headers "$dir" "$tmp/include" "${sdk_headers[@]}"
	copy_examples "$dir" "$tmp/examples"
	if ! headers_compile "$tmp/include"; then
		say "$whose: the driver headers are not complete or do not compile, see above"
	elif [ "$version" != "$dpdk_version" ] && ! headers_probe "$tmp/include" "$tmp/log"; then
		sed 's/^/    /' "$tmp/log" | tail -n 15
		say "$whose: the structures of DPDK $version are not those of the installed" \
			"DPDK $dpdk_version, see above"
	else
		rm -f "$tmp"/log*
		echo "$version" > "$tmp/VERSION"
		echo "$dpdk_identity" > "$tmp/PACKAGE"
		rm -rf "${sdk_root:?}/$dpdk_version"
		mv "$tmp" "$sdk_root/$dpdk_version"
		say "driver headers of DPDK $version ($whose) for DPDK $dpdk_version"
		return 0
	fi
	rm -rf "$tmp"
	return 1
}

# --- from the distribution

# The host's configuration of apt, with source packages switched on in a copy of its list of
# mirrors. The host's own is left alone.
apt_sources_init() {
	local tmp=$1 f
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
	apt_sources=(
		-o Dir::Etc::sourcelist=/dev/null
		-o Dir::Etc::sourceparts="$tmp/parts"
		-o Dir::State::lists="$tmp/lists"
		-o Dir::Cache="$tmp/cache"
		-o APT::Sandbox::User=root
	)
	# A mirror without sources does no harm as long as another one has ours.
	progress_run "setup: lists of source packages" "$tmp/log" \
		apt "${apt_sources[@]}" update || true
}

# The versions at hand of a source package: the given one first, then those of its branch, the
# nearest one first.
source_versions() { # name, version
	local patch=${2#*.*.}
	echo "$2"
	apt-cache "${apt_sources[@]}" showsrc "$1" 2> /dev/null | sed -n 's/^Version: //p' |
		grep -vxF "$2" | sort -u | while read -r v; do
		[ "$(branch_of "$v")" = "$(branch_of "$2")" ] || continue
		p=${v#*.*.}
		d=$((${p%%[!0-9]*} + 0 - ${patch%%[!0-9]*}))
		echo "${d#-} $v"
	done | sort -n | cut -d ' ' -f 2
}

source_fetch() { (cd "$1" && apt "${apt_sources[@]}" source "$2=$3"); }

headers_from_source_package() { # name, version, directory for it
	local name=$1 tmp=$3 v tree
	apt_sources_init "$tmp"
	while read -r v; do
		mkdir "$tmp/$v"
		if ! progress_run "setup: source package $name $v" "$tmp/log" \
			source_fetch "$tmp/$v" "$name" "$v"; then
			grep '^E: ' "$tmp/log" | sed 's/^/    /' || true
			say "the mirrors have no source package $name $v"
			continue
		fi
		tree=$(find "$tmp/$v" -mindepth 2 -maxdepth 2 -name VERSION -printf '%h\n')
		headers_from "${tree:-$tmp}" "source package $name $v" && return 0
	done < <(source_versions "$name" "$2")
	return 1
}

# --- from elsewhere

headers_from_release() {
	local tmp=$1 url=$releases/dpdk-$dpdk_version.tar.xz
	install_packages curl ca-certificates
	progress_run "setup: $url" "$tmp/log" curl -fSL --connect-timeout 20 \
		-o "$tmp/dpdk.tar.xz" "$url" || {
		say "cannot download $url"
		return 1
	}
	mkdir "$tmp/release"
	tar -xJf "$tmp/dpdk.tar.xz" -C "$tmp/release" --strip-components=1 &&
		headers_from "$tmp/release" "$url"
}

# Those taken for an earlier patch release, or given to it by --driver-sdk, before it was updated.
headers_from_earlier() {
	local dir
	for dir in "$sdk_root/$(branch_of "$dpdk_version")".*/include; do
		if [ ! -e "$dir/ethdev_driver.h" ]; then continue; fi
		if [ ! -e "$dir/bus_pci_driver.h" ]; then continue; fi
		headers_from "$dir" "taken earlier" && return 0
	done
	return 1
}

headers_find() {
	local source=$1 tmp=$2
	if [ -n "$source" ]; then
		headers_from_source_package "${source% *}" "${source#* }" "$tmp" && return 0
	fi
	headers_from_earlier && return 0
	[ -z "$source" ] || headers_from_release "$tmp"
}

# Whether those of the installed package are there, and for tests the examples.
headers_taken_before() {
	local dir=$sdk_root/$dpdk_version h
	[ "$(cat "$dir/PACKAGE" 2> /dev/null)" = "$dpdk_identity" ] || return 1
	for h in "${sdk_headers[@]}"; do
		dpdk_has_header "$h" || [ -e "$dir/include/$h" ] || return 1
	done
	[ "${tests:?}" = no ] || [ -d "$dir/examples" ]
}

headers_die() {
	die "no driver headers for DPDK $dpdk_version, see above. Unpack the sources of DPDK" \
		"$dpdk_version, or of another $(branch_of "$dpdk_version") release, and run" \
		"config/setup.sh --driver-sdk DIRECTORY; or, if the mirrors have a newer package" \
		"of DPDK: apt-get update && apt-get upgrade, then config/setup.sh"
}

# Sets headers_taken=yes where there are new ones.
driver_headers_take() {
	local given=$1 source tmp
	if ! dpdk_version=$(pkg-config --modversion libdpdk 2> /dev/null); then
		lack "DPDK driver headers (no DPDK)"
		return 0
	fi
	if dpdk_has_header ethdev_driver.h; then
		[ -z "$given" ] || say "not needed, DPDK brings its driver headers: --driver-sdk"
		return 0
	fi
	source=$(dpdk_source)
	dpdk_identity=${source:-DPDK $dpdk_version}
	if [ -z "$given" ] && headers_taken_before; then return 0; fi
	if [ "${check:?}" = yes ]; then
		lack "driver headers of DPDK $dpdk_version (source package ${source:-unknown})"
		return 0
	fi
	say "taking the driver headers of DPDK $dpdk_version"
	mkdir -p "$sdk_root"
	if [ -n "$given" ]; then
		headers_from "$(realpath -- "$given")" "--driver-sdk $given" || headers_die
	else
		tmp=$(mktemp -d "$sdk_root/tmp.XXXXXX")
		# shellcheck disable=SC2064 # now
		trap "rm -rf '$tmp'" EXIT
		headers_find "$source" "$tmp" || headers_die
		rm -rf "$tmp"
		trap - EXIT
	fi
	# shellcheck disable=SC2034 # by setup.sh
	headers_taken=yes
}
