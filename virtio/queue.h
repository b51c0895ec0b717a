/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueue, device side (virtio 1.2, section 2.7), with
 * VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX.
 *
 * All functions run under the lock of the device that owns the queue. Memory
 * shared with the driver is read once, into a copy, and the copy is checked.
 * A ring that breaks the rules makes virtq_pop() fail; the caller hands the
 * reason to virtio_device_break().
 */
#ifndef WHERRY_VIRTIO_QUEUE_H
#define WHERRY_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "virtio/endian.h"
#include "virtio/fail.h"
#include "virtio/memory.h"

/* The largest queue any device here offers; a power of two. */
#define VIRTQ_SIZE_MAX 1024

/* Descriptor flags, virtio 1.2, section 2.7.5. */
#define VIRTQ_DESC_F_NEXT	1u
#define VIRTQ_DESC_F_WRITE	2u
#define VIRTQ_DESC_F_INDIRECT	4u
/* Section 2.7.6 and 2.7.8: "don't bother me" flags without EVENT_IDX. */
#define VIRTQ_AVAIL_F_NO_INTERRUPT	1u
#define VIRTQ_USED_F_NO_NOTIFY		1u

/* Section 2.7.5. */
struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

/* Section 2.7.6; used_event stands behind the ring. */
struct virtq_avail {
	le16 flags;
	le16 idx;
	le16 ring[];
};
_Static_assert(sizeof(struct virtq_avail) == 4, "virtio 1.2, 2.7.6");

/* Section 2.7.8. */
struct virtq_used_elem {
	le32 id;
	le32 len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.8");

/* Section 2.7.8; avail_event stands behind the ring. */
struct virtq_used {
	le16 flags;
	le16 idx;
	struct virtq_used_elem ring[];
};
_Static_assert(sizeof(struct virtq_used) == 4, "virtio 1.2, 2.7.8");

/**
 * struct virtq - one split virtqueue
 * @mem: the guest's RAM
 * @size_max: what QueueSizeMax says; 0: the queue does not exist
 * @size: entries, a power of two, set by the driver
 * @ready: QueueReady; nothing below is touched unless it is true
 * @event_idx: VIRTIO_F_EVENT_IDX was negotiated
 * @indirect: VIRTIO_F_INDIRECT_DESC was negotiated
 * @desc_gpa: descriptor area
 * @driver_gpa: driver area (available ring)
 * @device_gpa: device area (used ring)
 * @last_avail: free-running index of the next available entry to pop
 * @used_idx: free-running index of the next used entry to write; ahead of
 *            what the driver sees until virtq_flush()
 * @flushed: the used index that the driver sees
 * @avail_seen: the available index when it was last read and checked; entries
 *              up to it are popped without looking again
 * @region: the region hit last, where the next segment will likely be
 * @held_count: chains in @held
 * @again: of them, from the front, those that a load gave back to be popped
 *         once more
 * @held: heads of chains popped and kept while later ones were pushed; see
 *        virtq_hold()
 * @notified: the driver wrote this queue's number to QueueNotify since it
 *            enabled the queue; exact only for queues in ops->exact_notify,
 *            whose doorbell is not an ioeventfd
 * @desc: host view of the descriptor area, NULL unless @ready
 * @avail: host view of the driver area, NULL unless @ready
 * @used: host view of the device area, NULL unless @ready
 */
struct virtq {
	const struct guest_memory *mem;
	uint16_t size_max;
	uint16_t size;
	bool ready;
	bool event_idx;
	bool indirect;
	gpa_t desc_gpa;
	gpa_t driver_gpa;
	gpa_t device_gpa;
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t flushed;
	uint16_t avail_seen;
	bool notified;
	uint16_t held_count;
	uint16_t again;
	uint16_t held[VIRTQ_SIZE_MAX];
	const struct guest_region *region;
	const struct virtq_desc *desc;
	const struct virtq_avail *avail;
	struct virtq_used *used;
};

/**
 * struct virtq_chain - one descriptor chain, popped and checked
 * @head: what the used ring calls it
 * @out_num: device-readable segments, iov[0 .. out_num)
 * @in_num: device-writable segments, iov[out_num .. out_num + in_num)
 * @out_len: bytes the device may read
 * @in_len: bytes the device may write
 * @iov: the segments; each lies inside guest RAM; empty ones are left out
 */
struct virtq_chain {
	uint16_t head;
	uint16_t out_num;
	uint16_t in_num;
	uint32_t out_len;
	uint32_t in_len;
	struct iovec *iov;
};

/**
 * virtq_enable() - the driver set QueueReady: check the areas, map them
 * @q: with size, the three addresses and the features set
 * @why: the reason of a refusal
 *
 * Checks that @size is a power of two in 1 .. size_max, the alignments of
 * section 2.7 (16, 2, 4 bytes), and that each area lies in RAM.
 *
 * Return: 0, or -EINVAL with @q left not ready. Indices are not touched:
 * virtq_reset() or virtq_disable() zeroed them, or a saved state set them.
 */
int virtq_enable(struct virtq *q, struct fail *why);

/**
 * virtq_disable() - QueueReady became 0, or the device is broken
 *
 * The queue's memory is not touched any more: pops find nothing, pushes and
 * flushes do nothing. Size, addresses and features stay; the indices start
 * from 0 if the driver enables the queue again, as its rings will.
 */
void virtq_disable(struct virtq *q);

/**
 * virtq_reset() - back to the state after a device reset
 *
 * Keeps @mem and @size_max; everything else is zero.
 */
void virtq_reset(struct virtq *q);

/**
 * virtq_avail_idx() - where the driver's available ring stands now
 *
 * Return: avail.idx, read with acquire semantics (pairs with the driver's
 * release before it stores idx). Free-running, modulo 2^16.
 */
uint16_t virtq_avail_idx(const struct virtq *q);

/**
 * virtq_pop() - take the next available chain
 * @q: a ready queue
 * @iov: where the segments go
 * @iov_max: how many fit
 * @chain: filled in; chain->iov == @iov
 * @why: what was wrong with the ring
 *
 * Return: 1 with a chain; 0 when the ring is empty; -ENOSPC when the chain
 * has more than @iov_max segments (nothing is taken); -EINVAL when the ring
 * is malformed: avail.idx ran ahead by more than the size, a head or next out
 * of range, a loop or more than @size descriptors (the one that points to an
 * indirect table is no part of the chain and does not count), a nested or not
 * negotiated indirect table, one with a bad length, INDIRECT with NEXT, a
 * segment outside RAM, readable after writable, more than 2^32 - 1 bytes
 * (section 2.7.4 to 2.7.7). Malformed comes before too long: -ENOSPC is for
 * good chains only. A queue that is not ready is empty.
 */
int virtq_pop(struct virtq *q, struct iovec *iov, unsigned int iov_max,
	      struct virtq_chain *chain, struct fail *why);

/**
 * virtq_unpop() - give back the last @count chains popped
 *
 * They will be popped again, in the same order. Only chains not yet pushed,
 * and not on a queue on which chains are held.
 */
void virtq_unpop(struct virtq *q, uint16_t count);

/**
 * virtq_push() - write a used element
 * @q: a ready queue
 * @head: chain->head
 * @len: bytes written into the chain's writable part; never more than that
 *
 * The driver does not see it before virtq_flush().
 */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);

