# SPDX-License-Identifier: GPL-2.0-or-later
libdevices_a_SOURCES += \
	devices/vsock/backend.h \
	devices/vsock/backlog.c devices/vsock/backlog.h \
	devices/vsock/capture.c devices/vsock/capture.h \
	devices/vsock/conn.h \
	devices/vsock/credit.c devices/vsock/credit.h \
	devices/vsock/device.c devices/vsock/device.h \
	devices/vsock/engine.c devices/vsock/engine.h \
	devices/vsock/gate.c devices/vsock/gate.h \
	devices/vsock/list.h \
	devices/vsock/ready.c devices/vsock/ready.h \
	devices/vsock/recall.c \
	devices/vsock/seqpacket.c devices/vsock/seqpacket.h \
	devices/vsock/to_guest.c \
	devices/vsock/to_host.c \
	devices/vsock/unix.c devices/vsock/unix.h \
	devices/vsock/unix_read.c devices/vsock/unix_read.h \
	devices/vsock/unix_stream.c \
	devices/vsock/unread.c devices/vsock/unread.h \
	devices/vsock/unread_ask.c
