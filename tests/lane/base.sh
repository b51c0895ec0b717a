# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The parts of the nested lane that are built once and kept: a private QEMU,
# the small initramfs of its machine (L1), and a read-only disk of tools.
# Sourced by tests/lane/nested.sh, after env.sh and apt.sh.

# shellcheck disable=SC2034,SC2154 # variables shared with those scripts
:

# Packages whose programs L1 offers, as far as they are installed here.
LANE_PACKAGES=(
	bash coreutils dash debianutils diffutils findutils grep gzip mawk
	mount procps sed tar util-linux socat jq strace device-tree-compiler
)
LANE_MODULES=(
	virtio_mmio virtio_pci virtio_blk virtio_console overlay
	irqbypass kvm kvm_amd vhost_vsock
)

# Releases whose QEMU is tried, best first; "-backports" is added to the first
# try of each.  QEMU before 10 corrupts flags in nested guests (cmpxchg16b), and
# before 10.2 an interrupt can get lost between a CPU and the main loop.
LANE_QEMU_RELEASES=(trixie bookworm)

# Sets qemu_command, an array: the emulator with what makes it run in place,
# by the loader and libraries of its own release.
lane_qemu()
{
	local dir=$LANE_CACHE/qemu root=$LANE_CACHE/qemu/root version

	if [[ ! -s $dir/version ]]; then
		fetch_qemu "$dir"
	fi
	version=$(<"$dir/version")
	qemu_run "$root"
	qemu_command+=(-L "$root/usr/share/qemu" -L "$root/usr/share/seabios")
	# No XSAVE, AVX or five-level tables: guests boot a quarter faster.
	qemu_cpu=${WHERRY_LANE_CPU:-Nehalem,vendor=AuthenticAMD,+svm,+npt,+rdtscp,+x2apic}
	if ((version < 10)); then
		qemu_cpu=${WHERRY_LANE_CPU:-Nehalem,vendor=AuthenticAMD,+svm,+npt,+rdtscp,-cx16}
	fi
}

# Sets qemu_command to what starts the QEMU unpacked below a folder.
qemu_run()
{
	local root=$1 lib=$1/usr/lib/x86_64-linux-gnu

	qemu_command=("$lib/ld-linux-x86-64.so.2" --library-path
		"$lib:$root/lib/x86_64-linux-gnu"
		"$root/usr/bin/qemu-system-x86_64")
	if [[ ! -e ${qemu_command[0]} ]]; then
		qemu_command[0]=$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
	fi
}

# Unpacks QEMU and all that it needs, the C library included: nothing of it
# depends on this machine's release, and nothing is installed.
fetch_qemu()
{
	local dir=$1 release suite

	need apt-get dpkg
	for release in "${LANE_QEMU_RELEASES[@]}"; do
		for suite in "$release-backports" "$release"; do
			rm -rf "$dir.new"
			mkdir -p "$dir.new"
			say "lane: fetching QEMU for the nested lane from $suite"
			if apt_fetch_closure "$dir.new/debs" "$release" "$suite" \
				qemu-system-x86 && unpack_qemu "$dir.new"; then
				rm -rf "$dir"
				mv "$dir.new" "$dir"
				return
			fi
		done
	done
	die "QEMU: none of ${LANE_QEMU_RELEASES[*]} has one that runs here"
}

unpack_qemu()
{
	local dir=$1 deb text

	for deb in "$dir"/debs/*.deb; do
		dpkg -x "$deb" "$dir/root" || return 1
	done
	rm -rf "$dir/debs"
	qemu_run "$dir/root"
	if ! text=$("${qemu_command[@]}" --version); then
		say "lane: QEMU: the unpacked one does not run"
		return 1
	fi
	text=${text#*version }
	printf '%s\n' "${text%%.*}" >"$dir/version"
}

# The libraries that the given ELF files load, by the names they load.
libraries_of()
{
	# Its status is 1 when any of the files is a static one.
	{ ldd "$@" 2>/dev/null || true; } |
		awk '$2 == "=>" && $3 ~ /^\// { print $3 }
		     $1 ~ /^\// && NF == 2 && $2 ~ /^\(/ { print $1 }' | sort -u
}

tool_files()
{
	local package file

	for package in "${LANE_PACKAGES[@]}"; do
		{ dpkg -L "$package" 2>/dev/null || true; } |
		while read -r file; do
			if [[ $file == */@(bin|sbin)/* && -x $file && ! -d $file ]]; then
				printf '%s\n' "$file"
			fi
		done
	done
	for file in awk which sh; do
		command -v "$file" || true
	done
}

# Builds L1's initramfs and tools disk unless those there fit; sets
# base_initrd and base_disk.
lane_base()
{
	local kernel=$1 key
	local -a tools
	shopt -s extglob

	need busybox cpio mke2fs gcc socat jq
	mapfile -t tools < <(tool_files | sort -u)
	key=$(base_key "$kernel" "${tools[@]}")
	base_initrd=$LANE_CACHE/base-$key.cpio
	base_disk=$LANE_CACHE/base-$key.ext4
	if [[ -s $base_initrd && -s $base_disk ]]; then
		return
	fi
	rm -rf "$LANE_CACHE"/disk.* "$LANE_CACHE"/initrd.*
	say "lane: building the tools disk and initramfs of the nested lane"
	build_initrd "$kernel" "$base_initrd"
	build_disk "$base_disk" "${tools[@]}"
	find "$LANE_CACHE" -maxdepth 1 -name 'base-*' ! -name "base-$key.*" \
		-mmin +60 -exec rm -f {} +
}

base_key()
{
	local kernel=$1

	shift
	{
		cat "$WHERRY_SRC"/tests/lane/{base.sh,init,agent.c}
		cat "$WHERRY_SRC/guest-images/moddeps.py"
		stat -L -c '%n %s %Y' "$@" "$(command -v busybox)" \
			"$(find_python)" "$kernel/vmlinux" \
			"$IMAGE_CACHE"/kernels/*/vmlinu[xz]
	} | sha256sum | cut -c1-16
}

