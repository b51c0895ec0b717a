#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One snapshot, two machines side by side, with CIDs of their own: each
# answers, neither sees what the other does, the snapshot stays as it is.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
guest_exec a 'echo common >/run/common'
check "guest is saved" ctl a snapshot-save path=snap
check "source ends" vm_quit a
sums=$(cksum snap/*)

vm_restore b 7 snap
vm_restore c 8 snap
check "first clone answers" vm_answers b
check "second clone answers" vm_answers c
is "first has its CID" "$(guest_exec b vsock-client --cid)" 7
is "second has its CID" "$(guest_exec c vsock-client --cid)" 8

guest_exec b 'echo from b >/run/mine; sync' &
guest_exec c 'echo from c >/run/mine; sync' &
wait $! %%
is "first keeps its data" "$(guest_exec b 'cat /run/common /run/mine')" \
	$'common\nfrom b'
is "second keeps its data" "$(guest_exec c 'cat /run/common /run/mine')" \
	$'common\nfrom c'

host_serves b 2000 'echo host of b'
host_serves c 2000 'echo host of c'
is "first connects to its own host side" \
	"$(guest_exec b 'vsock-client 2000 </dev/null')" 'host of b'
is "second connects to its own host side" \
	"$(guest_exec c 'vsock-client 2000 </dev/null')" 'host of c'
check "first ends" vm_quit b
is "second goes on without it" "$(echo alone | connect c 1234)" alone
check "second ends" vm_quit c
is "snapshot is unchanged" "$(cksum snap/*)" "$sums"
done_testing
