# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libvirtio.a
libvirtio_a_SOURCES = \
	virtio/device.c virtio/device.h \
	virtio/endian.h \
	virtio/fail.c virtio/fail.h \
	virtio/memory.c virtio/memory.h \
	virtio/mmio.c virtio/mmio.h \
	virtio/queue.c virtio/queue.h \
	virtio/state_check.c \
	virtio/state_read.c \
	virtio/state_table.c \
	virtio/state_write.c \
	virtio/state.h \
	virtio/vsock.h
