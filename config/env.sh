# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
# shellcheck shell=sh
#
# To be sourced: where things are, and whether DPDK programs have hugepages on this host. Works in
# every POSIX shell; one that does not tell where a sourced file lies, as dash, has to be in the
# checkout. A shell that does not split $PPFRAG_PLUGINS into words, as zsh, needs "setopt
# sh_word_split".
#
#   PPFRAG_ROOT       the checkout
#   PPFRAG_BUILD      its build directory
#   PPFRAG_PLUGINS    EAL options that load pool and driver from there
#   PPFRAG_NO_HUGE    1 where programs must run without hugepages; set it to 1 to force that
#   PPFRAG_MIN_HUGE   megabytes of free hugepages below which there are none worth having
#   ppfrag_eal_mem N  prints the EAL options for N megabytes of memory that a vhost-user peer
#                     can map, hugepages or not
#   ppfrag_place      status 1 where DPDK cannot load what is built there; prints why
#   ppfrag_lcores N   prints what --lcores takes: N lcores on the CPUs there are, in turn

# shellcheck disable=SC3028,SC3054 # in bash this is the file itself, in others nothing
ppfrag_dir=$(dirname "${BASH_SOURCE:-./config/env.sh}")/..
if [ ! -e "$ppfrag_dir/config/env.sh" ]; then
	echo "config/env.sh: this shell does not tell where the file is: cd to the checkout," \
		"then '. config/env.sh'; or use bash" >&2
	# shellcheck disable=SC2317 # where it is executed
	return 1 2> /dev/null || exit 1
fi
PPFRAG_ROOT=$(cd "$ppfrag_dir" && pwd -P)
unset ppfrag_dir
PPFRAG_BUILD=${PPFRAG_BUILD:-$PPFRAG_ROOT/build}
PPFRAG_PLUGINS="-d $PPFRAG_BUILD/lib/ppool/libppool.so"
PPFRAG_PLUGINS="$PPFRAG_PLUGINS -d $PPFRAG_BUILD/drivers/net/ppfrag/librte_net_ppfrag.so"
PPFRAG_MIN_HUGE=${PPFRAG_MIN_HUGE:-1024}

# Megabytes of hugepages of the default size: of the field Total or Free of /proc/meminfo.
ppfrag_huge_mb() {
	awk -v field="HugePages_$1:" '$1 == field { n = $2 } $1 == "Hugepagesize:" { kb = $2 }
		END { print int(n * kb / 1024) }' /proc/meminfo
}

# Where hugetlbfs is mounted with pages of the default size; status 1 where it is not.
ppfrag_huge_dir() {
	awk '$1 == "Hugepagesize:" { kb = $2; next }
		$3 != "hugetlbfs" { next }
		match($4, /(^|,)pagesize=[0-9]+[KMG]/) {
			size = substr($4, RSTART, RLENGTH)
			sub(/.*=/, "", size)
			unit = substr(size, length(size))
			sub(/[KMG]/, "", size)
			if (unit == "M") size *= 1024
			if (unit == "G") size *= 1048576
			if (size != kb) next
		}
		{ print $2 }' /proc/meminfo /proc/mounts | (
		# To the end, or awk fails where pipefail is set.
		found=
		while read -r dir; do
			if [ -z "$found" ] && [ -w "$dir" ]; then found=$dir; fi
		done
		[ -n "$found" ] && echo "$found"
	)
}

ppfrag_eal_mem() {
	if [ "$PPFRAG_NO_HUGE" = 1 ]; then
		echo "--no-huge -m $1"
	else
		# One file descriptor for all memory: the peer takes no more than eight.
		echo "--in-memory --single-file-segments -m $1"
	fi
}

ppfrag_place() {
	case $PPFRAG_BUILD in
	*[\ ,]*)
		echo "$PPFRAG_BUILD: DPDK takes no path with commas or spaces: move the checkout"
		return 1
		;;
	esac
	(
		dir=$(readlink -f "$PPFRAG_BUILD") || dir=$PPFRAG_ROOT
		while true; do
			if [ -e "$dir" ] && [ $((0$(stat -c %a "$dir") & 2)) != 0 ]; then
				echo "$PPFRAG_BUILD lies below $dir, a directory that everybody" \
					"may write to, from which EAL loads no plugin:" \
					"move the checkout"
				exit 1
			fi
			[ "$dir" != / ] || break
			dir=$(dirname "$dir")
		done
	)
}

ppfrag_lcores() {
	/usr/bin/python3 -c '
import os, sys
cpus = sorted(os.sched_getaffinity(0))
print(",".join(f"{i}@{cpus[i % len(cpus)]}" for i in range(int(sys.argv[1]))))' "$1"
}

# What config/setup.sh found out about this host.
if [ -z "${PPFRAG_NO_HUGE:-}" ] && [ -e "$PPFRAG_ROOT/config/eal.local" ]; then
	# shellcheck source=/dev/null
	. "$PPFRAG_ROOT/config/eal.local"
fi
if [ "${PPFRAG_NO_HUGE:-}" != 1 ]; then
	PPFRAG_NO_HUGE=0
	if [ "$(ppfrag_huge_mb Free)" -lt "$PPFRAG_MIN_HUGE" ] ||
		! ppfrag_huge_dir > /dev/null; then
		PPFRAG_NO_HUGE=1
	fi
fi
export PPFRAG_ROOT PPFRAG_BUILD PPFRAG_PLUGINS PPFRAG_NO_HUGE
