#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Every check there is, from a bare machine on. Ends with one line: how many passed, failed and
# were skipped; before it, one for each part and each failure. Output of the parts goes to
# build/test-logs/.

set -uo pipefail

cd "$(dirname "$0")/.." || exit 1

usage() {
	cat << END
usage: devtools/test.sh [--long] [PART...]

  --long    the full numbers of rounds, kills and packets, which take hours; without it they are
            scaled to what two CPUs do in an hour. For every program: PPFRAG_LONG=1

Without a part: all of them, in this order.

  lint      sources, scripts
  model     the models of the counting protocol, all interleavings
  build     gcc and clang, warnings are errors
  unit      the unit suites of dpdk-test-ppool
  sanitize  the same under AddressSanitizer and UndefinedBehaviorSanitizer, with the library's
            own checks (-Dppool_debug=true)
  tsan      the suite threads under ThreadSanitizer
  i386      the unit suites as 32-bit programs
  arm64     the unit suites as programs for 64-bit Arm, under an emulator
  autotest  DPDK's own tests of mempool and mbuf, on this pool
  install   an installation, and programs built against it
  package   Debian packages: made, checked, installed and used in a bare Debian
  doc       guides and reference
  e2e       end to end, with stock DPDK programs
  vm        stock drivers that do DMA, in virtual machines; needs QEMU

End to end runs beside the others where there are two CPUs, and hugepages for both.

Environment: PPFRAG_NO_HUGE=1 runs everything without hugepages, PPFRAG_LONG=1 is --long.
END
}

parts=(lint model build unit sanitize tsan i386 arm64 autotest install package doc e2e vm)
passed=0
failed=0
skipped=0
failures=()
summary=()
details=() # of failures, for the end: some show nothing but the end

