#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Checks the models of this directory with spin, all states of each; then breaks each of them on
# purpose and looks whether spin finds out. The last line counts.

set -uo pipefail

usage() {
	cat << END
usage: devtools/model/run.sh [--proof | --self-test]

  --proof      only the models as they are
  --self-test  only the broken ones, each of which must be found wrong
END
}

# Model, what is particular, options. Exhaustive: each takes seconds, and less than 1 GB.
proofs=(
	"count|a page of up to 4 frags, opened 3 times|-DROOM=7 -DMAX=4"
	"count|2 pages of up to 2 frags, opened 3 times|-DPAGES=2 -DROOM=3 -DMAX=2"
	"park|2 carvers, 2 lcores and another thread, 3 opens|"
	"park|2 carvers, an lcore and 2 other threads, 3 opens|-DSECOND=0"
	"park|2 carvers, 2 lcores, 2 pages, 2 opens|-DPAGES=2 -DOPENS=2 -DNO_HELPER"
	"lock|biased|-DOWNER_ROUNDS=2"
	"lock|biased, the owner ends or is stopped|-DFATE=0 -DOWNER_ROUNDS=2"
	"lock|biased, a visitor ends or is stopped|-DFATE=1"
	"lock|plain|-DPLAIN -DOWNER_ROUNDS=2 -DVISITOR_ROUNDS=2"
	"lock|plain, one ends or is stopped|-DPLAIN -DFATE=1"
	"lists|3 pages, 2 processes, one ends|"
	"depot|a page of 2 slots, every store a step, one ends|-DFINE"
	"depot|a page of 3 slots, one ends|-DSLOTS=3 -DFEWER_FILLS -DFINE -DOTHER_CALLS=0"
	"depot|2 pages of 2 slots, one ends, the other only recovers|-DPAGES=2 -DOTHER_CALLS=0"
	"depot|2 pages of a slot, one ends|-DPAGES=2 -DSLOTS=1"
	"depot|one ended in the depot before another one does|-DSLOTS=3 -DSCRAMBLE -DOTHER_CALLS=0"
	"format|a page in 3 lives, recovery and a ledger|"
)

