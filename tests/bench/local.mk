# SPDX-License-Identifier: GPL-2.0-or-later
# The vsock benchmark: "./bootstrap bench".
noinst_PROGRAMS += tests/bench/bench
tests_bench_bench_SOURCES = \
	tests/bench/app.c tests/bench/app.h \
	tests/bench/app_small.c \
	tests/bench/bed.c tests/bench/bed.h \
	tests/bench/bench.h \
	tests/bench/device.c tests/bench/device.h \
	tests/bench/guest.c tests/bench/guest.h \
	tests/bench/guest_app.c \
	tests/bench/main.c \
	tests/bench/pattern.c tests/bench/pattern.h \
	tests/bench/report.c tests/bench/report.h \
	tests/bench/vhost_user.c \
	tests/bench/worker.c tests/bench/worker.h
tests_bench_bench_LDADD = libfake.a libdevices.a libvirtio.a $(FDT_LIBS)
EXTRA_DIST += tests/bench/run tests/bench/guest.sh tests/bench/restore.py
