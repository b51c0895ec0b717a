#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A capture file as tshark reads it: link type, ops, addresses, lengths and
# payloads of what capture_write has written. Prints TAP; skipped where there
# is no tshark.

writer=${WHERRY_BUILD:-.}/tests/unit/capture_write
number=0
failed=0

if ! command -v tshark >/dev/null 2>&1; then
	echo "1..0 # SKIP tshark is not installed"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-capture.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
file=$work/vsock.pcap
# Nothing of the user's settings.
HOME=$work
WIRESHARK_CONFIG_DIR=$work
export HOME WIRESHARK_CONFIG_DIR

# same NAME EXPECTED GOT: one test
same()
{
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
		return
	fi
	failed=1
	echo "not ok $number - $1"
	printf 'expected:\n%s\ngot:\n%s\n' "$2" "$3" | sed 's/^/# /'
}

# fields FIELD...: these, of all packets
fields()
{
	list=
	for field in "$@"; do
		list="$list -e $field"
	done
	# shellcheck disable=SC2086
	tshark -r "$file" -T fields -E separator=' ' $list 2>>"$work/errors"
}

if ! "$writer" "$file"; then
	echo "Bail out! capture_write failed"
	exit 1
fi

same "link_type_is_vsock" "$(yes vsock | head -n 8)" \
	"$(fields frame.protocols)"
same "nothing_is_malformed_or_cut_short" "" \
	"$(tshark -r "$file" -Y '_ws.malformed || _ws.short' 2>>"$work/errors")"
same "ops_are_those_of_the_monitor" "1 2 44
1 2 44
4 2 44
4 2 44
3 2 44
3 2 44
2 2 44
2 2 44" "$(fields vsock.op vsock.trans vsock.trans_len)"
same "ops_are_those_of_virtio" "1
2
5
5
6
7
4
3" "$(fields vsock.virtio.op)"
to_guest="2 3 1073741824 1024"
to_host="3 2 1024 1073741824"
same "addresses_are_right" "$to_guest
$to_host
$to_guest
$to_host
$to_host
$to_guest
$to_host
$to_guest" "$(fields vsock.src_cid vsock.dst_cid vsock.src_port \
		vsock.dst_port)"
same "types_and_flags_are_right" "1 0x00000000
1 0x00000000
1 0x00000000
2 0x00000001
1 0x00000000
1 0x00000000
1 0x00000003
1 0x00000000" "$(fields vsock.virtio.type vsock.virtio.flags)"
same "lengths_are_right" "0 76
0 76
5 81
9 85
0 76
0 76
0 76
0 76" "$(fields vsock.virtio.len frame.len)"
same "payloads_are_right" "68656c6c6f
61206d657373616765" "$(fields vsock.payload | grep .)"
same "credit_is_right" "262144 7" \
	"$(fields vsock.virtio.buf_alloc vsock.virtio.fwd_cnt | sort -u)"

[ "$failed" = 0 ] || sed 's/^/# /' "$work/errors"
echo "1..$number"
exit "$failed"