add() { # passed, failed, skipped
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

fail() {
	add 0 1 0
	failures+=("$1")
	echo "FAILED: $1"
}

# Keep the lines of a log that tell what failed.
detail() { # log
	local lines='\[  (FAILED|ERROR  ) \] test|runtime error|Sanitizer:|PANIC|^(FAILED|E  ) '
	details+=("$(grep -a -E -B 6 -A 3 "$lines" "$1" | cut -c -200 | tail -n 40)")
}

# Run a command that is one test. Its output is shown where it fails.
one() {
	local name=$1 log
	shift
	log=$logs/${name//[^a-zA-Z0-9]/-}.log
	if progress_run "$name" "$log" "$@"; then
		add 1 0 0
		echo "passed: $name"
	else
		tail -n 60 "$log"
		details+=("$(tail -n 10 "$log" | cut -c -200)")
		fail "$name (log: $log)"
		return 1
	fi
}

# Tell what a log stopped at, each time it did not grow for some seconds. Without a program that
# sleeps: it would outlive this and keep a pipe to a reader open.
watch_log() { # name, log
	local start=$SECONDS size=-1 now quiet
	exec {quiet}<> <(:)
	while true; do
		read -r -t 15 -u "$quiet" || true
		now=$(stat -c %s "$2")
		[ "$now" != "$size" ] ||
			echo "$1: $((SECONDS - start)) s: $(tail -n 1 "$2" | cut -c -120)"
		size=$now
	done
}

# Run a command that shows what it does, and tell when it has not for long. Its status.
shown() {
	local name=$1 log=$2 watcher status
	shift 2
	: > "$log"
	watch_log "$name" "$log" &
	watcher=$!
	"$@" 2>&1 < /dev/null | tee "$log"
	status=${PIPESTATUS[0]}
	{
		kill "$watcher"
		wait "$watcher"
	} 2> /dev/null
	return "$status"
}

# Run a script that ends with a line of counts.
counted() {
	local name=$1 log=$logs/$1.log line
	shift
	shown "$name" "$log" "$@"
	line=$(tail -n 1 "$log")
	if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
		add "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[4]:-0}"
		[ "${BASH_REMATCH[2]}" = 0 ] || {
			failures+=("$name (log: $log)")
			detail "$log"
		}
	else
		fail "$name: no result (log: $log)"
	fi
}

part_lint() { counted lint devtools/lint.sh; }

part_model() { counted model devtools/model/run.sh; }

# A build directory with a compiler and options of its own.
build() {
	local dir=$1 cc=$2
	shift 2
	[ -e "$dir/build.ninja" ] || CC=$cc meson setup "$dir" "$@" || return 1
	ninja -C "$dir"
}

# As with a DPDK that was built with enable_iova_as_pa=false. It cannot run with this one.
build_without_iova() {
	local dir=$PWD/build-no-iova config
	# shellcheck disable=SC2046 # flags
	config=$(echo '#include <rte_build_config.h>' | cc $(pkg-config --cflags libdpdk) -E - |
		sed -nE 's/^# 1 "(.*rte_build_config[.]h)".*/\1/p' | head -n 1)
	mkdir -p "$dir-include"
	sed -E 's/^(#define RTE_IOVA_(AS_PA|IN_MBUF)) 1$/\1 0/' "$config" > "$dir-include/new"
	! cmp "$config" "$dir-include/new" || return 1
	# One that is new has all compiled again.
	cmp -s "$dir-include/new" "$dir-include/rte_build_config.h" ||
		mv "$dir-include/new" "$dir-include/rte_build_config.h"
	build "$dir" gcc --werror -Ddocs=disabled "-Dc_args=-I$dir-include"
}

part_build() {
	one "build with gcc" build build-gcc gcc --werror
	one "build with clang" build build-clang clang --werror
	one "driver headers that do not fit" config/driver-probe-test.sh
	one "build without IOVAs in mbufs" build_without_iova
}

# Run the unit suites of a build directory, or those in $suites, with more EAL options, and add what
# they report.
unit() {
	local name=$1 dir=$2 log json counts status
	shift 2
	log=$logs/${name//[^a-zA-Z0-9]/-}.log
	json=${log%.log}.json
	rm -f "$json"
	# shellcheck disable=SC2086 # options
	progress_run "$name" "$log" timeout "$unit_limit" $fixed_addresses \
		"$dir/app/test-ppool/dpdk-test-ppool" $unit_mem \
		--file-prefix "ppfrag-unit-$$" --no-pci --lcores "$lcores4" \
		-d "$dir/drivers/net/ppfrag/librte_net_ppfrag.so" "$@" \
		-- unit --json "$json" ${suites-}
	status=$?
	counts=$(/usr/bin/python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print(r["tests"] - r["failed"] - r["skipped"], r["failed"], r["skipped"])' "$json" 2> /dev/null)
	if [ -z "$counts" ]; then
		tail -n 60 "$log"
		details+=("$(tail -n 20 "$log" | cut -c -200)")
		fail "$name: no result, status $status (log: $log)"
		return
	fi
	# shellcheck disable=SC2086 # three numbers
	add $counts
	echo "$name: $(tail -n 1 "$log")"
	if [ $status != 0 ]; then
		grep -a -B 20 -E '\[  (FAILED|ERROR  ) \]|runtime error|Sanitizer' "$log" |
			tail -n 80
		failures+=("$name (log: $log)")
		detail "$log"
		# All tests passed, but not the program.
		[ "$(echo "$counts" | cut -d ' ' -f 2)" != 0 ] || add 0 1 0
	fi
}

part_unit() { unit "unit" "$PPFRAG_BUILD"; }

# The example with a stock driver, for some seconds; it ends with an error if its books are wrong.
example_run() { # program, EAL options
	local mem
	mem=$(ppfrag_eal_mem 256)
	# shellcheck disable=SC2086 # options
	timeout --preserve-status -s INT 4 "$@" $mem --no-pci -l 0 \
		--file-prefix "ppfrag-example-$$" \
		--vdev "net_pcap0,rx_pcap=tests/data/tcp.pcap,infinite_rx=1" -- --budget tcp=2M
}

# LeakSanitizer does not know what hugepages refer to; the suites look for leaks themselves.
# The shadow memory lies where EAL would put its own, which a secondary process has to do as well.
part_sanitize() {
	local -x ASAN_OPTIONS=detect_leaks=0
	local -x UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	one "build with sanitizers" build build-sanitize gcc -Dbuildtype=debugoptimized \
		-Db_sanitize=address,undefined -Dppool_debug=true || return
	unit "unit under sanitizers" build-sanitize --base-virtaddr=0x200000000000
	one "example under sanitizers" example_run build-sanitize/examples/dpdk-ppool-hold \
		--base-virtaddr=0x200000000000
}

# DPDK's libraries are not built for it: what they call in libc is left out. See devtools/tsan.supp.
# Without other processes there is no thread of EAL that ends in the midst of such a call.
part_tsan() {
	local options="suppressions=$PWD/devtools/tsan.supp:ignore_noninstrumented_modules=1"
	one "build with ThreadSanitizer" build build-tsan gcc -Dbuildtype=debugoptimized \
		-Db_sanitize=thread || return
	suites=threads TSAN_OPTIONS=$options:history_size=4 \
		unit "threads under ThreadSanitizer" build-tsan --in-memory
	grep -o '[0-9]* actors took.*' "$logs/threads-under-ThreadSanitizer.log"
}

# Library and tests for another architecture; status 0 where they can be run.
cross_build() {
	local log=$logs/cross-$1.log status
	devtools/cross.sh "$1" 2>&1 < /dev/null | tee "$log"
	status=${PIPESTATUS[0]}
	case $status in
	0) add 1 0 0 ;;
	77) add 0 0 1 ;;
	*) fail "build for $1 (log: $log)" ;;
	esac
	return "$status"
}

# The unit suites for another architecture, with its own plugins.
cross_unit() { # name, architecture, EAL options
	unit "$1" "build-cross/$2/build" -d "$(echo "build-cross/$2/root/usr/lib"/*/dpdk/pmds-*)" \
		"${@:3}"
}

# What memory of another kind makes a difference to.
memory_suites="mempool frag slots slots_hard keep ledger secondary info create sizing dma port share
	reconnect rings iova"

# At addresses between program and libraries: a secondary process has to find them free, too.
part_i386() {
	local suites=${suites-}
	cross_build i386 || return
	if [ "$PPFRAG_NO_HUGE" = 1 ]; then
		echo "skipped: unit as i386 with hugepages, there are none"
		add 0 0 1
	else
		unit_mem="-m 512" cross_unit "unit as i386" i386 --base-virtaddr=0x60000000
		[ "${PPFRAG_LONG:-}" = 1 ] || suites=${suites:-$memory_suites}
	fi
	unit_mem="--no-huge -m 512" cross_unit "unit as i386 without hugepages" i386
}

# Suite by suite: an emulator takes its time, and does not run the full numbers.
part_arm64() {
	local -x PPFRAG_LONG=0
	local suite names emulator="qemu-aarch64 -L $PWD/build-cross/arm64/root"
	cross_build arm64 || return
	mapfile -t names < <(sed -n 's/^\t&suite_\([a-z_]*\),$/\1/p' app/test-ppool/cmd_unit.c)
	for suite in "${names[@]}"; do
		suites=$suite fixed_addresses=$emulator unit_mem="--no-huge -m 512" \
			cross_unit "unit as arm64, $suite" arm64
	done
}

autotest() {
	local name=$1 mem
	mem=$(ppfrag_eal_mem 1024)
	# shellcheck disable=SC2086 # options
	DPDK_TEST=$name timeout 600 dpdk-test $mem --file-prefix "ppfrag-$name-$$" --no-pci \
		--lcores "$lcores2" -d "$PPFRAG_BUILD/lib/ppool/libppool.so" \
		--mbuf-pool-ops-name=ppfrag | tee "$logs/$name.out"
	grep -q '^Test OK' "$logs/$name.out"
}

part_autotest() {
	one "mempool_autotest" autotest mempool_autotest
	one "mbuf_autotest" autotest mbuf_autotest
}

# Everything under one prefix, the plugin directory too.
install_prefix() {
	rm -rf "$prefix"
	build build-install gcc --prefix "$prefix" --libdir lib -Dplugin_dir="$prefix/lib/plugins" \
		-Ddocs=disabled || return 1
	meson install -C build-install --no-rebuild
}

# Where packages are made: the plugins lie where EAL of this DPDK looks.
install_destdir() {
	local dir pc
	rm -rf "$prefix.dest"
	DESTDIR=$prefix.dest meson install -C "$PPFRAG_BUILD" --no-rebuild || return 1
	pc=$(find "$prefix.dest" -name ppool.pc)
	dir=$prefix.dest$(sed -n 's/^plugindir=//p' "$pc")
	ls -l "$dir"
	[ -e "$dir/libppool.so" ] && [ -e "$dir/librte_net_ppfrag.so" ]
}

# The build tree's library beside the installed one: the first is used, the other one says so.
two_copies() {
	local plugins log=$logs/two-copies.out mem
	mem=$(ppfrag_eal_mem 256)
	plugins=$(dirname "$(find "$prefix.dest" -name librte_net_ppfrag.so)")
	# shellcheck disable=SC2086 # options
	timeout 300 "$PPFRAG_BUILD/app/test-ppool/dpdk-test-ppool" $mem --no-pci \
		--lcores "$lcores4" --file-prefix "ppfrag-twice-$$" -d "$plugins" \
		-- unit info > "$log" 2>&1
	tail -n 1 "$log" | grep PASSED && grep 'libppool is loaded twice' "$log"
}

consumer_build() {
	local cc=$1 lang=$2
	local flags
	flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs ppool)
	# shellcheck disable=SC2086 # flags
	"$cc" -x "$lang" -Wall -Wextra -Werror -O2 "$consumer_dir/consumer.c" \
		-o "$consumer_dir/$lang" $flags
}

