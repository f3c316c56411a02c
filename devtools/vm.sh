#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Runs a command in a virtual machine whose files are those of this host, with NICs for DPDK: for
# what needs a device that does DMA, with or without an IOMMU. The kernel is Debian's, unpacked
# below build-vm/, not installed.

set -uo pipefail

usage() {
	cat << END
usage: devtools/vm.sh [options] [--] COMMAND [ARGUMENT...]
       devtools/vm.sh --check

Runs COMMAND as root in a guest, in this directory. The guest sees all files of this host, as far
as the user may read them, and what it writes is gone with it, except below \$VM_OUT.

  --pair MODEL[,PROPERTY=VALUE...]   two NICs that are connected to each other; may be repeated
  --nic MODEL[,PROPERTY=VALUE...]:NETDEV
                      one NIC, with what QEMU's -netdev takes, e.g. virtio-net-pci:user; repeatable
  --driver NAME       what the NICs are bound to in the guest: uio (uio_pci_generic), vfio (with an
                      IOMMU), noiommu (VFIO without one), kernel, none; default uio
  --modules LIST      modules of the kernel to load: tun, vhost_net, or both as tun,vhost_net
  --iommu-bits N      addresses of the IOMMU: 39 or 48 bits (default 48)
  --mem MB            memory (default 1536)
  --hugepages N       hugepages of 2 MB (default 256)
  --gigapages N       hugepages of 1 GB (default 0)
  --cpus N            CPUs (default 1)
  --numa              two NUMA nodes with half of memory and CPUs each; the second NIC of each pair
                      is on the second node
  --seconds S         end the guest after so long (default 120)
  --append OPTIONS    more of the kernel's command line
  --kernel PACKAGE    Debian package of the kernel (default: what linux-image-amd64 depends on)
  --out DIR           what \$VM_OUT is in the guest (default: a directory that is removed)
  --check             only say whether guests can be had here

In the guest \$VM_NICS has the PCI addresses of the NICs, in their order.

Status: that of COMMAND; 77 where this host cannot run a guest, the last line says why and what
helps; 124 where it did not end in time; 125 where the guest did not come up.
END
}

root=$(cd "$(dirname "$0")/.." && pwd -P)
cache=$root/build-vm
pairs=() driver=uio bits=48 mem=1536 hugepages=256 gigapages=0 cpus=1 numa=no seconds=120
append='' kernel='' out='' check=no modules=''

say() { echo "vm: $*" >&2; }
unable() { say "skipped: $*"; exit 77; }
wrong() { say "$*"; exit 2; }

while [ $# -gt 0 ]; do
	case $1 in
	--numa) numa=yes ;;
	--check) check=yes ;;
	-h | --help) usage; exit 0 ;;
	--pair | --nic | --driver | --modules | --iommu-bits | --mem | --hugepages | --gigapages | \
		--cpus | --seconds | --append | --kernel | --out)
		[ $# -gt 1 ] || wrong "$1 needs a value"
		case $1 in
		--pair) pairs+=("$2:pair") ;;
		--nic) pairs+=("$2") ;;
		--driver) driver=$2 ;;
		--modules) modules=${2//,/ } ;;
		--iommu-bits) bits=$2 ;;
		--mem) mem=$2 ;;
		--hugepages) hugepages=$2 ;;
		--gigapages) gigapages=$2 ;;
		--cpus) cpus=$2 ;;
		--seconds) seconds=$2 ;;
		--append) append=$2 ;;
		--kernel) kernel=$2 ;;
		--out) out=$2 ;;
		esac
		shift
		;;
	--) shift; break ;;
	-*) usage >&2; wrong "unknown option $1" ;;
	*) break ;;
	esac
	shift
done

case $driver in
uio | vfio | noiommu | kernel | none) ;;
*) wrong "--driver $driver: it is one of uio, vfio, noiommu, kernel, none" ;;
esac
for module in $modules; do
	case $module in
	tun | vhost_net) ;;
	*) wrong "--modules: it is tun, vhost_net or both, not '$module'" ;;
	esac
