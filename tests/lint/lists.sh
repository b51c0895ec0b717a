#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds the tests that lie in the tree against the lists by which they are run:
# a test that no list names would never fail. The lists are TESTS and
# FUZZ_TARGETS of the Makefile, what tests/guest/run takes, and the scripts that
# bootstrap names. Run by "make check"; prints TAP.

. "${0%/*}/lib.sh"

# variable NAME: a variable of the build tree's Makefile, a word a line. Asked
# of a make that knows nothing of what was said to the one that runs this.
variable() {
	printf 'show:\n\t@printf "%%s\\n" $(%s)\n' "$1" |
		env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
			make -s --no-print-directory \
			-C "${WHERRY_BUILD:-.}" -f Makefile -f - show
}

# Only what is run on its own: what others source is called lib.sh.
scripts_in() {
	(cd "$1" && find tests -type f \( -name '*.test.sh' -o \
		-path 'tests/kvm/*.sh' -o -path 'tests/lint/*.sh' -o \
		-path 'tests/unit/*.sh' \)) | grep -v '/lib\.sh$' | sort
}

# A program that is no test itself serves a script that names it.
programs_in() {
	(cd "$1" && find tests/kvm tests/unit -name '*.c' |
		xargs grep -lE '(^|[[:space:]])main\(' | sort |
		while read -r file; do
			grep -rqFe "/${file%.c}" --include='*.sh' tests ||
				echo "${file%.c}"
		done)
}

fuzzers_in() {
	(cd "$1" && find tests/fuzz -name 'fuzz_*.c' |
		sed 's,.*/fuzz_\(.*\)\.c,\1,' | sort)
}

work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-lint.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

variable TESTS >"$work/tests"
[ -s "$work/tests" ] || bail_out "no Makefile in ${WHERRY_BUILD:-.}"
variable FUZZ_TARGETS >"$work/targets"
{
	cat "$work/tests"
	tests/guest/run --list
	grep -oE 'tests/[a-z/-]+\.test\.sh' bootstrap
} >"$work/scripts"
sed -n 's,^tests/fuzz/replay_,,p' "$work/tests" >"$work/replays"

# Each of these: what lies below a folder and is in no list.
lone_scripts() {
	scripts_in "$1" | grep -vxFf "$work/scripts"
}

lone_programs() {
	programs_in "$1" | grep -vxFf "$work/tests"
}

lone_fuzzers() {
	fuzzers_in "$1" | grep -vxFf "$work/replays"
	fuzzers_in "$1" | grep -vxFf "$work/targets"
}

rule "every test script is run by some list" "$(lone_scripts .)"
if [ -n "$(variable CHECK_LIBS)" ]; then
	rule "every test program is run by make check" "$(lone_programs .)"
else
	skip "every test program is run by make check" \
		"configured without libcheck"
fi
rule "every fuzz target is replayed, and fuzzed" "$(lone_fuzzers .)"

# The rules themselves: in a tree of tests that nothing runs, each finds its
# own.
for file in guest/lone.sh guest/deep/lone.test.sh kvm/lone.sh lint/lone.sh \
	unit/lone.sh ./lone.test.sh kvm/lone.c unit/lone.c fuzz/fuzz_lone.c; do
	mkdir -p "$work/tree/tests/${file%/*}"
	echo 'int main(void)' >"$work/tree/tests/$file"
done
same "a script that no list names is seen" "$(lone_scripts "$work/tree")" \
	"tests/guest/deep/lone.test.sh
tests/kvm/lone.sh
tests/lint/lone.sh
tests/lone.test.sh
tests/unit/lone.sh"
same "a program that no list names is seen" "$(lone_programs "$work/tree")" \
	"tests/kvm/lone
tests/unit/lone"
same "a fuzz target that no list names is seen" \
	"$(lone_fuzzers "$work/tree")" "lone
lone"

finish
