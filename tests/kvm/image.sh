#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A restored guest runs from the file `memory` of its snapshot. Somebody changes
# that file: it cannot be saved any more, and when it misses something it ends,
# with the snapshot's name.

. "${0%/*}/lib.sh"

# restored SNAPSHOT: paused
restored()
{
	start restore "$1" --paused
	wait_for test -S "$work/control"
}

refused()
{
	! ctl snapshot-save "path=$work/next" 2>"$work/said" || return
	cat "$work/said"
	grep -q "$work/next: not saved: snapshot $work/$1 was changed" \
		"$work/said"
}

fails()
{
	wait "$pid"
	status=$?
	status_is 1
}

start run --kernel "$guests/tiny.elf" --append l98 --memory 16M --paused
check "a guest waits" wait_for test -S "$work/control"
check "it is saved" ctl snapshot-save "path=$work/whole"
ctl quit >/dev/null
check "it ends" ends

# Without a byte the guest has no page tables, with these it has no code.
for bytes in 0 65536; do
	rm -rf "$work/cut"
	cp -r "$work/whole" "$work/cut"
	check "a copy is restored" restored "$work/cut"
	truncate -s "$bytes" "$work/cut/memory"
	check "cut off at $bytes bytes it is not saved" refused cut
	check "nothing is where it was to be" test ! -e "$work/next"
	check "it is there to be looked at" ctl query-status
	ctl cont --wait SHUTDOWN >"$work/event" 2>&1
	check "when it runs it ends: status 1" fails
	check "the snapshot is named, and what is wrong with it" err_has \
		"snapshot $work/cut was changed.*: $bytes bytes, 16777216 exp"
	check "whoever listens is told" grep -q '"host-error"' "$work/event"
done
cp -r "$work/whole" "$work/written"
check "another copy is restored" restored "$work/written"
printf X | dd of="$work/written/memory" bs=1 seek=99 conv=notrunc 2>/dev/null
check "with its memory written to it is not saved" refused written
ctl quit >/dev/null
check "it ends" ends

check "one that nobody changed is restored" restored "$work/whole"
check "and saved" ctl snapshot-save "path=$work/next"
ctl cont >/dev/null
check "and runs: status 0" ends

echo "1..$number"
exit "$failed"
