#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# system_powerdown presses the guest's ACPI power button, and a guest that
# listens powers off in its own way.  A press that the guest has not seen is
# not lost: not by a pause, and not by a snapshot.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

pressed=WHERRY-GUEST-POWER-BUTTON

# The guest's acpid has the button open, so that a press will be seen.
listens()
{
	guest_finds "$1" /proc/bus/input/devices 'LNXPWRBN|PNP0C0C' &&
		guest_exec "$1" 'until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q /dev/input/event; do usleep 50000; done'
}

VM_CPUS=1 vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
check "it listens to its power button" listens a
is "query-cpus-fast names the CPU's thread" \
	"$(ctl a query-cpus-fast | jq -r '.[0]["thread-id"]')" \
	"$(grep -l '^vcpu0$' "/proc/${VM_PID[a]}"/task/*/comm |
		sed 's,.*/task/\([0-9]*\)/.*,\1,')"
is "and its place" "$(ctl a query-cpus-fast | jq -c '.[] | [.["cpu-index"],
	.target, .props["core-id"]]')" '[0,"x86_64",0]'

events a
ctl a stop >/dev/null
check "button can be pressed while paused" ctl a system_powerdown
check "with an event" event a '"POWERDOWN"'
check "the press is saved" ctl a snapshot-save path=snap
check "nothing has happened yet" test "$(grep -c $pressed "$LOGS/a.console")" = 0
ctl a cont >/dev/null
check "guest runs on, and ends" vm_wait a 60
is "with status 0" "${VM_STATUS[a]:-runs}" 0
check "it was the button" vm_says a $pressed
check "and the guest powered off itself" event a '"SHUTDOWN".*guest-shutdown'

vm_restore b 4 snap
check "restored guest sees the press too, and ends" vm_wait b 60
is "with status 0 as well" "${VM_STATUS[b]:-runs}" 0
check "it was the button there" vm_says b $pressed
done_testing
