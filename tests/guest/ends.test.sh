#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How connections end under a process that ends: data that waits for a slow
# reader on the host survives a load in place, a reset, and the end of the
# process; a process that is killed resets the reader, who sees an error and no
# end of file.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# More than a host socket takes by default, by less than a connection's buffer.
BYTES=400000
# The guest's shell says "exit=0" behind it.
ALL=$((BYTES + 7))

# late NAME FILE: has the guest send that much, and reads when FILE.go is there;
# FILE says what came, and how it ended.
late()
{
	background python3 - "$1.vsock" "$2" "$BYTES" <<'EOF'
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"CONNECT 1000\n")
line = b""
while not line.endswith(b"\n"):
    line += s.recv(1)
s.sendall(b"head -c %s /dev/zero\n" % sys.argv[3].encode())
while not os.path.exists(sys.argv[2] + ".go"):
    time.sleep(0.01)
got, how = 0, None
while how is None:
    try:
        data = s.recv(65536)
        got += len(data)
        how = None if data else "end"
    except ConnectionResetError:
        how = "reset"
with open(sys.argv[2] + ".new", "w") as f:
    print(got, how, file=f)
os.rename(sys.argv[2] + ".new", sys.argv[2])
EOF
	check "its data waits" wait_for 30 lingers "$1"
}

# shellcheck disable=SC2317 # called by wait_for
lingers()
{
	[[ $(query "$1" '[.connections[] | select(.state == "lingering")] | length') == 1 ]]
}

# shellcheck disable=SC2317 # called by wait_for
there()
{
	[[ -e $1 ]]
}

outcome()
{
	: >"$1.go"
	wait_for 30 there "$1" && cat "$1"
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
check "it is saved" ctl a snapshot-save path=snap

late a loaded
check "it is put back" ctl a snapshot-load path=snap
is "all that it had sent arrives" "$(outcome loaded)" "$ALL end"
check "it is there again" vm_answers a

late a reset
: >"$LOGS/a.console"
check "it is reset" ctl a system_reset
is "all that it had sent arrives" "$(outcome reset)" "$ALL end"
check "it boots anew" vm_ready a
is "nothing was lost" "$(query a .counters.losses)" 0

late a quit
check "it ends" vm_quit a
is "all that it had sent arrives" "$(outcome quit)" "$ALL end"

vm_restore b 4 snap
check "it is restored" vm_answers b
late b killed
vm_kill b
like "the reader of one that is killed sees an error" "$(outcome killed)" \
	'^[0-9]+ reset$'
check "and not all of it" test "$(cut -d' ' -f1 killed)" -lt "$BYTES"

vm_restore c 5 snap
check "it is restored" vm_answers c
is "a connection that has ended well has" \
	"$(guest_exec c 'echo well')" well
done_testing
