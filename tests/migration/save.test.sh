#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Saving loses nothing: killed at any moment, on a full or read-only disk, onto
# the snapshot that the guest runs from. See save.py.
# timeout: 240
# long timeout: 900
#
#	save.test.sh [--kills N]
#
# Runs on any KVM, without a Linux guest; needs WHERRY and python3.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
exec "$python" "${BASH_SOURCE[0]%/*}/save.py" "$@"
