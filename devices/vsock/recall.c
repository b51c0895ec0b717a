// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes back what the life before a snapshot told the guest and the guest may
 * not have heard: its answers to connects. Part of the engine: see engine.c.
 *
 * Called once at a load, before any vCPU runs, device locked.
 *
 * A RESPONSE that lies in the RX ring when vCPUs stop is there after the load,
 * too. The guest's socket was connecting then, so the driver's sweep of
 * connected sockets passes it over; and the driver may look at the RX ring only
 * after the sweep. The socket then is connected, to nobody, and who reads from
 * it waits for ever. So each such RESPONSE is followed by an RST, which lies
 * behind it in the ring and is thus seen after it.
 *
 * Which of them the driver has looked at cannot be known. used_event does not
 * tell: it is missing without EVENT_IDX, and Linux writes 0 to it to say "no
 * interrupts" (virtqueue_disable_cb_split()). But the last used elements, as
 * many as the ring has entries, are still there, and what the driver has not
 * taken yet is among them with its buffer as it was written: a used element is
 * overwritten only after the driver has taken it, and a buffer is the driver's
 * to change only then. So all of them are looked at. What was taken long ago is
 * found by that as well, or whatever its memory was used for since. An RST for
 * it does no harm: its socket was connected when the vCPUs stopped, so the
 * sweep has ended it, or it is gone, and an RST for it is ignored
 * (virtio_transport_reset_no_sock()). New connections there are none yet: these
 * RSTs are the first that the guest gets. Only a socket that is connecting again
 * from the very port of an old one, to the same, is refused by it, and told so.
 */
#include "devices/vsock/engine.h"

static bool is_cid(le64 cid, uint64_t min)
{
	return le64_get(cid) >= min && le64_get(cid) <= VSOCK_CID_GUEST_MAX;
}

/* Could the device have written this? Then what it means is known. */
static bool is_response(const struct vsock_header *hdr)
{
	return le16_get(hdr->op) == VSOCK_OP_RESPONSE && !le32_get(hdr->len) &&
	       (le16_get(hdr->type) == VSOCK_TYPE_STREAM ||
		le16_get(hdr->type) == VSOCK_TYPE_SEQPACKET) &&
	       is_cid(hdr->src_cid, VSOCK_CID_HOST) &&
	       is_cid(hdr->dst_cid, VSOCK_CID_GUEST_MIN);
}

static void look_at(struct vsock_engine *engine, uint16_t back)
{
	struct vsock_header hdr;
	struct virtq_chain chain;
	uint32_t written;

	if (virtq_used_look(engine->rx, back, engine->iov, VSOCK_BATCH_IOV,
			    &chain, &written) &&
	    written == sizeof(hdr) &&
	    vsock_header_copy(&hdr, chain.iov + chain.out_num, chain.in_num) &&
	    is_response(&hdr))
		vsock_engine_take_back(engine, &hdr);
}

void vsock_engine_loaded(struct vsock_engine *engine)
{
	engine->hurry = true;
	/* In the order in which they were written. */
	for (uint16_t back = engine->rx->size; back; back--)
		look_at(engine, back);
}
