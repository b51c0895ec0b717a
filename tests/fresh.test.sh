#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The first command on a fresh machine: a minimal Debian with nothing but git,
# made by debootstrap below the build tree, a clone of this tree in it, and
# there "./bootstrap demo". Part of "./bootstrap check-long"; by hand, as root:
#
#	tests/fresh.test.sh [RELEASE]...	(bookworm trixie)
#
# Packages come from where this machine's apt has them, by its own settings.
# The clone is of what is committed. Takes a quarter of an hour and 3 GB each.
# Prints TAP and a closing line.

set -uo pipefail
WHERRY_SRC=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
# shellcheck source=tests/lane/env.sh
. "$WHERRY_SRC/tests/lane/env.sh"
# shellcheck source=tests/lane/apt.sh
. "$WHERRY_SRC/tests/lane/apt.sh"

RELEASES=(bookworm trixie)
LIMIT=$((2400 * ${WHERRY_TIME_SCALE:-1}))
dir=$WHERRY_BUILD/fresh
log=$WHERRY_LOGS/fresh
count=0
passed=0
failed=0
skipped=0

# check NAME COMMAND...: one test
check()
{
	local name=$1

	shift
	((count += 1))
	if "$@"; then
		((passed += 1))
		printf 'ok %d - %s\n' "$count" "$name"
	else
		((failed += 1))
		printf 'not ok %d - %s\n' "$count" "$name"
	fi
}

skip()
{
	((count += 1, skipped += 1))
	printf 'ok %d - %s # SKIP %s\n' "$count" "$1" "$2"
}

finish()
{
	printf '1..%d\n%d passed, %d failed, %d skipped\n' \
		"$count" "$passed" "$failed" "$skipped"
	exit $((failed ? 1 : 0))
}

# Sets the array debootstrap: the installed one, or one that is unpacked here.
find_debootstrap()
{
	local deb

	debootstrap=(debootstrap)
	command -v debootstrap >/dev/null && return
	if [[ ! -x $dir/tool/usr/sbin/debootstrap ]]; then
		rm -rf "$dir/tool"
		apt_fetch "$dir/tool" '' debootstrap || return
		for deb in "$dir"/tool/*.deb; do
			dpkg -x "$deb" "$dir/tool" || return
		done
	fi
	debootstrap=(env "DEBOOTSTRAP_DIR=$dir/tool/usr/share/debootstrap"
		sh "$dir/tool/usr/sbin/debootstrap")
}

# What apt knows of a release's repository; REPO_URI, SIGNED_BY.
target()
{
	apt-get "${apt_options[@]}" indextargets --format "\$($1)" \
		'Identifier: Packages' | sort -u | head -n 1
}

# A file of this machine's, under the same name in the root unless there is one.
take()
{
	if [[ -f $1 && ! -e $root$1 ]]; then
		mkdir -p "$root${1%/*}"
		cp -L "$1" "$root$1"
	fi
}

# Where packages come from, and how to get there, as this machine's apt says.
take_settings()
{
	local release=$1 file

	rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
	cp "$APT_DIR/$release/sources/$release".* "$root/etc/apt/sources.list.d/"
	find "$root/etc/apt/sources.list.d" -empty -type f -delete
	apt-config dump | grep '^Acquire::' |
		grep -vE '^Acquire::(IndexTargets|Changelogs)' \
			>"$root/etc/apt/apt.conf.d/99machine"
	while read -r file; do
		take "$file"
	done < <(target SIGNED_BY
		sed -n 's/.* "\(\/.*\)";$/\1/p' "$root/etc/apt/apt.conf.d/99machine"
		find /etc/apt/auth.conf /etc/apt/auth.conf.d \
			/etc/ssl/certs/ca-certificates.crt 2>/dev/null)
	cp -L /etc/hosts /etc/resolv.conf "$root/etc/"
}

# make_root RELEASE: says why not.
make_root()
{
	local release=$1 mirror key proxy='' secure='' certificates=''
	local -a options=(--variant=minbase --include=git)

	if ! private_update "$release" 2>"$log/$release.root"; then
		tail -n 1 "$log/$release.root"
		return 1
	fi
	mirror=$(target REPO_URI)
	key=$(target SIGNED_BY)
	[[ ! -f $key ]] || options+=("--keyring=$key")
	eval "$(apt-config shell proxy Acquire::http::Proxy \
		secure Acquire::https::Proxy \
		certificates Acquire::https::CaInfo)"
	[[ -z $certificates ]] || options+=("--ca-certificate=$certificates")
	rm -rf --one-file-system "$root"
	mkdir -p "$root"
	if ! env ${proxy:+"http_proxy=$proxy"} ${secure:+"https_proxy=$secure"} \
	     "${debootstrap[@]}" "${options[@]}" "$release" "$root" "$mirror" \
	     >"$log/$release.root" 2>&1; then
		printf 'debootstrap: %s\n' "$(tail -n 1 "$log/$release.root")"
		return 1
	fi
	take_settings "$release"
}

# inside COMMAND: run by a shell in the clone, in the root, as on a machine
# without a terminal; its processes end with it.
# shellcheck disable=SC2016
inside()
{
	timeout -k 10 "$LIMIT" unshare --mount --pid --fork --kill-child \
		bash -c 'set -e
			mount -t proc proc "$0/proc"
			mount -t sysfs -o ro sysfs "$0/sys"
			if [[ -e /dev/kvm ]]; then
				: >>"$0/dev/kvm"
				mount --bind /dev/kvm "$0/dev/kvm"
			fi
			exec chroot "$0" env -i HOME=/root \
				PATH=/usr/sbin:/usr/bin:/sbin:/bin \
				bash -c "cd /wherry && $1"' "$root" "$1" </dev/null
}

demo_ends_well()
{
	inside './bootstrap demo' >"$log/$1.demo" 2>&1 &&
		grep -q '^That was it' "$log/$1.demo" && return
	tail -n 20 "$log/$1.demo" | sed 's/^/# /'
	return 1
}

is_silent()
{
	local said

	said=$(inside './bootstrap deps' 2>&1) && [[ -z $said ]] && return
	printf '%s\n' "$said" | sed 's/^/# /'
	return 1
}

try_release()
{
	local release=$1 root=$dir/$1 why

	say "fresh: $release: logs are in $log"
	if ! why=$(make_root "$release"); then
		skip "$release: ./bootstrap demo on a fresh machine" "$why"
		return
	fi
	check "$release: a clone is made" \
		git -c safe.directory='*' clone -q "$WHERRY_SRC" "$root/wherry"
	check "$release: ./bootstrap demo ends well" demo_ends_well "$release"
	check "$release: a second time there is nothing to install" is_silent
	rm -rf --one-file-system "$root"
}

main()
{
	local release name="./bootstrap demo on a fresh machine"

	if ((EUID != 0)); then
		skip "$name" "only root can make one"
		finish
	fi
	if ! git -c safe.directory='*' -C "$WHERRY_SRC" rev-parse \
	     --git-dir >/dev/null 2>&1; then
		skip "$name" "$WHERRY_SRC is no git repository to clone"
		finish
	fi
	mkdir -p "$dir" "$log"
	if ! find_debootstrap 2>"$log/debootstrap"; then
		skip "$name" "no debootstrap: $(tail -n 1 "$log/debootstrap")"
		finish
	fi
	(($#)) || set -- "${RELEASES[@]}"
	for release; do
		try_release "$release"
	done
	finish
}

main "$@"
