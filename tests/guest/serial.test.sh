#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The serial console: --serial stdio both ways, --serial file=, and a restored
# guest that goes on typing on another one.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# A machine whose console is this pipe and this file; $LOGS/NAME.err has its
# messages.
console()
{
	local name=$1

	shift
	hold "$name.keys" "$WHERRY" "$@" --control "$name.ctl"
	screen=$name.keys.back
}

console a run --kernel "$WHERRY_KERNEL" --initrd "$WHERRY_INITRD" \
	--append "${WHERRY_APPEND/wherry.shell=0/}" --memory "$VM_MEMORY"
check "guest writes to standard output" \
	wait_line 60 "$screen" WHERRY-GUEST-READY || bail_out "no guest"
# shellcheck disable=SC2016 # for the guest's shell
hold_send a.keys 'echo seven times six is $((7 * 6))'
check "a typed command is answered" wait_line 20 "$screen" \
	'^seven times six is 42'

# Longer than the port's buffers, there and back.
long=$(printf 'word%03d ' {1..120})
hold_send a.keys "echo '$long' | md5sum"
check "a long line arrives whole" wait_line 20 "$screen" \
	"^$(echo "$long" | md5sum | cut -d ' ' -f 1)"
hold_send a.keys 'seq -s " " 5000 | md5sum; seq 1000 | sed s/^/line/'
check "much output comes" wait_line 60 "$screen" '^line1000'
is "and nothing of it is lost" "$(grep -cE '^line[0-9]+' "$screen")" 1000

check "guest is saved" ctl a snapshot-save path=snap
hold_send a.keys 'poweroff -f'
check "power-off by a typed command" wait_for 20 test ! -S a.ctl

vm_restore b - snap
check "restored with file=" vm_up b
is "the file is for its owner only" \
	"$(stat -c %a "$LOGS/b.console")" 600
check "that machine ends" vm_quit b

console c restore snap
# shellcheck disable=SC2016 # for the guest's shell
hold_send c.keys 'echo six times nine is $((6 * 9))'
check "restored guest answers on its new console" wait_line 20 "$screen" \
	'^six times nine is 54'
ctl c quit >/dev/null
check "that machine ends too" wait_for 10 test ! -S c.ctl
done_testing
