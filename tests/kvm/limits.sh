#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a guest can do to its monitor, and what the limits of the process give:
# a bare-metal guest that breaks its device all the time, a standard error that
# nobody reads, few file descriptors. Runs on any KVM, a software one too.

. "${0%/*}/lib.sh"

control=$work/control

is_socket()
{
	[ -S "$1" ]
}

# soft_limit PID: of its descriptors
soft_limit()
{
	awk '/^Max open files/ { print $4 }' "/proc/$1/limits"
}

open_files()
{
	ls "/proc/$1/fd" | wc -l
}

# is_at_most VALUE LIMIT
is_at_most()
{
	echo "$1, at most $2 expected"
	[ "$1" -le "$2" ]
}

# A pipe that nobody reads, and that can be read later.
mkfifo "$work/pipe"
exec 7<>"$work/pipe"
timeout -k 5 100 "$WHERRY" run --kernel "$guests/tiny.elf" --append b2000 \
	--memory 16M --serial "file=$work/out" \
	--vsock "cid=3,uds=$work/vsock" </dev/null >/dev/null 2>&7
status=$?
check "guest that breaks its device 8192 times is not stopped by it" status_is 0
check "it got to its end" out_is '00002000\n'
timeout 5 cat "$work/pipe" >"$work/err"
exec 7>&-
check "what it did is said" err_has 'vsock: bad driver'
check "a few times" is_at_most "$(grep -c 'bad driver' "$work/err")" 100
check "and how often it was not" \
	err_has 'more messages of what the guest does were left out'

# The same with a pipe that is full from the start.
exec 7<>"$work/pipe"
dd if=/dev/zero of="$work/pipe" bs=4096 count=16 oflag=nonblock 2>/dev/null
timeout -k 5 100 "$WHERRY" run --kernel "$guests/no-such-file" \
	</dev/null >/dev/null 2>&7
status=$?
check "nor does an error wait for its reader for ever: status 1" status_is 1
exec 7>&-

# refused_for LIMIT KEY=VALUE: with that hard limit of descriptors
refused_for()
{
	rm -f "$work/err"
	(
		ulimit -n "$1"
		timeout 60 "$WHERRY" run --kernel "$guests/tiny.elf" \
			--append p --vsock "cid=3,uds=$work/vsock,$2" \
			</dev/null >/dev/null 2>"$work/err"
	)
	status=$?
}

refused_for 1000 connections=900
check "more connections than descriptors: status 1" status_is 1
check "they are named, and how many there can be" \
	err_has 'connections=900: at most [0-9]* expected with a hard limit of 1000'
refused_for 1000 clients=900
check "more clients than descriptors: status 1" status_is 1
check "they are named, too" err_has 'clients=900: at most [0-9]* expected'
refused_for 1000 seqpacket=$work/seq
check "the default fits into what there is" status_is 0
check "and says so" err_has 'warning: --vsock connections=[0-9]* instead of'

# All that a machine can have, in a process that could have fewer files.
mkfifo "$work/stdout"
cat "$work/stdout" >/dev/null &
pids=$!
(
	ulimit -Sn 200
	exec "$WHERRY" run --kernel "$guests/tiny.elf" --append l98 --paused \
		--memory 16M --cpus 8 --serial stdio --control "$control" \
		--vsock "cid=3,uds=$work/vsock,seqpacket=$work/seq,pcap=$work/pcap,connections=200" \
		</dev/null >"$work/stdout" 2>"$work/err"
) &
machine=$!
pids="$pids $machine"
check "it is at work" wait_for is_socket "$control"
check "its soft limit was raised" \
	test "$(soft_limit "$machine")" -gt 600
check "and not to the skies" is_at_most "$(soft_limit "$machine")" 800
check "a machine takes no more than is counted for it" \
	is_at_most "$(open_files "$machine")" 67
check "it ends" "$WHERRY" ctl "$control" quit
wait "$machine"
status=$?
check "status 0" status_is 0

echo "1..$number"
exit "$failed"
