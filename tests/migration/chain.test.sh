#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Generations: a guest is saved, restored, saved again, restored again:
#
#	chain.test.sh [--generations N]
#
# In each, under a CID of its own: connections of the generation before are
# reset, data goes both ways on connections of either side and is verified, and
# the guest remembers all that happened.
# timeout: 240
# long timeout: 600
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/../guest/lib.sh"

generations=
take_sizes generations=4:10 -- "$@"
stream=$PROGRAMS/vsock-stream
log=/run/vsock-hold.log

# traffic NAME SEED: 256 KiB each way, on connections of either side.
traffic()
{
	local up down seed=$2

	"$stream" send --ask --bytes 256K --seed "$seed" \
		--connect "hybrid:$1.vsock:1024" || return 1
	"$stream" recv --ask --bytes 256K --seed $((seed + 1)) \
		--connect "hybrid:$1.vsock:1025" || return 1
	background "$stream" recv --bytes 256K --seed $((seed + 2)) \
		--listen "unix:$1.vsock_2002" >"up.$1"
	up=$BACKGROUND
	background "$stream" send --bytes 256K --seed $((seed + 3)) \
		--listen "unix:$1.vsock_2003" >"down.$1"
	down=$BACKGROUND
	wait_for 10 test -S "$1.vsock_2002" &&
		wait_for 10 test -S "$1.vsock_2003" || return 1
	guest_exec "$1" "vsock-stream send --bytes 256K --seed $((seed + 2))" \
		--connect vsock:2:2002 && wait "$up" &&
		guest_exec "$1" "vsock-stream recv --bytes 256K" \
			--seed $((seed + 3)) --connect vsock:2:2003 &&
		wait "$down"
}

# hold_both NAME: a connection of either side, open when the guest is saved.
hold_both()
{
	hold_open "in.$1" "$1" 1300
	host_holds "out.$1" "$1" 2000 &&
		guest_exec "$1" 'vsock-client --hold 2000' \
			">/run/client.$1 2>&1 </dev/null &" &&
		guest_finds "$1" "/run/client.$1" connected &&
		guest_exec "$1" "until [ \$(grep -c accepted $log) =" \
			"$((generation + 1)) ]; do usleep 50000; done"
}

# were_reset NAME BEFORE: what the generation before held.
were_reset()
{
	guest_finds "$1" "/run/client.$2" ECONNRESET &&
		guest_exec "$1" "until [ \$(grep -c ECONNRESET $log) =" \
			"$generation ]; do usleep 50000; done"
}

generation=0
name=g0
vm_start g0 3
check "guest boots" vm_ready g0 || bail_out "no guest"
check "data goes both ways" traffic g0 1000
guest_exec g0 'echo 0 >/run/lives'
lives=0
while ((generation < generations)); do
	before=$name
	check "generation $generation holds connections" hold_both "$before"
	check "it is saved" ctl "$before" snapshot-save "path=snap.$generation"
	check "it ends" vm_quit "$before"

	((generation += 1))
	name=g$generation
	vm_restore "$name" $((10 + generation)) "snap.$((generation - 1))"
	check "generation $generation is restored" vm_answers "$name" ||
		bail_out "no generation $generation"
	is "it has its CID" "$(guest_exec "$name" vsock-client --cid)" \
		$((10 + generation))
	check "connections of the one before are reset" \
		were_reset "$name" "$before"
	check "data goes both ways" traffic "$name" $((generation * 1000))
	is "it remembers all before" \
		"$(guest_exec "$name" "echo $generation >>/run/lives;" \
			"tr '\n' ' ' </run/lives")" \
		"$lives $generation "
	lives+=" $generation"
	is "nothing was forced" \
		"$(query "$name" '.counters["gate-forced"]')" 0
	check "no kernel warnings" guest_calm "$name"
	rm -rf "snap.$((generation - 1))"
done
check "the last one ends" vm_quit "$name"
done_testing "chain: generations=$generation failures=$TEST_FAILED"
