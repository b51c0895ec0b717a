#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's driver is unbound and bound again, as by a module reload: its
# connections end for both sides, its listeners serve afterwards. The same in a
# restored guest, and a snapshot that is made while no driver is bound.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

driver=/sys/bus/virtio/drivers/vmw_vsock_virtio_transport

# rebind NAME MARK [COMMAND]: in the background, for the connection that asks
# for it ends with the rest; COMMAND runs in the guest while nothing is bound.
rebind()
{
	local steps="echo \$device >unbind; ${3:-true}; echo \$device >bind"

	guest_exec "$1" "cd $driver && device=\$(ls -d virtio*) && { { $steps; echo rebound >/run/$2; } </dev/null >/dev/null 2>&1 & }" \
		>/dev/null 2>&1
	event "$1" '"to": ?"closed"' && event "$1" '"to": ?"open"' &&
		vm_answers "$1" &&
		[[ $(guest_exec "$1" "cat /run/$2") == rebound ]]
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
events a
hold_open kept a 1234
client=${CHILDREN[-2]}
hold_send kept hello
check "a connection is open" wait_line 10 kept.back hello
check "the driver is bound anew" rebind a one
check "the host hears that the connection is over" wait_for 10 gone "$client"
is "the listener serves" "$(echo again | connect a 1234)" again
check "it is saved" ctl a snapshot-save path=snap

: >"$LOGS/a.events"
rebind a two 'until test -e /run/go; do usleep 20000; done' \
	>/dev/null 2>&1 &
rebinding=$!
check "the driver is unbound" event a '"to": ?"closed"'
check "it is saved without a driver" ctl a snapshot-save path=bare
check "the source ends" vm_quit a
wait "$rebinding"

vm_restore b 7 snap
check "the first snapshot is restored" vm_answers b
events b
check "the driver is bound anew there, too" rebind b three
is "and serves" "$(echo b | connect b 1234)" b
check "no kernel warnings" guest_calm b
check "it ends" vm_quit b

vm_restore c 8 bare
check "the one without a driver is restored" vm_up c
is "its gate waits for a driver" "$(query c .gate)" reset-pending
check "it ends" vm_quit c
done_testing
