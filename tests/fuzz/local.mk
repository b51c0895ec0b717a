# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz targets. `make check` replays the corpus of each, with any compiler.
# `make fuzz` needs clang and looks for new inputs, FUZZ_SECONDS for each target:
#	make fuzz
#	make fuzz FUZZ_TARGETS=state FUZZ_SECONDS=3600
# What it finds is under fuzz/ in the build directory: NAME/ are inputs that
# reach new code, NAME-crash-* what kills the target. Whoever mends that copies
# the input to tests/fuzz/corpus/NAME/found-WHAT. A new target needs a source
# here, a line in fuzz.sh, and a corpus.
FUZZ_TARGETS = control kernel manifest options state vsock
FUZZ_SECONDS = 300

fuzz_replays = \
	tests/fuzz/replay_control \
	tests/fuzz/replay_kernel \
	tests/fuzz/replay_manifest \
	tests/fuzz/replay_options \
	tests/fuzz/replay_state \
	tests/fuzz/replay_vsock
check_PROGRAMS += $(fuzz_replays)
TESTS += $(fuzz_replays)
fuzz_replay = tests/fuzz/replay.c tests/fuzz/target.h
tests_fuzz_replay_control_SOURCES = tests/fuzz/fuzz_control.c $(fuzz_replay)
tests_fuzz_replay_control_LDADD = libvmm.a libvirtio.a $(JANSSON_LIBS)
# It takes note of the kernel instead of setting registers, which need a KVM.
tests_fuzz_replay_kernel_SOURCES = tests/fuzz/fuzz_kernel.c \
	tests/fuzz/kernel_setting.h \
	tests/fuzz/kernel_view.c \
	tests/fuzz/kernel_world.h \
	$(fuzz_replay)
tests_fuzz_replay_kernel_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=x86_set_entry
tests_fuzz_replay_kernel_LDADD = libvmm.a libvirtio.a
tests_fuzz_replay_manifest_SOURCES = tests/fuzz/fuzz_manifest.c $(fuzz_replay)
tests_fuzz_replay_manifest_LDADD = libvmm.a libvirtio.a
tests_fuzz_replay_options_SOURCES = tests/fuzz/fuzz_options.c $(fuzz_replay)
tests_fuzz_replay_options_LDADD = libvmm.a libvirtio.a
tests_fuzz_replay_state_SOURCES = tests/fuzz/fuzz_state.c $(fuzz_replay)
tests_fuzz_replay_state_LDADD = libvirtio.a $(FDT_LIBS)
# It looks on where chains change hands, and brings a loop of its own.
tests_fuzz_replay_vsock_SOURCES = tests/fuzz/fuzz_vsock.c \
	tests/fuzz/vsock_backend.c \
	tests/fuzz/vsock_guest.c \
	tests/fuzz/vsock_host.c \
	tests/fuzz/vsock_oracle.c \
	tests/fuzz/vsock_rules.c \
	tests/fuzz/vsock_world.h \
	$(fuzz_replay)
tests_fuzz_replay_vsock_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=virtq_pop,--wrap=virtq_unpop,--wrap=virtq_push \
	-Wl,--wrap=virtq_hold,--wrap=virtq_push_held
tests_fuzz_replay_vsock_LDADD = libdevices.a libfake.a libvirtio.a $(FDT_LIBS)

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fuzz.sh tests/fuzz/make-corpus.py \
	tests/fuzz/make-kernel-corpus.py tests/fuzz/make-vsock-corpus.py

.PHONY: fuzz
fuzz:
	FUZZ_SECONDS='$(FUZZ_SECONDS)' WHERRY_SRC='$(abs_top_srcdir)' \
		$(srcdir)/tests/fuzz/fuzz.sh $(FUZZ_TARGETS)
