#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The bare-metal guest through the public command line: what the process
# prints, writes and exits with; stopped, saved, restored by the control
# socket. Runs on any KVM, a software one too.

. "${0%/*}/lib.sh"

run tiny.elf p
check "64-bit guest powers off: status 0" status_is 0
check "it printed" out_is 'hello\n'
check "the monitor said nothing" test ! -s "$work/err"

run tiny-pvh.elf 'two words'
check "PVH guest powers off: status 0" status_is 0
check "it found its command line" out_is 'pvh two words\n'

memory=8G
run tiny.elf p --cpus 8
memory=
check "8 vCPUs and 8 GiB" status_is 0

run tiny.elf r
check "reset: status 3" status_is 3

run tiny.elf t
check "triple fault: status 1" status_is 1
check "it is named" err_has 'vCPU 0: triple fault'
# AMD's CPUs lose the state with it, which is said then.
check "the vCPU is dumped, with the code" \
	err_has 'code: .* <0f> 0b\|registers after a reset'

run tiny.elf u
check "instruction that KVM cannot emulate: status 1" status_is 1
check "what that means is said" err_has 'this KVM cannot run this guest'

run no-such-file p
check "no kernel: status 1" status_is 1
check "the file is named" err_has "$guests/no-such-file: No such file"

run cli.sh p
check "no kernel in the file: status 1" status_is 1

# A guest that prints numbers in order: saved in the middle, the rest comes
# from another process, and nothing twice. The first goes on as well.
rm -f "$work/out" "$work/err"
"$WHERRY" run --kernel "$guests/tiny.elf" --append l98 --memory 16M \
	--serial "file=$work/out" --control "$work/control" \
	</dev/null >/dev/null 2>"$work/err" &
first=$!
pids=$first
check "guest runs" wait_for has_lines "$work/out" 5
check "it stops" "$WHERRY" ctl "$work/control" stop
before=$(wc -c <"$work/out")
sleep 0.2
check "and stands still" test "$(wc -c <"$work/out")" -eq "$before"
check "it is saved" \
	"$WHERRY" ctl "$work/control" snapshot-save "path=$work/saved"
check "it is whole" \
	"$WHERRY" ctl "$work/control" snapshot-verify "path=$work/saved"
cp -r "$work/saved" "$work/damaged"
printf X | dd of="$work/damaged/memory" bs=1 seek=5000 conv=notrunc \
	2>/dev/null
"$WHERRY" ctl "$work/control" snapshot-verify "path=$work/damaged" \
	>/dev/null 2>"$work/err"
status=$?
check "a damaged one is not: status 1" status_is 1
check "the file is named" err_has "damaged: memory: damaged: CRC32C"
check "it goes on" "$WHERRY" ctl "$work/control" cont
timeout 60 "$WHERRY" restore "$work/saved" --serial "file=$work/rest" \
	</dev/null >/dev/null 2>"$work/err"
status=$?
check "restored guest powers off: status 0" status_is 0
head -c "$before" "$work/out" >"$work/whole"
cat "$work/rest" >>"$work/whole"
numbers 98 >"$work/want"
check "it went on where the other was saved" \
	diff "$work/want" "$work/whole"
wait "$first"
status=$?
check "the saved guest powers off: status 0" status_is 0
check "it was not disturbed" diff "$work/want" "$work/out"

echo "1..$number"
exit "$failed"
