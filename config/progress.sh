# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
# shellcheck shell=bash
#
# To be sourced: long steps that say how far they are.
#
#   progress_run WHAT LOG COMMAND...  run a command, its output in a file, and print its last line
#                                     there every ten seconds; the command's status

# What the end of a log says of ninja, cppcheck, curl or apt. Of apt what APT::Status-Fd brings: the
# messages of packages in between do not tell how far it is.
progress_last() {
	local lines status
	lines=$(tail -c 4000 "$1" | tr '\r' '\n' | grep -v '^[[:blank:]]*$') || true
	status=$(grep -E '^(pm|dl)status:' <<< "$lines") || true
	tail -n 1 <<< "${status:-$lines}" |
		sed -E 's/^(pm|dl)status:[^:]*:([0-9]+)[^:]*:/\2 %: /' | cut -c -90
}

# Ends with the script, as Ctrl-C does not reach what runs in the background. Without a program that
# sleeps: it would outlive this and keep a pipe to a reader open.
progress_watch() {
	local what=$1 log=$2 start=$SECONDS quiet
	exec {quiet}<> <(:)
	while true; do
		read -r -t 10 -u "$quiet" || true
		kill -0 $$ 2> /dev/null || return 0
		echo "$what: $((SECONDS - start)) s: $(progress_last "$log")"
	done
}

progress_run() {
	local what=$1 log=$2 status=0 watcher
	shift 2
	: > "$log"
	progress_watch "$what" "$log" &
	watcher=$!
	"$@" > "$log" 2>&1 < /dev/null || status=$?
	{
		kill "$watcher"
		wait "$watcher"
	} 2> /dev/null || true
	return $status
}
