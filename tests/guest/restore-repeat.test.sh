#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One snapshot restored again and again, each time with a client that connects
# as soon as the socket is there, that is before the guest has dealt with the
# reset: not one may be lost.  Then generations: the restored guest is saved
# and restored in turn.
# timeout: 420
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

ROUNDS=${RESTORE_ROUNDS:-20}

# The client that races the guest: its answer is in race.$1.
race()
{
	wait_for 30 test -S "$1.vsock" &&
		echo "$1" | connect "$1" 1234 >"race.$1" 2>"race.$1.err"
}

# restore_once NAME CID FOLDER: restores, with the race; the machine runs on.
restore_once()
{
	local racer

	CONNECT_TIMEOUT=20 race "$1" &
	racer=$!
	vm_restore "$1" "$2" "$3"
	vm_up "$1" && wait "$racer"
	[[ $(cat "race.$1") == "$1" ]] || {
		printf '%s: the first client got: %s%s\n' "$1" \
			"$(cat "race.$1" "race.$1.err")" ''
		return 1
	}
	[[ $(echo again | connect "$1" 1234) == again ]] &&
		[[ $(guest_exec "$1" vsock-client --cid) == "$2" ]]
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
hold_open in a 1300
check "guest holds a connection" \
	guest_finds a /run/vsock-hold.log 'accepted 1 '
check "guest is saved" ctl a snapshot-save path=snap
check "source ends" vm_quit a

passed=0
for ((round = 1; round <= ROUNDS; round++)); do
	if restore_once "r$round" $((100 + round)) snap >said 2>&1; then
		((passed += 1))
	else
		note "round $round: $(tail -n 3 said)"
		note "$(ctl "r$round" query-vsock 2>&1)"
	fi
	vm_quit "r$round" || note "round $round: did not end"
done
is "$ROUNDS restores, each with a racing client" "$passed" "$ROUNDS"

from=snap
for generation in 1 2 3; do
	name=g$generation
	check "generation $generation is restored" \
		restore_once $name $((200 + generation)) $from
	hold_open in.$name $name 1300
	check "it holds a connection more" guest_finds $name \
		/run/vsock-hold.log "accepted $((generation + 1)) "
	like "it knows of each reset" \
		"$(guest_exec $name "grep -c ECONNRESET /run/vsock-hold.log")" \
		"^$generation\$"
	if ((generation < 3)); then
		check "it is saved" ctl $name snapshot-save path=snap.$name
		from=snap.$name
	fi
	check "no kernel warnings" guest_calm $name
	check "it ends" vm_quit $name
done
done_testing