done
case $bits in
39 | 48) ;;
*) wrong "--iommu-bits $bits: an IOMMU of Intel has 39 or 48" ;;
esac
for number in "$mem" "$hugepages" "$gigapages" "$cpus" "$seconds"; do
	[[ $number =~ ^[0-9]+$ ]] || wrong "'$number' is not a number, see --help"
done
[ $numa = no ] || [ "$cpus" -ge 2 ] || wrong "--numa needs --cpus 2 or more: each node has one"
[ $((hugepages * 2 + gigapages * 1024 + 300)) -le "$mem" ] ||
	wrong "--mem $mem: hugepages leave less than 300 MB of it, give more"
[ $check = yes ] || [ $# -gt 0 ] || { usage >&2; wrong "no command"; }

# --- what a guest needs of the host

need_tools() {
	[ "$(uname -m)" = x86_64 ] || unable "guests are x86-64, this host is $(uname -m)"
	command -v qemu-system-x86_64 > /dev/null ||
		unable "no QEMU: as root, apt-get install --no-install-recommends qemu-system-x86"
	command -v busybox > /dev/null || unable "no busybox: as root, apt-get install busybox"
	qemu-system-x86_64 -device help 2> /dev/null | grep -q '"virtio-9p-pci"' ||
		unable "this QEMU has no virtio-9p-pci: use Debian's package qemu-system-x86"
}

# The newest that was unpacked before, or else what Debian has today.
choose_kernel() {
	local unpacked
	if [ -z "$kernel" ]; then
		# shellcheck disable=SC2012 # names of packages
		unpacked=$(ls -d "$cache"/linux-image-*/complete 2> /dev/null | sort -V | tail -n 1)
		kernel=$(basename "$(dirname "$unpacked")")
	fi
	if [ "$kernel" = . ] || [ -z "$kernel" ]; then
		command -v apt-cache > /dev/null ||
			unable "no apt to get Debian's kernel with: the guest needs one"
		kernel=$(apt-cache depends linux-image-amd64 2> /dev/null |
			sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	fi
	[ -n "$kernel" ] || unable "apt does not know linux-image-amd64: as root, apt-get update;" \
		"or name a package of your kernel with --kernel"
	[[ $kernel =~ ^[a-z0-9][a-z0-9.+-]+$ ]] ||
		wrong "--kernel $kernel: not the name of a package"
}

# Kept: what boots, modules, and the configuration.
unpack_kernel() {
	local dir=$1 log=$cache/kernel.log deb
	say "downloading $kernel, 70 MB, once"
	rm -rf "$dir" && mkdir -p "$dir/deb" || return 1
	(cd "$dir/deb" && apt-get -q download "$kernel") > "$log" 2>&1 ||
		unable "$kernel cannot be downloaded, see $log: as root, apt-get update, or connect"
	deb=$(echo "$dir"/deb/*.deb)
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --no-same-owner --exclude=./usr \
		--exclude='*/sound' --exclude='*/drivers/gpu' --exclude='*/drivers/media' \
		--exclude='*/drivers/staging' --exclude='*/infiniband' >> "$log" 2>&1 ||
		unable "$kernel is not unpacked, see $log: it takes 300 MB below $cache"
	rm -rf "$dir/deb"
	[ -e "$dir/lib/modules" ] || unable "$kernel has no modules: it is not a kernel"
	touch "$dir/complete"
}

get_kernel() {
	choose_kernel
	kernel_dir=$cache/$kernel
	[ -e "$kernel_dir/complete" ] || unpack_kernel "$kernel_dir"
	vmlinuz=$(echo "$kernel_dir"/boot/vmlinuz-*)
	if [ "$driver" = noiommu ] &&
		! grep -q '^CONFIG_VFIO_NOIOMMU=y' "$kernel_dir"/boot/config-*; then
		unable "$kernel has no CONFIG_VFIO_NOIOMMU, which Debian leaves out:" \
			"use --driver uio, or name another package with --kernel"
	fi
}

# --- what the guest boots: busybox, modules, and its first program

initrd_modules=(virtio_pci 9pnet_virtio 9p overlay)
driver_modules=(
	uio_pci_generic vfio_iommu_type1 vfio-pci virtio_net e1000 e1000e vmxnet3 tun vhost_net
)

# What a module depends on stands in it. From Linux 6.12 on Debian compresses modules.
module_add() { # directory, list, module
	local file name depends dep pattern="${3//[-_]/[-_]}.ko"
	file=$(find "$kernel_dir/lib/modules" -name "$pattern" -o -name "$pattern.xz" | head -n 1)
	[ -n "$file" ] || return 0 # built in
	name=$(basename "$file" .xz)
	case $file in
	*.xz)
		xz -dc "$file" > "$1/mod/$name" ||
			unable "modules of $kernel are packed: as root, apt-get install xz-utils"
		;;
	*) cp "$file" "$1/mod/$name" ;;
	esac
	depends=$(tr '\0' '\n' < "$1/mod/$name" | sed -n 's/^depends=//p' | head -n 1)
	for dep in ${depends//,/ }; do module_add "$1" "$2" "$dep"; done
	grep -qx "$name" "$1/mod/$2" 2> /dev/null || echo "$name" >> "$1/mod/$2"
}

busybox_add() { # directory
	local program lib
	program=$(command -v busybox)
	cp "$program" "$1/bin/busybox"
	ln -s busybox "$1/bin/sh"
	for lib in $(ldd "$program" 2> /dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$1$(dirname "$lib")"
		cp "$lib" "$1$lib"
	done
}

guest_init() {
	cat << 'END'
#!/bin/sh
# The root of the host, read-only, below a tmpfs; then what lies in the control directory.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
die() { echo "vm: guest: $*" > /dev/ttyS0; poweroff -f; sleep 9; }
load() {
	[ -e "/mod/$1" ] || return 0 # built in
	for m in $(cat "/mod/$1"); do
		[ -e "/loaded.$m" ] || insmod "/mod/$m"
		: > "/loaded.$m"
	done
}
load base
share() { mount -t 9p -o "$3,trans=virtio,version=9p2000.L,msize=262144" "$1" "$2"; }
share ctl /ctl rw,cache=none || die "no control directory"
share host /host ro,cache=loose || die "no root of the host"
mount -t tmpfs -o size=40% tmpfs /rw && mkdir /rw/up /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work overlay /root ||
	die "no overlay"
. /ctl/conf
for d in proc sys dev; do mkdir -p /root/$d; done
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/shm /root/dev/pts /root/dev/hugepages
mount -t devpts devpts /root/dev/pts
for d in dev/shm run tmp; do mount -t tmpfs -o mode=1777 tmpfs /root/$d; done
ln -s /run /root/var/run 2> /dev/null
mount -t hugetlbfs -o pagesize=2M hugetlbfs /root/dev/hugepages
if [ "$conf_gigapages" != 0 ]; then
	mkdir /root/dev/hugepages1G
	mount -t hugetlbfs -o pagesize=1G hugetlbfs /root/dev/hugepages1G || die "no pages of 1 GB"
fi
mkdir -p "/root$conf_out"
mount -o bind /ctl/out "/root$conf_out" || die "no $conf_out"
near= far= nics=
for d in /sys/bus/pci/devices/*; do
	case $(cat "$d/class"),$d in
	0x0200*/0000:00:*) near="$near${d##*/} " ;;
	0x0200*) far="$far${d##*/} " ;;
	esac
done
for place in $conf_places; do
	case $place in
	near) nics="$nics ${near%% *}" near=${near#* } ;;
	far) nics="$nics ${far%% *}" far=${far#* } ;;
	esac
done
case $conf_driver in
uio) load uio_pci_generic; name=uio_pci_generic ;;
vfio | noiommu)
	load vfio_iommu_type1
	load vfio-pci
	echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
	[ "$conf_driver" = vfio ] || echo Y > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode
	name=vfio-pci
	;;
