#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Builds and tests against other versions of DPDK than the one that is installed. What is needed of
# them is built once, below build-versions/. Ends with a line of counts for each version, and one
# for all.

set -uo pipefail

cd "$(dirname "$0")/.." || exit 1

releases=https://fast.dpdk.org/rel
cache=$PWD/build-versions
versions=(22.11.11 23.11.7 24.11.6 25.11.2 26.11-rc0)
parts=(unit)
sources=

# shellcheck source=config/progress.sh
. config/progress.sh

usage() {
	cat << END
usage: devtools/versions.sh [--e2e] [--sources DIR] [VERSION...]

VERSION is a release of DPDK, which is downloaded from $releases,
or the directory of a source tree. Without one: ${versions[*]}

  --e2e          run the end-to-end tests, too, with programs of that version
  --sources DIR  take releases from there instead: from source trees DIR/dpdk-VERSION, or from
                 DIR itself, if it is a clone of DPDK's git repository; with a clone, VERSION may
                 also be the name of a branch, such as main
END
}

say() { echo "versions: $*"; }

# What is needed of DPDK, with what that depends on itself. Before 23.11 it cannot be told to leave
# out libraries.
dpdk_options=(
	-Dbuildtype=release -Ddefault_library=shared -Dplatform=generic -Dtests=false
	-Denable_driver_sdk=true
)
drivers=bus/pci,bus/vdev,mempool/bucket,mempool/ring,mempool/stack
drivers+=,net/bonding,net/null,net/pcap,net/ring,net/tap,net/vhost,net/virtio
libs=cryptodev,dmadev,eventdev,gro,gso,hash,ip_frag,metrics,rcu,reorder,sched,security,stack
libs+=,timer,vhost
dpdk_choices=(
	"enable_apps=proc-info,test-pmd"
	"enable_libs=$libs"
	"enable_drivers=$drivers"
)

# Run a command whose output is shown only where it fails.
quietly() {
	local log=$1
	shift
	progress_run "versions: $(basename "$log" .log)" "$log" "$@" && return 0
	tail -n 30 "$log"
	say "failed: $* (log: $log)"
	return 1
}

download() {
	local version=$1 dest=$2 url tmp
	url=$releases/dpdk-$version.tar.xz
	tmp=$dest.tmp
	rm -rf "$tmp"
	mkdir -p "$tmp"
	if progress_run "versions: $url" "$tmp.log" \
		curl -fSL --connect-timeout 20 -o "$tmp.tar.xz" "$url" &&
		tar -xJf "$tmp.tar.xz" -C "$tmp" --strip-components=1; then
		rm "$tmp.tar.xz"
		mv "$tmp" "$dest"
		return 0
	fi
	rm -rf "$tmp" "$tmp.tar.xz"
	say "cannot download DPDK $version: give a directory with source trees or a clone" \
		"instead, as devtools/versions.sh --sources DIR $version"
	return 1
}

# The commit that a clone has for a version, empty if it has none.
clone_commit() {
	local ref
	for ref in "v$1" "$1" "origin/$1"; do
		git -C "$sources" rev-parse -q --verify "$ref^{commit}" 2> /dev/null && return
	done
}

# Each commit has a tree of its own: branches move.
clone_tree() { # commit
	local dest=$cache/dpdk-$1
	if [ ! -d "$dest" ]; then
		rm -rf "$dest.tmp"
		mkdir -p "$dest.tmp"
		git -C "$sources" archive "$1" | tar -x -C "$dest.tmp" && mv "$dest.tmp" "$dest"
	fi
	echo "$dest"
}

