#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What time.test.sh shows, for a guest that takes the time from its time stamp
# counter and not from the monitor's clock: both are moved together.
# shellcheck disable=SC2034 # used by the other script
TIME_SOURCE=tsc
VM_CPUS=1
WHERRY_APPEND='console=ttyS0 quiet panic=-1 nokaslr wherry.shell=0 clocksource=tsc tsc=reliable cryptomgr.notests initcall_blacklist=init_kprobe_trace,cubictcp_register,load_system_certificate_list'
# shellcheck source=tests/guest/time.test.sh
. "${BASH_SOURCE[0]%/*}/time.test.sh"