/**
 * virtq_hold() - keep a popped chain while later ones are pushed
 * @head: chain->head; not in the queue's hands yet
 *
 * For work that ends later. Buffers may go back in any order (section 2.7.14),
 * and what is held when the queue is saved is popped again, before anything
 * else, after a load: the chain is the record of the work under way.
 *
 * Return: true; false if all but one of the ring's entries are held, so that
 * the driver can always be heard: nothing was done, the chain is the caller's.
 */
bool virtq_hold(struct virtq *q, uint16_t head);

/**
 * virtq_push_held() - as virtq_push(), for a chain that virtq_hold() kept
 *
 * Does nothing if it is not held any more: the queue was reset meanwhile.
 */
void virtq_push_held(struct virtq *q, uint16_t head, uint32_t len);

/**
 * virtq_used_look() - read back a chain that was pushed earlier
 * @back: how many used elements ago, 1: the last one; up to the queue's size
 * @iov: where its segments go
 * @iov_max: how many fit
 * @chain: filled in
 * @len: how many bytes were said to be written
 *
 * What the driver has not taken yet is as the device left it. What it has may
 * be anything by now: the caller checks what it finds, as it would a packet.
 *
 * Return: whether there is such a chain, by the rules of virtq_pop().
 */
bool virtq_used_look(struct virtq *q, uint16_t back, struct iovec *iov,
		     unsigned int iov_max, struct virtq_chain *chain,
		     uint32_t *len);

/**
 * virtq_avail_find() - was a buffer made available again?
 * @from: free-running index of the first entry to look at, not before
 *     q->last_avail; afterwards that of the first not looked at
 * @head: its head when it was popped
 * @gpa: where it lies
 *
 * It is the same if either is: a driver may take another descriptor for it.
 *
 * Return: 1 it was, 0 not yet, -EINVAL: the index ran ahead by more than the
 * size.
 */
int virtq_avail_find(struct virtq *q, uint16_t *from, uint16_t head, gpa_t gpa,
		     struct fail *why);

/** virtq_buffer_gpa() - Return: where the chain with this head begins, or 0 */
gpa_t virtq_buffer_gpa(const struct virtq *q, uint16_t head);

/**
 * virtq_flush() - publish what was pushed since the last flush
 *
 * Return: whether the driver wants a used-buffer notification for it
 * (section 2.7.7.2 and 2.7.10). False when nothing was pushed.
 */
bool virtq_flush(struct virtq *q);

/**
 * virtq_arm() - ask for a notification of the next available buffer
 *
 * Sets avail_event (EVENT_IDX) or clears the NO_NOTIFY flag, then fences and
 * looks again, so that no buffer slips between.
 *
 * Return: true when a buffer is there already: pop again, no doorbell is due.
 */
bool virtq_arm(struct virtq *q);

/**
 * virtq_arm_after() - ask for a notification once avail.idx passes @idx
 *
 * For a device that leaves buffers lying (the event queue): the notification
 * comes when the driver adds the entry with free-running index @idx.
 *
 * Return: true when avail.idx has passed @idx already.
 */
bool virtq_arm_after(struct virtq *q, uint16_t idx);

/**
 * virtq_disarm() - no notifications wanted for now
 *
 * Without EVENT_IDX sets NO_NOTIFY; with it, does nothing: avail_event simply
 * falls behind. A hint: the driver may notify all the same.
 */
void virtq_disarm(struct virtq *q);

/**
 * virtq_heeded() - has the driver looked at what is used up to index @idx?
 *
 * With EVENT_IDX it says how far it has looked whenever it re-enables
 * notifications, in used_event. Without, nothing does, and it has as far as is
 * known. Return: false too when the queue is not ready.
 */
bool virtq_heeded(const struct virtq *q, uint16_t idx);

#endif