# Model, what is wrong, option.
mutations=(
	"count|ppool_page_drop() is no atomic operation|-DNON_ATOMIC_DROP"
	"count|users and bytes are dropped one after the other|-DTWO_COUNTS"
	"count|ppool_page_drop() reads the count again|-DLOAD_AFTER_DROP"
	"count|ppool_page_settle() forgets a user|-DSETTLE_FORGETS_USER"
	"count|ppool_page_settle() takes a user too many|-DSETTLE_TAKES_USER"
	"count|ppool_page_settle() forgets what the owner dropped, in bytes|-DSETTLE_FORGETS_BYTES"
	"count|ppool_page_settle() leaves owner_drop to the next opening|-DSETTLE_KEEPS_OWNER_DROP"
	"count|ppool_page_settle() leaves the owner|-DSETTLE_KEEPS_OWNER"
	"count|a page is closed after its last frag was handed out|-DCLOSE_LATE"
	"park|carver_pass() without the lock of the former owner|-DCHANGE_UNLOCKED"
	"park|the owner drops without its lock|-DDROP_UNLOCKED"
	"park|a carver moves without carver_pass()|-DCOMMIT_WITHOUT_OWNER"
	"park|lane_adopt() without the depot lock|-DADOPT_UNLOCKED"
	"park|lane_adopt() forgets the user of the parking|-DADOPT_FORGETS_PARKING"
	"park|lane_abandon() parks a page that nothing was cut off|-DABANDON_UNUSED"
	"park|lane_abandon() keeps no user for the parking|-DABANDON_WITHOUT_USER"
	"park|ppool_park_release() without the depot lock|-DRELEASE_UNLOCKED"
	"park|an adopted page is taken for a mono-frag|-DMONO_UNCHECKED"
	"lock|no membarrier()|-DNO_MEMBARRIER"
	"lock|the owner looks at revoked before it is busy|-DLOAD_REVOKED_FIRST"
	"lock|the owner waits busy|-DWAIT_BUSY"
	"lock|the owner is not busy again after it waited|-DWAIT_NOT_BUSY_AGAIN"
	"lock|the owner stays busy where it gives up|-DTRY_BUSY"
	"lock|the visitor leaves revoked to the next one|-DUNLOCK_BEFORE_REVOKED"
	"lock|the owner reads ahead of revoked|-DLOAD_AHEAD"
	"lock|the visitor that gives up leaves it revoked|-DGIVE_UP_REVOKED"
	"lock|the mutex is taken over from a process that is alive|-DTAKE_OVER_ALIVE"
	"lock|two take the mutex over from the same process|-DTAKE_OVER_TWICE -DFATE=1"
	"lock|a process that is stopped is waited for, in the mutex|-DMUTEX_FOR_EVER -DFATE=1"
	"lock|the owner leaves it revoked by a process that has ended|-DWAIT_REVOKED -DFATE=1"
	"lock|the visitor waits for an owner that has ended|-DOWNER_NEVER_DEAD -DFATE=0"
	"lock|the visitor takes an owner for one that has ended|-DOWNER_TAKEN_FOR_DEAD"
	"lock|the visitor waits for an owner that is stopped|-DOWNER_FOR_EVER -DFATE=0"
	"lists|the lists of a process that is alive are taken over|-DTAKE_OVER_LISTS"
	"lists|the shared lock of a process that is alive is taken over|-DTAKE_OVER_SHARED"
	"lists|no magazines_repair()|-DNO_REPAIR"
	"lists|loose_push() counts before it copies|-DLOOSE_COUNT_FIRST"
	"lists|ppool_lcore_push_pages() counts before it copies|-DPUSH_COUNT_FIRST"
	"lists|loose_provide() pushes before it shortens|-DPROVIDE_TWICE"
	"lists|lcore_loosen() pushes before it shortens|-DLOOSEN_TWICE"
	"lists|lcore_flush() pushes before it shortens|-DFLUSH_TWICE"
	"lists|lcore_visit() pushes before it shortens|-DVISIT_TWICE"
	"lists|lcore_visit() moves what is listed|-DVISIT_MOVES_LISTED"
	"lists|lcore_pop() fills the list before the magazine is empty|-DPOP_SPARE_TWICE"
	"lists|lcore_put() fills the magazine before it shortens|-DSPARE_TWICE"
	"lists|lcore_gather() fills the list before it shortens|-DREFILL_TWICE"
	"lists|trade_full() swaps a magazine that is full|-DTRADE_FULL_AT_ONCE"
	"lists|trade_empty() swaps a magazine that is listed|-DTRADE_EMPTY_AT_ONCE"
	"lists|pages are marked after they are listed|-DMARK_LATE"
	"lists|refill_shared() counts limbo as at hand|-DCOUNT_LIMBO"
	"lists|limbo_drain() takes all at once, marked as they are|-DLIMBO_AT_ONCE"
	"lists|limbo_push() counts after it puts|-DLIMBO_COUNT_LATE"
	"depot|the list of an lcore that is alive is taken over|-DTAKE_OVER_LISTS"
	"depot|the depot lock of a process that is alive is taken over|-DTAKE_OVER_DEPOT"
	"depot|no depot_repair()|-DNO_REPAIR"
	"depot|depot_repair() reads slots that are not formatted|-DREPAIR_ALL"
	"depot|depot_format() counts before it writes|-DFORMATTED_FIRST"
	"depot|depot_format() leaves slots nobody's|-DFORMAT_UNMARKED"
	"depot|ppool_page_split() keeps what was formatted|-DSPLIT_KEEPS_FORMATTED"
	"depot|ppool_page_split() sets the kind first|-DSPLIT_KIND_FIRST"
	"depot|depot_unlist() leaves slots nobody's|-DUNLIST_UNMARKED"
	"depot|depot_push() leaves slots somebody's|-DPUSH_KEEPS_OWNER"
	"depot|depot_set_idle() leaves a page in its list|-DSET_IDLE_STAYS"
	"depot|a page goes home with a slot in use|-DHOME_TOO_EARLY"
	"depot|a page goes home and stays in its list|-DHOME_LISTED"
	"depot|limbo_drain() marks slots after it took them|-DDRAIN_MARKS_LATE"
	"depot|lcore_slots_pop_all() marks slots after it took them|-DTAKE_MARKS_LATE"
	"depot|run_put() leaves slots those of another owner|-DPUT_UNMARKED"
	"depot|ppool_lcore_add_slots() counts before it copies|-DPUSH_COUNT_FIRST"
	"depot|lcore_slots_cool() moves what is listed|-DSLOTS=3 -DCOOL_MOVES_LISTED"
	"depot|no lcore_slots_unmark()|-DNO_UNMARK"
	"format|ppool_page_split() keeps what was formatted|-DSPLIT_KEEPS_FORMATTED"
	"format|ppool_page_split() sets the kind first|-DSPLIT_KIND_FIRST"
	"format|depot_format() counts before it writes|-DFORMATTED_FIRST"
	"format|a reader does not look at what is formatted|-DFORMATTED_UNCHECKED"
	"format|slot_is_theirs() without the depot lock|-DHARVEST_UNLOCKED"
	"format|slot_is_theirs() reads the owner before the lock only|-DHARVEST_OWNER_ONCE"
)

