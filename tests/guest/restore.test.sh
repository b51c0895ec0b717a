#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A running guest is saved and restored under another CID and another path.
# The source and its connections do not notice.  In the restored guest every
# old connection is reported as reset at once, listeners serve on, and new
# connections work both ways.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

VM_CPUS=${RESTORE_CPUS:-1}
log=/run/vsock-hold.log

# The time in a report "... at T".
time_of()
{
	printf '%s\n' "${1##* at }"
}

# One connection accepted by the guest, one made by it.
vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
hold_open in a 1300
hold_send in before
check "guest accepts a connection" guest_finds a $log 'accepted 1 '
host_holds out a 2000
guest_exec a 'vsock-client --hold 2000 >/run/client.log 2>&1 &'
hold_send out before
check "guest makes a connection" guest_finds a /run/client.log connected
is "both are counted" "$(query a '.connections | map(select(.["guest-port"] == 1300 or .["host-port"] == 2000)) | length')" 2

saved_after=$(guest_uptime a)
check "running guest is saved" ctl a snapshot-save path=snap
saved_before=$(guest_uptime a)

# The source goes on: what is sent now arrives, and the end is orderly.
is "source still runs" "$(ctl a query-status | jq -r .status)" running
hold_send in after
hold_close in
like "accepted connection outlives the save" \
	"$(guest_finds a $log 'ended 1 ')" 'how=EOF bytes=13 '
hold_send out after
hold_close out
like "made connection outlives the save" \
	"$(guest_finds a /run/client.log ended)" 'how=EOF bytes=13 '
check "source ends" vm_quit a

mkdir elsewhere
vm_launch b - restore snap --vsock cid=7,uds=elsewhere/b.vsock
ln -s elsewhere/b.vsock b.vsock
check "guest is restored under another CID and path" vm_up b

# The reports were written by programs in the guest.
accepted=$(guest_finds b $log 'ended 1 ')
like "accepted connection is reported as reset" "$accepted" \
	'how=ECONNRESET bytes=7 '
made=$(guest_finds b /run/client.log ended)
like "made connection is reported as reset" "$made" \
	'how=ECONNRESET bytes=7 '
for line in "$accepted" "$made"; do
	at=$(time_of "$line")
	note "saved at $saved_after to $saved_before, reset reported at $at"
	check "after the save" before "$saved_after" "$at"
	check "within a second of resuming" \
		before "$at" "$saved_before" "$TIME_SCALE"
done

is "guest sees its new CID" "$(guest_exec b vsock-client --cid)" 7
is "host sees it" "$(query b '.["guest-cid"]')" 7
is "listener still serves" "$(echo hello | connect b 1234)" hello
host_serves elsewhere/b 2001 'tr a-z A-Z'
is "guest can connect" "$(guest_exec b 'echo hello | vsock-client 2001')" HELLO
is "nothing was forced" "$(query b '.counters["gate-forced"]')" 0

uptime=$(guest_uptime b)
check "guest's clock goes on" before "$saved_after" "$uptime"
guest_exec b 'usleep 200000'
check "and timers fire" before "$uptime" "$(guest_uptime b)" -0.2
check "no kernel warnings" guest_calm b
check "restored guest ends" vm_quit b

# Paused, a restored machine shows that the reset is out before any CPU runs.
vm_restore c 8 snap --paused
check "guest is restored once more, paused" vm_up c
is "gate waits for the driver's answer" "$(query c .gate)" reset-sent
is "no connection is left" "$(query c '.connections | length')" 0
events c
ctl c cont >/dev/null
check "gate opens" event c '"VSOCK_GATE".*"to": *"open"'
is "as the driver has answered" \
	"$(grep VSOCK_GATE "$LOGS/c.events" | jq -c .data)" \
	'{"from":"reset-sent","to":"open","forced":false}'
is "listener serves there too" "$(echo hello | connect c 1234)" hello
check "it ends" vm_quit c
done_testing
