#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
#
# Checks the sources, without building them. One line for each check that fails, after what it
# found; the last line counts them.

set -uo pipefail

usage() {
	cat << END
usage: devtools/lint.sh [--fix]

  --fix  format the C sources first
END
}

cd "$(dirname "$0")/.." || exit 1
passed=0
failed=0
skipped=0

# Our files whose name matches one of the patterns.
files() {
	local p args=()
	for p in "$@"; do args+=(-o -name "$p"); done
	find . \( -name .git -o -name 'build*' -o -name .driver-sdk -o -name __pycache__ \
		-o -name .pytest_cache \) -prune -o -type f \( "${args[@]:1}" \) -print | sort
}

# Scripts of a language, by the names of its files or by the first line.
scripts() {
	{
		files "$2"
		# shellcheck disable=SC2016 # of awk
		files '*' | grep -vE '/[^/]*[.][^/]*$|/LICENSE$' |
			xargs -d "\n" awk -v l="$1\$" \
				'FNR == 1 && /^#!/ && $0 ~ l { print FILENAME }'
	} | sort -u
}

mapfile -t c_files < <(files '*.[ch]' | grep -v '^./devtools/model/')
mapfile -t sh_files < <(scripts sh '*.sh')
mapfile -t py_files < <(scripts python3 '*.py')
mapfile -t meson_files < <(files meson.build meson_options.txt)
mapfile -t text_files < <(files '*.rst' '*.md' '*.ini' '*.map' '*.yml')
all_files=(
	"${c_files[@]}" "${sh_files[@]}" "${py_files[@]}" "${meson_files[@]}" "${text_files[@]}"
)

# shellcheck source=config/progress.sh
. config/progress.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() {
	if progress_run "lint: $1" "$log" "${@:2}"; then
		passed=$((passed + 1))
	else
		grep -vE '^(Checking .*[.]{3}|[0-9]+/[0-9]+ files checked .*)$' "$log"
		echo "lint: $1: failed"
		failed=$((failed + 1))
	fi
}

skip() {
	echo "lint: $1: skipped, $2"
	skipped=$((skipped + 1))
}

# Status 1 and the lines where a pattern occurs.
none() {
	local pattern=$1
	shift
	! grep -nE "$pattern" "$@"
}

formatted() {
	local f ret=0
	for f in "${c_files[@]}"; do
		echo "Checking $f ..."
		clang-format -style=file "$f" |
			diff -u --label "$f" --label formatted "$f" - || ret=1
	done
	[ $ret = 0 ] || echo "devtools/lint.sh --fix formats the sources"
	return $ret
}

licensed() {
	local f ret=0
	for f in "${c_files[@]}" "${sh_files[@]}" "${py_files[@]}" "${meson_files[@]}"; do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' && continue
		echo "$f: no SPDX-License-Identifier: BSD-3-Clause in its first lines"
		ret=1
	done
	return $ret
}

# A tab counts to the next multiple of eight. C may have longer strings: a message is searched for.
narrow() {
	local f ret=0
	for f in "${c_files[@]}" "${sh_files[@]}" "${py_files[@]}"; do
		expand "$f" | awk -v f="$f" 'length($0) > 100 && !(f ~ /[.][ch]$/ && /"/) {
			print f ":" NR ": " length($0) " columns, more than 100"; bad = 1
		} END { exit bad }' || ret=1
	done
	return $ret
}

ended() {
	local f ret=0
	for f in "${all_files[@]}"; do
		[ -z "$(tail -c 1 "$f")" ] && continue
		echo "$f: no newline at its end"
		ret=1
	done
	return $ret
}

# What lib/ppool/meson.build installs.
public_headers() {
	sed -nE "/^ppool_headers = /,/^\)/s/^ +'(.*)',$/lib\/ppool\/\1/p" lib/ppool/meson.build
}

