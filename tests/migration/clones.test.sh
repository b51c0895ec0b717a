#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One snapshot, many guests side by side:
#
#	clones.test.sh [--clones N]
#
# Each has its CID, its socket and its generation ID, and answers while all the
# others do; they share the memory that none has written.  A listener in the
# guest that is bound to VMADDR_CID_ANY is reachable under the new CID, one
# bound to the CID of its old life only in a clone that has that CID.
# timeout: 240
# long timeout: 600
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/../guest/lib.sh"

clones=
take_sizes clones=4:10 -- "$@"
VM_CPUS=1
bound=1500

# memory_of NAME Rss|Pss: in KiB.
memory_of()
{
	awk -v key="$2:" '$1 == key { print $2 }' \
		"/proc/${VM_PID[$1]}/smaps_rollup"
}

generation_of()
{
	ctl "$1" query-vm-generation-id | jq -r .guid
}

# All ask, and only then is anybody waited for.
all_answer()
{
	local i bad=0
	local -a asked=()

	for ((i = 1; i <= clones; i++)); do
		echo "clone $i" | connect "c$i" 1234 >"answer.$i" 2>&1 &
		asked+=($!)
	done
	wait "${asked[@]}"
	for ((i = 1; i <= clones; i++)); do
		[[ $(<"answer.$i") == "clone $i" ]] || {
			printf 'c%d: %s\n' "$i" "$(<"answer.$i")"
			bad=1
		}
	done
	return "$bad"
}

each_knows_its_cid()
{
	local i cid bad=0

	for ((i = 1; i <= clones; i++)); do
		cid=$(guest_exec "c$i" vsock-client --cid)
		((cid == 100 + i)) || {
			printf 'c%d: %s\n' "$i" "$cid"
			bad=1
		}
	done
	return "$bad"
}

# Written in the guest: no other one sees it.
each_keeps_its_own()
{
	local i got bad=0

	for ((i = 1; i <= clones; i++)); do
		guest_exec "c$i" "echo $i >/run/mine" || bad=1
	done
	for ((i = 1; i <= clones; i++)); do
		got=$(guest_exec "c$i" 'cat /run/common /run/mine')
		[[ $got == $'common\n'$i ]] || {
			printf 'c%d: %s\n' "$i" "$got"
			bad=1
		}
	done
	return "$bad"
}

vm_start a 3
check "guest boots" vm_ready a || bail_out "no guest"
guest_exec a 'echo common >/run/common'
guest_exec a "vsock-echo --background $bound 3 </dev/null"
is "a listener bound to the guest's CID is reachable" \
	"$(echo bound | connect a $bound)" bound
first=$(generation_of a)
check "guest is saved" ctl a snapshot-save path=snap
check "source ends" vm_quit a
sums=$(cksum snap/*)

begin=$EPOCHREALTIME
for ((i = 1; i <= clones; i++)); do
	vm_restore "c$i" $((100 + i)) snap
done
check "$clones clones answer at once" all_answer
note "$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN {
	printf "%.1f s from the first start to the last answer", b - a }')"
check "each knows its CID" each_knows_its_cid
check "each keeps what it writes" each_keeps_its_own
is "each has a generation ID of its own" \
	"$({ echo "$first"; for ((i = 1; i <= clones; i++)); do
		generation_of "c$i"; done; } | sort -u | wc -l)" \
	$((clones + 1))

rss=0
pss=0
for ((i = 1; i <= clones; i++)); do
	r=$(memory_of "c$i" Rss)
	p=$(memory_of "c$i" Pss)
	note "c$i: Rss $r KiB, Pss $p KiB"
	((rss += r, pss += p))
done
note "in sum: Rss $rss KiB, Pss $pss KiB, snapshot's memory $(du -k snap/memory | cut -f 1) KiB"
# Half of what there is in common, at the least, is there once.
check "memory is shared until written" test $((pss * 4)) -lt $((rss * 3))

said=$(connect c1 $bound 2>&1)
is "a listener bound to the old CID refuses: status" $? 1
like "and at once" "$said" "port $bound .*refused"
is "a clone's listener bound to its own CID is reachable" "$(
	guest_exec c1 'vsock-echo --background 1501 101 </dev/null'
	echo mine | connect c1 1501)" mine
vm_restore same 3 snap
check "a clone with the old CID answers" vm_answers same
is "there that listener is reachable" "$(echo again | connect same $bound)" \
	again
check "it ends" vm_quit same

check "no kernel warnings" guest_calm c1
check "the first ends" vm_quit c1
is "the last goes on without it" "$(echo on | connect "c$clones" 1234)" on
bad=0
for ((i = 2; i <= clones; i++)); do
	vm_quit "c$i" || bad=1
done
is "all end" $bad 0
is "snapshot is unchanged" "$(cksum snap/*)" "$sums"
done_testing "clones: clones=$clones rss-kib=$rss pss-kib=$pss"
