#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Builds library, driver and tests for another architecture, against the packages that this Debian
# has for it. They are unpacked below build-cross/, not installed: the host stays as it is, and no
# chroot is needed, as programs name their loader and libraries there.

set -uo pipefail

usage() {
	cat << END
usage: devtools/cross.sh i386|arm64

Leaves programs in build-cross/ARCH/build and what they need in build-cross/ARCH/root.
Status 77 where this host cannot do it; the last line says why.
END
}

cd "$(dirname "$0")/.." || exit 1
cache=$PWD/build-cross
packages=(libdpdk-dev libcmocka-dev libnuma-dev libc6-dev)

say() { echo "cross: $*"; }
unable() { say "skipped: $*"; exit 77; }

case ${1:-} in
i386)
	gnu=i686-linux-gnu multiarch=i386-linux-gnu loader=ld-linux.so.2
	family=x86 cpu=i686 tools=(gcc-i686-linux-gnu) runner=()
	;;
arm64)
	gnu=aarch64-linux-gnu multiarch=aarch64-linux-gnu loader=ld-linux-aarch64.so.1
	family=aarch64 cpu=aarch64 tools=(gcc-aarch64-linux-gnu qemu-user) runner=(qemu-aarch64)
	;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac
arch=$1
dir=$cache/$arch
root=$dir/root

host_arch() { dpkg --print-architecture 2> /dev/null; }

# Compiler and emulator, by their programs.
has_tools() { command -v $gnu-gcc > /dev/null && { [ ${#runner[@]} = 0 ] || has_runner; }; }
has_runner() { command -v "${runner[0]}" > /dev/null; }

install_tools() {
	has_tools && return
	[ "$(id -u)" = 0 ] || unable "no compiler or emulator: as root, apt-get install ${tools[*]}"
	say "installing ${tools[*]}"
	mkdir -p "$dir"
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y \
		--no-install-recommends "${tools[@]}" > "$dir/tools.log" 2>&1 ||
		unable "no packages ${tools[*]} at the configured mirrors, see $dir/tools.log"
}

# apt with the mirrors of the host, but for another architecture and with an empty list of what is
# installed. It must only download: dpkg is that of the host.
apt_there() {
	local options=(
		-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch"
		-o "Dir::State=$dir/apt" -o "Dir::State::lists=$dir/apt/lists"
		-o "Dir::State::status=$dir/apt/status" -o "Dir::Cache=$dir/apt/cache"
		-o "APT::Sandbox::User=$(id -un)"
	)
	apt-get -qq "${options[@]}" "$@"
}

download() {
	rm -rf "$dir/apt"
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	: > "$dir/apt/status"
	# A mirror that does not have this architecture does no harm as long as another one has.
	apt_there update
	apt_there install -y --no-install-recommends --download-only "${packages[@]}"
}

# As distributions do now, /lib is a part of /usr; packages may still have it on its own.
unpack() {
	local deb link
	rm -rf "$root"
	mkdir -p "$root/usr/lib" "$root/usr/bin" "$root/usr/sbin"
	for link in lib bin sbin; do ln -s usr/$link "$root/$link"; done
	for deb in "$dir"/apt/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
			--no-same-owner --exclude='librte_*.a' --exclude=./usr/share/doc \
			--exclude=./usr/share/man --exclude=./usr/share/locale || return 1
	done
}

dpdk_version_there() {
	sed -n 's/^Version: //p' "$root/usr/lib/$multiarch/pkgconfig/libdpdk.pc" 2> /dev/null
}

# Kept until the host's DPDK is another one.
make_root() {
	local version
	version=$(pkg-config --modversion libdpdk 2> /dev/null)
	[ -n "$version" ] || unable "no DPDK here: run config/setup.sh"
	if [ "$(dpdk_version_there)" != "$version" ] || [ ! -e "$dir/complete" ]; then
		mkdir -p "$dir"
		rm -f "$dir/complete"
		say "downloading ${packages[*]} for $arch and what they need, 50 to 60 MB"
		download > "$dir/apt.log" 2>&1 ||
			unable "${packages[*]} for $arch cannot be downloaded, see $dir/apt.log"
		say "unpacking $(find "$dir/apt/cache/archives" -name '*.deb' | wc -l) packages"
		unpack > "$dir/unpack.log" 2>&1 || unable "not unpacked, see $dir/unpack.log"
		rm -rf "$dir/apt"
		touch "$dir/complete"
	fi
	[ "$(dpdk_version_there)" = "$version" ] ||
		unable "the host has DPDK $version, Debian has $(dpdk_version_there) for $arch"
}

# The run path is the old kind, which libraries that libraries need are searched in, too.
cross_file() {
	local lib=$root/usr/lib/$multiarch
	cat << END
[binaries]
c = '$gnu-gcc'
ar = '$gnu-ar'
strip = '$gnu-strip'
pkgconfig = 'pkg-config'

[properties]
sys_root = '$root'
pkg_config_libdir = '$lib/pkgconfig:$root/usr/share/pkgconfig'

[built-in options]
c_args = ['--sysroot=$root']
c_link_args = ['--sysroot=$root', '-Wl,--dynamic-linker=$root/lib/$loader',
        '-Wl,--disable-new-dtags,-rpath,$lib']

[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$cpu'
endian = 'little'
END
}

configure() {
	cross_file > "$dir/cross.ini.new"
	if ! cmp -s "$dir/cross.ini.new" "$dir/cross.ini" || [ ! -e "$dir/build/build.ninja" ]; then
		rm -rf "$dir/build"
		cp "$dir/cross.ini.new" "$dir/cross.ini"
		meson setup "$dir/build" --cross-file "$dir/cross.ini" --werror -Ddocs=disabled \
			-Dtests=enabled -Dexamples=false
	fi
}

build() {
	say "building for $arch"
	{ configure && ninja -C "$dir/build"; } > "$dir/build.log" 2>&1 && return
	tail -n 60 "$dir/build.log"
	say "not built, see $dir/build.log"
	exit 1
}

[ "$(host_arch)" = amd64 ] ||
	unable "only x86-64 hosts with Debian's packages build for $arch; here the other parts do"
install_tools
make_root
build
"${runner[@]}" "$root/lib/$loader" --version > /dev/null 2>&1 ||
	unable "built, but this host does not run programs for $arch"
say "built for $arch with DPDK $(dpdk_version_there)"