# Linked, and once more as a plugin: it must be one library, or its ops are registered twice.
consumer_run() {
	local mem
	mem=$(ppfrag_eal_mem 64)
	# shellcheck disable=SC2086 # options
	LD_LIBRARY_PATH=$prefix/lib timeout 60 "$consumer_dir/$1" $mem --no-pci -l 0 \
		--file-prefix "ppfrag-consumer-$$" -d "$prefix/lib/plugins"
}

# The example as it is installed, by its own Makefile.
example_build() {
	cp -r "$prefix/share/ppfrag/examples/ppool-hold" "$consumer_dir" &&
		CFLAGS="-Wall -Wextra -Werror" PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
			make -C "$consumer_dir/ppool-hold"
}

example_installed() {
	LD_LIBRARY_PATH=$prefix/lib example_run "$consumer_dir/ppool-hold/ppool-hold" \
		-d "$prefix/lib/plugins"
}

part_install() {
	prefix=$PWD/build-install-root
	consumer_dir=$(mktemp -d)
	cp devtools/consumer.c "$consumer_dir"
	one "install under a prefix" install_prefix &&
		one "program against ppool.pc" consumer_build cc c &&
		one "program against ppool.pc runs" consumer_run c &&
		one "C++ program against ppool.pc" consumer_build c++ c++ &&
		one "C++ program against ppool.pc runs" consumer_run c++ &&
		one "example against ppool.pc" example_build &&
		one "example against ppool.pc runs" example_installed
	one "install for a package" install_destdir &&
		one "library of build tree and installation" two_copies
	rm -rf "$consumer_dir" "$prefix" "$prefix.dest"
}

