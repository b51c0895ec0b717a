#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A kernel that panics is not one that reboots, though it does that next: the
# process ends with a status of its own, or the guest stays where it panicked,
# also in a snapshot.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

status_of()
{
	ctl "$1" query-status | jq -r .status
}

VM_CPUS=2 vm_start a 3 --on-panic stop
check "guest boots" vm_ready a || bail_out "no guest"
guest_exec a 'ls /sys/bus/platform/drivers/pvpanic-mmio/' >drivers
if ! grep -q QEMU0001 drivers; then
	skip "it panics" "this kernel has no driver for the panic device"
	done_testing
fi
events a
GUEST_EXEC_TIMEOUT=60 background guest_exec a 'echo c >/proc/sysrq-trigger' \
	>/dev/null 2>&1
check "it panics, and is paused" event a '"GUEST_PANICKED".*pause' 60
is "its status says so" "$(status_of a)" guest-panicked
check "it said so before" vm_says a 'Kernel panic'
check "it is saved" ctl a snapshot-save path=snap
is "no reboot came of it" "$(grep -c '"RESET"' "$LOGS/a.events")" 0
check "it ends" vm_quit a

vm_restore b 4 snap
check "it is restored" vm_up b
is "and still has panicked" "$(status_of b)" guest-panicked
events b
check "it may go on" ctl b cont
check "and does what it was about to: it reboots" vm_wait b 60
is "with status 3" "${VM_STATUS[b]:-runs}" 3
check "which is told" event b '"RESET".*guest-reset'

WHERRY_APPEND+=" wherry.run64=$(printf 'echo c >/proc/sysrq-trigger' | base64 -w 0)"
VM_CPUS=1 vm_start c 3
check "without --on-panic the machine ends" vm_wait c 120
is "with status 4" "${VM_STATUS[c]:-runs}" 4
check "after the guest's last words" vm_says c 'Kernel panic'
check "and a message" grep -q 'the guest has panicked' "$LOGS/c.err"
done_testing
