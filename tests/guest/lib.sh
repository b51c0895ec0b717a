# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What guest tests are written with.  A test is tests/guest/NAME.test.sh:
#
#	#!/bin/bash
#	# What the test shows.
#	# timeout: 120
#	. "${BASH_SOURCE[0]%/*}/lib.sh"
#
#	vm_start a 3
#	check "guest boots" vm_ready a
#	is "guest sees its CID" "$(guest_exec a vsock-client --cid)" 3
#	done_testing
#
# The test runs in $WORK, a folder of its own that goes away; what is to be
# kept belongs in $LOGS.  Machines speak through sockets in $WORK: NAME.ctl
# and NAME.vsock.  Machines and other processes that a test started die with
# it.  No deadline is a rest: waiting ends when the thing happens.

set -uo pipefail

TEST_NAME=${0##*/}
TEST_NAME=${TEST_NAME%.test.sh}
TIME_SCALE=${WHERRY_TIME_SCALE:-1}
TEST_COUNT=0
TEST_FAILED=0
TEST_DONE=0

# The guest kernel's command line; a test may change or extend it.
WHERRY_APPEND=${WHERRY_APPEND:-console=ttyS0 quiet panic=-1 nokaslr wherry.shell=0 cryptomgr.notests initcall_blacklist=init_kprobe_trace,cubictcp_register,load_system_certificate_list}
VM_MEMORY=${VM_MEMORY:-256M}
VM_CPUS=${VM_CPUS:-2}

# By machine: process ID, and exit status once known.
declare -A VM_PID=() VM_STATUS=()
declare -a CHILDREN=()
# By file: process that keeps a connection's input open (hold).
declare -A HELD=()

# Programs of guest-images/programs, for the host's side.
# shellcheck disable=SC2034 # used by tests
PROGRAMS=${WHERRY_BUILD:-}/guest-images/bin

bail_out()
{
	printf 'Bail out! %s\n' "$*"
	TEST_DONE=1
	exit 1
}

for variable in WHERRY WHERRY_KERNEL WHERRY_INITRD WHERRY_LOGS; do
	[[ -n ${!variable:-} ]] ||
		bail_out "$variable is not set; run this by ./bootstrap lane"
done
unset variable
[[ -x $WHERRY ]] || bail_out "$WHERRY: not there; ./bootstrap build makes it"
LOGS=$WHERRY_LOGS/$TEST_NAME
rm -rf "$LOGS"
mkdir -p "$LOGS"
# Short, for a socket's path is limited to 107 bytes.
WORK=$(mktemp -d "${TMPDIR:-/tmp}/w.XXXXXX") || bail_out "no scratch folder"
cd "$WORK" || bail_out "$WORK: cannot be entered"
exec </dev/null
# A descriptor that never has input: read -t on it rests without a process.
exec {NEVER}<> <(:)

rest()
{
	read -r -t 0.1 -u "$NEVER" || true
}

note()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

pass()
{
	((TEST_COUNT += 1))
	printf 'ok %d - %s\n' "$TEST_COUNT" "$1"
}

# fail NAME [WHY]
fail()
{
	((TEST_COUNT += 1, TEST_FAILED += 1))
	printf 'not ok %d - %s\n' "$TEST_COUNT" "$1"
	if (($# > 1)); then
		printf '%s\n' "$2" | sed 's/^/#   /'
	fi
}

# skip NAME WHY
skip()
{
	((TEST_COUNT += 1))
	printf 'ok %d - %s # SKIP %s\n' "$TEST_COUNT" "$1" "$2"
}

skip_all()
{
	printf '1..0 # SKIP %s\n' "$*"
	TEST_DONE=1
	exit 0
}

# check NAME COMMAND...: passes when COMMAND does; what it says otherwise is
# shown.  It runs in this shell, so that it may be one of the functions here.
check()
{
	local name=$1 status=0

	shift
	"$@" >"$LOGS/.said" 2>&1 || status=$?
	if ((status == 0)); then
		pass "$name"
	else
		fail "$name" "'$*' ended with status $status
$(tail -n 5 "$LOGS/.said")"
	fi
	rm -f "$LOGS/.said"
	return "$status"
}

# is NAME GOT WANTED
is()
{
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1" "got:      '$2'
expected: '$3'"
		return 1
	fi
}

# like NAME GOT PATTERN (a bash regular expression)
like()
{
	if [[ $2 =~ $3 ]]; then
		pass "$1"
	else
		fail "$1" "got:      '$2'
expected: a match of /$3/"
		return 1
	fi
}

# done_testing [LINE]: the plan, and a last line for machines, as
# "storm: restores=6 hung=0".
done_testing()
{
	printf '1..%d\n' "$TEST_COUNT"
	TEST_DONE=1
	(($# == 0)) || printf '%s\n' "$1"
	exit $((TEST_FAILED ? 1 : 0))
}

# take_sizes NAME=SIZE:LONG-SIZE... -- ARGUMENT...: sets variables of such names
# to the sizes of a test: what "--NAME N" among its arguments says, else SIZE,
# or LONG-SIZE with WHERRY_LONG=1.
take_sizes()
{
	local name size
	local -A known=()

	for (( ; $# && ${#1} > 2; )); do
		name=${1%%=*}
		size=${1#*=}
		if [[ ${WHERRY_LONG:-} == 1 ]]; then
			size=${size#*:}
		fi
		printf -v "$name" %d "${size%:*}"
		known[$name]=1
		shift
	done
	shift
	while (($#)); do
		name=${1#--}
		[[ $1 == --?* && -n ${known[$name]:-} &&
			${2:-} =~ ^[1-9][0-9]{0,5}$ ]] ||
			bail_out "'$*': expected --NAME NUMBER, NAME one of:" \
				"${!known[*]}"
		printf -v "$name" %d "$2"
		shift 2
	done
}

cleanup()
{
	local pid name

	trap - EXIT
	for pid in "${VM_PID[@]}" "${CHILDREN[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${VM_PID[@]}" "${CHILDREN[@]}"; do
		wait_for 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
	done
	if ((TEST_FAILED || !TEST_DONE)); then
		note "logs: $LOGS"
		for name in "$LOGS"/*.err "$LOGS"/*.console; do
			[[ -s $name ]] || continue
			note "${name##*/}:"
			tail -n 5 "$name" | tr -d '\r' | sed 's/^/#   /'
		done
	fi
	cd /
	rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

gone()
{
	! kill -0 "$1" 2>/dev/null
}

# wait_for SECONDS COMMAND...: tries until COMMAND succeeds; its status.
wait_for()
{
	local end=$((SECONDS + $1 * TIME_SCALE + 1))

	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		rest
	done
}

# wait_line SECONDS FILE REGEX: until the file has such a line (grep -E).
wait_line()
{
	wait_for "$1" grep -aqE -- "$3" "$2" 2>/dev/null
}

# background COMMAND...: a helper process that dies with the test; its ID is
# in BACKGROUND.  Redirections are the caller's.
background()
{
	# A background job has no input but what it is given.
	"$@" <&0 &
	BACKGROUND=$!
	CHILDREN+=("$BACKGROUND")
}

# The rest of the arguments of a machine NAME with CID ("-": no vsock).
vm_launch()
{
	local name=$1 cid=$2
	local -a vsock=()

	shift 2
	if [[ $cid != - ]]; then
		vsock=(--vsock "cid=$cid,uds=$name.vsock")
	fi
	printf '%s\n' "$WHERRY $* ${vsock[*]}" >"$LOGS/$name.command"
	"$WHERRY" "$@" "${vsock[@]}" --control "$name.ctl" \
		--serial "file=$LOGS/$name.console" 2>>"$LOGS/$name.err" &
	VM_PID[$name]=$!
	unset "VM_STATUS[$name]"
}

# vm_start NAME CID|- [OPTION]...: starts a guest, by the public command line.
vm_start()
{
	local name=$1 cid=$2

	shift 2
	vm_launch "$name" "$cid" run --kernel "$WHERRY_KERNEL" \
		--initrd "$WHERRY_INITRD" --append "$WHERRY_APPEND" \
		--memory "$VM_MEMORY" --cpus "$VM_CPUS" "$@"
}

# vm_restore NAME CID|- FOLDER [OPTION]...: starts one from a snapshot.
vm_restore()
{
	local name=$1 cid=$2

	shift 2
	vm_launch "$name" "$cid" restore "$@"
}

# guest_kernels: folders of the kernels that tests can use, the default one
# first, and then the later ones.
guest_kernels()
{
	local dir
	local -A seen=()

	for dir in "${WHERRY_KERNEL%/*}" \
		"$WHERRY_BUILD"/guest-images/kernels/{6.1[0-9],[7-9]}.*; do
		dir=$(realpath -m -- "$dir")
		[[ -z ${seen[$dir]:-} && -s $dir/vmlinux &&
			-s $dir/initrd.cpio ]] || continue
		seen[$dir]=1
		printf '%s\n' "$dir"
	done
}

vm_lives()
{
	[[ -n ${VM_PID[$1]:-} ]] && ! vm_ended "$1"
}

vm_says()
{
	grep -aqE -- "$2" "$LOGS/$1.console" 2>/dev/null
}

vm_says_or_died()
{
	vm_says "$@" || ! vm_lives "$1"
}

# vm_up NAME [SECONDS]: until a machine that was started answers on its control
# socket; it is whole then, and a restored guest runs, unless --paused.
vm_up()
{
	wait_for "${2:-30}" vm_socket_or_died "$1"
	ctl "$1" query-status >/dev/null
}

vm_socket_or_died()
{
	[[ -S $1.ctl ]] || ! vm_lives "$1"
}

# vm_ready NAME [SECONDS]: until a started guest's servers listen.
vm_ready()
{
	vm_wait_console "$1" WHERRY-GUEST-READY "${2:-120}"
}

# vm_wait_console NAME REGEX [SECONDS]
vm_wait_console()
{
	wait_for "${3:-60}" vm_says_or_died "$1" "$2"
	vm_says "$1" "$2" && return
	if vm_lives "$1"; then
		printf '%s: no %s on the console in %s s\n' "$1" "$2" "${3:-60}"
	else
		vm_wait "$1" 1
		printf '%s: ended with status %s before %s\n' "$1" \
			"${VM_STATUS[$1]:-?}" "$2"
	fi
	return 1
}

# vm_answers NAME [SECONDS]: until a guest, restored perhaps, runs a command.
vm_answers()
{
	GUEST_EXEC_TIMEOUT=5 wait_for "${2:-30}" guest_true "$1"
}

guest_true()
{
	guest_exec "$1" true >/dev/null 2>&1
}

# vm_wait NAME [SECONDS]: until the machine has ended; VM_STATUS[NAME] is its
# exit status then.
vm_wait()
{
	local name=$1 status=0

	[[ -z ${VM_STATUS[$name]:-} ]] || return 0
	if ! wait_for "${2:-30}" vm_ended "$name"; then
		printf '%s: still runs after %s s\n' "$name" "${2:-30}"
		return 1
	fi
	wait "${VM_PID[$name]}" || status=$?
	VM_STATUS[$name]=$status
	unset "VM_PID[$name]"
}

# A child that ended but was not waited for is a zombie.
vm_ended()
{
	local state

	{ read -r state <"/proc/${VM_PID[$1]}/stat"; } 2>/dev/null || return 0
	state=${state##*) }
	[[ ${state%% *} == Z ]]
}

# vm_kill NAME [SIGNAL]: ends a machine at once.
vm_kill()
{
	[[ -n ${VM_PID[$1]:-} ]] || return 0
	kill -s "${2:-KILL}" "${VM_PID[$1]}" 2>/dev/null
	vm_wait "$1" 10
}

# vm_quit NAME: ends a machine the clean way.
vm_quit()
{
	ctl "$1" quit >/dev/null && vm_wait "$1" 10 &&
		((VM_STATUS[$1] == 0))
}

# ctl NAME COMMAND [KEY=VALUE]...
ctl()
{
	local name=$1

	shift
	timeout "$((${CTL_TIMEOUT:-60} * TIME_SCALE))" \
		"$WHERRY" ctl "$name.ctl" "$@"
}

# query NAME FILTER: what a jq filter makes of query-vsock.
query()
{
	ctl "$1" query-vsock | jq -r "$2"
}

# events NAME: from now on, what the machine tells is noted in
# $LOGS/NAME.events, a line each.
events()
{
	: >"$LOGS/$1.events"
	background socat STDIO,ignoreeof "UNIX-CONNECT:$1.ctl" \
		<<<'{"execute": "qmp_capabilities"}' >>"$LOGS/$1.events"
	wait_line 10 "$LOGS/$1.events" '"return"'
}

# event NAME REGEX [SECONDS]: until the machine has told such a thing.
event()
{
	wait_line "${3:-30}" "$LOGS/$1.events" "$2"
}

# hold_open FILE NAME PORT: connects to a port of the guest, and stays
# connected.  hold_send sends; what comes back is appended to FILE.back.
hold_open()
{
	hold "$1" "$WHERRY" connect "$2.vsock" "$3"
}

# host_holds FILE NAME PORT: the same for a connection that the guest will
# open to a port of the host, which it can once this returns.
host_holds()
{
	hold "$1" socat STDIO "UNIX-LISTEN:$2.vsock_$3"
	wait_for 10 test -S "$2.vsock_$3"
}

# hold FILE COMMAND...: FILE becomes a pipe to COMMAND that has a writer until
# hold_close kills it.
hold()
{
	local pipe=$1

	shift
	mkfifo "$pipe"
	# shellcheck disable=SC2016
	background bash -c 'pipe=$0; exec "$@" <"$pipe"' "$pipe" "$@" \
		>"$pipe.back"
	background sleep infinity 1<>"$pipe"
	HELD[$pipe]=$BACKGROUND
}

# hold_send FILE TEXT
hold_send()
{
	printf '%s\n' "$2" 1<>"$1"
}

# hold_close FILE: no more is sent: the other side reads the end.
hold_close()
{
	kill "${HELD[$1]}" 2>/dev/null
}

# host_serves NAME PORT COMMAND: runs a shell command for each connection of
# the guest to a port of the host.
host_serves()
{
	background socat -t 30 "UNIX-LISTEN:$1.vsock_$2,fork,backlog=64" \
		"SYSTEM:$3"
	wait_for 10 test -S "$1.vsock_$2"
}

# connect NAME PORT: standard input and output to a port of the guest.
connect()
{
	timeout "$((${CONNECT_TIMEOUT:-60} * TIME_SCALE))" \
		"$WHERRY" connect "$1.vsock" "$2"
}

# guest_exec NAME COMMAND...: runs a shell command in the guest, its input
# this one's; prints what it prints, byte for byte, and returns its exit
# status.  255: the guest did not answer.
guest_exec()
{
	local name=$1 out=$WORK/.exec.$BASHPID last status=255

	shift
	{ printf '%s\n' "$*" && cat; } |
		CONNECT_TIMEOUT=${GUEST_EXEC_TIMEOUT:-60} connect "$name" 1000 \
			>"$out" 2>"$out.err"
	last=$(tail -c 16 "$out" | tr -d '\0' | tail -n 1)
	if [[ $last =~ exit=([0-9]+)$ ]]; then
		status=${BASH_REMATCH[1]}
		head -c "-$((${#BASH_REMATCH[0]} + 1))" "$out"
	else
		cat "$out"
		printf '%s: no answer to: %s: %s\n' "$name" "$*" \
			"$(tail -n 1 "$out.err")" >&2
	fi
	rm -f "$out" "$out.err"
	return "$status"
}

# guest_finds NAME FILE REGEX [SECONDS]: waits for a line in a file of the
# guest, and prints it.
guest_finds()
{
	GUEST_EXEC_TIMEOUT=${4:-30} guest_exec "$1" \
		"until grep -E '$3' $2; do usleep 50000; done 2>/dev/null"
}

# guest_uptime NAME: the guest's monotonic clock, in seconds.
guest_uptime()
{
	guest_exec "$1" 'cut -d " " -f 1 /proc/uptime'
}

# guest_calm NAME: the guest's kernel has found nothing wrong.
guest_calm()
{
	guest_exec "$1" "! dmesg | grep -E -A 8 'WARNING:|BUG:|Oops|soft lockup|rcu.*stall|hung_task|Call Trace'"
}

# before A B [SECONDS]: whether time A is not after time B (+ SECONDS).
before()
{
	awk -v a="$1" -v b="$2" -v more="${3:-0}" \
		'BEGIN { exit !(length(a) && length(b) && a <= b + more) }'
}
