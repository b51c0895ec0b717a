#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Damaged snapshots: each is refused with a reason, or loads where the damage
# cannot matter; the monitor lives through all of them. See damage.py.
# timeout: 240
# long timeout: 900
#
#	damage.test.sh [--every N] [--kernel FILE]
#
# Runs on any KVM, without a Linux guest; needs WHERRY and python3.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
exec "$python" "${BASH_SOURCE[0]%/*}/damage.py" "$@"
