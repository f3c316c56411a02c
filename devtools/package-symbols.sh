#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Prints the file of symbols that a Debian package of libppool has, out of the version script. Its
# argument is the ABI of DPDK, such as 23.

set -eu

[ $# = 1 ] || { echo "usage: devtools/package-symbols.sh DPDK-ABI" >&2; exit 2; }
map=$(dirname "$0")/../lib/ppool/version.map

# The release that brought a version of the ABI.
# shellcheck disable=SC2016 # of awk
since='$1 == "PPOOL_0" { since = "0.1.0" }'

echo "libppool.so.0 libppool0 #MINVER#, libppool0-dpdk$1"
awk "$since"'
	/^[A-Z]+_[0-9]+ \{/ {
		if (since == "") {
			print "package-symbols.sh: which release brought " $1 "?" > "/dev/stderr"
			exit 1
		}
		node = $1
		print " " node "@" node " " since
	}
	/^\tppool_[a-z0-9_]+;/ { print " " substr($1, 1, length($1) - 1) "@" node " " since }
	/^\}/ { since = "" }' "$map"
