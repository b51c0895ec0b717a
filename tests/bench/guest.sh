#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The vsock benchmark with a Linux guest: a program in the guest and one on
# the host move a verified stream through the monitor.  Called by "./bootstrap
# bench guest", or by hand:
#
#	./bootstrap lane tests/bench/guest.sh [--rounds N] [--mib N] [--json]
#
# The ratio is to the same programs on a raw AF_UNIX socket in the same lane,
# round by round.  Where the lane is an emulated machine only the ratios say
# anything.

set -uo pipefail
ROUNDS=5
MIB=32
JSON=0
options=("$@")
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/../guest/lib.sh"

usage()
{
	printf 'usage: guest.sh [--rounds N] [--mib N] [--json]\n'
	TEST_DONE=1
	exit "$1"
}

parse()
{
	while (($#)); do
		case $1 in
		--json) JSON=1 ;;
		--help) usage 0 ;;
		--rounds | --mib)
			[[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || usage 2
			if [[ $1 == --mib ]]; then MIB=$2; else ROUNDS=$2; fi
			shift ;;
		*) usage 2 ;;
		esac
		shift
	done
}

# stream DIRECTION CHUNK ADDRESS: prints the rate; fails if any byte is wrong.
stream()
{
	local line

	line=$("$STREAM" "$1" --ask --bytes "${MIB}M" --chunk "$2" \
		--connect "$3" 2>/dev/null) || return 1
	[[ $line =~ rate=([0-9.]+)\ MiB/s\ ok$ ]] || return 1
	printf '%s\n' "${BASH_REMATCH[1]}"
}

# Reads "ours reference" lines; prints the result of one measure.
summary()
{
	sort -n | awk -v name="$1" -v json="$JSON" '
	{ v[NR] = $1; u[NR] = $2; r[NR] = $1 / $2 }
	function sorted(a, n,	i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
				t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
			}
	}
	function median(a, n) {
		return (a[int((n + 1) / 2)] + a[int(n / 2) + 1]) / 2
	}
	END {
		sorted(u, NR)
		sorted(r, NR)
		if (json)
			printf "{\"measure\": \"%s\", \"median\": %.1f, \"min\": %.1f, \"max\": %.1f, \"unit\": \"MiB/s\", \"af_unix_ratio\": %.3f, \"cpu_s_per_gib\": null}\n", name, median(v, NR), v[1], v[NR], median(r, NR)
		else
			printf "%-16s %9.1f %9.1f %9.1f MiB/s | %9.1f %6.2f  %4.2f-%4.2f\n", name, median(v, NR), v[1], v[NR], median(u, NR), median(r, NR), r[1], r[NR]
	}'
}

# measure NAME DIRECTION CHUNK GUEST-PORT RAW-SOCKET
measure()
{
	local name=$1 ours raw round

	# The first round only warms up.
	for ((round = 0; round <= ROUNDS; round++)); do
		ours=$(stream "$2" "$3" "hybrid:a.vsock:$4") ||
			bail_out "$name: the stream through the guest failed"
		raw=$(stream "$2" "$3" "unix:$5") ||
			bail_out "$name: the AF_UNIX stream failed"
		((round)) && printf '%s %s\n' "$ours" "$raw"
	done >rounds
	[[ -s rounds ]] || exit 1
	summary "$name" <rounds
}

parse ${options[@]+"${options[@]}"}
STREAM=$PROGRAMS/vsock-stream
vm_start a 3
vm_ready a || bail_out "no guest"
background "$STREAM" recv --serve --listen unix:sink >/dev/null
background "$STREAM" send --serve --listen unix:source >/dev/null
wait_for 10 test -S sink -a -S source || bail_out "no AF_UNIX reference"

if ((!JSON)); then
	printf 'Linux guest, %s lane, %s rounds of %s MiB.\n\n' \
		"${WHERRY_LANE:-direct}" "$ROUNDS" "$MIB"
	printf '%-16s %9s %9s %9s %-5s | %9s %6s %10s\n' measure median min \
		max unit AF_UNIX ratio spread
fi
measure guest-h2g-64k-1 send 65536 1024 sink
measure guest-h2g-4k-1 send 4096 1024 sink
measure guest-g2h-64k-1 recv 65536 1025 source
measure guest-g2h-4k-1 recv 4096 1025 source
TEST_DONE=1
