#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds the sources against the layers: who may include what, where an #ifdef
# on the architecture may stand, and what no file may have. Run by "make check";
# prints TAP.

. "${0%/*}/lib.sh"

sources() {
	find "$@" -name '*.[chS]' | sort
}

includes() {
	sources "$1" | xargs grep -nE '^[[:space:]]*#[[:space:]]*include' |
		grep -E "$2"
}

rule "virtio includes nothing above it" \
	"$(includes virtio '"(devices|vmm|tests)/')"
rule "virtio knows no files, sockets, system calls or KVM" \
	"$(includes virtio '<(fcntl|unistd|poll|linux/|sys/(socket|ioctl|epoll|eventfd|mman|stat|un|syscall))')"
rule "virtio prints nothing" \
	"$(sources virtio | xargs grep -nE '\b(printf|fprintf|puts|perror|syslog)\(')"
rule "devices include nothing above them" \
	"$(includes devices '"(vmm|tests)/')"
rule "devices know nothing of KVM" \
	"$(includes devices '<linux/kvm')"
rule "the product includes nothing of the tests" \
	"$(includes vmm '"tests/')"
rule "architecture conditionals stand in vmm/arch.h alone" \
	"$(sources virtio devices vmm | grep -vx vmm/arch.h |
	   xargs grep -nE '^[[:space:]]*#[[:space:]]*(el)?if.*__(x86_64|aarch64|arm|i386)')"
rule "no constructors, no linker sections" \
	"$(sources virtio devices vmm |
	   xargs grep -nE '__attribute__.*\(\((constructor|destructor|section)')"
rule "exit() is called in main.c alone" \
	"$(sources virtio devices vmm | grep -vx vmm/main.c |
	   xargs grep -nE '(^|[^a-z_])(exit|abort)\(' |
	   grep -vE ':[[:space:]]*(\*|/\*|//)|:.*/\*.*exit\(')"
rule "every source names its licence" \
	"$(sources virtio devices vmm tests guest-images |
	   xargs grep -L 'SPDX-License-Identifier: GPL-2.0-or-later')"
rule "no source is longer than 650 lines" \
	"$(sources virtio devices vmm tests guest-images | xargs wc -l |
	   awk '$2 != "total" && $1 > 650')"
rule "no trailing blanks, no lines indented by spaces" \
	"$(sources virtio devices vmm tests guest-images |
	   xargs grep -nE '[[:space:]]$|^ {8}')"
rule "every mutant fits the sources (tests/mutate/README)" \
	"$(python3 tests/mutate/run --applies 2>&1)"

finish