part_package() { counted package devtools/package-test.sh; }

part_doc() { one "doc" ninja -C "$PPFRAG_BUILD" doc; }

part_e2e() {
	local xml=$logs/e2e.xml counts status
	rm -f "$xml"
	PYTHONUNBUFFERED=1 shown e2e "$logs/e2e.log" \
		timeout --foreground -s INT -k 60 "$e2e_limit" \
		/usr/bin/python3 -m pytest -v -ra --durations=10 tests \
		--builddir "$PPFRAG_BUILD" -p no:cacheprovider --junitxml "$xml"
	status=$?
	counts=$(/usr/bin/python3 -c '
import sys, xml.etree.ElementTree as tree
s = next(tree.parse(sys.argv[1]).iter("testsuite")).attrib
failed = int(s["failures"]) + int(s["errors"])
print(int(s["tests"]) - failed - int(s["skipped"]), failed, s["skipped"])' "$xml" 2> /dev/null)
	if [ -z "$counts" ]; then
		fail "e2e: no result, status $status"
		return
	fi
	# shellcheck disable=SC2086 # three numbers
	add $counts
	if [ $status != 0 ]; then
		failures+=("e2e (log: $logs/e2e.log)")
		detail "$logs/e2e.log"
	fi
	if [ $status != 0 ] && [ "$(echo "$counts" | cut -d ' ' -f 2)" = 0 ]; then
		add 0 1 0
	fi
}

# Guests with NICs, where this host can run them.
vm_tests() {
	local log=$logs/vm-pytest.log status word n=()
	devtools/vm.sh --check 2>&1 || {
		echo "0 passed, 0 failed, 1 skipped"
		return
	}
	timeout "$e2e_limit" /usr/bin/python3 -m pytest -v -ra tests/test_vm.py \
		--builddir "$PPFRAG_BUILD" -p no:cacheprovider 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	for word in PASSED 'FAILED|ERROR' SKIPPED; do
		n+=("$(grep -cE "^tests/.* ($word)( |$)" "$log")")
	done
	[ "$status" = 0 ] || [ "${n[1]}" != 0 ] || n[1]=1
	echo "${n[0]} passed, ${n[1]} failed, ${n[2]} skipped"
}

part_vm() { counted vm vm_tests; }

# What a part does, as the usage has it.
part_text() { usage | sed -n "s/^  $1  *//p"; }

wanted=()
for arg; do
	case $arg in
	-h | --help)
		usage
		exit 0
		;;
	--long)
		export PPFRAG_LONG=1
		continue
		;;
	esac
	case " ${parts[*]} " in
	*" $arg "*) wanted+=("$arg") ;;
	*)
		echo "test.sh: there is no part '$arg'; parts are: ${parts[*]}" >&2
		exit 2
		;;
	esac
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${parts[@]}")

