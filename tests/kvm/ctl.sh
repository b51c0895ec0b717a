#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `wherry ctl` and `wherry inspect` on a bare-metal guest: events, deadlines,
# what they print and exit with. Runs on any KVM, a software one too.

. "${0%/*}/lib.sh"

control=$work/control

# ctl WORD...: to the machine; sets status, leaves got and err
ctl()
{
	timeout 60 "$WHERRY" ctl "$control" "$@" >"$work/got" 2>"$work/err"
	status=$?
}

# inspect WORD...: the same
inspect()
{
	timeout 60 "$WHERRY" inspect "$@" >"$work/got" 2>"$work/err"
	status=$?
}

got_has()
{
	grep -q -e "$1" "$work/got" || { cat "$work/got"; return 1; }
}

got_lines()
{
	cat "$work/got"
	[ "$(wc -l <"$work/got")" -eq "$1" ]
}

is_socket()
{
	[ -S "$1" ]
}

"$WHERRY" run --kernel "$guests/tiny.elf" --append l98 --memory 16M \
	--cpus 2 --serial "file=$work/out" --control "$control" \
	--vsock "cid=3,uds=$work/vsock,queue-size=64" --paused \
	</dev/null >/dev/null 2>"$work/log" &
machine=$!
pids=$machine
check "guest waits" wait_for is_socket "$control"

ctl query-status
check "result is one line of JSON" got_lines 1
check "it says so" got_has '^{"status":"prelaunch","running":false}$'
ctl frob
check "unknown command: status 1" status_is 1
check "command, class and sentence" \
	err_has '^wherry: frob: CommandNotFound: The command frob has not'
ctl query-status x=1
check "wrong argument: its class too" \
	err_has "^wherry: query-status: GenericError: Parameter 'x'"

ctl --wait NEVER
check "unknown event: status 2" status_is 2
check "the known ones are named" err_has "'NEVER'.* STOP, .*VSOCK_GATE"
ctl --wait STOP --timeout 0.2
check "deadline: status 124" status_is 124
check "it says for what" err_has 'no event STOP within 0.200 seconds'
ctl query-status --wait STOP --timeout 0.2
check "deadline after the answer: status 124" status_is 124
check "the answer came" got_has '^{"status":"prelaunch"'

ctl cont --wait RESUME --timeout 30
check "event of the command: status 0" status_is 0
check "answer and event, a line each" got_lines 2
check "the event is last" got_has '^{"event":"RESUME"'
ctl stop --wait STOP --timeout 30
check "it stops" got_has '^{"event":"STOP"'
ctl snapshot-save "path=$work/saved" --wait SNAPSHOT_SAVED
check "it is saved" got_has '^{"event":"SNAPSHOT_SAVED"'

inspect "$work/saved"
check "snapshot is described: status 0" status_is 0
check "in one line of JSON" got_lines 1
check "its CPUs" got_has '"cpus":2,"memory-bytes":16777216,'
check "its devices" got_has '"name":"serial".*"name":"rng".*"name":"vsock"'
check "its vsock device" \
	got_has '"name":"vsock","address":"[^"]*","queues":3,"queue-size":64,'
check "its files" got_has '"name":"memory","length-bytes":16777216,'
inspect "$work/saved" --verify
check "memory is as it was" got_has '"memory-verified":true'
cp -r "$work/saved" "$work/damaged"
printf X | dd of="$work/damaged/memory" bs=1 seek=5000 conv=notrunc \
	2>/dev/null
inspect "$work/damaged"
check "damaged memory is not looked at" status_is 0
inspect "$work/damaged" --verify
check "but when asked for: status 1" status_is 1
check "the file is named" err_has 'damaged: memory: damaged: CRC32C'
check "nothing is said of it" got_lines 0
printf X | dd of="$work/damaged/state.dtb" bs=1 seek=100 conv=notrunc \
	2>/dev/null
inspect "$work/damaged"
check "damaged state: status 1" status_is 1
check "that file is named" err_has 'damaged: state.dtb: damaged: CRC32C'

ctl cont --wait SHUTDOWN --timeout 60
check "the guest's end is an event" got_has '"reason":"guest-shutdown"'
wait "$machine"
status=$?
check "guest powers off: status 0" status_is 0

timeout 60 "$WHERRY" restore "$work/saved" --serial none \
	--vsock "cid=3,uds=$work/vsock" --control "$control" --paused \
	</dev/null >/dev/null 2>"$work/log" &
machine=$!
pids=$machine
check "it waits, restored" wait_for is_socket "$control"
ctl quit --wait SHUTDOWN --timeout 30
check "quit and its event: status 0" status_is 0
check "the reason" got_has '"reason":"host-qmp-quit"'
check "the socket has gone" test ! -e "$control"
wait "$machine"
status=$?
check "the process too: status 0" status_is 0

echo "1..$number"
exit "$failed"
