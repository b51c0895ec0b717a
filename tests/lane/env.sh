# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Paths, messages and the choice of lane.  Sourced by bootstrap and by the
# scripts in tests/lane and guest-images; changes nothing on disk.

WHERRY_SRC=${WHERRY_SRC:-$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)}
WHERRY_BUILD=$(realpath -m -- "${WHERRY_BUILD:-$WHERRY_SRC/build}")
WHERRY_LOGS=$(realpath -m -- "${WHERRY_LOGS:-$WHERRY_BUILD/logs}")
# shellcheck disable=SC2034 # used by the scripts that source this one
LANE_CACHE=$WHERRY_BUILD/lane
IMAGE_CACHE=$WHERRY_BUILD/guest-images
export WHERRY_SRC WHERRY_BUILD WHERRY_LOGS

say()
{
	printf '%s\n' "$*" >&2
}

# What ends a script: one line that names the thing, the value and what was
# expected.
die()
{
	say "${0##*/}: $*"
	exit "${DIE_STATUS:-1}"
}

need()
{
	local tool

	for tool in "$@"; do
		command -v -- "$tool" >/dev/null ||
			die "$tool: not found; './bootstrap deps' installs it"
	done
}

# The interpreter to use: a plain one, not a version manager's shim.
find_python()
{
	if [[ -x /usr/bin/python3 ]]; then
		printf '/usr/bin/python3\n'
	else
		command -v python3 || die "python3: not found; './bootstrap deps' installs it"
	fi
}

# Sets lane_kind (direct or nested) and lane_why.
#
# shellcheck disable=SC2034
# A KVM that needs no vmx or svm flag is a software one; it runs small
# programs but no Linux, hence the look at the CPU as well as at the device.
probe_lane()
{
	local flags=0

	if grep -qwE 'vmx|svm' /proc/cpuinfo; then
		flags=1
	fi

	case ${WHERRY_LANE_FORCE:-${WHERRY_LANE:-}} in
	direct)
		lane_kind=direct
		lane_why="asked for by WHERRY_LANE" ;;
	nested)
		lane_kind=nested
		lane_why="asked for by WHERRY_LANE, guests run under QEMU TCG" ;;
	'')
		lane_kind=nested
		if [[ ! -e /dev/kvm ]]; then
			lane_why="no /dev/kvm, guests run under QEMU TCG"
		elif ! : 2>/dev/null <>/dev/kvm; then
			lane_why="/dev/kvm cannot be opened by user $(id -un), guests run under QEMU TCG"
		elif ((!flags)); then
			lane_why="this KVM is a software one (no vmx or svm in /proc/cpuinfo), guests run under QEMU TCG"
		else
			lane_kind=direct
			lane_why="KVM here can run Linux"
		fi ;;
	*)
		die "WHERRY_LANE='$WHERRY_LANE': expected direct or nested" ;;
	esac
}

# Where the build leaves the monitor.
find_wherry()
{
	local try

	for try in "$WHERRY_BUILD/wherry" "$WHERRY_BUILD/vmm/wherry"; do
		if [[ -x $try ]]; then
			break
		fi
	done
	[[ -x $try ]] || try=$WHERRY_BUILD/wherry
	printf '%s\n' "$try"
}

# The environment that commands find in both lanes.
export_lane_env()
{
	local dir=$IMAGE_CACHE/kernels/default

	if [[ -d $dir ]]; then
		dir=$(realpath -- "$dir")
	fi
	export WHERRY=${WHERRY:-$(find_wherry)}
	export WHERRY_LANE=$lane_kind
	export WHERRY_KERNEL=${WHERRY_GUEST_KERNEL:-$dir/vmlinux}
	export WHERRY_BZIMAGE=$dir/vmlinuz
	export WHERRY_INITRD=${WHERRY_GUEST_INITRD:-$dir/initrd.cpio}
	WHERRY=$(realpath -m -- "$WHERRY")
	WHERRY_KERNEL=$(realpath -m -- "$WHERRY_KERNEL")
	WHERRY_INITRD=$(realpath -m -- "$WHERRY_INITRD")
}
