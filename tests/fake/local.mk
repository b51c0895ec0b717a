# SPDX-License-Identifier: GPL-2.0-or-later
# The driver's side of virtio, for unit tests, fuzzers and benchmarks.
check_LIBRARIES += libfake.a
libfake_a_SOURCES = \
	tests/fake/driver.c tests/fake/driver.h \
	tests/fake/guest.c tests/fake/guest.h \
	tests/fake/host.c tests/fake/host.h \
	tests/fake/vsock_driver.c tests/fake/vsock_driver.h \
	tests/fake/vsock_message.c \
	tests/fake/vsock_queue.c \
	tests/fake/vsock_send.c \
	tests/fake/vsock_sock.c tests/fake/vsock_sock.h \
	tests/fake/watch.c tests/fake/watch.h
