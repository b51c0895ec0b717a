#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# stop and cont: an open connection stays open and loses nothing, and a client
# that connects meanwhile is served afterwards.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

status()
{
	ctl a query-status | jq -r .status
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
events a
hold_open kept a 1234
hold_send kept one
check "connection is open" wait_line 10 kept.back one

check "machine stops" ctl a stop
is "query-status says so" "$(status)" paused
check "and an event" event a '"STOP"'
hold_send kept two
echo late | connect a 1234 >late &
late=$!
sent=$(query a '.counters["bytes-to-host"]')
check "a second stop changes nothing" ctl a stop
is "nothing comes out of it" "$(query a '.counters["bytes-to-host"]')" "$sent"
is "the client is not served yet" "$(<late)" ''

check "machine goes on" ctl a cont
is "query-status says that too" "$(status)" running
check "with its event" event a '"RESUME"'
check "what was sent meanwhile comes back" wait_line 10 kept.back two
wait $late
is "the waiting client is served" "$(<late)" late
is "gate was never shut" "$(query a .gate)" open

# Again and again, with data under way.
"$PROGRAMS/vsock-stream" send --ask --bytes 4M \
	--connect hybrid:a.vsock:1024 >stream 2>&1 &
stream=$!
for _ in {1..10}; do
	ctl a stop >/dev/null && ctl a cont >/dev/null
done
wait $stream
is "a stream survives ten pauses" $? 0
hold_send kept three
check "the connection is still the same" wait_line 10 kept.back three
check "no kernel warnings" guest_calm a
check "machine ends" vm_quit a
done_testing
