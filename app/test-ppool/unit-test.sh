#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# One suite for "meson test": dpdk-test-ppool with the options that this host allows. Status 77,
# which is a skipped test, where EAL cannot run at all.

set -uo pipefail

if [ $# -lt 3 ]; then
	echo "usage: unit-test.sh PROGRAM DRIVER SUITE [EAL options]" >&2
	exit 2
fi
program=$1
driver=$2
suite=$3
shift 3

# shellcheck source=config/env.sh
. "$(dirname "$0")/../../config/env.sh"

memory=(-m 1024)
if [ "$PPFRAG_NO_HUGE" = 1 ]; then memory+=(--no-huge); fi

# EAL memory must be free at the same addresses in the processes that a suite starts.
fixed_addresses=()
if setarch -R true 2> /dev/null; then fixed_addresses=(setarch -R); fi

prefix=ppfrag-$suite-$$
log=$(mktemp)
trap 'rm -rf "$log" "/var/run/dpdk/$prefix"' EXIT
"${fixed_addresses[@]}" "$program" "${memory[@]}" --file-prefix "$prefix" --no-pci \
	--lcores "$(ppfrag_lcores 4)" -d "$driver" "$@" -- unit "$suite" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" != 0 ] && grep -q '^EAL does not start' "$log"; then exit 77; fi
exit "$status"
