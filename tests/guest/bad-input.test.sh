#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What cannot work is refused: one line on standard error that names the
# thing, the value and what was expected; status 2 for a wrong command line, 1
# for everything else; nothing is left behind.
# shellcheck source=tests/guest/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# refused STATUS REGEX ARGUMENT...: runs wherry with them.
refused()
{
	local wanted=$1 regex=$2 status=0 before after

	shift 2
	before=$(ls -A)
	timeout 20 "$WHERRY" "$@" >"$LOGS/.out" 2>"$LOGS/.err" </dev/null ||
		status=$?
	after=$(ls -A)
	if ((status != wanted)); then
		fail "$*" "status $status, expected $wanted: $(<"$LOGS/.err")"
	elif (($(wc -l <"$LOGS/.err") != 1)) || [[ -s $LOGS/.out ]]; then
		fail "$*" "one line on standard error expected:
$(cat "$LOGS/.out" "$LOGS/.err")"
	elif ! grep -qE -- "^wherry: .*$regex" "$LOGS/.err"; then
		fail "$*" "expected: $regex
got:      $(<"$LOGS/.err")"
	elif [[ $before != "$after" ]]; then
		fail "$*" "left behind: $after"
	else
		pass "$(sed "s,${WHERRY_KERNEL%/*}/,,g" "$LOGS/.err")"
	fi
	rm -f "$LOGS/.out" "$LOGS/.err"
}

run=(run --kernel "$WHERRY_KERNEL")

# The command line.
refused 2 'command'
refused 2 "'fly'.*run" fly
refused 2 '--kernel' run
refused 2 '--frobnicate' "${run[@]}" --frobnicate
refused 2 '--kernel.*twice' "${run[@]}" --kernel x
refused 2 'value' run --kernel
refused 2 "'extra'" "${run[@]}" extra
refused 2 "--memory '1.5G'" "${run[@]}" --memory 1.5G
refused 2 "--memory '0'" "${run[@]}" --memory 0
refused 2 "--memory '-1M'" "${run[@]}" --memory -1M
refused 2 "--memory '99999999999G'" "${run[@]}" --memory 99999999999G
refused 2 "--cpus '0'.*1 to" "${run[@]}" --cpus 0
refused 2 "--cpus '1000'.*1 to" "${run[@]}" --cpus 1000
refused 2 "cid '2'.*3" "${run[@]}" --vsock cid=2,uds=x
refused 2 "cid '4294967295'" "${run[@]}" --vsock cid=4294967295,uds=x
refused 2 "cid 'three'" "${run[@]}" --vsock cid=three,uds=x
refused 2 'uds' "${run[@]}" --vsock cid=3
refused 2 'cid' "${run[@]}" --vsock uds=x
refused 2 "'port'" "${run[@]}" --vsock cid=3,uds=x,port=4
refused 2 "cid.*twice" "${run[@]}" --vsock cid=3,cid=4,uds=x
refused 2 "same socket 'x'" "${run[@]}" --vsock cid=3,uds=x --control x
refused 2 "--serial 'tcp:1'.*stdio" "${run[@]}" --serial tcp:1
refused 2 "--paused.*value" "${run[@]}" --paused=yes
refused 2 'unknown option' restore x --kernel y
refused 2 'directory' restore
refused 2 "port 'x'" connect a.vsock x
refused 2 "'stop'|socket" ctl stop

# Kernel and initrd.
head -c 100 "$WHERRY_KERNEL" >kernel.100
head -c 1000000 "$WHERRY_KERNEL" >kernel.cut
head -c 100000 "${WHERRY_BZIMAGE}" >bzimage.cut
head -c 100000 /dev/urandom >garbage
: >empty
mkfifo fifo
refused 1 'kernel: none: No such file' run --kernel none
refused 1 'kernel: empty: empty' run --kernel empty
refused 1 'garbage: .*bzImage' run --kernel garbage
refused 1 'kernel.100: truncated' run --kernel kernel.100
refused 1 'kernel.cut: truncated' run --kernel kernel.cut
refused 1 'bzimage.cut: truncated' run --kernel bzimage.cut
refused 1 'fifo: .*regular file' run --kernel fifo
refused 1 '/: .*regular file' run --kernel /
refused 1 'initrd: none: No such file' "${run[@]}" --initrd none
refused 1 'initrd: empty: empty' "${run[@]}" --initrd empty
refused 1 '/: .*regular file' "${run[@]}" --initrd /
refused 1 '1 MiB .*too small' "${run[@]}" --memory 1M
refused 1 '16 MiB .*too small: .*needs at least [0-9]+ MiB' "${run[@]}" \
	--memory 16M
truncate -s 300M big
refused 1 'too small: big needs at least [0-9]+ MiB' "${run[@]}" \
	--initrd big --memory 256M
refused 1 'command line of [0-9]+ bytes: .*at most' "${run[@]}" \
	--append "$(printf '%5000s' x)"

# Sockets.
vm_start a 3 --paused
check "a machine that has two sockets" vm_up a
refused 1 "'a.vsock' is in use" "${run[@]}" --vsock cid=4,uds=a.vsock
refused 1 "'a.ctl' is in use" "${run[@]}" --control a.ctl
refused 1 "'garbage' exists and is not a socket" "${run[@]}" --control garbage
refused 1 "no/such: .*No such file|'no'|'no/'" "${run[@]}" --control no/such
long=$(printf '%200s' '' | tr ' ' x)
refused 2 "200 bytes, at most" "${run[@]}" --control "$long"
refused 2 "200 bytes, at most" "${run[@]}" --vsock "cid=3,uds=$long"
check "that machine is untouched" ctl a query-vsock
refused 1 "'none.vsock': No such file" connect none.vsock 1234
refused 1 "'none.ctl'.*No such file" ctl none.ctl query-status
refused 1 "'a.ctl': an answer 'OK NUMBER' expected" connect a.ctl 1234

# A save that cannot be.
refused 1 'no/such/place.*No such file' ctl a.ctl snapshot-save \
	path=no/such/place
mkdir precious
echo mine >precious/file
refused 1 'precious.*not replaced.*"file"' ctl a.ctl snapshot-save \
	path=precious
refused 1 'garbage: .*not replaced' ctl a.ctl snapshot-save path=garbage
is "what was there still is" "$(<precious/file)" mine
check "the machine can still be saved" ctl a snapshot-save path=snap
check "it ends" vm_quit a

# Snapshots that are none.
vsock=(--vsock "cid=9,uds=b.vsock")
damaged()
{
	rm -rf bad
	cp -r snap bad
}
refused 1 'none: No such file' restore none "${vsock[@]}"
refused 1 'garbage: Not a directory' restore garbage "${vsock[@]}"
mkdir folder
refused 1 'folder: .*no manifest' restore folder "${vsock[@]}"
refused 1 '--vsock' restore snap
for file in manifest state.dtb memory; do
	damaged
	truncate -s 50% bad/$file 2>/dev/null ||
		truncate -s $(($(stat -c %s bad/$file) / 2)) bad/$file
	refused 1 "bad: .*$file" restore bad "${vsock[@]}"
	: >bad/$file
	refused 1 "bad: .*$file" restore bad "${vsock[@]}"
	rm bad/$file
	refused 1 "bad: .*$file" restore bad "${vsock[@]}"
	ln -s "$WORK/snap/$file" bad/$file
	refused 1 "bad: $file: .*link" restore bad "${vsock[@]}"
done
for file in manifest state.dtb; do
	damaged
	printf X | dd of=bad/$file bs=1 seek=60 conv=notrunc status=none
	refused 1 "bad: .*$file" restore bad "${vsock[@]}"
done
damaged
sed -i '1s/[0-9]*$/999/' bad/manifest
refused 1 'bad: manifest: .*999' restore bad "${vsock[@]}"

# A user who may not.
chmod 755 .
cp "$WHERRY" wherry
if ((EUID != 0)) || ! command -v setpriv >/dev/null; then
	skip "no access to /dev/kvm" "only root can become another user"
elif setpriv --reuid 65534 --regid 65534 --clear-groups \
	sh -c ': <>/dev/kvm' 2>/dev/null; then
	skip "no access to /dev/kvm" "here everyone has it"
else
	cp "$WHERRY_KERNEL" kernel
	said=$(setpriv --reuid 65534 --regid 65534 --clear-groups \
		./wherry run --kernel kernel 2>&1)
	is "no access to /dev/kvm: status" $? 1
	is "no access to /dev/kvm: what to do" "$said" \
		"wherry: /dev/kvm: permission denied: join group kvm or run as root"
fi
rm -f wherry kernel
done_testing