# Functions that the public headers declare, and those that the library exports: the same. Names of
# inline ones that it exports, too, stand behind PPOOL_INLINE.
exported() {
	local headers
	mapfile -t headers < <(public_headers)
	diff --label "declared in public headers" --label lib/ppool/version.map -u \
		<(sed -nE '/^PPOOL_INLINE /{n; s/^(ppool_[a-z_]+)\(.*/\1/p}
			/^(typedef|static|#|[ \t*])/d; s/^[a-z].*[ *](ppool_[a-z_]+)\(.*/\1/p' \
			"${headers[@]}" | sort) \
		<(sed -nE 's/^\t(ppool_[a-z_]+);$/\1/p' lib/ppool/version.map | sort)
}

# Functions of a file: name, lines from there to the closing brace, and whether it is static.
functions() {
	awk '
		/^[a-z_][a-z0-9_]*\(/ {
			name = $0; sub(/\(.*/, "", name); at = FNR; is = before ~ /static/
		}
		/^\{/ && name != "" { open = name; name = "" }
		/;$/ { name = "" }
		/^\}/ && open != "" { print open, FNR - at + 1, is + 0; open = "" }
		{ before = $0 }
	' "$1"
}

# No function is longer than 55 lines: a reader sees all of it at once.
short() {
	local f name lines ret=0
	for f in "$@"; do
		while read -r name lines _; do
			[ "$lines" -le 55 ] && continue
			echo "$f: $name() has $lines lines, more than 55: split it"
			ret=1
		done < <(functions "$f")
	done
	return $ret
}

# A name stands for one function in a profile or a backtrace, also where it is static. Not in the
# driver: what its transports have in common has the same name in each.
unique() {
	local f name ret=0
	while read -r name; do
		echo "$name() is a static function of several files: name what each works on"
		ret=1
	done < <(for f in "$@"; do functions "$f"; done | sed -n 's/ [0-9]* 1$//p' | sort | uniq -d)
	return $ret
}

# Every counter, device argument and extended statistic is explained in a guide, and the versions
# that versions.sh builds are those of which a guide says that they pass.
documented() {
	local name guide ret=0 pmd=drivers/net/ppfrag
	while read -r name; do
		grep -qF "   * - $name" doc/guides/build.rst && continue
		echo "doc/guides/build.rst does not say that DPDK $name was seen to pass"
		ret=1
	done < <(sed -nE 's/^versions=\((.*)\)$/\1/p' devtools/versions.sh | tr ' ' '\n')
	while read -r guide name; do
		grep -qF "\`\`$name\`\`" "doc/guides/$guide" && continue
		echo "doc/guides/$guide does not explain $name"
		ret=1
	done < <(
		sed -nE 's/^\tX\(([a-z_]+), .*/prog_guide\/ppool.rst \1/p' lib/ppool/ppool.h
		sed -nE 's/^\tX\(([a-z_]+), .*/nics\/ppfrag.rst \1/p' $pmd/ppfrag.h
		sed -nE 's/^\t\{ "([a-z_]+)", ".*/nics\/ppfrag.rst \1/p' $pmd/ppfrag_args.c
	)
	return $ret
}

# Every operation of the driver is one that driver headers of another release are probed for.
probed() {
	local op ret=0
	while read -r op; do
		grep -q "EXPECT($op, " config/driver-probe.c && continue
		echo "config/driver-probe.c does not look where the operation $op is"
		ret=1
	done < <(cat drivers/net/ppfrag/*.c drivers/net/ppfrag/*/*.c |
		sed -nE '/struct eth_dev_ops .*\{$/,/^\}/s/^\t\.([a-z_]+) = .*/\1/p' | sort -u)
	return $ret
}

# With the headers of DPDK: without them its macros are syntax errors.
cppcheck_clean() {
	local flags
	read -ra flags <<< "$(pkg-config --cflags-only-I libdpdk | sed 's/-isystem/-I/g')"
	cppcheck -j "$(nproc)" --std=c11 --enable=warning,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
		--suppress='*:/usr/*' --suppress='*:*/.driver-sdk/*' \
		--error-exitcode=1 -D__GNUC__ -D__x86_64__ \
		--include="$(dpdk_header rte_config.h)" "${flags[@]}" \
		-I".driver-sdk/$(pkg-config --modversion libdpdk)/include" -Ilib/ppool \
		-Idrivers/net/ppfrag "${c_files[@]}"
}

dpdk_header() {
	local d
	for d in $(pkg-config --cflags-only-I libdpdk | sed 's/-I//g'); do
		[ ! -e "$d/$1" ] || echo "$d/$1"
	done | head -n 1
}

case ${1:-} in
"") ;;
--fix) clang-format -i -style=file "${c_files[@]}" ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

# Versions differ in the line breaks they choose.
if clang-format --version | grep -q 'version 14\.'; then
	check "format" formatted
else
	skip "format" "clang-format 14 is not what is installed"
fi
check "licence" licensed
check "line length" narrow
check "end of file" ended
check "trailing blanks" none '[[:blank:]]+$' "${all_files[@]}"
check "conflict markers" none '^(<<<<<<<|>>>>>>>)( |$)' "${all_files[@]}"
check "C++ comments" none '(^|[[:blank:];{}])//' "${c_files[@]}"
check "unbounded string functions" \
	none '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\(' "${c_files[@]}"
check "prefix of others" none '^(struct |enum )?rte_[a-z_]+(\(| \{$)' "${c_files[@]}"
mapfile -t code_files < <(printf '%s\n' "${c_files[@]}" | grep -E '^./(lib|drivers)/.*[.]c$')
mapfile -t lib_files < <(printf '%s\n' "${code_files[@]}" | grep '^./lib/')
check "length of functions" short "${code_files[@]}"
check "names of functions" unique "${lib_files[@]}"
check "exported functions" exported
check "guides" documented
check "probed operations" probed
check "cppcheck" cppcheck_clean
check "shellcheck" shellcheck -x "${sh_files[@]}"
if [ ${#py_files[@]} -gt 0 ]; then
	check "pyflakes" /usr/bin/python3 -m pyflakes "${py_files[@]}"
else
	skip "pyflakes" "no Python"
fi

echo "lint: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
