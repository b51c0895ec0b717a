# SPDX-License-Identifier: GPL-2.0-or-later
include tests/fake/local.mk
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/kvm/local.mk
include tests/bench/local.mk