kernel) for m in virtio_net e1000 e1000e vmxnet3; do load $m; done; name= ;;
none) name= ;;
esac
for nic in $nics; do
	[ -n "$name" ] || continue
	d=/sys/bus/pci/devices/$nic
	[ ! -e $d/driver ] || echo $nic > $d/driver/unbind
	echo $name > $d/driver_override
	echo $nic > /sys/bus/pci/drivers_probe
	[ -e /sys/bus/pci/drivers/$name/$nic ] || die "$nic cannot be bound to $name"
done
for module in $conf_modules; do load "$module"; done
export VM_NICS="${nics# }" VM_OUT="$conf_out" HOME=/root PATH="$conf_path"
/bin/busybox chroot /root /bin/sh -c 'ip link set lo up; cd "$1" && exec /bin/sh "$2"' sh \
	"$conf_dir" "$conf_out/command" > /dev/ttyS1 2>&1 < /dev/null
echo $? > /ctl/status
sync
/bin/busybox poweroff -f
sleep 9
END
}

# Made again when this script or the kernel has changed.
make_initrd() {
	local tmp m
	initrd=$cache/initrd-$kernel-$(sha256sum < "$0" | cut -c -16)
	[ ! -e "$initrd" ] || return 0
	rm -rf "$cache"/initrd*
	tmp=$(mktemp -d "$cache/initrd.XXXXXX")
	mkdir -p "$tmp"/{bin,dev,proc,sys,mod,host,rw,root,ctl}
	busybox_add "$tmp"
	for m in "${initrd_modules[@]}"; do module_add "$tmp" base "$m"; done
	for m in "${driver_modules[@]}"; do module_add "$tmp" "$m" "$m"; done
	guest_init > "$tmp/init"
	chmod +x "$tmp/init"
	(cd "$tmp" && find . | busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$initrd.$$" &&
		mv "$initrd.$$" "$initrd"
	rm -rf "$tmp"
	[ -e "$initrd" ] || unable "cannot write $initrd"
}

# --- the machine

machine=() nb_nics=0 places=''

# One NIC; on the far node where there is one and it is asked for.
nic_add() { # model with properties, netdev, node
	local device=$1 bus
	bus=bus=pcie.0,addr=$(printf %x $((16 + nb_nics)))
	case $1 in
	virtio-*) [ "$driver" != vfio ] || device+=,disable-legacy=on,iommu_platform=on ;;
	esac
	if [ "$3" = 1 ]; then
		machine+=(-device "pcie-root-port,id=far$nb_nics,bus=far,chassis=$((8 + nb_nics))")
		bus=bus=far$nb_nics
		places+="far "
	else
		places+="near "
	fi
	machine+=(-netdev "$2,id=n$nb_nics" -device
		"$device,netdev=n$nb_nics,romfile=,$bus,mac=52:54:00:00:00:$(printf %02x $nb_nics)")
	nb_nics=$((nb_nics + 1))
}