build_initrd()
{
	local kernel=$1 out=$2 dir=$LANE_CACHE/initrd.$$

	rm -rf "$dir"
	mkdir -p "$dir"/{bin,dev,proc,sys,root,modules}
	cp "$(command -v busybox)" "$dir/bin/busybox"
	cp "$WHERRY_SRC/tests/lane/init" "$dir/init"
	gcc -std=gnu11 -static -O2 -Wall -Wextra -o "$dir/agent" \
		"$WHERRY_SRC/tests/lane/agent.c"
	"$(find_python)" "$WHERRY_SRC/guest-images/moddeps.py" \
		"$kernel/modules" "$dir/modules" "${LANE_MODULES[@]}" \
		>"$dir/modules.order"
	mv "$dir/modules.order" "$dir/modules/order"
	chmod +x "$dir/init"
	(cd "$dir" && find . | cpio -o -H newc --quiet -R 0:0) >"$out.$$"
	mv "$out.$$" "$out"
	rm -rf "$dir"
}

build_disk()
{
	local out=$1 dir=$LANE_CACHE/disk.$$ python lib applet size file

	shift
	rm -rf "$dir"
	mkdir -p "$dir"/usr/{bin,sbin,lib,lib64} "$dir"/{etc,root,run,tmp,var}
	for file in bin sbin lib lib64; do
		ln -s "usr/$file" "$dir/$file"
	done
	ln -s ../run "$dir/var/run"
	ln -s ../tmp "$dir/var/tmp"
	printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n' >"$dir/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/etc/group"
	printf '127.0.0.1 localhost lane\n' >"$dir/etc/hosts"
	printf 'passwd: files\ngroup: files\nhosts: files\n' >"$dir/etc/nsswitch.conf"

	for file in "$@"; do
		cp -L "$file" "$dir/usr/${file#"${file%/*bin/*}"/}"
	done
	cp "$(command -v busybox)" "$dir/usr/bin/busybox"

	python=$(find_python)
	mkdir -p "$dir/${python%/*}"
	cp -L "$python" "$dir$python"
	[[ -e $dir/usr/bin/python3 ]] || ln -s "$python" "$dir/usr/bin/python3"
	lib=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	mkdir -p "$dir$lib"
	tar -C "$lib" -cf - --exclude=./test --exclude=./idlelib \
		--exclude=./tkinter --exclude=./lib2to3 --exclude=./ensurepip \
		--exclude='./config-*' --exclude='./*-packages' \
		--exclude=./turtledemo . | tar -C "$dir$lib" -xf -

	{
		libraries_of "$@" "$python"
		libraries_of "$lib"/lib-dynload/*.so
	} | sort -u >"$dir/etc/libraries"
	while read -r file; do
		mkdir -p "$dir/${file%/*}"
		cp -L "$file" "$dir$file"
	done <"$dir/etc/libraries"
	cp "$dir/etc/libraries" "$LANE_CACHE/base.libraries"
	for applet in $(busybox --list); do
		[[ -e $dir/usr/bin/$applet || -e $dir/usr/sbin/$applet ]] ||
			ln -s busybox "$dir/usr/bin/$applet"
	done

	for file in "$IMAGE_CACHE"/kernels/*/vmlinu[xz]; do
		[[ $file != */default/* && $file != *.new/* ]] || continue
		mkdir -p "$dir/${file%/*}"
		cp "$file" "$dir$file"
	done
	mkdir -p "$dir$IMAGE_CACHE/kernels"
	cp -P "$IMAGE_CACHE/kernels/default" "$dir$IMAGE_CACHE/kernels/"

	size=$(du -sm --apparent-size "$dir" | cut -f1)
	rm -f "$out.$$"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -N 20000 -L tools -d "$dir" \
		"$out.$$" "$((size + size / 5 + 24))M" >/dev/null
	mv "$out.$$" "$out"
	rm -rf "$dir"
}
