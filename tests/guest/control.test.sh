#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The control socket speaks QMP as existing clients do: greeting, negotiation,
# commands with an id, errors of a class, events; several clients at once.  The
# guest need not get far for that.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# What a client sends, line by line; the answers in $said, the greeting first.
qmp()
{
	said=$(printf '%s\n' "$@" |
		socat -t 10 STDIO "UNIX-CONNECT:$name.ctl" | jq -c .)
}

# answer N FILTER: of the Nth line, 0 the greeting.
answer()
{
	jq -s -c ".[$1] | $2" <<<"$said"
}

name=a
hello='{"execute": "qmp_capabilities"}'
vm_start a 3 --paused
check "machine starts" vm_up a || bail_out "no machine"
is "its socket is for its owner only" "$(stat -c %a a.ctl)" 600

qmp "$hello" '{"execute": "query-status", "id": {"any": ["thing"]}}'
is "greeting" "$(answer 0 '.QMP.capabilities')" '[]'
is "greeting has a version" "$(answer 0 '.QMP.version.qemu | keys')" \
	'["major","micro","minor"]'
is "negotiation" "$(answer 1 .return)" '{}'
is "query-status" "$(answer 2 .return)" \
	'{"status":"prelaunch","running":false}'
is "the id comes back" "$(answer 2 .id)" '{"any":["thing"]}'

qmp '{"execute": "query-status"}'
is "not before negotiation" "$(answer 1 .error.class)" '"CommandNotFound"'
qmp "$hello" '{"execute": "no-such-thing", "id": 5}' \
	'{"execute": "stop", "arguments": {"x": 1}}' \
	'{"execute": "snapshot-save"}' \
	'{"execute": "snapshot-save", "arguments": {"path": 7}}' \
	'{"exec": "stop"}' '["stop"]' '{"execute": "query-version"}'
is "unknown command" "$(answer 2 '[.error.class, .id]')" \
	'["CommandNotFound",5]'
like "it is named" "$(answer 2 .error.desc)" no-such-thing
like "unknown argument" "$(answer 3 .error.desc)" "'x' is unexpected"
like "missing argument" "$(answer 4 .error.desc)" "'path' is missing"
like "argument of another type" "$(answer 5 .error.desc)" "'path'.*string"
is "unknown member" "$(answer 6 .error.class)" '"GenericError"'
is "no object" "$(answer 7 .error.class)" '"GenericError"'
is "and the client is still served" "$(answer 8 '.return | has("qemu")')" true

qmp "$hello" 'query-status' '{"execute" "stop"}'
is "what is no JSON is answered by an error" "$(answer 2 .error.class)" \
	'"GenericError"'
qmp "$hello" '{"execute": "query-commands"}'
is "query-commands has them all" \
	"$(answer 2 '[.return[].name] | contains(["cont","query-commands","query-status","query-version","query-vsock","quit","snapshot-save","stop"])')" \
	true

# Several clients; each is told what happens.
events a
cp "$LOGS/a.events" first.events
background socat STDIO,ignoreeof UNIX-CONNECT:a.ctl \
	<<<"$hello" >second.events
wait_line 10 second.events '"return"'
check "cont" ctl a cont
check "stop" ctl a stop
for file in "$LOGS/a.events" second.events; do
	check "RESUME is told to ${file##*/}" wait_line 10 "$file" '"RESUME"'
	check "STOP is told to ${file##*/}" wait_line 10 "$file" '"STOP"'
done
is "an event has a time" "$(jq -s -c \
	'map(select(.event == "STOP"))[0].timestamp | keys' second.events)" \
	'["microseconds","seconds"]'
is "query-status: paused" "$(ctl a query-status)" \
	'{"status":"paused","running":false}'
is "ctl: unknown command" "$(ctl a no-such-thing 2>&1)" \
	"wherry: no-such-thing: CommandNotFound: The command no-such-thing has not been found"
ctl a stop x=1 >/dev/null 2>&1
is "ctl: an error is status 1" $? 1

# A client that goes in the middle of a line, one that never reads.
printf '{"execute": ' | socat -u STDIO UNIX-CONNECT:a.ctl
background socat -u PIPE UNIX-CONNECT:a.ctl
check "others are served all the same" ctl a query-status

qmp "$hello" '{"execute": "quit", "id": 1}'
is "quit is answered" "$(jq -s -c '[.[] | select(.id == 1)][0].return' \
	<<<"$said")" '{}'
check "SHUTDOWN is told" wait_line 10 second.events '"SHUTDOWN".*host-qmp-quit'
check "machine ends" vm_wait a 10
is "with status 0" "${VM_STATUS[a]:-runs}" 0
check "and takes its sockets along" test ! -e a.ctl -a ! -e a.vsock
done_testing
