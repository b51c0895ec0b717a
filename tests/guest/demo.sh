#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guided tour: boots a Linux guest, talks to it by vsock, saves it with
# connections open, restores it under another CID, and shows what its programs
# see of that.  Run by "./bootstrap demo"; each command is printed before it is
# run, and what it prints is real.  The exit status is not 0 if anything was
# not as expected.

# shellcheck disable=SC2317 # expect and step call what seems to be unused
set -uo pipefail
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

PATH=${WHERRY%/*}:$PATH
missed=0
begin=$SECONDS
if [[ -t 1 ]]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
	bold='' dim='' plain=''
fi

# Nothing to report: cleanup is to be quiet.
TEST_DONE=1
ln -s "$WHERRY_KERNEL" vmlinux
ln -s "$WHERRY_INITRD" initrd

heading()
{
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

tell()
{
	printf '%s%s%s\n' "$dim" "$*" "$plain"
}

# step COMMAND: prints it, runs it, and prints what it prints; that is also
# in $said.
step()
{
	printf '  $ %s\n' "${1//$'\n'/$'\n'    }"
	eval "$1" >said 2>&1
	status=$?
	said=$(<said)
	if [[ -n $said ]]; then
		sed 's/^/    /' said
	fi
	return "$status"
}

# start NAME COMMAND: the same for a machine, in the background.
start()
{
	printf '  $ %s &\n' "${2//$'\n'/$'\n'    }"
	# shellcheck disable=SC2294
	eval "exec $2" >"$LOGS/$1.err" 2>&1 &
	VM_PID[$1]=$!
}

# expect WHAT COMMAND...: it must succeed.
expect()
{
	local what=$1

	shift
	if "$@" >/dev/null 2>&1; then
		printf '  %s✓ %s%s\n' "$bold" "$what" "$plain"
	else
		printf '  %s✗ %s: NOT AS EXPECTED%s\n' "$bold" "$what" "$plain"
		((missed += 1))
	fi
}

said_is()
{
	[[ $said == "$1" ]]
}

said_has()
{
	[[ $said =~ $1 ]]
}

finish()
{
	heading "That was it, in $((SECONDS - begin)) s"
	if ((missed)); then
		tell "$missed things were not as expected; logs: $LOGS"
		exit 1
	fi
	cat <<'END'
  A running guest was saved with connections open, without disturbing them.
  Restored under another CID, its programs learned at once that the old
  connections are gone, and nothing hangs: listeners serve on, and new
  connections work both ways.  The guest needed no agent for that: what you
  saw is a distribution's kernel with its own virtio-vsock driver.
END
	exit 0
}

heading "1. Boot a guest"
tell "A Debian kernel, 256 MiB, vsock CID 3. Its init starts an echo server on
port 1234 and a server on port 1300 that holds connections and logs how they end."
start a "wherry run --kernel vmlinux --initrd initrd \\
  --append '$WHERRY_APPEND' \\
  --vsock cid=3,uds=a.vsock --control a.ctl --serial file=a.console"
LOGS_A=a.console
if ! wait_for 120 grep -aqs WHERRY-GUEST-READY "$LOGS_A"; then
	expect "the guest boots" false
	cat "$LOGS/a.err" "$LOGS_A" 2>/dev/null
	finish
fi
step "grep READY a.console"
expect "the guest boots" said_has cid=3

heading "2. vsock, both ways"
tell "Host to guest: the guest's echo server."
step "echo 'hello, guest' | wherry connect a.vsock 1234"
expect "echoed by the guest" said_is 'hello, guest'
tell "Guest to host: a program of the host listens on a.vsock_2000."
printf '  $ %s\n' "socat UNIX-LISTEN:a.vsock_2000,fork SYSTEM:'tr a-z A-Z' &"
host_serves a 2000 'tr a-z A-Z'
tell "(\"guest\" stands for running a shell command in the guest, by vsock.)"
guest()
{
	guest_exec "${vm:-a}" "$@"
}
step "guest \"echo 'hello, host' | vsock-client 2000\""
expect "answered by the host" said_is 'HELLO, HOST'

heading "3. A connection held open"
printf '  $ %s\n' "wherry connect a.vsock 1300 <pipe &"
hold_open pipe a 1300
hold_send pipe 'before the save'
guest_finds a /run/vsock-hold.log 'accepted 1 ' >/dev/null
step "guest cat /run/vsock-hold.log"
expect "the guest sees it" said_has 'accepted 1 cid=2'
step "wherry ctl a.ctl query-vsock | jq -c '{\"guest-cid\", gate, connections: [.connections[] | select(.\"guest-port\" == 1300) | {\"host-port\", \"guest-port\", state, \"bytes-to-guest\"}]}'"
expect "the monitor sees it, and the gate is open" said_has '"open".*1300'

heading "4. Save the running guest"
saved=$(guest_uptime a)
step "wherry ctl a.ctl snapshot-save path=snapshot"
expect "saved" said_has pause-us
step "ls -sh snapshot"
tell "The guest runs on, and so does its connection:"
hold_send pipe 'after the save'
hold_close pipe
guest_finds a /run/vsock-hold.log 'ended 1 ' >/dev/null
step "guest tail -n 1 /run/vsock-hold.log"
expect "all 31 bytes arrived, the end was orderly" said_has 'how=EOF bytes=31'
step "wherry ctl a.ctl quit"
expect "the first machine ends" vm_wait a 10

heading "5. Restore it, under another CID"
tell "Paused at first, to have a look before any CPU runs."
start b "wherry restore snapshot --paused \\
  --vsock cid=77,uds=b.vsock --control b.ctl --serial file=b.console"
vm_up b
step "wherry ctl b.ctl query-vsock | jq -c '{\"guest-cid\", gate, connections}'"
expect "the reset is in the guest's event queue, the gate is shut" \
	said_has '77.*reset-sent.*\[\]'
tell "A client connects already; nobody will lose it:"
printf '  $ %s\n' "echo 'I came early' | wherry connect b.vsock 1234 >early &"
background "$WHERRY" connect b.vsock 1234 <<<'I came early' >early
early=$BACKGROUND
events b
step "wherry ctl b.ctl cont"
event b '"to": *"open"'
step "wherry ctl b.ctl query-vsock | jq -c '{\"guest-cid\", gate}'"
expect "the driver has answered, the gate is open" said_has '77.*"open"'
wait "$early"
step "cat early"
expect "the early client was served" said_is 'I came early'

heading "6. What the restored guest's programs see"
vm=b
guest_finds b /run/vsock-hold.log 'ended 1 ' >/dev/null
step "guest cat /run/vsock-hold.log"
expect "the old connection is reported as reset" \
	said_has 'how=ECONNRESET bytes=16'
at=${said##* at }
tell "Saved when the guest's clock said $saved, reported when it said ${at%????}."
expect "within a second or so of the guest's time" before "$at" "$saved" 3
step "guest vsock-client --cid"
expect "the guest knows its new CID" said_is 77
step "echo 'still there?' | wherry connect b.vsock 1234"
expect "the listener serves on" said_is 'still there?'
printf '  $ %s\n' "socat UNIX-LISTEN:b.vsock_2000,fork SYSTEM:'tr a-z A-Z' &"
host_serves b 2000 'tr a-z A-Z'
step "guest \"echo 'hello again' | vsock-client 2000\""
expect "and the guest connects to the host again" said_is 'HELLO AGAIN'
step "guest \"dmesg | grep -cE 'WARNING:|BUG:|Oops'\""
expect "its kernel has nothing to complain about" said_is 0
printf '  $ %s\n' "guest poweroff -f"
guest poweroff -f >/dev/null 2>&1
vm_wait b 20
expect "power-off ends the machine with status 0" \
	test "${VM_STATUS[b]:-runs}" = 0
finish
