#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetches a distribution's kernel package into the build tree, unpacks it and
# extracts its ELF kernel.  Called by bootstrap and tests/lane/base.sh.
#
#   kernel.sh [--suite SUITE] [PACKAGE]
#
# PACKAGE is linux-image-cloud-amd64 unless named; SUITE another release of
# the same archive, e.g. bookworm-backports.  Prints the folder, which holds
# vmlinuz, vmlinux and modules/.  The first kernel fetched from the machine's
# own release is also known as kernels/default.

set -euo pipefail
# shellcheck source=tests/lane/env.sh
. "${BASH_SOURCE[0]%/*}/../tests/lane/env.sh"
# shellcheck source=tests/lane/apt.sh
. "$WHERRY_SRC/tests/lane/apt.sh"

# A metapackage names the real one in its dependencies.
resolve()
{
	local package=$1 real

	if [[ $package == linux-image-[0-9]* ]]; then
		printf '%s\n' "$package"
		return
	fi
	real=$(apt-cache "${apt_options[@]}" depends "$package" 2>/dev/null |
		awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ && !n++ { print $2 }')
	printf '%s\n' "${real:-}"
}

# Newer packaging splits image and modules; follow what the image needs.
companions()
{
	local package=$1

	apt-cache "${apt_options[@]}" depends "$package" 2>/dev/null |
		awk '$1 == "Depends:" && $2 ~ /^linux-(binary|modules|base)-[0-9]/ {
			print $2
		}'
}

main()
{
	local suite='' package=linux-image-cloud-amd64 stamp real dir extra

	while (($#)); do
		case $1 in
		--suite) suite=${2:?--suite: expected a suite}; shift ;;
		-*) die "$1: unknown option" ;;
		*) package=$1 ;;
		esac
		shift
	done
	need apt-get apt-cache dpkg xz lz4 zstd

	mkdir -p "$IMAGE_CACHE/kernels"
	stamp=$IMAGE_CACHE/kernels/.${suite:-own}-$package
	if [[ -s $stamp ]]; then
		dir=$IMAGE_CACHE/kernels/$(<"$stamp")
		if [[ -s $dir/vmlinux ]]; then
			printf '%s\n' "$dir"
			return
		fi
	fi

	apt_options=()
	if [[ -n $suite ]]; then
		private_update "$suite" || die "$suite: cannot be had from this machine's mirrors"
	fi
	real=$(resolve "$package")
	if [[ -z $real && -z $suite ]]; then
		system_update
		real=$(resolve "$package")
	fi
	[[ -n $real ]] || die "$package: no such kernel package in ${suite:-this release}"

	say "images: fetching $real"
	dir=$IMAGE_CACHE/kernels/${real#linux-image-}
	rm -rf "$dir.new"
	mapfile -t extra < <(companions "$real")
	apt_fetch "$dir.new/debs" "$suite" "$real" ${extra[@]+"${extra[@]}"} ||
		die "$real: download failed"
	unpack "$dir.new"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
	if [[ -z $suite && ! -e $IMAGE_CACHE/kernels/default ]]; then
		ln -s "${dir##*/}" "$IMAGE_CACHE/kernels/default"
	fi
	printf '%s\n' "${dir##*/}" >"$stamp"
	printf '%s\n' "$dir"
}

unpack()
{
	local dir=$1 deb modules

	for deb in "$dir"/debs/*.deb; do
		dpkg -x "$deb" "$dir/root"
	done
	modules=$(compgen -G "$dir/root/lib/modules/*" ||
		  compgen -G "$dir/root/usr/lib/modules/*") ||
		die "$dir: the package holds no lib/modules"
	mv "$modules" "$dir/modules"
	mv "$(compgen -G "$dir/root/boot/vmlinu[xz]-*" ||
	      compgen -G "$dir/modules/vmlinu[xz]")" "$dir/vmlinuz"
	cp "$(compgen -G "$dir/root/boot/config-*" || echo /dev/null)" "$dir/config"
	"$(find_python)" "$WHERRY_SRC/guest-images/extract-vmlinux.py" \
		"$dir/vmlinuz" "$dir/vmlinux"
	rm -rf "$dir/root" "$dir/debs"
}

main "$@"
