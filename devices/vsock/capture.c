// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packet capture: owns the file and a buffer. Called by the engine, on the
 * loop thread, for each packet as it enters or leaves a ring.
 *
 * Format: pcap (draft-ietf-opsawg-pcap), link type 271, whose packets start
 * with struct af_vsockmon_hdr of <linux/vsockmon.h>, followed by the transport
 * header and the payload. Numbers of pcap itself are in our byte order, which
 * its magic number tells; those of the packets are little-endian.
 */
#include "devices/vsock/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"

#define PCAP_MAGIC_NS	0xa1b23c4du	/* time stamps in nanoseconds */
#define LINKTYPE_VSOCK	271u
#define SNAPLEN		(VSOCK_PAYLOAD_MAX + 256u)

struct pcap_file_header {
	uint32_t magic;
	uint16_t version_major;
	uint16_t version_minor;
	uint32_t reserved[2];
	uint32_t snaplen;
	uint32_t linktype;
};
_Static_assert(sizeof(struct pcap_file_header) == 24, "pcap, section 4");

struct pcap_packet_header {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t captured;
	uint32_t length;
};
_Static_assert(sizeof(struct pcap_packet_header) == 16, "pcap, section 5");

/* <linux/vsockmon.h> */
enum vsockmon_op {
	VSOCKMON_OP_UNKNOWN = 0,
	VSOCKMON_OP_CONNECT = 1,
	VSOCKMON_OP_DISCONNECT = 2,
	VSOCKMON_OP_CONTROL = 3,
	VSOCKMON_OP_PAYLOAD = 4,
};
#define VSOCKMON_TRANSPORT_VIRTIO 2u

struct vsockmon_header {
	le64 src_cid;
	le64 dst_cid;
	le32 src_port;
	le32 dst_port;
	le16 op;
	le16 transport;
	le16 len;
	uint8_t reserved[2];
};
_Static_assert(sizeof(struct vsockmon_header) == 32, "linux/vsockmon.h");

void vsock_capture_flush(struct vsock_capture *capture)
{
	uint32_t done = 0;

	while (done < capture->used && !capture->failed) {
		ssize_t n = write(capture->fd, capture->buf + done,
				  capture->used - done);

		if (n > 0) {
			done += (uint32_t)n;
		} else if (errno != EINTR) {
			capture->failed = true;
			log_warn("vsock capture %s: %s: no more is written",
				 capture->path, strerror(errno));
		}
	}
	capture->used = 0;
}

static void put(struct vsock_capture *capture, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len && !capture->failed) {
		size_t room = sizeof(capture->buf) - capture->used;
		size_t part = len < room ? len : room;

		memcpy(capture->buf + capture->used, from, part);
		capture->used += (uint32_t)part;
		from += part;
		len -= part;
		if (capture->used == sizeof(capture->buf))
			vsock_capture_flush(capture);
	}
}

struct vsock_capture *vsock_capture_open(const char *path, struct fail *why)
{
	const struct pcap_file_header header = {
		.magic = PCAP_MAGIC_NS,
		.version_major = 2,
		.version_minor = 4,
		.snaplen = SNAPLEN,
		.linktype = LINKTYPE_VSOCK,
	};
	struct vsock_capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		goto no_memory;
	capture->path = strdup(path);
	if (!capture->path)
		goto free_capture;
	capture->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			   0600);
	if (capture->fd < 0) {
		fail(why, -errno, "vsock capture %s: %s", path,
		     strerror(errno));
		free(capture->path);
		free(capture);
		return NULL;
	}
	put(capture, &header, sizeof(header));
	vsock_capture_flush(capture);
	return capture;
free_capture:
	free(capture);
no_memory:
	fail(why, -ENOMEM, "vsock capture: out of memory");
	return NULL;
}

void vsock_capture_close(struct vsock_capture *capture)
{
	if (!capture)
		return;
	vsock_capture_flush(capture);
	close(capture->fd);
	free(capture->path);
	free(capture);
}

static enum vsockmon_op op_of(const struct vsock_header *hdr)
{
	switch (le16_get(hdr->op)) {
	case VSOCK_OP_REQUEST:
	case VSOCK_OP_RESPONSE:
		return VSOCKMON_OP_CONNECT;
	case VSOCK_OP_RST:
	case VSOCK_OP_SHUTDOWN:
		return VSOCKMON_OP_DISCONNECT;
	case VSOCK_OP_RW:
		return VSOCKMON_OP_PAYLOAD;
	case VSOCK_OP_CREDIT_UPDATE:
	case VSOCK_OP_CREDIT_REQUEST:
		return VSOCKMON_OP_CONTROL;
	default:
		return VSOCKMON_OP_UNKNOWN;
	}
}

void vsock_capture_packet(struct vsock_capture *capture,
			  const struct vsock_header *hdr,
			  const struct iovec *iov, uint32_t len)
{
	const struct vsockmon_header mon = {
		.src_cid = hdr->src_cid,
		.dst_cid = hdr->dst_cid,
		.src_port = hdr->src_port,
		.dst_port = hdr->dst_port,
		.op = le16_make((uint16_t)op_of(hdr)),
		.transport = le16_make(VSOCKMON_TRANSPORT_VIRTIO),
		.len = le16_make(sizeof(*hdr)),
	};
	uint32_t total = (uint32_t)(sizeof(mon) + sizeof(*hdr)) + len;
	struct pcap_packet_header packet = {
		.captured = total,
		.length = total,
	};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	packet.seconds = (uint32_t)now.tv_sec;
	packet.nanoseconds = (uint32_t)now.tv_nsec;
	put(capture, &packet, sizeof(packet));
	put(capture, &mon, sizeof(mon));
	put(capture, hdr, sizeof(*hdr));
	for (unsigned int i = 0; len; i++) {
		uint32_t part = iov[i].iov_len < len ?
				(uint32_t)iov[i].iov_len : len;

		put(capture, iov[i].iov_base, part);
		len -= part;
	}
	capture->packets++;
}
