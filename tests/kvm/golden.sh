#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Golden snapshots of each format load: tests/kvm/golden holds one for every
# format of saved state that there was since versions are kept, and all of them
# go on loading. Runs on any KVM, a software one too.
#
#	golden.sh	the test
#	golden.sh make	add a golden snapshot of today's format ("make golden")
#
# The guest has brought up its vsock device and prints the numbers from 0 to 1f;
# it was saved between two of them. Its last line is how many events the device
# has sent it: none, or one if it was restored.
#
# Its CPU is that of the host where it was saved, so --force: what is tested is
# whether the saved state is understood, not whether this host is a worthy one.

. "${0%/*}/lib.sh"

golden=${0%/*}/golden
vsock=cid=3,uds=$work/vsock,seqpacket=$work/seqpacket
# Hexadecimal.
lines=20

# Until it answers; not for a minute when it has ended.
loads()
{
	until ctl query-status >/dev/null 2>&1; do
		kill -0 "$pid" 2>/dev/null || return
		sleep 0.1
	done
}

# versions SNAPSHOT: of its components
versions()
{
	"$WHERRY" inspect "$1" --verify >"$work/inspected" || return
	sed -n 's/.*"versions":{\([^}]*\)}.*/\1/p' "$work/inspected"
}

# names_versions SNAPSHOT: each component has one
names_versions()
{
	said=$(versions "$1")
	echo "$said"
	for component in machine cpu irqchip serial rng rng/queue vsock \
		vsock/queue vsock/vsock ged vmgenid; do
		case $said in
		*"\"$component\":"[1-9]*) ;;
		*) echo "no version of $component"; return 1 ;;
		esac
	done
}

same_versions()
{
	versions "$1" >"$work/one" && versions "$2" >"$work/other" &&
		diff "$work/one" "$work/other"
}

# unpack FOLDER SNAPSHOT
unpack()
{
	mkdir "$2" && cp "$1/manifest" "$1/state.dtb" "$2" &&
		gzip -dc "$1/memory.gz" >"$2/memory"
}

# The rest of the guest's work, and the event that it was owed.
went_on()
{
	printf '0000001f\n00000001\n' >"$work/want"
	tail -n 2 "$work/out" | diff "$work/want" -
}

make_golden()
{
	next=1
	while [ -e "$golden/$next" ]; do
		next=$((next + 1))
	done
	start run --kernel "$guests/tiny.elf" --append "v$lines" --memory 4M \
		--cpus 2 --vsock "$vsock"
	wait_for has_lines "$work/out" 5 2>/dev/null && ctl stop >/dev/null &&
		ctl snapshot-save "path=$work/saved" >/dev/null ||
		{ cat "$work/err" >&2; exit 1; }
	mkdir -p "$golden/$next" &&
		cp "$work/saved/manifest" "$work/saved/state.dtb" \
			"$golden/$next" &&
		gzip -9nc "$work/saved/memory" >"$golden/$next/memory.gz" ||
		exit 1
	echo "$golden/$next: $(versions "$work/saved")"
}

if [ "${1:-}" = make ]; then
	make_golden
	exit
fi

newest=0
while [ -e "$golden/$((newest + 1))" ]; do
	newest=$((newest + 1))
	old=$work/golden-$newest
	saved=$work/saved-$newest
	check "golden snapshot $newest is unpacked" \
		unpack "$golden/$newest" "$old"
	check "inspect shows its versions" names_versions "$old"
	start restore "$old" --vsock "$vsock" --force --paused
	check "it loads" loads
	check "it is saved again" ctl snapshot-save "path=$saved"
	ctl cont >/dev/null
	check "its guest powers off: status 0" ends
	check "having gone on where it was saved" went_on
	start restore "$saved" --vsock "$vsock" --force
	check "what was saved again loads, too" ends
	check "its guest went on there" went_on
done
check "there is a golden snapshot" test "$newest" -gt 0
check "the newest is of the format written now; else add one: make golden" \
	same_versions "$work/golden-$newest" "$work/saved-$newest"

echo "1..$number"
exit "$failed"
