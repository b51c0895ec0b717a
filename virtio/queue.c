// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The split virtqueue, device side (virtio 1.2, section 2.7).
 *
 * Called by devices on the loop thread and by the register file on vCPU
 * threads, always under the lock of the device that owns the queue.
 *
 * Theory of operation. Three areas lie in guest RAM and are the driver's to
 * scribble on at any time: the descriptor table and the available ring, which
 * we only read, and the used ring, which we only write. Their addresses are
 * checked once, when the queue is enabled; from then on only what the driver
 * puts in them is in doubt. Each descriptor, ring entry and index is therefore
 * read once, into registers, and the copy is checked and used.
 *
 * Indices run freely modulo 2^16 and are masked when used as positions.
 * last_avail - used_idx chains are popped and not yet pushed; between two
 * batches those are the held ones. With memory shared by two CPUs, four orderings matter; at
 * each the comment names its other half in the driver (Linux,
 * drivers/virtio/virtio_ring.c).
 *
 * A queue that is not ready has no areas: everything here then sees an empty
 * ring and writes nothing, so that a device that was broken or reset in the
 * middle of a batch needs no special care.
 */
#include "virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* A descriptor as host integers: the copy that is checked and used. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* A chain being walked. */
struct walk {
	struct virtq *q;
	struct iovec *iov;
	unsigned int iov_max;
	unsigned int num;	/* segments so far, stored or not */
	unsigned int out_num;	/* of them readable */
	uint32_t total;		/* bytes so far */
	uint32_t out_len;	/* of them readable */
	bool writable;		/* a writable descriptor was seen */
	struct fail *why;
};

/*
 * Store-load barrier. Not atomic_thread_fence(): gcc refuses that one under
 * ThreadSanitizer, and this is the same instruction.
 */
static inline void full_fence(void)
{
	__sync_synchronize();
}

/* One load that the compiler neither repeats nor splits, at any alignment. */
struct unaligned64 {
	uint64_t v;
} __attribute__((packed, may_alias));

static inline uint64_t load64(const void *p)
{
	const volatile struct unaligned64 *u = p;

	return le64toh(u->v);
}

