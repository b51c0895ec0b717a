# SPDX-License-Identifier: GPL-2.0-or-later
include tests/fake/local.mk
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/kvm/local.mk
include tests/bench/local.mk

# Of the migration suite what runs on any KVM, without Linux.
dist_check_SCRIPTS += tests/migration/damage.test.sh \
	tests/migration/save.test.sh
EXTRA_DIST += tests/migration/damage.py tests/migration/monitor.py \
	tests/migration/save.py
TESTS += tests/migration/damage.test.sh tests/migration/save.test.sh

# Not part of "check": "make mutate".
EXTRA_DIST += tests/mutate/README tests/mutate/run \
	tests/mutate/credit.list tests/mutate/engine.list \
	tests/mutate/gate.list tests/mutate/rings.list \
	tests/mutate/snapshot.list

# Rules that the sources and the tests themselves keep.
dist_check_SCRIPTS += tests/lint/layers.sh tests/lint/lists.sh
EXTRA_DIST += tests/lint/lib.sh
TESTS += tests/lint/layers.sh tests/lint/lists.sh

# What boots Linux guests is run by bootstrap.
EXTRA_DIST += bootstrap guest-images tests/fresh.test.sh tests/guest tests/lane \
	tests/migration/chain.test.sh tests/migration/clones.test.sh \
	tests/migration/storm.test.sh
