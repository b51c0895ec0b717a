#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the test guest's initramfs: static busybox, the programs in
# programs/, the virtio modules of one kernel, and init.  Called by
# bootstrap:
#
#   initramfs.sh KERNEL-DIR
#
# KERNEL-DIR is what kernel.sh printed; the image is its initrd.cpio, rebuilt
# only when something that goes into it has changed.  The programs are static
# and run on the host as well: they are left in the build tree's
# guest-images/bin.

set -euo pipefail
# shellcheck source=tests/lane/env.sh
. "${BASH_SOURCE[0]%/*}/../tests/lane/env.sh"

MODULES=(
	virtio_mmio vmw_vsock_virtio_transport virtio_rng virtio_blk vmgenid
	button evdev pvpanic_mmio
)

build_programs()
{
	local source program newest bin=$IMAGE_CACHE/bin
	local -a headers=("$WHERRY_SRC"/guest-images/programs/*.h)

	newest=${headers[0]}
	for source in "${headers[@]}"; do
		[[ $newest -nt $source ]] || newest=$source
	done
	mkdir -p "$bin"
	for source in "$WHERRY_SRC"/guest-images/programs/*.c; do
		program=${source##*/}
		program=$bin/${program%.c}
		if [[ $program -nt $source && $program -nt $newest ]]; then
			continue
		fi
		"${CC:-gcc}" -std=gnu11 -static -O2 -Wall -Wextra -Werror -s \
			-o "$program.new" "$source"
		mv "$program.new" "$program"
	done
}

main()
{
	local kernel=${1:?initramfs.sh: expected a kernel folder} key out dir

	need busybox cpio gcc xz
	out=$kernel/initrd.cpio
	build_programs
	key=$(cat "${BASH_SOURCE[0]}" "$WHERRY_SRC"/guest-images/{init,moddeps.py} \
		"$IMAGE_CACHE"/bin/* "$(command -v busybox)" |
		sha256sum | cut -c1-16)
	if [[ -s $out && $(cat "$out.key" 2>/dev/null) == "$key" ]]; then
		return
	fi
	say "images: building ${out#"$WHERRY_BUILD/"}"
	dir=$kernel/initrd.$$
	rm -rf "$kernel"/initrd.[0-9]*
	mkdir -p "$dir"/{bin,dev,proc,sys,modules,etc,root,run,tmp}
	cp "$(command -v busybox)" "$dir/bin/busybox"
	cp "$IMAGE_CACHE"/bin/* "$dir/bin/"
	cp "$WHERRY_SRC/guest-images/init" "$dir/init"
	chmod +x "$dir/init"
	printf 'root::0:0:root:/root:/bin/sh\n' >"$dir/etc/passwd"
	printf 'root:x:0:\n' >"$dir/etc/group"
	# busybox acpid: what the power button does.
	mkdir -p "$dir/etc/acpi/PWRF"
	printf '#!/bin/sh\necho WHERRY-GUEST-POWER-BUTTON >/dev/console\nexec poweroff -f\n' \
		>"$dir/etc/acpi/PWRF/00000080"
	chmod +x "$dir/etc/acpi/PWRF/00000080"
	"$(find_python)" "$WHERRY_SRC/guest-images/moddeps.py" \
		"$kernel/modules" "$dir/modules" "${MODULES[@]}" \
		>"$dir/order"
	mv "$dir/order" "$dir/modules/order"
	(cd "$dir" && find . | LC_ALL=C sort |
		cpio -o -H newc --quiet -R 0:0) >"$out.new"
	mv "$out.new" "$out"
	printf '%s\n' "$key" >"$out.key"
	rm -rf "$dir"
}

main "$@"
