/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packet capture of a vsock device: a pcap file with LINKTYPE_VSOCK (271),
 * which Wireshark and tshark decode.
 */
#ifndef WHERRY_DEVICES_VSOCK_CAPTURE_H
#define WHERRY_DEVICES_VSOCK_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "virtio/fail.h"
#include "virtio/vsock.h"

/**
 * struct vsock_capture - an open capture file
 * @fd: the file; -1: none
 * @used: bytes in @buf
 * @packets: written so far
 * @failed: writing failed; nothing more is written
 * @path: for messages
 * @buf: written out when full, and by vsock_capture_flush()
 */
struct vsock_capture {
	int fd;
	uint32_t used;
	uint64_t packets;
	bool failed;
	char *path;
	uint8_t buf[256u << 10];
};

/**
 * vsock_capture_open() - create the file (mode 0600), or empty it
 * Return: a capture, or NULL with the reason.
 */
struct vsock_capture *vsock_capture_open(const char *path, struct fail *why);
/** vsock_capture_close() - flush and close; NULL is fine */
void vsock_capture_close(struct vsock_capture *capture);

/**
 * vsock_capture_packet() - write down a packet, with the time of now
 * @hdr: as on the wire
 * @iov: its payload
 * @len: how much of @iov belongs to it
 *
 * A file that cannot be written to any more is given up, with one warning:
 * connections are not touched by it.
 */
void vsock_capture_packet(struct vsock_capture *capture,
			  const struct vsock_header *hdr,
			  const struct iovec *iov, uint32_t len);
/** vsock_capture_flush() - hand what was captured to the file */
void vsock_capture_flush(struct vsock_capture *capture);

#endif
