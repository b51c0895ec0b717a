#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vsock between host and guest, both ways: streams, half-close, refusal, many
# connections at once.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
is "guest sees its CID" "$(guest_exec a vsock-client --cid)" 3

is "echo host to guest" "$(echo hello | connect a 1234)" hello
host_serves a 2000 'tr a-z A-Z'
is "echo guest to host" "$(guest_exec a 'echo hello | vsock-client 2000')" HELLO

# A port that nobody listens on is an error, and not after a timeout.
begin=$EPOCHREALTIME
said=$(connect a 9 2>&1)
is "refused by the guest: status" $? 1
like "refused by the guest: told so" "$said" 'port 9 .*refused'
said=$(guest_exec a 'vsock-client 9')
is "refused by the host: status" $? 1
like "refused by the host: told so" "$said" ECONNRESET
check "neither took long" before "$EPOCHREALTIME" "$begin" $((5 * TIME_SCALE))

# Request, end of request, answer: needs a half-close that leaves the other
# way open.
is "half-close by the host" "$(head -c 100000 /dev/zero | guest_exec a wc -c)" \
	100000
host_serves a 2001 'wc -c'
is "half-close by the guest" \
	"$(guest_exec a 'head -c 100000 /dev/zero | vsock-client 2001')" 100000

# Streams whose every word is checked; 1024 receives, 1025 sends.
stream=$PROGRAMS/vsock-stream
check "8 MiB to the guest" \
	"$stream" send --ask --bytes 8M --connect hybrid:a.vsock:1024
check "8 MiB to the host" \
	"$stream" recv --ask --bytes 8M --connect hybrid:a.vsock:1025
background "$stream" recv --bytes 8M --listen unix:a.vsock_2002 >received
wait_for 10 test -S a.vsock_2002
check "8 MiB on a connection of the guest's" guest_exec a \
	'vsock-stream send --bytes 8M --connect vsock:2:2002'
check "all of it is right" wait_line 10 received ' ok$'
for chunk in 1 4093 65536; do
	"$stream" send --ask --bytes $((chunk * 50)) --chunk $chunk --seed 7 \
		--connect hybrid:a.vsock:1024 >up.$chunk 2>&1 &
	up=$!
	"$stream" recv --ask --bytes $((chunk * 50)) --chunk $chunk --seed 8 \
		--connect hybrid:a.vsock:1025 >down.$chunk 2>&1 &
	wait $! && wait $up
	is "chunks of $chunk bytes both ways at once" $? 0
done

# The script keeps them open while it asks how many there are.
before=$(query a .counters.established)
python3 - a.vsock 200 "$WHERRY" ctl a.ctl query-vsock >many.json <<'END'
import socket, subprocess, sys
many = []
for i in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sys.argv[1])
    s.sendall(b"CONNECT 1234\n")
    many.append(s)
ports = {s.makefile().readline() for s in many}
assert len(ports) == len(many) and all(p.startswith("OK ") for p in ports)
for i, s in enumerate(many):
    s.sendall(b"this is number %d\n" % i)
for i, s in enumerate(many):
    assert s.makefile().readline() == "this is number %d\n" % i
subprocess.run(sys.argv[3:], check=True)
END
is "200 connections at once" $? 0
is "query-vsock lists them" \
	"$(jq '.connections | map(select(.["guest-port"] == 1234)) | length' many.json)" 200
is "and counts them" \
	"$(jq ".counters.established - $before" many.json)" 200
# shellcheck disable=SC2317 # called by wait_for
no_connections()
{
	[[ $(query a '.connections | length') == 0 ]]
}
check "in the end none is left" wait_for 10 no_connections
is "nothing was malformed" "$(query a .counters.malformed)" 0
check "no kernel warnings" guest_calm a
check "machine ends" vm_quit a
done_testing
