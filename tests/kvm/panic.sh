#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest that says it has panicked, by the port that Linux's driver writes: the
# process ends, with a status of its own, or the guest stays at that very
# instruction, to be looked at, saved and restored.

. "${0%/*}/lib.sh"

# with COMMAND...: the machine, once it answers.
with()
{
	rm -f "$work/control"
	start "$@"
	wait_for ctl query-version >/dev/null 2>&1
}

says()
{
	ctl "$1" >"$work/said"
	cat "$work/said"
	grep -q -e "$2" "$work/said"
}

# The guest is let go; the event, with this action, follows.
tells()
{
	ctl cont --wait "$1" --timeout 50 >"$work/said"
	cat "$work/said"
	grep -q -e "\"action\": *\"$2\"" "$work/said"
}

run tiny.elf y1
check "panic: status 4" status_is 4
check "it is said" err_has 'the guest has panicked'
check "the guest has not gone on from there" test ! -s "$work/out"

run tiny.elf y2
check "a crash that the guest deals with: status 0" status_is 0
check "the guest goes on" out_is 'after\n'

run tiny.elf yfc
check "unknown bits: status 0" status_is 0
check "nothing is said of them" test ! -s "$work/err"

with run --paused --kernel "$guests/tiny.elf" --append y1 --memory 16M
check "the event says that it is the end" tells GUEST_PANICKED poweroff
check "status 4 with a control socket, too" ends 4

with run --paused --kernel "$guests/tiny.elf" --append y2 --memory 16M
check "the event of a crash says that it goes on" \
	tells GUEST_CRASHLOADED run
check "and it does: status 0" ends

with run --paused --kernel "$guests/tiny.elf" --append y1 --memory 16M \
	--on-panic stop
check "with --on-panic stop the event says that it is paused" \
	tells GUEST_PANICKED pause
check "it is not running" says query-status '"running": *false'
check "but panicked" says query-status '"guest-panicked"'
check "it has not gone on from there" test ! -s "$work/out"
check "it is saved" ctl snapshot-save "path=$work/saved"
check "and still panicked" says query-status '"guest-panicked"'
check "it may go on" ctl cont
check "it powers off: status 0" ends
check "it went on from there" out_is 'after\n'

# Whatever --on-panic says: what was saved to be looked at is not run away
# with, though this restore asks for it to run.
with restore "$work/saved"
check "a restored one has panicked" says query-status '"guest-panicked"'
check "it is said" err_has "until 'cont'"
check "it has not gone on" test ! -s "$work/out"
check "it is saved again" ctl snapshot-save "path=$work/again"
check "it may go on" ctl cont
check "it powers off: status 0" ends
check "it went on from there" out_is 'after\n'

with run --paused --kernel "$guests/tiny.elf" --append lff --memory 16M
ctl cont
check "another guest runs" wait_for has_lines "$work/out" 1
check "the one that was saved twice takes its place" \
	ctl snapshot-load "path=$work/again"
check "it has panicked" says query-status '"guest-panicked"'
check "it is booted anew" ctl system_reset
check "and has not panicked then" says query-status '"prelaunch"'
check "it ends" ctl quit
check "status 0" ends

echo "1..$number"
exit "$failed"
