#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Makes Debian packages of this tree, for the Debian that runs it and its DPDK.

set -euo pipefail

usage() {
	cat << END
usage: devtools/package.sh [--out DIR] [--driver-sdk DIR]
       devtools/package.sh --copy DIR

Makes the packages libppool0, libppool-dev, librte-net-ppfrag and ppfrag-tools for this Debian, and
a source package that builds without network: it brings the DPDK driver headers, which
config/setup.sh takes from Debian's sources. Installs what the build needs, for which it has to be
root.

  --out DIR         where packages go (default build-package/NAME-OF-THE-RELEASE)
  --driver-sdk DIR  where the driver headers are, if Debian has those sources no more
  --copy DIR        copy the sources there, to make packages on another system

Status 77 where there are no driver headers.
END
}

say() { echo "package: $*"; }
die() { echo "package: $*" >&2; exit 1; }

cd "$(dirname "$0")/.."
out=
copy=
headers=()
while [ $# -gt 0 ]; do
	case $1 in
	--out | --copy | --driver-sdk)
		[ $# -gt 1 ] || die "$1 needs a directory"
		case $1 in
		--out) out=$2 ;;
		--copy) copy=$2 ;;
		--driver-sdk) headers=(--driver-sdk "$2") ;;
		esac
		shift
		;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; die "unknown option $1" ;;
	esac
	shift
done

# shellcheck source=config/progress.sh
. config/progress.sh

command -v dpkg > /dev/null || die "packages are made on Debian only; elsewhere: config/setup.sh"
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-unstable}")
# shellcheck source=/dev/null
number=$(. /etc/os-release && echo "${VERSION_ID:-}")
mkdir -p "${out:=build-package/$release}"
out=$(realpath "$out")

# Packages of two releases of Debian have different versions: they are for different DPDKs.
version=$(sed -nE '1s/^[^ ]+ \(([^)]+)\).*/\1/p' debian/changelog)+deb${number:-0}
tree=$out/ppfrag-$version

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"
}

apt_needed() {
	apt install -y --no-upgrade --no-install-recommends dpkg-dev &&
		apt build-dep -y --no-install-recommends ./
}

# Lists that are absent or name files the mirror no longer has are brought up to date.
install_needed() {
	local log=$out/needed.log
	if dpkg-checkbuilddeps 2> /dev/null; then return 0; fi
	[ "$(id -u)" = 0 ] || die "not all is installed: as root, apt-get build-dep ./"
	say "installing what debian/control asks for"
	progress_run "package: packages" "$log" apt_needed && return 0
	progress_run "package: lists of packages" "$log" apt update &&
		progress_run "package: packages" "$log" apt_needed && return 0
	tail -n 20 "$log" >&2
	die "apt-get cannot install what debian/control asks for: see above"
}

# Files of the tree: those that git knows or would add, else all but what builds leave.
list_files() {
	if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
		git ls-files -z --cached --others --exclude-standard
	else
		find . \( -path './build*' -o -path ./.driver-sdk -o -name __pycache__ \) -prune \
			-o -type f -not -path ./config/eal.local -print0
	fi
}

# Where DPDK does not install them.
add_headers() {
	local dpdk sdk
	dpdk=$(pkg-config --modversion libdpdk)
	sdk=.driver-sdk/$dpdk
	config/setup.sh --only-headers "${headers[@]}" || exit 77
	[ -e "$sdk/include" ] || return 0
	mkdir -p "$tree/debian/driver-sdk/$dpdk"
	cp -r "$sdk/include" "$sdk/VERSION" "$tree/debian/driver-sdk/$dpdk/"
}

# The date stays that of the entry, so that a build does not depend on when it is made.
mark_release() {
	sed -i "1s/.*/ppfrag ($version) $release; urgency=medium/" "$tree/debian/changelog"
}

copy_tree() {
	mkdir -p "$1"
	list_files | tar -c --null -T - | tar -x -C "$1"
}

export_tree() {
	rm -rf "$tree"
	copy_tree "$tree"
	add_headers
	mark_release
}

build_packages() {
	cd "$tree"
	DEB_BUILD_OPTIONS="parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc
}

if [ -n "$copy" ]; then
	copy_tree "$copy"
	exit 0
fi
install_needed
rm -f "$out"/{libppool0,libppool-dev,librte-net-ppfrag,ppfrag-tools}{,-dbgsym}_*.deb "$out"/ppfrag_*
export_tree
say "ppfrag $version"
if ! progress_run "package: build" "$out/build.log" build_packages; then
	tail -n 40 "$out/build.log" >&2
	die "not built (log: $out/build.log)"
fi
rm -rf "$tree"
for deb in "$out"/*.deb; do say "$deb"; done
