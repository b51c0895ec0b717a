#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# snapshot-load over a running guest: it is back where it was saved, its
# listeners serve, connections of the life before are over for both sides, a
# client that came meanwhile is served; and into a process that waits for it
# with --incoming. system_reset boots the kernel anew.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
events a
guest_exec a 'echo before >/run/mark' || true
hold_open old a 1300
check "guest holds a connection" \
	guest_finds a /run/vsock-hold.log 'accepted 1 '
check "it is saved" ctl a snapshot-save path=snap
guest_exec a 'echo after >/run/mark' || true
hold_open new a 1234
hold_send new hello
new=${CHILDREN[-2]}
check "it opens another connection" wait_line 10 new.back hello
CONNECT_TIMEOUT=30 connect a 1234 <<<early >early &
early=$!

check "it is put back" ctl a snapshot-load path=snap
check "which is told" event a '"SNAPSHOT_LOADED"'
is "it runs" "$(ctl a query-status | jq -r .status)" running
is "it is as it was when it was saved" "$(guest_exec a 'cat /run/mark')" before
check "the connection it held then is reset" guest_finds a \
	/run/vsock-hold.log ECONNRESET 10
check "the host hears that the later one is over" wait_for 10 gone "$new"
check "a client that came before is served, or told" wait "$early"
is "new ones are served" "$(echo again | connect a 1234)" again
is "the gate is open" "$(query a .gate)" open
check "it is put back once more" ctl a snapshot-load path=snap
is "and serves" "$(echo third | connect a 1234)" third

check "a snapshot that is not there changes nothing" \
	bash -c '! "$@"' - "$WHERRY" ctl a.ctl snapshot-load path=nowhere
is "it serves on" "$(echo on | connect a 1234)" on

vm_launch b 7 restore --incoming
check "another process waits for a snapshot" vm_up b
is "its status says so" "$(ctl b query-status | jq -r .status)" inmigrate
check "it is loaded there" ctl b snapshot-load path=snap
is "it serves there too" "$(echo there | connect b 1234)" there
is "under its own CID" "$(guest_exec b vsock-client --cid)" 7
check "no kernel warnings" guest_calm b
check "it ends" vm_quit b

check "no kernel warnings in the first" guest_calm a
: >"$LOGS/a.console"
check "it is reset" ctl a system_reset
check "its kernel boots anew" vm_ready a
is "and it serves" "$(echo reset | connect a 1234)" reset
is "what it had in memory is gone" \
	"$(guest_exec a 'cat /run/mark 2>/dev/null || echo none')" none
check "it ends" vm_quit a
done_testing
