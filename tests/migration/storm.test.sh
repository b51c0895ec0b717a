#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Clients storm a guest with four CPUs while it is restored, again and again:
#
#	storm.test.sh [--restores N] [--connects N] [--saves N] [--calls N]
#
# In each restore N host clients connect, from before the CPUs run, and clients
# in the guest connect to the host all the time, since before it was saved.
# Each is served, its data verified, or told at once that it is not; none hangs;
# none that was connected is killed by the reset.  See vsock-storm.c.
#
# Then, with each kernel there is, N saves of a guest, each restored, while N of
# its programs call the host, half of them only to read; the loop thread starves,
# and every other time the host is slow to accept. Each call is served or told
# within a second of the gate's opening. See vsock-dial.c and vsock-answer.c.
# timeout: 480
# long timeout: 3600
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/../guest/lib.sh"

restores=
connects=
saves=
calls=
take_sizes restores=6:100 connects=64:64 saves=2:20 calls=64:64 -- "$@"
VM_CPUS=4
guests=8
# By restore, in turn: a new process; one in which all clients wait before the
# guest may run; and, in either, a running guest put back in place.
kinds=(fresh place waiting place)
# By what a verdict says: numbers, and those of one kernel.
declare -A total=() of_kernel=()
for key in connects served refused hung killed wrong guests told late; do
	total[$key]=0
done
done=0
held=0
slowest=0
life=0
saved=0

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

# add_up LINE: the numbers of a verdict.
add_up()
{
	local pair key

	for pair in $1; do
		key=${pair%=*}
		[[ -n ${total[$key]:-} ]] || continue
		((total[$key] += ${pair#*=}, of_kernel[$key] += ${pair#*=}))
	done
	pair=${1##*slowest=}
	slowest=$(printf '%s\n' "$slowest" "${pair%% *}" | sort -g | tail -n 1)
}

# The verdict on all of them, added up.
storm_end()
{
	local status=0 line

	wait "$storm" || status=$?
	line=$(tail -n 1 "$said")
	add_up "$line"
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

# calls_begin NAME: the host answers the calls of another life, and asks for the
# verdict on those that it begins with.
calls_begin()
{
	local backlog=0

	# Prompt or slow to accept, in turns that are not those of place and fresh.
	((++life / 2 % 2 == 0)) || backlog=4
	said=$LOGS/answer.$life
	background "$PROGRAMS/vsock-answer" --life $((life % 256)) \
		--backlog $backlog --scale "$TIME_SCALE" \
		"$1.vsock" 1400 >"$said" 2>&1
	answers=$BACKGROUND
	wait_line 10 "$said" waiting
}

# calls_end NAME: the verdict; whose call went wrong is shown.
calls_end()
{
	local line

	wait_line 90 "$said" '^connects=|^vsock-answer: '
	line=$(tail -n 1 "$said")
	printf '%s\n' "$line"
	add_up "$line"
	[[ $line == connects=*' hung=0 late=0 killed=0 wrong=0 '* ]] && return
	guest_exec "$1" 'cat /run/vsock-dial.log'
	return 1
}

calls_so_far()
{
	query "$1" '.counters["connects-from-guest"]'
}

# shellcheck disable=SC2317 # called by wait_for
calls_come()
{
	[[ $(calls_so_far "$1") -gt $2 ]]
}

# starve NAME: the machine's loop thread gets what is left of the CPUs by the
# guest and by others.
starve()
{
	local cpu

	renice -n 5 -p "${VM_PID[$1]}" >/dev/null || return 1
	busy=()
	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		background bash -c 'while :; do :; done'
		busy+=("$BACKGROUND")
	done
}

feed()
{
	kill "${busy[@]}"
	renice -n 0 -p "${VM_PID[$1]}" >/dev/null
}

# shellcheck disable=SC2317 # called by wait_for
save_begins()
{
	[[ -n $(ls -A saves) ]] || gone "$BACKGROUND"
}

# across_save NAME: the loop thread starves until vCPUs have stopped for the save,
# which is before there is a file.
across_save()
{
	if ! wait_for 30 calls_come "$1" $(($(calls_so_far "$1") + calls)); then
		printf 'no calls come\n'
		return 1
	fi
	rm -rf saves
	mkdir saves
	starve "$1" || return 1
	background ctl "$1" snapshot-save path=saves/across
	wait_for 60 save_begins
	feed "$1"
	wait "$BACKGROUND"
	[[ -d saves/across ]]
}

# across_load NAME fresh|place CID: paused until somebody listens on the host.
across_load()
{
	if [[ $2 == place ]]; then
		ctl "$1" stop && ctl "$1" snapshot-load path=saves/across
	else
		vm_restore "$1" "$3" saves/across --paused && vm_up "$1"
	fi && kill "$answers" && calls_begin "$1" && ctl "$1" cont && calls_end "$1"
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

# storm_across FOLDER: with the kernel in it.
storm_across()
{
	local WHERRY_KERNEL=$1/vmlinux WHERRY_INITRD=$1/initrd.cpio
	local kernel=${1##*/} name=k$life VM_CPUS=2 kind key line round

	vm_start "$name" 3
	check "guest with $kernel boots" vm_ready "$name" || return
	guest_exec "$name" "vsock-dial --background 1400 $calls \
		>/run/vsock-dial.log 2>&1 </dev/null"
	calls_begin "$name"
	check "its calls are answered" calls_end "$name"
	of_kernel=([served]=0 [told]=0 [hung]=0 [late]=0 [killed]=0)
	for ((round = 1; round <= saves; round++)); do
		check "save $round of it, with calls under way" \
			across_save "$name" || break
		kind=place
		if ((round % 2)); then
			kind=fresh
			vm_kill "$name"
			name=k$life
		fi
		((saved += 1))
		check "restore of it, $kind" \
			across_load "$name" "$kind" $((100 + life))
	done
	check "nothing wrong there" guest_calm "$name"
	kill "$answers"
	vm_kill "$name"
	check "saves cut calls off" \
		test $((of_kernel[told] + of_kernel[hung])) -gt 0
	line="storm: kernel=${kernel%%-*} saves=$((round - 1))"
	for key in served told hung late killed; do
		line+=" $key=${of_kernel[$key]}"
	done
	printf '%s\n' "$line"
}

is "all restores" "$done" "$restores"
check "enough clients came" test "${total[connects]}" -ge \
	$((restores * (connects + guests * 2)))
check "clients are served" test "${total[served]}" -gt 0

mapfile -t folders < <(guest_kernels)
for folder in "${folders[@]}"; do
	storm_across "$folder"
done
((${#folders[@]} > 1)) || skip "calls across saves with a later kernel" \
	"there is none here; ./bootstrap guest fetches one"

is "none hung" "${total[hung]}" 0
is "none was late" "${total[late]}" 0
is "no established connection was killed" "${total[killed]}" 0
# The guest has a listener with room for all; the gate holds, it drops none.
is "none was refused" "${total[refused]}" 0
is "no data was wrong" "${total[wrong]}" 0
note "of the connects the guest made ${total[guests]}; the slowest took $slowest s"
line="storm: restores=$done saves=$saved"
for key in connects served refused told hung late killed; do
	line+=" $key=${total[$key]}"
done
done_testing "$line"
