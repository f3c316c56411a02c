#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Makes the Debian packages, checks them, installs them in a bare Debian and uses them there. Ends
# with a line of counts. Other releases than that of the host are built in a chroot, too.

set -uo pipefail

usage() {
	cat << END
usage: devtools/package-test.sh [--driver-sdk DIR] [RELEASE...]

RELEASE is bookworm or trixie. Without one: the release of this host, with PPFRAG_LONG=1 both.
Needs root, for chroots, and Debian's packages: from $mirror, or what DEBIAN_MIRROR says.
What debootstrap made is kept in build-package/.

  --driver-sdk DIR  of the other release, if Debian has the sources of its DPDK no more
END
}

cd "$(dirname "$0")/.." || exit 1
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
cache=$PWD/build-package
# shellcheck source=config/progress.sh
. config/progress.sh
# shellcheck source=/dev/null
host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
passed=0
failed=0
skipped=0

skip() { # reason
	echo "package: skipped: $*"
	skipped=$((skipped + 1))
}

# A command that is one test.
check() { # name, command
	local name=$1 log status=0
	shift
	log=$cache/log/${name//[^a-zA-Z0-9]/-}.log
	progress_run "$name" "$log" "$@" || status=$?
	case $status in
	0)
		passed=$((passed + 1))
		echo "passed: $name"
		;;
	77) skip "$name: $(tail -n 1 "$log")" ;;
	*)
		failed=$((failed + 1))
		tail -n 40 "$log"
		echo "FAILED: $name (log: $log)"
		;;
	esac
	return $status
}

# With a proc, devices and processes of its own, which all end with it.
# shellcheck disable=SC2016 # for the inner shell
in_root() { # directory, command
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive \
		unshare --mount --pid --fork --kill-child sh -c '
			mount -t proc proc "$0/proc" && mount --bind /sys "$0/sys" &&
				mount --bind /dev "$0/dev" && exec chroot "$0" "$@"' "$@"
}

install_tools() {
	if command -v debootstrap > /dev/null && command -v lintian > /dev/null; then return 0; fi
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y \
		--no-install-recommends debootstrap lintian
}

# A bare Debian, with the stock programs that users of DPDK have: kept as an archive.
base_make() { # release
	local root=$cache/$1.base
	rm -rf --one-file-system "$root" "$cache/$1.tar"
	debootstrap --variant=minbase "$1" "$root" "$mirror" || return 1
	printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	in_root "$root" sh -c 'apt-get -q update &&
		apt-get -q install -y --no-install-recommends dpdk-dev \
			"^librte-net-vhost[0-9]+$" "^librte-mempool-ring[0-9]+$" &&
		apt-get clean' || return 1
	tar -c -C "$root" -f "$cache/$1.tar.new" . && mv "$cache/$1.tar.new" "$cache/$1.tar" &&
		rm -rf --one-file-system "$root"
}

base_get() { # release
	local log=$cache/log/base-$1.log
	[ ! -e "$cache/$1.tar" ] || return 0
	progress_run "package: a bare $1" "$log" base_make "$1" && return 0
	tail -n 5 "$log"
	return 1
}

root_make() { # release, name
	local root=$cache/$1.$2
	rm -rf --one-file-system "$root"
	mkdir "$root"
	tar -x -C "$root" -f "$cache/$1.tar" && cp /etc/resolv.conf "$root/etc/"
}

# Where packages of the release are made: on the host, or in a chroot.
build_there() { # release
	local root=$cache/$1.build options=()
	if [ "$1" = "$host" ]; then
		devtools/package.sh --out "$cache/$1"
		return
	fi
	root_make "$1" build && devtools/package.sh --copy "$root/usr/src/ppfrag" || return 1
	if [ -n "$driver_sdk" ]; then
		cp -r "$driver_sdk" "$root/usr/src/dpdk" || return 1
		options=(--driver-sdk /usr/src/dpdk)
	fi
	# shellcheck disable=SC2016 # for the inner shell
	in_root "$root" sh -c 'cd /usr/src/ppfrag && apt-get -q update &&
		devtools/package.sh --out /usr/src/out "$@"' build "${options[@]}" || return
	rm -rf "${cache:?}/$1" && mkdir "$cache/$1" &&
		cp "$root"/usr/src/out/*.* "$cache/$1/" && rm -rf --one-file-system "$root"
}

lint() { # release
	lintian --fail-on error,warning --suppress-tags bad-distribution-in-changes-file \
		--allow-root "$cache/$1"/*.changes
}

# Copies them to where devtools/package-try.sh looks.
give() { # release
	local root=$cache/$1.try
	root_make "$1" try && mkdir "$root/packages" "$root/packages-dev" || return 1
	cp "$cache/$1"/{libppool0,librte-net-ppfrag,ppfrag-tools}_*.deb "$root/packages/" &&
		cp "$cache/$1"/libppool-dev_*.deb "$root/packages-dev/" &&
		cp devtools/package-try.sh "$root/root/"
}

try() { in_root "$cache/$1.try" /root/package-try.sh "$2"; } # release, step

test_release() {
	local step
	base_get "$1" || { skip "debootstrap cannot get $1 from $mirror"; return; }
	check "$1: packages are made" build_there "$1" || return
	check "$1: lintian" lint "$1"
	check "$1: a bare system" give "$1" || return
	check "$1: install" try "$1" install || return
	for step in headers programs size testpmd purge; do check "$1: $step" try "$1" $step; done
	rm -rf --one-file-system "$cache/$1.try"
}

driver_sdk=
case ${1:-} in
-h | --help) usage; exit 0 ;;
--driver-sdk)
	[ -d "${2:-}" ] || { echo "package: --driver-sdk needs a directory" >&2; exit 2; }
	driver_sdk=$2
	shift 2
	;;
esac
wanted=("$@")
if [ ${#wanted[@]} = 0 ]; then
	wanted=("$host")
	[ "${PPFRAG_LONG:-}" != 1 ] || wanted=(bookworm trixie)
fi
mkdir -p "$cache/log"
if [ "$(id -u)" != 0 ]; then
	skip "chroots need root"
elif ! install_tools > "$cache/log/tools.log" 2>&1; then
	skip "debootstrap and lintian cannot be installed, see $cache/log/tools.log"
else
	for release in "${wanted[@]}"; do
		case $release in
		bookworm | trixie) test_release "$release" ;;
		*) skip "packages are for bookworm and trixie, this is $release" ;;
		esac
	done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
