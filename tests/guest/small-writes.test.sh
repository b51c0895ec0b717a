#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Small writes of host programs, to guest programs that read late or slowly:
# all arrive.  A kernel that counts the packets a program has not read, as
# 6.12.95 does, resets a connection with more than about 450 of them.
# timeout: 400
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

SIZES='1 129 200 500 1000'
WRITES=600
stream=$PROGRAMS/vsock-stream

# reader SIZE PORT OPTION...: a guest program, its report in /run/PORT.log
reader()
{
	local size=$1 port=$2

	shift 2
	guest_exec a "vsock-stream recv --bytes $((size * WRITES)) $* \
		--background --listen vsock:any:$port >/run/$port.log 2>&1"
}

# writer SIZE PORT: a host program, in the background
writer()
{
	"$stream" send --bytes $(($1 * WRITES)) --chunk "$1" --pause-ms 1 \
		--connect "hybrid:a.vsock:$2" >"sent.$2" 2>&1 &
}

all_arrive()
{
	local kernel=$1 size port=3000

	for size in $SIZES; do
		reader "$size" "$port" --late-ms 5000
		writer "$size" "$port"
		reader "$size" $((port + 1)) --chunk $((size + size / 2)) \
			--pause-ms 3
		writer "$size" $((port + 1))
		((port += 2))
	done
	port=3000
	for size in $SIZES; do
		check "$kernel: writes of $size bytes to a late reader" \
			guest_finds a "/run/$port.log" ' ok$' 60
		check "$kernel: writes of $size bytes to a slow reader" \
			guest_finds a "/run/$((port + 1)).log" ' ok$' 60
		((port += 2))
	done
}

VM_CPUS=1
tried=
for dir in "${WHERRY_KERNEL%/*}" \
	"$WHERRY_BUILD"/guest-images/kernels/6.1[0-9].* \
	"$WHERRY_BUILD"/guest-images/kernels/[7-9].*; do
	[[ -s $dir/vmlinux && -s $dir/initrd.cpio ]] || continue
	rm -f a.ctl a.vsock "$LOGS/a.console"
	WHERRY_KERNEL=$dir/vmlinux WHERRY_INITRD=$dir/initrd.cpio vm_start a 3
	check "guest boots" vm_ready a || bail_out "no guest"
	kernel=$(guest_exec a uname -r)
	if [[ " $tried " != *" $kernel "* ]]; then
		tried+=" $kernel"
		all_arrive "$kernel"
		check "$kernel: no warnings" guest_calm a
	fi
	check "machine ends" vm_quit a
done
done_testing