config/setup.sh --tests --check > /dev/null 2>&1 || config/setup.sh --tests || {
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}
# shellcheck source=config/env.sh
. config/env.sh
# shellcheck source=config/progress.sh
. config/progress.sh
logs=$PPFRAG_BUILD/test-logs
mkdir -p "$logs"
progress_run "build" "$logs/build.log" ninja -C "$PPFRAG_BUILD" || {
	tail -n 40 "$logs/build.log"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}

if [ "$PPFRAG_NO_HUGE" = 1 ]; then
	echo "No hugepages: everything runs with --no-huge"
	unit_mem="--no-huge -m 1024"
else
	unit_mem="-m 1024"
fi

# EAL's memory must be at the same address in two processes. Not every host lets us.
fixed_addresses=
if setarch -R true 2> /dev/null; then fixed_addresses="setarch -R"; fi

lcores2=$(ppfrag_lcores 2)
lcores4=$(ppfrag_lcores 4)

if [ "${PPFRAG_LONG:-}" = 1 ]; then
	echo "Full numbers of rounds, kills and packets: this takes hours"
	unit_limit=14400
	e2e_limit=43200
else
	unit_limit=900
	e2e_limit=3600
fi

# End what runs beside us, and remove what EAL leaves of programs that have ended.
runtime=$([ "$(id -u)" = 0 ] && echo /var/run/dpdk || echo "${XDG_RUNTIME_DIR:-/tmp}/dpdk")
cleanup() {
	[ -z "$beside" ] || kill -INT -- "-$beside" 2> /dev/null
	rm -rf "$runtime"/ppfrag-*-$$
}
beside=
trap cleanup EXIT

# A part, and its line of the summary.
part_run() {
	local start=$SECONDS before=("$passed" "$failed" "$skipped")
	echo "== $1: $(part_text "$1")"
	"part_$1"
	summary+=("$(printf '%-9s %4d passed, %d failed, %d skipped in %d s' "$1:" \
		$((passed - before[0])) $((failed - before[1])) $((skipped - before[2])) \
		$((SECONDS - start)))")
	echo "== ${summary[-1]}"
}

# Programs of e2e wait for each other, and for what must not happen: other parts run meanwhile.
# There must be hugepages for both: it decides at its start whether to do without them, and so do
# some unit suites.
beside_can() {
	[[ ${#wanted[@]} -gt 1 && " ${wanted[*]} " == *" e2e "* ]] || return 1
	[ "$(nproc)" -ge 2 ] || return 1
	[ "$PPFRAG_NO_HUGE" = 1 ] || [ "$(ppfrag_huge_mb Free)" -ge 3072 ]
}

array_print() { # name
	local -n values=$1
	[ ${#values[@]} = 0 ] || printf "$1+=(%q)\n" "${values[@]}"
}

# What a shell has to run to add the results of this one to its own.
results_print() {
	echo "add $passed $failed $skipped"
	array_print failures
	array_print details
	array_print summary
}

# In a process group of its own, which can be ended. What it says is shown when it is its turn.
beside_start() { # part
	rm -f "$logs/beside.results"
	: > "$logs/beside.log"
	set -m
	{
		part_run "$1" > "$logs/beside.log" 2>&1
		results_print > "$logs/beside.results"
	} &
	beside=$!
	set +m
	echo "$1 runs beside the other parts (log: $logs/$1.log)"
}

beside_join() { # part
	tail -n +1 -f --pid="$beside" "$logs/beside.log"
	wait "$beside"
	beside=
	# shellcheck source=/dev/null
	. "$logs/beside.results" || fail "$1: no result (log: $logs/beside.log)"
}

if beside_can; then beside_start e2e; fi
for part in "${wanted[@]}"; do
	if [ "$part" = e2e ] && [ -n "$beside" ]; then beside_join e2e; else part_run "$part"; fi
done

echo "== all"
printf '%s\n' "${details[@]}" "${summary[@]}"
for f in "${failures[@]}"; do echo "FAILED: $f"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
