#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs a command in the nested lane: QEMU TCG emulates an AMD machine with SVM
# (L1), in which KVM can run Linux guests.  Called by bootstrap:
#
#   nested.sh [--with FILE]... COMMAND...
#
# The source tree's tests/ and guest-images/, the monitor, the test programs
# and the guest images are there in L1 under the same absolute paths.  Input,
# output and the exit status are the command's; what it leaves in
# $WHERRY_LOGS is brought back.  124: out of time, 125: L1 failed.
#
# WHERRY_LANE_MEMORY (3G), WHERRY_LANE_TIMEOUT (1200 s), WHERRY_LANE_CPU,
# WHERRY_LANE_CPUS (1) change the machine; WHERRY_LANE_NAME names its console's
# log. Several may run at once.
#
# One CPU, because QEMU's threads of several corrupt what runs in them when
# guests have more than one vCPU: of 58 boots of a guest with 4 vCPUs in an L1
# with 2 CPUs four went wrong, and twice L1's own kernel panicked; in an L1
# with 1 CPU none of 96 did. To use more cores, run more machines, as
# tests/guest/run does.

set -euo pipefail
# shellcheck source=tests/lane/env.sh
. "${BASH_SOURCE[0]%/*}/env.sh"
# shellcheck source=tests/lane/apt.sh
. "$WHERRY_SRC/tests/lane/apt.sh"
# shellcheck source=tests/lane/base.sh
. "$WHERRY_SRC/tests/lane/base.sh"

DIE_STATUS=125

source_files()
{
	if git -C "$WHERRY_SRC" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$WHERRY_SRC" ls-files -z -co --exclude-standard \
			tests guest-images
	else
		(cd "$WHERRY_SRC" && find tests guest-images -type f -print0)
	fi | while IFS= read -r -d '' name; do
		if [[ -e $WHERRY_SRC/$name ]]; then
			printf '%s\n' "$WHERRY_SRC/$name"
		fi
	done
}

is_elf()
{
	local head

	head=$(LC_ALL=C head -c4 -- "$1" 2>/dev/null | tr -d '\0') || true
	[[ $head == $'\x7fELF' ]]
}

# What was built: the monitor, test programs, images; no objects or caches.
built_files()
{
	local dir file

	for dir in "$WHERRY_BUILD/tests" "$WHERRY_BUILD/vmm"; do
		[[ -d $dir ]] || continue
		find "$dir" -type f -perm -u+x ! -name '*.o' ! -name '*.so' -print |
		while read -r file; do
			if is_elf "$file"; then
				printf '%s\n' "$file"
			fi
		done
	done
	find "$IMAGE_CACHE/bin" "$IMAGE_CACHE"/kernels/[0-9]*/initrd.cpio \
		-type f 2>/dev/null || true
	for file in "$WHERRY_BUILD/wherry" "$WHERRY" "$WHERRY_INITRD"; do
		if [[ -f $file ]]; then
			printf '%s\n' "$file"
		fi
	done
	# A kernel of the user's own; the fetched ones are on the tools disk.
	if [[ -f $WHERRY_KERNEL && $WHERRY_KERNEL != "$IMAGE_CACHE"/kernels/* ]]; then
		printf '%s\n' "$WHERRY_KERNEL"
	fi
}

# Writes the job's tar: its own files and the libraries they need.
build_job()
{
	local out=$1 list file
	local -a elf=()

	shift
	list=$({
		source_files
		built_files
		for file in "$@"; do
			find -L "$file/" -type f 2>/dev/null || printf '%s\n' "$file"
		done
	} | sort -u)
	while read -r file; do
		if [[ -f $file && (-x $file || $file == *.so*) ]] && is_elf "$file"; then
			elf+=("$file")
		fi
	done <<<"$list"
	{
		printf '%s\n' "$list"
		if ((${#elf[@]})); then
			libraries_of "${elf[@]}" |
				grep -vxFf "$LANE_CACHE/base.libraries" || true
		fi
	} | sed 's,^/,,' | tar -C / -h --hard-dereference -cf "$out" -T -
}

main()
{
	local kernel run console kept memory pair status=0 word
	local -a with=() environment=() machine=()

	while [[ ${1:-} == --with ]]; do
		[[ -e ${2:-} ]] || die "--with '${2:-}': no such file"
		with+=("$(realpath -s -- "$2")")
		shift 2
	done
	(($#)) || die "a command is expected"
	[[ $(uname -m) == x86_64 ]] ||
		die "the nested lane needs an x86_64 machine, this is $(uname -m)"

	mkdir -p "$LANE_CACHE" "$WHERRY_LOGS"
	exec 9>"$LANE_CACHE/lock"
	flock 9
	kernel=$("$WHERRY_SRC/guest-images/kernel.sh")
	lane_qemu
	lane_base "$kernel"
	exec 9>&-

	run=$(mktemp -d "$LANE_CACHE/run.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$run'" EXIT
	console=$WHERRY_LOGS/lane-${WHERRY_LANE_NAME:-$$}.console
	kept=$WHERRY_LOGS/lane-${WHERRY_LANE_NAME:-last}.console
	build_job "$run/job.tar" ${with[@]+"${with[@]}"}
	memory=${WHERRY_LANE_MEMORY:-3G}

	while IFS= read -r pair; do
		environment+=(--env "$pair")
	done < <(env | grep -E '^(WHERRY[A-Z_]*|TERM)=')
	environment+=(--env WHERRY_LANE_INSIDE=1
		--env "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		--env HOME=/root --env USER=root --env LANG=C.UTF-8 --env SHELL=/bin/bash)

	word="console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off audit=0"
	word+=" nokaslr cryptomgr.notests kvm.report_ignored_msrs=0"
	word+=" initcall_blacklist=init_kprobe_trace,cubictcp_register,load_system_certificate_list"
	# shellcheck disable=SC2054 # the commas are QEMU's
	machine=(-nodefaults -no-user-config -no-reboot -display none
		-accel tcg,thread=multi -cpu "$qemu_cpu"
		-smp "${WHERRY_LANE_CPUS:-1}" -m "$memory"
		-kernel "$kernel/vmlinux" -initrd "$base_initrd" -append "$word"
		-serial "file:$console"
		-drive "id=tools,if=none,format=raw,readonly=on,file.locking=off,file=$base_disk"
		-drive "id=job,if=none,format=raw,readonly=on,file.locking=off,file=$run/job.tar"
		-chardev socket,id=port,fd=@PORT@
		-M "${WHERRY_LANE_MACHINE:-q35}")
	if [[ ${WHERRY_LANE_MACHINE:-q35} == microvm* ]]; then
		# shellcheck disable=SC2054
		machine+=(-device virtio-blk-device,drive=tools
			-device virtio-blk-device,drive=job
			-device virtio-serial-device
			-device virtserialport,chardev=port,nr=1)
	else
		# shellcheck disable=SC2054
		machine+=(-device virtio-blk-pci,drive=tools
			-device virtio-blk-pci,drive=job
			-device virtio-serial-pci
			-device virtserialport,chardev=port,nr=1)
	fi

	"$(find_python)" "$WHERRY_SRC/tests/lane/relay.py" \
		--console "$console" --keep "$kept" --logs "$WHERRY_LOGS" --cwd "$PWD" \
		"${environment[@]}" --command "$@" \
		--qemu "${qemu_command[@]}" "${machine[@]}" || status=$?
	return "$status"
}

main "$@"
