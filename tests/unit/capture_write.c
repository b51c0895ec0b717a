// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes a capture file with a packet of each kind, for capture_tshark.sh.
 *
 * Usage: capture_write FILE
 */
#include <stdio.h>
#include <string.h>

#include "devices/vsock/capture.h"

#define GUEST_CID	3u
#define GUEST_PORT	1024u
#define HOST_PORT	1073741824u

static void write_packet(struct vsock_capture *capture, bool to_guest,
			 enum vsock_op op, uint16_t type, uint32_t flags,
			 const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	const struct iovec iov[] = {
		{ (void *)(uintptr_t)text, len / 2 },
		{ (void *)(uintptr_t)(text + len / 2), len - len / 2 },
	};
	const struct vsock_header hdr = {
		.src_cid = le64_make(to_guest ? VSOCK_CID_HOST : GUEST_CID),
		.dst_cid = le64_make(to_guest ? GUEST_CID : VSOCK_CID_HOST),
		.src_port = le32_make(to_guest ? HOST_PORT : GUEST_PORT),
		.dst_port = le32_make(to_guest ? GUEST_PORT : HOST_PORT),
		.len = le32_make(len),
		.type = le16_make(type),
		.op = le16_make((uint16_t)op),
		.flags = le32_make(flags),
		.buf_alloc = le32_make(262144),
		.fwd_cnt = le32_make(7),
	};

	vsock_capture_packet(capture, &hdr, iov, len);
}

int main(int argc, char **argv)
{
	const uint16_t stream = VSOCK_TYPE_STREAM;
	struct vsock_capture *capture;
	struct fail why;

	if (argc != 2) {
		fprintf(stderr, "usage: capture_write FILE\n");
		return 2;
	}
	capture = vsock_capture_open(argv[1], &why);
	if (!capture) {
		fprintf(stderr, "capture_write: %s\n", why.text);
		return 1;
	}
	write_packet(capture, true, VSOCK_OP_REQUEST, stream, 0, "");
	write_packet(capture, false, VSOCK_OP_RESPONSE, stream, 0, "");
	write_packet(capture, true, VSOCK_OP_RW, stream, 0, "hello");
	write_packet(capture, false, VSOCK_OP_RW, VSOCK_TYPE_SEQPACKET,
		     VSOCK_SEQ_EOM, "a message");
	write_packet(capture, false, VSOCK_OP_CREDIT_UPDATE, stream, 0, "");
	write_packet(capture, true, VSOCK_OP_CREDIT_REQUEST, stream, 0, "");
	write_packet(capture, false, VSOCK_OP_SHUTDOWN, stream,
		     VSOCK_SHUTDOWN_BOTH, "");
	write_packet(capture, true, VSOCK_OP_RST, stream, 0, "");
	vsock_capture_close(capture);
	return 0;
}
