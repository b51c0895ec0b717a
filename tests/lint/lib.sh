# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the lints are written with: rules over the source tree, which is the
# working folder, as TAP. Sourced.

count=0
failed=0

bail_out() {
	echo "Bail out! $*"
	exit 1
}

# A rule finds no offender where there is nothing to look at.
cd "${WHERRY_SRC:-.}" || bail_out "no source tree"
for dir in virtio devices vmm tests; do
	[ -d "$dir" ] || bail_out "$PWD: no $dir/ in it: not a source tree"
done

# rule NAME OFFENDERS: passes if there are none
rule() {
	count=$((count + 1))
	if [ -z "$2" ]; then
		echo "ok $count - $1"
	else
		failed=$((failed + 1))
		echo "not ok $count - $1"
		echo "$2" | sed 's/^/# /'
	fi
}

# same NAME GOT WANTED
same() {
	if [ "$2" = "$3" ]; then
		rule "$1" ''
	else
		rule "$1" "got:
$2
expected:
$3"
	fi
}

# skip NAME WHY
skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

finish() {
	echo "1..$count"
	[ "$failed" -eq 0 ]
	exit
}
