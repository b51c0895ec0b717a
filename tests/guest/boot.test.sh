#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A distribution's kernel boots from its bzImage and its ELF image, on one CPU
# and on four, with little memory and with more than fits below 4 GiB.  How a
# guest ends shows in the exit status: 0 power-off, 1 crash, 3 reset.
# timeout: 300
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# What the kernel counts as RAM, in KiB.
ram_of()
{
	guest_exec "$1" "dmesg | sed -n 's,.*Memory: .*/\([0-9]*\)K available.*,\1,p'"
}

bzimage=${WHERRY_KERNEL%/*}/vmlinuz
[[ -e $bzimage ]] || bzimage=$WHERRY_BZIMAGE
WHERRY_KERNEL=$bzimage VM_CPUS=1 vm_start bz 3
VM_CPUS=4 VM_MEMORY=300M vm_start elf 4
# Without an initrd it finds no root, and panics.
vm_launch rootless - run --kernel "$WHERRY_KERNEL" --append "$WHERRY_APPEND"

check "ELF kernel boots" vm_ready elf || bail_out "no guest"
is "it sees four CPUs" "$(guest_exec elf nproc)" 4
# shellcheck disable=SC2016 # for the guest's shell
is "all of them work" \
	"$(guest_exec elf 'for i in 0 1 2 3; do taskset -c $i echo $i; done' |
		tr '\n' ' ')" '0 1 2 3 '
ram=$(ram_of elf)
check "it sees its 300 MiB" test \
	"${ram:-0}" -gt $((299 * 1024)) -a "${ram:-0}" -le $((300 * 1024))
like "virtio-rng is there" \
	"$(guest_exec elf cat /sys/class/misc/hw_random/rng_available)" virtio
is "it gives bytes" "$(guest_exec elf 'head -c 256 /dev/hwrng | wc -c')" 256
is "not always the same" "$(guest_exec elf \
	'for i in 1 2; do head -c 32 /dev/hwrng | md5sum; done' | sort -u | wc -l)" 2
check "no kernel warnings" guest_calm elf
check "console has no complaint" grep -vqE 'WARNING:|BUG:|Oops' \
	"$LOGS/elf.console"
guest_exec elf 'reboot -f' >/dev/null 2>&1
vm_wait elf 20
is "reboot ends with status 3" "${VM_STATUS[elf]:-runs}" 3
vm_wait rootless 60
is "panic ends with status 3" "${VM_STATUS[rootless]:-runs}" 3
check "it said why" vm_says rootless 'Kernel panic.*VFS'

check "bzImage boots" vm_ready bz
is "it sees one CPU" "$(guest_exec bz nproc)" 1
check "no kernel warnings there" guest_calm bz
events bz
guest_exec bz 'poweroff -f' >/dev/null 2>&1
vm_wait bz 20
is "power-off ends with status 0" "${VM_STATUS[bz]:-runs}" 0
check "and with an event" event bz '"SHUTDOWN".*guest-shutdown'
check "no socket is left behind" test ! -e bz.ctl -a ! -e bz.vsock

# The memory is taken from the host as the guest touches it.
if (($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) < 700 * 1024)); then
	skip "8 GiB guest" "less than 700 MiB of memory available here"
	done_testing
fi
WHERRY_APPEND+=' reboot=t'
VM_CPUS=1 VM_MEMORY=8G vm_start big 5
if check "8 GiB guest boots" vm_ready big; then
	ram=$(ram_of big)
	check "it sees more than 7.5 GiB" test "${ram:-0}" -gt 7864320
	like "with RAM above 4 GiB" "$(guest_exec big cat /proc/iomem)" \
		'100000000-[0-9a-f]+ : System RAM'
	note "host memory in use: $(grep VmRSS "/proc/${VM_PID[big]}/status")"
	check "no kernel warnings in it" guest_calm big
	guest_exec big 'reboot -f' >/dev/null 2>&1
	vm_wait big 30
	is "triple fault ends with status 1" "${VM_STATUS[big]:-runs}" 1
	check "and is named" grep -q 'triple fault' "$LOGS/big.err"
fi
done_testing
