#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A save may come at any moment of a guest's life, also before it has a driver
# for vsock: what is restored boots on, and vsock works in the end.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# Before the first instruction.
vm_start a 3 --paused
check "machine starts" vm_up a || bail_out "no machine"
check "saved before it ran" ctl a snapshot-save path=never-ran
is "it still has not run" "$(ctl a query-status | jq -r .status)" prelaunch

# While it boots, as often as that takes to be in the middle of it.
check "it runs" ctl a cont
saves=0
until vm_says a WHERRY-GUEST-READY || ! vm_lives a || ((saves == 50)); do
	ctl a snapshot-save path=booting.new >/dev/null || break
	vm_says a WHERRY-GUEST-READY && break
	((saves += 1))
	rm -rf booting
	mv booting.new booting
	# By turns early and late in the boot.
	wait_for 1 vm_says a WHERRY-GUEST-READY
done
note "$saves saves while the guest booted"
check "saved while it boots" test "$saves" -gt 0
check "it has booted nevertheless" vm_ready a
is "its vsock works" "$(echo a | connect a 1234)" a
check "it ends" vm_quit a

for snapshot in never-ran booting; do
	vm_restore "$snapshot" 9 $snapshot
	check "$snapshot: is restored" vm_up $snapshot
	if [[ $snapshot == never-ran ]]; then
		is "$snapshot: gate waits for a driver" \
			"$(query $snapshot .gate)" reset-pending
	fi
	check "$snapshot: boots on" vm_ready $snapshot
	is "$snapshot: vsock works" "$(echo $snapshot | connect $snapshot 1234)" \
		$snapshot
	is "$snapshot: new CID" "$(guest_exec $snapshot vsock-client --cid)" 9
	check "$snapshot: no kernel warnings" guest_calm $snapshot
	check "$snapshot: ends" vm_quit $snapshot
done
done_testing
