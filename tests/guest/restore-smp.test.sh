#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What restore.test.sh shows, with four CPUs: the driver's handling of the
# reset and of new connections then really run at the same time.
# shellcheck disable=SC2034 # used by the other script
RESTORE_CPUS=4
# shellcheck source=tests/guest/restore.test.sh
. "${BASH_SOURCE[0]%/*}/restore.test.sh"
