# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the scripts here are written with: they run the bare-metal guest through
# the public command line and print TAP. Sourced.

guests=${WHERRY_BUILD:-.}/tests/kvm
work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-kvm.XXXXXX") || exit 99
number=0
failed=0
pids=

# Ends what is left running, by process id.
clean()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

if ! (: <>/dev/kvm) 2>/dev/null; then
	echo "1..0 # SKIP /dev/kvm: not there, or no permission"
	exit 0
fi

# check NAME COMMAND...: one test
check()
{
	name=$1
	shift
	number=$((number + 1))
	if "$@" >"$work/check.out" 2>&1; then
		echo "ok $number - $name"
		return
	fi
	failed=1
	echo "not ok $number - $name"
	sed 's/^/# /' "$work/check.out"
	if [ -s "$work/err" ]; then
		sed 's/^/# stderr: /' "$work/err" | head -20
	fi
}

# run GUEST WORDS [OPTION...]: boot it, wait; sets status, leaves out and err
run()
{
	guest=$1
	words=$2
	shift 2
	rm -f "$work/out" "$work/err"
	timeout 60 "$WHERRY" run --kernel "$guests/$guest" --append "$words" \
		--memory "${memory:-16M}" --serial "file=$work/out" "$@" \
		</dev/null >/dev/null 2>"$work/err"
	status=$?
}

# start COMMAND...: a machine in the background, with a control socket; sets pid
start()
{
	rm -f "$work/out" "$work/err"
	"$WHERRY" "$@" --serial "file=$work/out" --control "$work/control" \
		</dev/null >/dev/null 2>"$work/err" &
	pid=$!
	pids="$pids $pid"
}

# ctl WORD...: to that machine
ctl()
{
	"$WHERRY" ctl "$work/control" "$@"
}

is_gone()
{
	! kill -0 "$pid" 2>/dev/null ||
		grep -qs '^State:.Z' "/proc/$pid/status"
}

# ends [STATUS]: it does, within a minute, with status 0 or another
ends()
{
	wait_for is_gone || kill "$pid"
	wait "$pid"
	status=$?
	status_is "${1:-0}"
}

status_is()
{
	echo "status $status, expected $1"
	[ "$status" -eq "$1" ]
}

out_is()
{
	printf "$1" | diff - "$work/out"
}

err_has()
{
	grep -q -e "$1" "$work/err"
}

# wait_for COMMAND...: within a minute
wait_for()
{
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || return 1
		sleep 0.1
	done
}

numbers()
{
	seq 0 $((0x$1 - 1)) | while read -r n; do
		printf '%08x\n' "$n"
	done
}

has_lines()
{
	[ "$(wc -l <"$1")" -ge "$2" ]
}
