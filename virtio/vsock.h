/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wire format of the socket device (virtio 1.2, section 5.10).
 */
#ifndef WHERRY_VIRTIO_VSOCK_H
#define WHERRY_VIRTIO_VSOCK_H

#include "virtio/endian.h"

/* Section 5.10.2: virtqueues. */
#define VSOCK_QUEUE_RX		0u
#define VSOCK_QUEUE_TX		1u
#define VSOCK_QUEUE_EVENT	2u
#define VSOCK_QUEUES		3u

/* Section 5.10.3: feature bits. */
#define VIRTIO_VSOCK_F_STREAM			0
#define VIRTIO_VSOCK_F_SEQPACKET		1
#define VIRTIO_VSOCK_F_NO_IMPLIED_STREAM	2

/* Section 5.10.4: well-known CIDs; 0, 1, 2 and the two all-ones values are
 * never a guest's. */
#define VSOCK_CID_HOST		2u
#define VSOCK_CID_GUEST_MIN	3u
#define VSOCK_CID_GUEST_MAX	0xfffffffeu

/* Section 5.10.6: struct virtio_vsock_hdr. */
struct vsock_header {
	le64 src_cid;
	le64 dst_cid;
	le32 src_port;
	le32 dst_port;
	le32 len;
	le16 type;
	le16 op;
	le32 flags;
	le32 buf_alloc;
	le32 fwd_cnt;
};
_Static_assert(sizeof(struct vsock_header) == 44, "virtio 1.2, 5.10.6");

/* Section 5.10.6: enum virtio_vsock_op. */
enum vsock_op {
	VSOCK_OP_INVALID = 0,
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

/* Section 5.10.6: types. */
#define VSOCK_TYPE_STREAM	1u
#define VSOCK_TYPE_SEQPACKET	2u

/* Section 5.10.6.3: flags of VSOCK_OP_SHUTDOWN (the specification names bit
 * numbers 0 and 1). */
#define VSOCK_SHUTDOWN_RECEIVE	1u	/* sender receives no more */
#define VSOCK_SHUTDOWN_SEND	2u	/* sender sends no more */
#define VSOCK_SHUTDOWN_BOTH	3u

/* Section 5.10.6.6: flags of VSOCK_OP_RW on seqpacket sockets. */
#define VSOCK_SEQ_EOM		1u
#define VSOCK_SEQ_EOR		2u

/* Section 5.10.6.7: struct virtio_vsock_event. */
struct vsock_event {
	le32 id;
};
_Static_assert(sizeof(struct vsock_event) == 4, "virtio 1.2, 5.10.6.7");
#define VSOCK_EVENT_TRANSPORT_RESET	0u

/* Section 5.10.4: struct virtio_vsock_config. */
struct vsock_config {
	le64 guest_cid;
};
_Static_assert(sizeof(struct vsock_config) == 8, "virtio 1.2, 5.10.4");

/* Linux refuses larger payloads (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE). */
#define VSOCK_PAYLOAD_MAX	65536u

#endif
