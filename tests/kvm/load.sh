#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A machine put in the place of another one in the same process: snapshot-load
# over a running guest and into a process that waits for it, system_reset; and
# when that fails, or must not be, the guest that was there goes on.

. "${0%/*}/lib.sh"

# It has printed a few more lines, and quits.
quits()
{
	wait_for grown "$(($(wc -c <"$work/out") + 45))" || return
	ctl quit && ends
}

# from BYTES FILE: it has what is printed from there on
from()
{
	tail -c "+$(($1 + 1))" "$work/want" | head -c "$(wc -c <"$2")" |
		cmp - "$2"
}

# went_back BYTES: numbers up to some place, then those from BYTES on. Where
# they first differ from going on, some digits may be the same.
went_back()
{
	place=$(cmp -l "$work/out" "$work/want" 2>/dev/null |
		awk '{ print $1; exit }')
	[ -n "$place" ] || return
	for same in 1 2 3 4 5 6 7 8 9; do
		tail -c "+$((place - same + 1))" "$work/out" >"$work/rest"
		from "$1" "$work/rest" && return
	done
	return 1
}

# in_order FILE: whatever it begins with, which may be half a line
in_order()
{
	second=$(sed -n 2p "$1")
	[ ${#second} -eq 8 ] || return
	from "$((0x$second * 9 - $(head -n 1 "$1" | wc -c)))" "$1"
}

# ctl_fails WORDS COMMAND...: with status 1 and these words.
ctl_fails()
{
	words=$1
	shift
	if ctl "$@" 2>"$work/said"; then
		echo "$* succeeded"
		return 1
	fi
	cat "$work/said"
	grep -q -e "$words" "$work/said"
}

says()
{
	ctl "$1" | grep -q -e "$2"
}

grown()
{
	[ "$(wc -c <"$work/out")" -gt "$1" ]
}

# All of this snapshot's files are written, beside the place it goes to.
written()
{
	set -- "${1%/*}/.${1##*/}.wherry-"*/manifest
	[ -s "$1" ]
}

# A guest prints numbers in order for hours, and is told to quit: however slow
# this host is, it is there for what is to be done with it.
awk 'BEGIN { for (i = 0; i < 65536; i++) printf "%08x\n", i }' >"$work/want"

start run --kernel "$guests/tiny.elf" --append lffffff --memory 16M
check "guest runs" wait_for has_lines "$work/out" 5
ctl stop >/dev/null
saved=$(wc -c <"$work/out")
check "it is saved" ctl snapshot-save "path=$work/saved"
ctl cont >/dev/null
check "it goes on" wait_for grown "$((saved + 45))"

cp -r "$work/saved" "$work/damaged"
printf X | dd of="$work/damaged/state.dtb" bs=1 seek=99 conv=notrunc 2>/dev/null
check "a damaged snapshot is refused" \
	ctl_fails "damaged: state.dtb: damaged" \
	snapshot-load "path=$work/damaged"
check "so is one that is not there" \
	ctl_fails "nowhere: No such file" snapshot-load "path=$work/nowhere"
check "the guest has not noticed" wait_for grown "$(wc -c <"$work/out")"
check "it is running" says query-status '"running"'

check "it is put back to where it was saved" \
	ctl snapshot-load "path=$work/saved"
check "it quits: status 0" quits
check "it went on from there" went_back "$saved"

start run --kernel "$guests/tiny.elf" --append lffffff --memory 16M
check "another guest runs" wait_for has_lines "$work/out" 5
ctl stop >/dev/null
stopped=$(wc -c <"$work/out")
check "it is put back while stopped" ctl snapshot-load "path=$work/saved"
check "and stays so" says query-status '"paused"'
check "it is reset" ctl system_reset
check "and stays stopped" says query-status '"prelaunch"'
ctl cont >/dev/null
check "it quits: status 0" quits
tail -c "+$((stopped + 1))" "$work/out" >"$work/rest"
check "it had begun anew" from 0 "$work/rest"

start run --kernel "$guests/tiny.elf" --append lffffff --memory 16M
check "a third guest runs" wait_for has_lines "$work/out" 5
check "it is reset while it runs" ctl system_reset
check "it quits: status 0" quits
check "it had begun anew" went_back 0

# Restored or not: a page that a guest never touched is not worth a byte.
start run --kernel "$guests/tiny.elf" --append lffffff --memory 2G
check "a guest with 2 GiB runs" wait_for has_lines "$work/out" 1
check "it is saved" ctl snapshot-save "path=$work/large"
check "it is put back" ctl snapshot-load "path=$work/large"
check "and saved again" ctl snapshot-save "path=$work/large"
check "which has taken no more memory than it needs" \
	awk '/^VmRSS:/ { print; exit $2 > 262144 }' "/proc/$pid/status"
check "and again put back" ctl snapshot-load "path=$work/large"
before=$(wc -c <"$work/out")
check "it quits: status 0" quits
tail -c "+$((before + 1))" "$work/out" >"$work/rest"
check "it had gone on with its numbers" in_order "$work/rest"

# A save ends by a rename under a lock on the directory above. It waits while
# another process of the same user holds that, a minute at most.
mkdir "$work/slow"
start run --kernel "$guests/tiny.elf" --append lffffff --memory 16M
check "a fourth guest runs" wait_for has_lines "$work/out" 1
exec 9>"$work/slow/.wherry-lock-$(id -u)"
flock 9
ctl snapshot-save "path=$work/slow/held" >"$work/answer" 2>&1 9<&- &
saver=$!
check "it is being saved" wait_for written "$work/slow/held"
check "snapshot-load is refused while a save is under way" \
	ctl_fails "slow/held is still being saved" \
	snapshot-load "path=$work/saved"
check "so is system_reset" \
	ctl_fails "slow/held is still being saved" system_reset
check "so is a second save" \
	ctl_fails "one at a time: .*slow/held is being saved" \
	snapshot-save "path=$work/slow/second"
check "the guest goes on meanwhile" wait_for grown "$(wc -c <"$work/out")"
check "the save is still under way" kill -0 "$saver"
check "nothing is in its place" test ! -e "$work/slow/held"
flock -u 9
exec 9<&-
check "the save ends well" wait "$saver"
check "its snapshot is whole" ctl snapshot-verify "path=$work/slow/held"
check "the guest quits: status 0" quits
check "it has lost nothing" from 0 "$work/out"
start restore "$work/slow/held"
check "the snapshot runs" wait_for has_lines "$work/out" 3
check "it quits: status 0" quits
check "it went on with its numbers" in_order "$work/out"

start restore --incoming
check "a process waits for a snapshot" wait_for test -S "$work/control"
check "its status says so" says query-status '"inmigrate"'
check "there is nothing to stop" ctl_fails "no machine yet" stop
check "a damaged snapshot is refused" \
	ctl_fails "damaged: state.dtb: damaged" \
	snapshot-load "path=$work/damaged"
check "it waits on" says query-status '"inmigrate"'
check "nor can it be reset" ctl_fails "no machine yet" system_reset
check "a good one is loaded" ctl snapshot-load "path=$work/saved"
check "it quits: status 0" quits
check "it went on from there" from "$saved" "$work/out"

start restore "$work/saved" --paused
check "a guest is restored" wait_for test -S "$work/control"
check "it cannot be reset: nobody knows its kernel" \
	ctl_fails "no kernel to boot" system_reset
ctl quit >/dev/null
check "it ends: status 0" ends

echo "1..$number"
exit "$failed"
