# SPDX-License-Identifier: GPL-2.0-or-later
# Bare-metal guests on whatever KVM is here; skipped where there is none.
kvm_guests = tests/kvm/tiny.elf tests/kvm/tiny-pvh.elf
kvm_sources = tests/kvm/tiny.S tests/kvm/tiny-pvh.S tests/kvm/tiny.lds
check_DATA = $(kvm_guests)
CLEANFILES += $(kvm_guests)
EXTRA_DIST += $(kvm_sources)

tests/kvm/tiny.elf: tests/kvm/tiny.S
tests/kvm/tiny-pvh.elf: tests/kvm/tiny-pvh.S
$(kvm_guests): tests/kvm/tiny.lds
	$(AM_V_GEN)$(MKDIR_P) tests/kvm && $(CC) -nostdlib -static -no-pie \
		-Wl,--build-id=none -Wl,-T,$(srcdir)/tests/kvm/tiny.lds \
		-o $@ $(srcdir)/$(@:.elf=.S)

kvm_scripts = tests/kvm/cli.sh tests/kvm/ctl.sh tests/kvm/golden.sh \
	tests/kvm/image.sh tests/kvm/limits.sh tests/kvm/load.sh \
	tests/kvm/panic.sh
dist_check_SCRIPTS += $(kvm_scripts)
EXTRA_DIST += tests/kvm/lib.sh tests/kvm/golden
TESTS += $(kvm_scripts)

# A snapshot of today's format for the tests: see CONTRIBUTING.md.
.PHONY: golden
golden: wherry$(EXEEXT) tests/kvm/tiny.elf
	WHERRY='$(abs_top_builddir)/wherry$(EXEEXT)' \
		WHERRY_BUILD='$(abs_top_builddir)' \
		$(srcdir)/tests/kvm/golden.sh make

if HAVE_CHECK
kvm_tests = tests/kvm/clock tests/kvm/run tests/kvm/state
check_PROGRAMS += $(kvm_tests)
TESTS += $(kvm_tests)
kvm_bed = tests/kvm/bed.c tests/kvm/bed.h
kvm_libs = libunit.a libvmm.a libdevices.a libvirtio.a $(CHECK_LIBS) \
	$(FDT_LIBS)
tests_kvm_clock_SOURCES = tests/kvm/clock.c $(kvm_bed)
tests_kvm_clock_LDADD = $(kvm_libs)
tests_kvm_run_SOURCES = tests/kvm/run.c $(kvm_bed)
tests_kvm_run_LDADD = $(kvm_libs)
tests_kvm_state_SOURCES = tests/kvm/state.c $(kvm_bed)
tests_kvm_state_LDADD = $(kvm_libs)
endif
