# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian packages into the build tree, without installing them.  Sourced by
# guest-images/kernel.sh and tests/lane/base.sh, after tests/lane/env.sh.
# Package addresses come from the machine's own apt sources; the system's
# lists are only refreshed when a package cannot be had otherwise.

APT_DIR=$WHERRY_BUILD/lane/apt

as_root()
{
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "$1: must run as root, and there is no sudo"
	fi
}

release_codename()
{
	(
		# shellcheck disable=SC1091
		. /etc/os-release
		printf '%s\n' "${VERSION_CODENAME:-}"
	)
}

# Writes a sources file for SUITE by taking what the machine's sources say of
# its own release and changing the suite: the same mirror, the same key.
private_sources()
{
	local suite=$1 out=$2 codename file

	codename=$(release_codename)
	[[ -n $codename ]] || return 1
	: >"$out.list.new"
	: >"$out.sources.new"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
		case $file in
		*.list)
			[[ -r $file ]] || continue
			awk -v from="$codename" -v to="$suite" '
			/^[ \t]*deb[ \t]/ {
				for (i = 2; i <= NF; i++)
					if ($i == from) {
						$i = to
						print
						next
					}
			}' "$file" >>"$out.list.new" ;;
		*.sources)
			[[ -r $file ]] || continue
			awk -v from="$codename" -v to="$suite" '
			BEGIN { RS = ""; FS = "\n"; ORS = "\n\n" }
			{
				hit = 0
				text = ""
				for (i = 1; i <= NF; i++) {
					line = $i
					if (line ~ /^#/)
						continue
					if (line ~ /^[Ss]uites:/) {
						n = split(line, w, /[ \t]+/)
						for (j = 2; j <= n; j++)
							if (w[j] == from)
								hit = 1
						line = "Suites: " to
					}
					text = text line "\n"
				}
				if (hit)
					print text
			}' "$file" >>"$out.sources.new" ;;
		esac
	done
	[[ -s $out.list.new || -s $out.sources.new ]] || return 1
	mv "$out.list.new" "$out.list"
	mv "$out.sources.new" "$out.sources"
}

# Options that give apt a state of its own with SUITE alone in it; fills
# the array apt_options.
private_apt()
{
	local dir=$APT_DIR/$1

	apt_options=(
		-o "Dir::Etc::SourceList=/dev/null"
		-o "Dir::Etc::SourceParts=$dir/sources"
		-o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache=$dir/cache"
	)
}

# private_update NAME [SUITE...]: fetches the lists of the suites (NAME itself
# without) into the build tree, once.
private_update()
{
	local name=$1 dir=$APT_DIR/$1 suite any=''

	private_apt "$name"
	if [[ -e $dir/updated ]]; then
		return 0
	fi
	mkdir -p "$dir/sources" "$dir/lists/partial" "$dir/cache/archives/partial"
	for suite in "${@:$(($# > 1 ? 2 : 1))}"; do
		if private_sources "$suite" "$dir/sources/$suite"; then
			any=1
		fi
	done
	if [[ -z $any ]]; then
		say "apt: no source for $(release_codename) to derive $name from"
		return 1
	fi
	if ! apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -qq \
	     -o Acquire::Retries=3 update >"$dir/update.log" 2>&1; then
		say "apt: no lists for $name: $(tail -n1 "$dir/update.log")"
		return 1
	fi
	touch "$dir/updated"
}

# The version apt would take; options as for apt-cache.
candidate()
{
	local package=$1

	shift
	apt-cache "$@" policy "$package" 2>/dev/null |
		awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

system_update()
{
	if [[ -z ${system_updated:-} ]]; then
		say "apt: refreshing the package lists"
		as_root apt-get -qq -o Acquire::Retries=3 update ||
			die "apt-get update: failed; are the mirrors reachable?"
		system_updated=1
	fi
}

# apt_fetch DIR SUITE PACKAGE...: downloads into DIR; SUITE "" is the
# machine's own release.
apt_fetch()
{
	local dir=$1 suite=$2

	shift 2
	mkdir -p "$dir"
	apt_options=()
	if [[ -n $suite ]]; then
		private_update "$suite" || return 1
	fi
	apt_download "$dir" "$@" && return 0
	if [[ -n $suite ]]; then
		rm -f "$APT_DIR/$suite/updated"
		private_update "$suite" || return 1
	else
		system_update
	fi
	apt_download "$dir" "$@" && return 0
	say "apt: cannot download $*: $(tail -n1 "$dir/download.log")"
	return 1
}

apt_download()
{
	local dir=$1

	shift
	(cd "$dir" && apt-get "${apt_options[@]}" -q \
		-o APT::Sandbox::User=root -o Acquire::Retries=3 \
		download "$@") >"$dir/download.log" 2>&1
}

# apt_fetch_closure DIR RELEASE SUITE PACKAGE...: downloads packages of SUITE,
# which belongs to RELEASE, and all that they depend on, into DIR, as for a
# machine on which nothing is installed.
apt_fetch_closure()
{
	local dir=$1 release=$2 suite=$3 log

	shift 3
	mkdir -p "$dir/partial"
	log=$dir/download.log
	if [[ $suite == "$release" ]]; then
		private_update "$release" || return 1
	else
		private_update "$suite+$release" "$suite" "$release" || return 1
	fi
	: >"$dir/status"
	if ! apt-get "${apt_options[@]}" -q -y -t "$suite" \
	     -o APT::Sandbox::User=root -o Acquire::Retries=3 \
	     -o Debug::NoLocking=1 \
	     -o "Dir::State::Status=$dir/status" \
	     -o "Dir::Cache::Archives=$dir" \
	     --no-install-recommends --download-only install "$@" \
	     >"$log" 2>&1; then
		say "apt: cannot fetch $*: $(tail -n1 "$log")"
		rm -f "$APT_DIR/$suite+$release/updated" \
			"$APT_DIR/$release/updated"
		return 1
	fi
}
