# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libdevices.a
libdevices_a_SOURCES = \
	devices/bus.c devices/bus.h \
	devices/console.c devices/console.h \
	devices/dir_lock.c devices/dir_lock.h \
	devices/ged.c devices/ged.h \
	devices/log.c devices/log.h \
	devices/loop.c devices/loop.h \
	devices/monotonic.h \
	devices/power.c devices/power.h \
	devices/pvpanic.c devices/pvpanic.h \
	devices/rate.c devices/rate.h \
	devices/rng.c devices/rng.h \
	devices/serial.c devices/serial.h \
	devices/sink.c devices/sink.h \
	devices/unix_socket.c devices/unix_socket.h \
	devices/virtio_host.c devices/virtio_host.h \
	devices/vmgenid.c devices/vmgenid.h

include devices/vsock/local.mk
