#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two clones of one snapshot re-seed their random numbers: each has a new
# generation ID before it runs, and its kernel is notified of it.  Needs a
# kernel with the driver (CONFIG_VMGENID): the default one, or one that
# "./bootstrap images --suite bookworm-backports linux-image-cloud-amd64"
# has fetched.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

message='crng reseeded due to virtual machine fork'

generation()
{
	ctl "$1" query-vm-generation-id | jq -r .guid
}

# An ACPI driver at first, a platform driver since Linux 6.10.
has_driver()
{
	guest_exec "$1" 'test -d /sys/bus/acpi/drivers/vmgenid -o -d /sys/bus/platform/drivers/vmgenid' 2>/dev/null
}

boots_with_driver()
{
	vm_start a 3
	vm_ready a || return 1
	has_driver a
}

VM_CPUS=1
found=0
for dir in $(guest_kernels); do
	if WHERRY_KERNEL=$dir/vmlinux WHERRY_INITRD=$dir/initrd.cpio \
		boots_with_driver >/dev/null; then
		found=1
		note "kernel: $(guest_exec a uname -r)"
		break
	fi
	# Nothing of it may be taken for the next one's.
	vm_kill a
	rm -f a.ctl a.vsock "$LOGS/a.console"
done
((found)) || skip_all "no kernel here has the vmgenid driver;" \
	"./bootstrap images --suite bookworm-backports linux-image-cloud-amd64 fetches one"

like "machine tells its generation" "$(generation a)" \
	'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
first=$(generation a)
check "random numbers are seeded before the save" \
	guest_exec a 'head -c 1 /dev/random >/dev/null'
check "guest is saved" ctl a snapshot-save path=snap
check "source has not been told of a fork" \
	guest_exec a "! dmesg | grep -q '$message'"
is "and keeps its generation" "$(generation a)" "$first"
check "source ends" vm_quit a

for name in b c; do
	vm_restore $name $((${#VM_STATUS[@]} + 6)) snap
	check "clone $name answers" vm_answers $name
	check "its kernel has re-seeded" guest_exec $name \
		"until dmesg | grep -q '$message'; do usleep 50000; done"
	is "once" "$(guest_exec $name "dmesg | grep -c '$message'")" 1
done
is "three lives have three generations" \
	"$({ echo "$first"; generation b; generation c; } | sort -u | wc -l)" 3
is "the clones' random numbers differ" "$(for name in b c; do
	guest_exec $name 'cat /proc/sys/kernel/random/uuid'; done |
	sort -u | wc -l)" 2
check "no kernel warnings" guest_calm b

check "a clone's clone" ctl b snapshot-save path=again
vm_restore d 9 again
check "answers" vm_answers d
check "and re-seeds again" guest_exec d \
	"until [ \$(dmesg | grep -c '$message') = 2 ]; do usleep 50000; done"
done_testing
