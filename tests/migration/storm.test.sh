#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Clients storm a guest with four CPUs while it is restored, again and again:
#
#	storm.test.sh [--restores N] [--connects N]
#
# In each restore N host clients connect, from before the CPUs run, and clients
# in the guest connect to the host all the time, since before it was saved.
# Each is served, its data verified, or told at once that it is not; none hangs;
# none that was connected is killed by the reset.  See vsock-storm.c
# and vsock-insist.c in guest-images/programs.
# timeout: 300
# long timeout: 1500
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/../guest/lib.sh"

restores=
connects=
take_sizes restores=6:100 connects=64:64 -- "$@"
VM_CPUS=4
guests=8
# By restore, in turn: a new process; one in which all clients wait before the
# guest may run; and, in either, a running guest put back in place.
kinds=(fresh place waiting place)
declare -A total=()
for key in connects served refused hung killed wrong guests; do
	total[$key]=0
done
done=0
held=0
slowest=0

# storm_begin NAME OPTION...: returns once the guest could be served.
storm_begin()
{
	local name=$1

	shift
	said=$LOGS/storm.$((done + 1))
	background "$PROGRAMS/vsock-storm" --clients "$connects" \
		--guests $((guests * 2)) --serve 2000 \
		--deadline $((60 * TIME_SCALE)) "$@" "$name.vsock" 1234 \
		>"$said" 2>&1
	storm=$BACKGROUND
	wait_line 10 "$said" serving
}

# The verdict on all of them, added up.
storm_end()
{
	local status=0 pair line

	wait "$storm" || status=$?
	line=$(tail -n 1 "$said")
	for pair in $line; do
		[[ -n ${total[${pair%=*}]:-} ]] || continue
		((total[${pair%=*}] += ${pair#*=}))
	done
	slowest=$(printf '%s\n' "$slowest" "${line##*slowest=}" | sort -g |
		tail -n 1)
	cat "$said"
	((status == 0)) && [[ $line == connects=* ]]
}

# How the guest took it: what it held before is reset, once; nothing else is.
guest_took_it()
{
	local log again

	# shellcheck disable=SC2016 # expanded in the guest
	log=$(guest_exec "$1" 'cat /run/vsock-insist.log;' \
		'echo held $(grep -c ECONNRESET /run/vsock-hold.log)')
	printf '%s\n' "$log"
	grep -qx 'held 2' <<<"$log" || return 1
	again=$(awk '/^(lost|late) / { print $2 }' <<<"$log" | sort | uniq -d)
	if [[ -n $again ]] || grep -qE '^(hung|wrong)' <<<"$log"; then
		printf 'client of the guest lost twice: %s\n' "$again"
		return 1
	fi
	[[ $(query "$1" '[.gate, .counters["gate-forced"]] | join(" ")') == \
		"open 0" ]] && guest_calm "$1"
}

restore_fresh()
{
	storm_begin "$1" && vm_restore "$1" "$2" snap && vm_up "$1"
}

restore_waiting()
{
	storm_begin "$1" && vm_restore "$1" "$2" snap --paused && vm_up "$1" &&
		wait_line 30 "$said" connected && ctl "$1" cont
}

restore_place()
{
	storm_begin "$1" --place && wait_line 30 "$said" holding &&
		ctl "$1" snapshot-load path=snap
}

# restore KIND NAME CID
restore()
{
	local status=0

	"restore_$1" "$2" "$3" || status=1
	storm_end && ((status == 0)) && guest_took_it "$2"
}

# shellcheck disable=SC2317 # called by wait_for
guests_come()
{
	[[ $(query a '.counters["connects-from-guest"]') -gt $((guests * 4)) ]]
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
for port in 1300 1300 1234 1234; do
	hold_open "held.$((++held))" a $port
	hold_send "held.$held" "before $held"
done
check "guest holds connections" \
	guest_finds a /run/vsock-hold.log 'accepted 2 '
background "$PROGRAMS/vsock-storm" --clients 0 --guests 1000000 \
	--deadline 3600 --serve 2000 a.vsock 1234 >"$LOGS/storm.0"
guest_exec a "vsock-insist --background 2000 $guests \
	>/run/vsock-insist.log 2>&1 </dev/null"
check "and makes others all the time" wait_for 30 guests_come
check "it is saved" ctl a snapshot-save path=snap
is "with nothing lost" "$(guest_exec a 'cat /run/vsock-insist.log')" ''
kill "$BACKGROUND"
check "source ends" vm_quit a

name=
for ((round = 1; round <= restores; round++)); do
	kind=${kinds[(round - 1) % ${#kinds[@]}]}
	if [[ $kind != place ]]; then
		[[ -z $name ]] || check "it ends" vm_quit "$name"
		name=r$round
	fi
	if check "restore $round, $kind" \
		restore "$kind" "$name" $((100 + round)); then
		((done += 1))
	else
		vm_kill "$name"
		name=
		# The next one needs a machine of its own.
		[[ ${kinds[round % ${#kinds[@]}]} != place ]] || ((round++))
	fi
done
[[ -z $name ]] || check "it ends" vm_quit "$name"

is "all restores" "$done" "$restores"
check "enough clients came" test "${total[connects]}" -ge \
	$((restores * (connects + guests * 2)))
check "clients are served" test "${total[served]}" -gt 0
is "none hung" "${total[hung]}" 0
is "no established connection was killed" "${total[killed]}" 0
# The guest has a listener with room for all; the gate holds, it drops none.
is "none was refused" "${total[refused]}" 0
is "no data was wrong" "${total[wrong]}" 0
note "of the connects the guest made ${total[guests]}; the slowest took $slowest s"
line="storm: restores=$done"
for key in connects served refused hung killed; do
	line+=" $key=${total[$key]}"
done
done_testing "$line"
