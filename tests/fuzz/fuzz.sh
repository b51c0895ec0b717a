#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds fuzzers with clang and lets each look for new inputs for a while, in
# fuzz/ below the current directory, a configured build tree (config.h). From
# "make fuzz"; see local.mk there.
#
# Usage: fuzz.sh TARGET...
# Environment: WHERRY_SRC (.), FUZZ_SECONDS (300), FUZZ_CC (clang)

set -eu
source=${WHERRY_SRC:-.}
seconds=${FUZZ_SECONDS:-300}
cc=${FUZZ_CC:-clang}
flags="-std=gnu11 -D_GNU_SOURCE=1 -g -O1 -fno-omit-frame-pointer
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"

# What each target is made of: sources, libraries, longest input.
parts() {
	case $1 in
	control)
		files="vmm/control_message.c vmm/json_stream.c virtio/fail.c"
		libs=-ljansson
		longest=4096 ;;
	kernel)
		files="tests/fuzz/kernel_view.c
			vmm/x86_64/acpi.c vmm/x86_64/acpi_aml.c
			vmm/x86_64/boot.c vmm/x86_64/bzimage.c
			vmm/x86_64/elf.c vmm/x86_64/entry.c
			vmm/x86_64/kernel.c vmm/x86_64/memory.c
			virtio/fail.c virtio/memory.c"
		libs=-Wl,--wrap=x86_set_entry
		longest=8192 ;;
	manifest)
		files="vmm/manifest.c virtio/fail.c"
		libs=
		longest=1024 ;;
	options)
		files="vmm/options.c vmm/option_value.c vmm/option_vsock.c virtio/fail.c"
		libs=
		longest=4096 ;;
	state)
		files="virtio/state_check.c virtio/state_read.c
			virtio/state_table.c virtio/state_write.c
			virtio/fail.c"
		libs=-lfdt
		longest=4096 ;;
	vsock)
		# All there is but the AF_UNIX back-end, for which the target
		# has its own: a file that is added cannot be missing here.
		files="tests/fake/guest.c devices/log.c $(cd "$source" &&
			find tests/fuzz/vsock_*.c devices/vsock virtio \
				-name '*.c' ! -path 'devices/vsock/unix*')"
		wrap=--wrap=virtq_pop,--wrap=virtq_unpop,--wrap=virtq_push
		wrap=$wrap,--wrap=virtq_hold,--wrap=virtq_push_held
		libs="-lfdt -pthread -Wl,$wrap"
		longest=2048 ;;
	*)
		echo "fuzz.sh: no target \"$1\"" >&2
		exit 2 ;;
	esac
}

for name; do
	parts "$name"
	mkdir -p "fuzz/$name"
	set -- "$source/tests/fuzz/fuzz_$name.c"
	for file in $files; do
		set -- "$@" "$source/$file"
	done
	# shellcheck disable=SC2086 # lists of words
	"$cc" $flags -I"$source" -I. -o "fuzz/fuzz_$name" "$@" $libs
	"fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=$longest \
		-artifact_prefix="fuzz/$name-" -print_final_stats=1 \
		"fuzz/$name" "$source/tests/fuzz/corpus/$name"
done
