#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's clocks and the time in which it does not run, stopped or saved:
# by --clock=continue it has not passed, by --clock=host it has.  In the lane's
# own machine, whose wall clock may be moved, also after hours.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# Seconds that a guest is left alone, and by which a look at it may be wrong
# beside what is measured: its wall clock is read in whole seconds.
AWAY=12
NEAR=$((3 * TIME_SCALE))

now()
{
	local up _

	read -r up _ </proc/uptime
	printf '%s\n' "$up"
}

sum()
{
	awk -v a="$1" -v b="$2" -v c="${3:-0}" 'BEGIN { print a + b + c }'
}

host_passed()
{
	before "$1" "$(now)" -"$AWAY"
}

# away: until that time has passed on the host.
away()
{
	wait_for $((2 * AWAY)) host_passed "$(now)"
}

# near NAME GOT WANTED: give or take $SLACK, the time it took to find out.
near()
{
	local slack

	slack=$(sum "$NEAR" "$SLACK")
	if before "$2" "$3" "$slack" && before "$3" "$2" "$slack"; then
		pass "$1"
	else
		fail "$1" "got: '$2', expected: '$3', give or take $slack"
	fi
}

# look NAME: the guest's monotonic clock less the host's, and its wall clock
# less the host's: what a guest that misses nothing keeps.
look()
{
	local up
	local -i date

	up=$(now)
	date=$(date +%s)
	MONOTONIC=$(sum "$(guest_uptime "$1")" -"$up")
	WALL=$(($(guest_exec "$1" 'date +%s') - date))
	SLACK=$(sum "$(now)" -"$up")
}

# timed COMMAND...: BEGAN and ENDED say when.
timed()
{
	local status=0

	BEGAN=$(now)
	"$@" || status=$?
	ENDED=$(now)
	return "$status"
}

# left, back: how long the guest did not run is between LEAST and MOST: from one
# command that was timed to the next.
left()
{
	LEFT_FIRST=$BEGAN
	LEFT_LAST=$ENDED
}

back()
{
	LEAST=$(sum "$BEGAN" -"$LEFT_LAST")
	MOST=$(sum "$ENDED" -"$LEFT_FIRST")
}

# behind NAME GOT BEFORE: GOT is BEFORE less the time it did not run.
behind()
{
	local SLACK=$SLACK

	SLACK=$(sum "$SLACK" "$MOST" -"$LEAST")
	near "$1" "$2" "$(sum "$3" -"$LEAST")"
	check "that was long enough to tell" \
		before "$(sum "$NEAR" "$SLACK")" "$LEAST"
}

# Complaints about clocks; at boot there may be some, as of CPUs whose time
# stamp counters do not promise to be in step.
given_up()
{
	guest_exec "$1" \
		"dmesg | grep -iE 'clocksource.*(unstable|skew)|TSC.*unstable'"
}

# calm NAME: neither warnings, nor a clock that the kernel gave up.
calm()
{
	check "$1: no kernel warnings" guest_calm "$1"
	is "$1: no clock was given up" "$(given_up "$1")" "$at_boot"
	is "$1: clock source is the same" "$(guest_exec "$1" "$source")" "$used"
	check "$1: timers fire" guest_exec "$1" 'usleep 200000'
}

source='cat /sys/devices/system/clocksource/clocksource0/current_clocksource'

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
used=$(guest_exec a "$source")
at_boot=$(given_up a)
is "clock source is the one to be looked at" "$used" "${TIME_SOURCE:-$used}"
note "the guest's clock source is $used"
look a
# What it lost of its ticks while it booted, before it had a better clock, it
# keeps losing: from here on this is what is right.
wall=$WALL
note "its wall clock is off by $wall s"
check "its wall clock is near the host's" before "${wall#-}" 10
monotonic=$MONOTONIC

check "running guest is saved" timed ctl a snapshot-save path=snap
saved=("$BEGAN" "$ENDED")
look a
near "its clocks do not notice" "$MONOTONIC" "$monotonic"

check "it stops" timed ctl a stop
left
away
check "and goes on" timed ctl a cont
back
look a
behind "stop, continue: monotonic clock stood still" "$MONOTONIC" "$monotonic"
calm a
check "it ends" vm_quit a

# restored NAME CLOCK: from the snapshot, waits paused, then runs.
restored()
{
	vm_restore "$1" 3 snap --paused --clock="$2"
	check "$1: restored, paused, --clock=$2" vm_up "$1"
	away
	check "$1: goes on" timed ctl "$1" cont
	LEFT_FIRST=${saved[0]}
	LEFT_LAST=${saved[1]}
	back
	look "$1"
	note "$1 was away for $LEAST to $MOST s, seen within $SLACK s"
}

restored c continue
behind "c: monotonic clock goes on where it was" "$MONOTONIC" "$monotonic"
behind "c: wall clock too" "$WALL" "$wall"
calm c
check "c ends" vm_quit c

restored d host
near "d: monotonic clock is where it would be" "$MONOTONIC" "$monotonic"
near "d: wall clock is right" "$WALL" "$wall"
check "d: stops" ctl d stop
away
check "d: goes on" ctl d cont
look d
near "stop, host: monotonic clock is where it would be" "$MONOTONIC" \
	"$monotonic"
near "stop, host: wall clock is right" "$WALL" "$wall"
calm d
check "d ends" vm_quit d

# hours_later NAME COMMAND...: with the wall clock three hours ahead.
hours_later()
{
	date -s "@$(($(date +%s) + 10800))" >/dev/null || return
	"$@"
	date -s "@$(($(date +%s) - 10800))" >/dev/null
}

if [[ ${WHERRY_LANE:-} == nested ]]; then
	for clock in continue host; do
		vm_restore "$clock" 3 snap --paused --clock="$clock"
		check "$clock: restored" vm_up "$clock"
		check "$clock: goes on three hours later" \
			hours_later ctl "$clock" cont
		look "$clock"
		note "$clock: wall clock is off by $WALL s"
		if [[ $clock == host ]]; then
			near "$clock: wall clock is right" "$WALL" \
				$((wall + 10800))
			near "$clock: monotonic clock has gone along" \
				"$MONOTONIC" "$(sum "$monotonic" 10800)"
		else
			check "$clock: monotonic clock has not leapt" \
				before "$MONOTONIC" "$monotonic"
			check "$clock: nor has the wall clock" before "$WALL" "$wall"
		fi
		calm "$clock"
		check "$clock: ends" vm_quit "$clock"
	done
else
	skip "hours later" "would move this machine's wall clock"
fi
done_testing