# Print the source tree of what was asked for.
source_tree() {
	local dest commit version=${1#v}
	if [ -d "$1" ]; then
		[ -e "$1/VERSION" ] && [ -e "$1/lib/eal/meson.build" ] && realpath "$1" && return
		say "$1 is no source tree of DPDK" >&2
		return 1
	fi
	if [ -n "$sources" ]; then
		if [ -d "$sources/dpdk-$version" ]; then
			source_tree "$sources/dpdk-$version"
			return
		fi
		commit=$(clone_commit "$version")
		if [ -n "$commit" ]; then
			clone_tree "$commit"
			return
		fi
		say "there is neither $sources/dpdk-$version nor a tag or branch of that name" >&2
		return 1
	fi
	if ! [[ $version =~ ^[0-9]{2}\.[0-9]{2}(\.[0-9]+|-rc[0-9]+)?$ ]]; then
		say "$1 is neither a release of DPDK, such as 24.11.6, nor a directory" >&2
		return 1
	fi
	dest=$cache/dpdk-$version
	[ -d "$dest" ] || download "$version" "$dest" >&2 || return 1
	echo "$dest"
}

configure_dpdk() {
	local tree=$1 dir=$2 choice options=("${dpdk_options[@]}")
	for choice in "${dpdk_choices[@]}"; do
		grep -q "^option('${choice%%=*}'" "$tree/meson_options.txt" &&
			options+=("-D$choice")
	done
	meson setup "$dir/dpdk" "$tree" --prefix "$dir/install" --libdir lib "${options[@]}"
}

build_dpdk() {
	local tree=$1 dir=$2
	if [ "$(cat "$dir/source" 2> /dev/null)" != "$tree" ]; then
		say "building it takes minutes, the first time"
		rm -rf "$dir"
		mkdir -p "$dir"
		quietly "$dir/setup.log" configure_dpdk "$tree" "$dir" || return 1
		echo "$tree" > "$dir/source"
	fi
	quietly "$dir/dpdk.log" ninja -C "$dir/dpdk" &&
		quietly "$dir/install.log" meson install -C "$dir/dpdk" --no-rebuild --only-changed
}

configure_ours() {
	[ ! -e "$1/ppfrag/build.ninja" ] || return 0
	PKG_CONFIG_PATH=$1/install/lib/pkgconfig meson setup "$1/ppfrag" --werror -Ddocs=disabled \
		-Dtests=enabled
}

build_ours() {
	local dir=$1
	quietly "$dir/ppfrag-setup.log" configure_ours "$dir" || return 1
	quietly "$dir/ppfrag.log" ninja -C "$dir/ppfrag"
}

# Programs and libraries of that version come first.
run_tests() {
	local dir=$1
	PATH=$dir/install/bin:$PATH LD_LIBRARY_PATH=$dir/install/lib \
		PPFRAG_BUILD=$dir/ppfrag devtools/test.sh "${parts[@]}" 2>&1 | tee "$dir/test.log"
}

results=()
passed=0
failed=0
skipped=0

count() { # version, passed, failed, remark
	results+=("$1: $2 passed, $3 failed$4")
	passed=$((passed + $2))
	failed=$((failed + $3))
}

# A version that was asked for by name must be there.
no_sources() {
	if [ ${#wanted[@]} -gt 0 ]; then
		count "$1" 0 1 " (no sources)"
	else
		results+=("$1: skipped, no sources")
		skipped=$((skipped + 1))
	fi
}

test_version() {
	local tree version dir tests_skipped
	tree=$(source_tree "$1") || { no_sources "$1"; return; }
	version=$(cat "$tree/VERSION")
	dir=$cache/$version
	say "DPDK $version"
	build_dpdk "$tree" "$dir" || { count "$version" 0 1 " (DPDK is not built)"; return; }
	build_ours "$dir" || { count "$version" 0 1 " (not built)"; return; }
	run_tests "$dir"
	if [[ $(tail -n 1 "$dir/test.log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(.*)$ ]]; then
		tests_skipped=${BASH_REMATCH[3]//[!0-9]/}
		skipped=$((skipped + ${tests_skipped:-0}))
		count "$version" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
	else
		count "$version" 0 1 " (no result)"
	fi
}

wanted=()
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--e2e) parts+=(e2e) ;;
	--sources)
		[ -d "${2-}" ] || { say "--sources needs a directory"; exit 2; }
		sources=$(realpath "$2")
		shift
		;;
	-*) usage >&2; exit 2 ;;
	*) wanted+=("$1") ;;
	esac
	shift
done
# DPDK's build takes the first python3 there is, which need not be the one that packages are for.
has_elftools() { python3 -c 'import elftools' 2> /dev/null; }
has_elftools || PATH=/usr/bin:$PATH
has_elftools || {
	say "DPDK needs pyelftools to be built: apt-get install python3-pyelftools libpcap-dev"
	exit 1
}

# Here, as devtools/test.sh would build with the installed DPDK afterwards.
config/setup.sh --tests --no-build --check > /dev/null 2>&1 ||
	config/setup.sh --tests --no-build || exit 1

mkdir -p "$cache"
for version in "${wanted[@]:-${versions[@]}}"; do test_version "$version"; done

for r in "${results[@]}"; do echo "DPDK $r"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed != 0 ]