max_depth=100000
max_mb=3500
generate() { # model, optimisation, options
	# spin writes to its working directory.
	cd "$tmp" && spin -a "${@:3}" "$dir/$1.pml" &&
		gcc "$2" -w -DSAFETY -DCOLLAPSE -DMEMLIM=$max_mb -o pan pan.c
}

# Generate, compile and run the checker of a model. Its output goes to $tmp/pan.out.
check() { # model, optimisation, options
	rm -f "$tmp"/pan*
	if ! generate "$@" > "$tmp/spin.out" 2>&1; then
		cat "$tmp/spin.out"
		return 1
	fi
	"$tmp/pan" -m$max_depth > "$tmp/pan.out" 2>&1
}

# A figure of the last run.
figure() { sed -nE "s/$1/\\1/p" "$tmp/pan.out" | head -n 1; }

# What the last run found wrong with the model, if anything.
violation() { figure '^pan:1: (.*) \(at depth .*'; }

# Whether the last run has seen all states: neither memory nor depth nor time cut it short.
exhaustive() {
	grep -q '^Full statespace search for:' "$tmp/pan.out" &&
		grep -q 'invalid end states[[:blank:]]*+' "$tmp/pan.out" &&
		grep -q 'assertion violations[[:blank:]]*+' "$tmp/pan.out" &&
		grep -q 'errors: 0$' "$tmp/pan.out" &&
		! grep -qE 'not completed|depth too small|out of memory|Truncated' "$tmp/pan.out"
}

# The checker of depot.pml is large: it takes longer to be optimised than to run.
optimisation() { # model
	[ "$1" = depot ] && echo -O0 || echo -O1
}

prove() { # model, what, options
	local start=$SECONDS
	# shellcheck disable=SC2086 # options
	if check "$1" "$(optimisation "$1")" $3 && exhaustive; then
		printf 'passed: %s: %s: %s states, depth %s, %.0f MB, %u s\n' "$1" "$2" \
			"$(figure ' *([0-9.e+]+) states, stored.*')" \
			"$(figure '.*depth reached ([0-9]+),.*')" \
			"$(figure ' *([0-9.]+)[[:blank:]]+total actual memory usage')" \
			$((SECONDS - start))
	else
		[ ! -e "$tmp/pan.out" ] || cat "$tmp/pan.out"
		if [ -e "$tmp/$1.pml.trail" ]; then
			# shellcheck disable=SC2086 # options
			spin -k "$tmp/$1.pml.trail" -p $3 "$dir/$1.pml"
		fi
		echo "FAILED: $1: $2: $(violation)"
	fi
	rm -f "$tmp"/*.trail
}

refute() { # model, what is wrong, option
	local found=
	# The search ends at the first error. Quick to compile matters more than quick to run.
	# shellcheck disable=SC2086 # options
	check "$1" -O0 $3 && found=$(violation)
	if [ -n "$found" ]; then
		echo "passed: $1: found: $2: $found"
	else
		echo "FAILED: $1: not found: $2 ($3)"
	fi
	rm -f "$tmp"/*.trail
}

proof=yes
self_test=yes
case ${1:-} in
"") ;;
--proof) self_test=no ;;
--self-test) proof=no ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

for tool in spin gcc; do
	command -v "$tool" > /dev/null && continue
	echo "$tool is missing: apt-get install $tool"
	echo "0 passed, 1 failed"
	exit 1
done

dir=$(cd "$(dirname "$0")" && pwd -P) || exit 1
all=$(mktemp -d) || exit 1
trap 'rm -rf "$all"' EXIT

proofs_run() {
	local line model what options

	for line in "${proofs[@]}"; do
		IFS='|' read -r model what options <<< "$line"
		prove "$model" "$what" "$options"
	done
}

mutations_run() {
	local line model what option

	for line in "${mutations[@]}"; do
		IFS='|' read -r model what option <<< "$line"
		refute "$model" "$what" "$option"
	done
}

# Both at the same time, each in a directory of its own. What each prints is counted at the end.
part() { # function
	mkdir "$all/$1" && tmp=$all/$1 && $1 | tee "$all/$1.log"
}

[ $proof = no ] || part proofs_run &
[ $self_test = no ] || part mutations_run &
wait
passed=$(cat "$all"/*.log | grep -c '^passed: ')
failed=$(cat "$all"/*.log | grep -c '^FAILED: ')
expected=0
[ $proof = no ] || expected=$((expected + ${#proofs[@]}))
[ $self_test = no ] || expected=$((expected + ${#mutations[@]}))
# One that says nothing has failed, too.
failed=$((failed + expected - passed - failed))
echo "$passed passed, $failed failed"
[ $failed = 0 ]