add_nics() {
	local pair model netdev hub=0 far=0
	[ $numa = no ] || far=1
	for pair in "${pairs[@]}"; do
		model=${pair%%:*} netdev=${pair#*:}
		[ "$netdev" != "$pair" ] || wrong "--nic $pair: no netdev, as in $pair:user"
		if [ "$netdev" = pair ]; then
			nic_add "$model" "hubport,hubid=$hub" 0
			nic_add "$model" "hubport,hubid=$hub" $far
			hub=$((hub + 1))
		else
			nic_add "$model" "$netdev" 0
		fi
	done
}

add_memory() {
	local i half=$((mem / 2)) n=$((cpus / 2))
	if [ $numa = no ]; then
		machine+=(-m "$mem")
		return
	fi
	machine+=(-m $((half * 2)) -device "pxb-pcie,id=far,bus=pcie.0,bus_nr=128,numa_node=1")
	for i in 0 1; do
		machine+=(-object "memory-backend-ram,id=ram$i,size=${half}M"
			-numa "node,nodeid=$i,memdev=ram$i,cpus=$((i * n))-$((i * n + n - 1))")
	done
}

kernel_options() {
	local options="console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable nowatchdog"
	options+=" no_timer_check norandmaps"
	[ "$gigapages" = 0 ] || options+=" hugepagesz=1G hugepages=$gigapages"
	options+=" hugepagesz=2M hugepages=$hugepages default_hugepagesz=2M"
	[ "$driver" != vfio ] || options+=" intel_iommu=on iommu=nopt"
	echo "$options $append"
}

# Words for any POSIX shell.
quote() {
	local word
	for word; do printf "'%s' " "${word//\'/\'\\\'\'}"; done
}

# The command as a script, what the guest has to know of it, and where its results go.
make_ctl() {
	ctl=$(mktemp -d "$cache/ctl.XXXXXX")
	trap 'rm -rf "$ctl"' EXIT
	mkdir "$ctl/out"
	[ -z "$out" ] || out=$(realpath -m "$out")
	quote "$@" > "$ctl/out/command"
	cat > "$ctl/conf" << END
conf_driver=$driver conf_gigapages=$gigapages conf_out=/run/vm conf_places='$places'
conf_modules='$modules'
conf_dir=$(quote "$PWD")
conf_path=$(quote "$PATH")
END
}

run_guest() {
	local devices=()
	[ "$driver" != vfio ] || devices=(-device "intel-iommu,intremap=off,aw-bits=$bits")
	timeout -k 5 "$seconds" qemu-system-x86_64 -name "ppfrag-vm-$$" -machine q35 \
		-accel tcg,thread=multi -cpu max -smp "$cpus" \
		-display none -nodefaults -no-reboot -no-user-config \
		-serial "file:$ctl/console" -serial stdio \
		-kernel "$vmlinuz" -initrd "$initrd" -append "$(kernel_options)" \
		"${devices[@]}" "${machine[@]}" \
		-fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
		-device virtio-9p-pci,fsdev=host,mount_tag=host,bus=pcie.0,addr=2 \
		-fsdev "local,id=ctl,path=$ctl,security_model=none" \
		-device virtio-9p-pci,fsdev=ctl,mount_tag=ctl,bus=pcie.0,addr=3 \
		< /dev/null 2> "$ctl/errors" | tr -d '\r'
	return "${PIPESTATUS[0]}"
}

# Why a guest ended without a status of its command.
guest_failed() { # status of QEMU
	tail -n 20 "$ctl/errors" >&2
	[ ! -e "$ctl/console" ] || tr -d '\r' < "$ctl/console" | grep -av '^$' | tail -n 30 >&2
	if [ "$1" = 124 ] || [ "$1" = 137 ]; then
		say "the guest did not end within --seconds $seconds"
		exit 124
	fi
	say "the guest did not run the command, QEMU's status is $1: see above"
	exit 125
}

need_tools
mkdir -p "$cache" || unable "cannot write to $cache"
{
	flock 9
	get_kernel
	make_initrd
} 9> "$cache/lock"
if [ $check = yes ]; then
	say "guests can run: $(qemu-system-x86_64 --version | head -n 1), $kernel"
	exit 0
fi
add_memory
add_nics
make_ctl "$@"
run_guest
status=$?
[ -z "$out" ] || { mkdir -p "$out" && rm "$ctl/out/command" && cp -r "$ctl/out/." "$out"; }
[ -s "$ctl/status" ] || guest_failed $status
exit "$(cat "$ctl/status")"
