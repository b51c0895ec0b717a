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

# Sets qemu_command, an array: the emulator with what makes it run in place.
lane_qemu()
{
	local dir=$LANE_CACHE/qemu version

	if [[ ! -s $dir/version ]]; then
		fetch_qemu "$dir"
	fi
	version=$(<"$dir/version")
	qemu_command=(env "LD_LIBRARY_PATH=$(qemu_libraries "$dir")"
		"$dir/root/usr/bin/qemu-system-x86_64"
		-L "$dir/root/usr/share/qemu" -L "$dir/root/usr/share/seabios")
	# No XSAVE, AVX or five-level tables: guests boot a quarter faster.
	qemu_cpu=${WHERRY_LANE_CPU:-Nehalem,vendor=AuthenticAMD,+svm,+npt,+rdtscp,+x2apic}
	if ((version < 10)); then
		# Before 10, cmpxchg16b corrupts the flags in a nested guest.
		qemu_cpu=${WHERRY_LANE_CPU:-Nehalem,vendor=AuthenticAMD,+svm,+npt,+rdtscp,-cx16}
	fi
}

qemu_libraries()
{
	printf '%s\n' "$1/root/usr/lib/x86_64-linux-gnu:$1/root/lib/x86_64-linux-gnu"
}

# Takes the release's own QEMU when it is 10 or later, else the backports'.
fetch_qemu()
{
	local dir=$1 suite='' own round
	local -a names missing tried=()

	need apt-get dpkg
	own=$(candidate qemu-system-x86)
	own=${own#*:}
	if ((${own%%.*} < 10)) 2>/dev/null; then
		suite=$(release_codename)-backports
		if ! private_update "$suite" ||
		   [[ -z $(candidate qemu-system-x86 "${apt_options[@]}") ]]; then
			say "lane: no QEMU in $suite; taking this release's ${own:-?}"
			suite=''
		fi
	fi
	say "lane: fetching QEMU for the nested lane${suite:+ from $suite}"
	rm -rf "$dir.new"
	apt_fetch "$dir.new/debs" "$suite" qemu-system-x86 \
		qemu-system-common qemu-system-data seabios ||
		die "QEMU: download failed"
	unpack_debs "$dir.new"

	# Its libraries that this machine lacks, and what those lack in turn.
	for round in 1 2 3; do
		mapfile -t names < <(qemu_lacks "$dir.new" "${tried[@]}")
		((${#names[@]})) || break
		mapfile -t missing < <(printf '%s\n' "${names[@]}" | sort -u)
		apt_fetch "$dir.new/debs" '' "${missing[@]}" ||
			die "QEMU's libraries (round $round): download failed"
		tried+=("${missing[@]}")
		unpack_debs "$dir.new"
	done
	qemu_version "$dir.new" >"$dir.new/version"
	rm -rf "$dir.new/debs" "$dir"
	mv "$dir.new" "$dir"
}

unpack_debs()
{
	local dir=$1 deb

	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -f "$deb" Depends >>"$dir/depends"
		dpkg -x "$deb" "$dir/root"
	done
}

# Names the library packages to fetch: only when a library is missing, those
# that are depended on, not installed, and not tried before.
qemu_lacks()
{
	local dir=$1 name lacking state

	shift
	# No "grep -q" at the end of a pipe: ldd would die of SIGPIPE at times.
	lacking=$(LD_LIBRARY_PATH=$(qemu_libraries "$dir") \
		ldd "$dir/root/usr/bin/qemu-system-x86_64")
	[[ $lacking == *'not found'* ]] || return 0
	sed 's/[,|]/\n/g' "$dir/depends" | awk '{ print $1 }' |
	grep '^lib' | sort -u | while read -r name; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) || true
		if [[ " $* " == *" $name "* || $state == installed ]]; then
			continue
		fi
		[[ -z $(candidate "$name") ]] || printf '%s\n' "$name"
	done
}

qemu_version()
{
	local dir=$1 text

	text=$(LD_LIBRARY_PATH=$(qemu_libraries "$dir") \
		"$dir/root/usr/bin/qemu-system-x86_64" --version) ||
		die "QEMU: the unpacked one does not run"
	text=${text#*version }
	printf '%s\n' "${text%%.*}"
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