/* Section 2.7.5, as two loads; indirect tables need not be aligned. */
static inline struct desc desc_copy(const uint8_t *table, uint32_t i)
{
	const uint8_t *p = table + (size_t)i * sizeof(struct virtq_desc);
	uint64_t rest = load64(p + offsetof(struct virtq_desc, len));

	return (struct desc){
		.addr = load64(p),
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static inline uint16_t load16(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static inline uint32_t load32(const le32 *p)
{
	return le32toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static inline void store16(le16 *p, uint16_t v)
{
	__atomic_store_n(&p->raw, htole16(v), __ATOMIC_RELAXED);
}

/* Section 2.7.10: both event fields stand behind the other side's ring. */
static inline const le16 *used_event(const struct virtq *q)
{
	return &q->avail->ring[q->size];
}

static inline le16 *avail_event(const struct virtq *q)
{
	void *p = &q->used->ring[q->size];

	return p;
}

/* Neighbouring segments tend to share a region, so ask that one first. */
static inline void *segment_at(struct virtq *q, gpa_t gpa, uint32_t len)
{
	const struct guest_region *r = q->region;
	uint64_t off = gpa - r->gpa;

	if (__builtin_expect(off < r->size && len <= r->size - off, 1))
		return r->host + off;
	for (unsigned int i = 0; i < q->mem->count; i++) {
		r = &q->mem->region[i];
		off = gpa - r->gpa;
		if (off < r->size && len <= r->size - off) {
			q->region = r;
			return r->host + off;
		}
	}
	return NULL;
}

static int area_check(const struct virtq *q, const char *name, gpa_t gpa,
		      uint64_t len, uint64_t align, void **area,
		      struct fail *why)
{
	if (gpa % align)
		return fail(why, -EINVAL, "%s area at 0x%" PRIx64
			    " is not %" PRIu64 "-byte aligned", name, gpa,
			    align);
	*area = guest_memory_at(q->mem, gpa, len);
	if (!*area)
		return fail(why, -EINVAL, "%s area at 0x%" PRIx64 ", %" PRIu64
			    " bytes, is not in RAM", name, gpa, len);
	return 0;
}

int virtq_enable(struct virtq *q, struct fail *why)
{
	/* Section 2.7: the event field is there whether used or not. */
	uint64_t entries = q->size;
	uint64_t desc_len = entries * sizeof(struct virtq_desc);
	uint64_t avail_len = sizeof(struct virtq_avail) + entries * 2 + 2;
	uint64_t used_len = sizeof(struct virtq_used) +
		entries * sizeof(struct virtq_used_elem) + 2;
	void *desc, *avail, *used;
	int err;

	q->ready = false;
	if (!q->size || (q->size & (q->size - 1)) || q->size > q->size_max)
		return fail(why, -EINVAL,
			    "size %u is not a power of two in 1 .. %u",
			    q->size, q->size_max);
	err = area_check(q, "descriptor", q->desc_gpa, desc_len, 16, &desc,
			 why);
	if (err)
		return err;
	err = area_check(q, "driver", q->driver_gpa, avail_len, 2, &avail,
			 why);
	if (err)
		return err;
	err = area_check(q, "device", q->device_gpa, used_len, 4, &used, why);
	if (err)
		return err;

	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->region = &q->mem->region[0];
	q->flushed = q->used_idx;
	q->avail_seen = q->last_avail;
	q->ready = true;
	return 0;
}

void virtq_disable(struct virtq *q)
{
	q->ready = false;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	q->region = NULL;
	q->last_avail = 0;
	q->used_idx = 0;
	q->flushed = 0;
	q->avail_seen = 0;
	q->notified = false;
	q->held_count = 0;
	q->again = 0;
}

void virtq_reset(struct virtq *q)
{
	const struct guest_memory *mem = q->mem;
	uint16_t size_max = q->size_max;

	memset(q, 0, sizeof(*q));
	q->mem = mem;
	q->size_max = size_max;
}

uint16_t virtq_avail_idx(const struct virtq *q)
{
	if (!q->ready)
		return q->last_avail;
	/*
	 * Pairs with virtio_wmb() in virtqueue_add_split(): whoever sees the
	 * index sees the ring entry and the descriptors below it.
	 */
	return le16toh(__atomic_load_n(&q->avail->idx.raw, __ATOMIC_ACQUIRE));
}

/* Cold paths, out of line so that virtq_pop() stays small. */
static int __attribute__((cold, noinline))
segment_refused(const struct walk *w, const struct desc *d)
{
	uint32_t sum;

	if (w->writable && !(d->flags & VIRTQ_DESC_F_WRITE))
		return fail(w->why, -EINVAL,
			    "readable descriptor after a writable one");
	if (__builtin_add_overflow(w->total, d->len, &sum))
		return fail(w->why, -EINVAL,
			    "chain of more than 2^32 - 1 bytes");
	return fail(w->why, -EINVAL, "segment at 0x%" PRIx64
		    ", %u bytes, is not in RAM", d->addr, d->len);
}

/* Section 2.7.4: a segment of a chain, in the order readable, writable. */
static inline int segment_add(struct walk *w, const struct desc *d)
{
	uint32_t total;
	void *base;

	if (d->flags & VIRTQ_DESC_F_WRITE) {
		if (!w->writable) {
			w->writable = true;
			w->out_num = w->num;
			w->out_len = w->total;
		}
	} else if (w->writable) {
		return segment_refused(w, d);
	}
	if (!d->len)
		return 0;
	base = segment_at(w->q, d->addr, d->len);
	if (!base || __builtin_add_overflow(w->total, d->len, &total))
		return segment_refused(w, d);
	w->total = total;
	if (w->num < w->iov_max)
		w->iov[w->num] = (struct iovec){ base, d->len };
	w->num++;
	return 0;
}

/* Section 2.7.5.3.1: may this descriptor point to a table, and where is it? */
static int indirect_table(const struct walk *w, const struct desc *d,
			  bool nested, const uint8_t **table)
{
	if (!w->q->indirect)
		return fail(w->why, -EINVAL,
			    "indirect descriptor, which was not negotiated");
	if (nested)
		return fail(w->why, -EINVAL,
			    "indirect descriptor in an indirect table");
	if (d->flags & VIRTQ_DESC_F_NEXT)
		return fail(w->why, -EINVAL, "indirect descriptor with NEXT");
	if (!d->len || d->len % sizeof(struct virtq_desc))
		return fail(w->why, -EINVAL,
			    "indirect table of %u bytes", d->len);
	*table = segment_at(w->q, d->addr, d->len);
	if (!*table)
		return fail(w->why, -EINVAL, "indirect table at 0x%" PRIx64
			    ", %u bytes, is not in RAM", d->addr, d->len);
	return 0;
}

/*
 * Follow a chain from descriptor @i. @left bounds the walk, so that a loop
 * ends: no chain is longer than the queue (2.7.5.3.1), wherever its
 * descriptors stand.
 */
static int chain_walk(struct walk *w, uint32_t i)
{
	const uint8_t *table = (const uint8_t *)w->q->desc;
	uint32_t entries = w->q->size;
	unsigned int left = w->q->size;
	bool indirect = false;
	struct desc d;
	int err;

	for (;;) {
		if (i >= entries)
			return fail(w->why, -EINVAL,
				    "descriptor %u of a table of %u", i,
				    entries);
		d = desc_copy(table, i);
		if (__builtin_expect(d.flags & VIRTQ_DESC_F_INDIRECT, 0)) {
			/* WRITE on this one is ignored (2.7.5.3.2). */
			err = indirect_table(w, &d, indirect, &table);
			if (err)
				return err;
			indirect = true;
			entries = (uint32_t)(d.len / sizeof(struct virtq_desc));
			i = 0;
			continue;
		}
		if (!left--)
			return fail(w->why, -EINVAL,
				    "chain of more than %u descriptors",
				    w->q->size);
		err = segment_add(w, &d);
		if (err)
			return err;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

static struct virtq_chain chain_of(const struct walk *w, uint16_t head)
{
	unsigned int out_num = w->writable ? w->out_num : w->num;
	uint32_t out_len = w->writable ? w->out_len : w->total;

	return (struct virtq_chain){
		.head = head,
		.out_num = (uint16_t)out_num,
		.in_num = (uint16_t)(w->num - out_num),
		.out_len = out_len,
		.in_len = w->total - out_len,
		.iov = w->iov,
	};
}

/* How far may we pop without asking again? 0: nothing there. */
static int avail_look(struct virtq *q, struct fail *why)
{
	uint16_t idx = virtq_avail_idx(q);
	uint16_t pending = idx - q->last_avail;

	if (!pending)
		return 0;
	if (pending > q->size)
		return fail(why, -EINVAL, "available index jumped from %u to "
			    "%u in a ring of %u", q->last_avail, idx, q->size);
	q->avail_seen = idx;
	return 1;
}

static uint16_t avail_head(const struct virtq *q, uint16_t idx)
{
	return load16(&q->avail->ring[idx & (q->size - 1)]);
}

/* Takes the @at-th of the held heads off the list. */
static void unhold(struct virtq *q, unsigned int at)
{
	q->held_count--;
	memmove(&q->held[at], &q->held[at + 1],
		(q->held_count - at) * sizeof(q->held[0]));
}

int virtq_pop(struct virtq *q, struct iovec *iov, unsigned int iov_max,
	      struct virtq_chain *chain, struct fail *why)
{
	struct walk w = {
		.q = q, .iov = iov, .iov_max = iov_max, .why = why,
	};
	uint16_t head;
	int err;

	if (!q->ready)
		return 0;
	/* One look at the driver's cache line serves a whole batch. */
	if (!q->again && q->avail_seen == q->last_avail) {
		err = avail_look(q, why);
		if (err <= 0)
			return err;
	}
	head = q->again ? q->held[0] : avail_head(q, q->last_avail);
	err = chain_walk(&w, head);
	if (err)
		return err;
	if (w.num > iov_max)
		return -ENOSPC;
	*chain = chain_of(&w, head);
	if (q->again) {
		q->again--;
		unhold(q, 0);
	} else {
		q->last_avail++;
	}
	return 1;
}

void virtq_unpop(struct virtq *q, uint16_t count)
{
	if (!q->ready)
		return;
	assert(!q->held_count);
	assert(count <= (uint16_t)(q->last_avail - q->used_idx));
	q->last_avail -= count;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	struct virtq_used_elem *elem;

	if (!q->ready)
		return;
	elem = &q->used->ring[q->used_idx & (q->size - 1)];
	elem->id = le32_make(head);
	elem->len = le32_make(len);
	q->used_idx++;
}

bool virtq_hold(struct virtq *q, uint16_t head)
{
	if (!q->ready || q->held_count + 1u >= q->size)
		return false;
	q->held[q->held_count++] = head;
	return true;
}

void virtq_push_held(struct virtq *q, uint16_t head, uint32_t len)
{
	for (unsigned int i = q->again; i < q->held_count; i++) {
		if (q->held[i] != head)
			continue;
		unhold(q, i);
		virtq_push(q, head, len);
		return;
	}
}

bool virtq_used_look(struct virtq *q, uint16_t back, struct iovec *iov,
		     unsigned int iov_max, struct virtq_chain *chain,
		     uint32_t *len)
{
	const struct virtq_used_elem *elem;
	struct fail why;
	struct walk w = {
		.q = q, .iov = iov, .iov_max = iov_max, .why = &why,
	};
	uint32_t head;

	if (!q->ready)
		return false;
	elem = &q->used->ring[(uint16_t)(q->used_idx - back) & (q->size - 1)];
	head = load32(&elem->id);
	*len = load32(&elem->len);
	if (head >= q->size || chain_walk(&w, head) || w.num > iov_max)
		return false;
	*chain = chain_of(&w, (uint16_t)head);
	return true;
}

gpa_t virtq_buffer_gpa(const struct virtq *q, uint16_t head)
{
	struct desc d;

	if (!q->ready || head >= q->size)
		return 0;
	d = desc_copy((const uint8_t *)q->desc, head);
	return d.addr;
}

int virtq_avail_find(struct virtq *q, uint16_t *from, uint16_t head, gpa_t gpa,
		     struct fail *why)
{
	uint16_t idx = virtq_avail_idx(q);

	if (!q->ready)
		return 0;
	if ((uint16_t)(idx - q->last_avail) > q->size)
		return fail(why, -EINVAL, "available index jumped from %u to "
			    "%u in a ring of %u", q->last_avail, idx, q->size);
	while (*from != idx) {
		uint16_t other = avail_head(q, (*from)++);

		if (other == head || virtq_buffer_gpa(q, other) == gpa)
			return 1;
	}
	return 0;
}

bool virtq_flush(struct virtq *q)
{
	uint16_t from = q->flushed, to = q->used_idx;

	if (!q->ready || from == to)
		return false;
	/*
	 * Pairs with virtio_rmb() in virtqueue_get_buf_ctx_split(): whoever
	 * sees the index sees the elements, and the data in the buffers.
	 */
	__atomic_store_n(&q->used->idx.raw, htole16(to), __ATOMIC_RELEASE);
	q->flushed = to;
	/*
	 * Our index out before we read what the driver wants. Pairs with
	 * virtio_mb() in virtqueue_enable_cb_prepare_split() and the poll
	 * after it: either we see its new used_event (or flag), or it sees our
	 * new index. Without it both may look too early, and it sleeps.
	 */
	full_fence();
	if (!q->event_idx)
		return !(load16(&q->avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	/* Section 2.7.10: was the entry it waits for among those published? */
	return (uint16_t)(to - load16(used_event(q)) - 1) <
		(uint16_t)(to - from);
}

bool virtq_arm(struct virtq *q)
{
	return virtq_arm_after(q, q->last_avail);
}

bool virtq_arm_after(struct virtq *q, uint16_t idx)
{
	uint16_t there, wanted;

	if (!q->ready)
		return false;
	if (q->event_idx)
		store16(avail_event(q), idx);
	else
		store16(&q->used->flags, 0);
	/*
	 * Our wish out before we look once more. Pairs with virtio_mb() in
	 * virtqueue_kick_prepare_split(): either the driver sees the wish and
	 * rings, or we see its buffer here.
	 */
	full_fence();
	there = virtq_avail_idx(q) - q->last_avail;
	wanted = idx - q->last_avail;
	return there > wanted;
}

void virtq_disarm(struct virtq *q)
{
	/* Section 2.7.10.2: with EVENT_IDX the flags stay 0. */
	if (q->ready && !q->event_idx)
		store16(&q->used->flags, VIRTQ_USED_F_NO_NOTIFY);
}

bool virtq_heeded(const struct virtq *q, uint16_t idx)
{
	if (!q->ready)
		return false;
	return !q->event_idx || (int16_t)(load16(used_event(q)) - idx) >= 0;
}
