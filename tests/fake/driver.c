// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The driver's side of virtio-mmio and split virtqueues. See driver.h.
 *
 * The set-up follows virtio 1.2, section 3.1.1, and the register accesses are
 * those of Linux (vm_setup_vq() and friends in drivers/virtio/virtio_mmio.c);
 * the rings follow drivers/virtio/virtio_ring.c, barriers included.
 */
#include "tests/fake/driver.h"

#include <errno.h>
#include <string.h>

void fake_driver_init(struct fake_driver *driver, struct fake_guest *guest,
		      struct virtio_device *vdev)
{
	memset(driver, 0, sizeof(*driver));
	driver->guest = guest;
	driver->vdev = vdev;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		driver->queue[i].driver = driver;
		driver->queue[i].index = i;
	}
}

uint32_t fake_read(struct fake_driver *driver, uint32_t offset)
{
	le32 value;

	virtio_mmio_read(driver->vdev, offset, &value, sizeof(value));
	return le32_get(value);
}

void fake_write(struct fake_driver *driver, uint32_t offset, uint32_t value)
{
	le32 data = le32_make(value);

	virtio_mmio_write(driver->vdev, offset, &data, sizeof(data));
}

uint64_t fake_offered(struct fake_driver *driver)
{
	uint64_t low;

	fake_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = fake_read(driver, VIRTIO_MMIO_DEVICE_FEATURES);
	fake_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)fake_read(driver, VIRTIO_MMIO_DEVICE_FEATURES)
		<< 32;
}

void fake_status_add(struct fake_driver *driver, uint32_t bits)
{
	fake_write(driver, VIRTIO_MMIO_STATUS,
		   fake_read(driver, VIRTIO_MMIO_STATUS) | bits);
}

void fake_reset(struct fake_driver *driver)
{
	fake_write(driver, VIRTIO_MMIO_STATUS, 0);
	driver->features = 0;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		driver->queue[i].size = 0;
}

int fake_negotiate(struct fake_driver *driver, uint64_t want)
{
	fake_status_add(driver, VIRTIO_STATUS_ACKNOWLEDGE);
	fake_status_add(driver, VIRTIO_STATUS_DRIVER);
	driver->features = fake_offered(driver) & want;
	fake_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	fake_write(driver, VIRTIO_MMIO_DRIVER_FEATURES,
		   (uint32_t)(driver->features >> 32));
	fake_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	fake_write(driver, VIRTIO_MMIO_DRIVER_FEATURES,
		   (uint32_t)driver->features);
	fake_status_add(driver, VIRTIO_STATUS_FEATURES_OK);
	if (!(fake_read(driver, VIRTIO_MMIO_STATUS) &
	      VIRTIO_STATUS_FEATURES_OK))
		return -EOPNOTSUPP;
	return 0;
}

static size_t avail_bytes(uint16_t size)
{
	return sizeof(struct virtq_avail) + size * 2u + 2;
}

static size_t used_bytes(uint16_t size)
{
	return sizeof(struct virtq_used) +
		size * sizeof(struct virtq_used_elem) + 2;
}

/* Areas are used again after a reset if they are large enough. */
static void areas_alloc(struct fake_queue *q, uint16_t size)
{
	struct fake_guest *guest = q->driver->guest;

	if (q->area_size < size) {
		q->desc_gpa = fake_guest_alloc(guest, size * 16u, 4096);
		q->avail_gpa = fake_guest_alloc(guest, avail_bytes(size), 64);
		q->used_gpa = fake_guest_alloc(guest, used_bytes(size), 4096);
		q->table_gpa = fake_guest_alloc(guest, 16u * size *
						FAKE_TABLE_MAX, 4096);
		q->area_size = size;
	}
	q->desc = fake_guest_at(guest, q->desc_gpa, size * 16u);
	q->avail = fake_guest_at(guest, q->avail_gpa, avail_bytes(size));
	q->used = fake_guest_at(guest, q->used_gpa, used_bytes(size));
	memset(q->desc, 0, size * 16u);
	memset(q->avail, 0, avail_bytes(size));
	memset(q->used, 0, used_bytes(size));
}

static void rings_init(struct fake_queue *q, uint16_t size)
{
	areas_alloc(q, size);
	q->size = size;
	q->event_idx = q->driver->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	q->interrupts = true;
	q->avail_idx = 0;
	q->kicked = 0;
	q->used_seen = 0;
	q->free_head = 0;
	q->free_num = size;
	memset(q->slot, 0, sizeof(q->slot));
	for (uint16_t i = 0; i < size; i++)
		q->slot[i].next = i + 1;
}

static void write_gpa(struct fake_driver *driver, uint32_t low, gpa_t gpa)
{
	fake_write(driver, low, (uint32_t)gpa);
	fake_write(driver, low + 4, (uint32_t)(gpa >> 32));
}

int fake_queue_setup(struct fake_driver *driver, unsigned int index,
		     uint16_t size)
{
	struct fake_queue *q = &driver->queue[index];
	uint32_t max;

	fake_write(driver, VIRTIO_MMIO_QUEUE_SEL, index);
	if (fake_read(driver, VIRTIO_MMIO_QUEUE_READY))
		return -EIO;
	max = fake_read(driver, VIRTIO_MMIO_QUEUE_SIZE_MAX);
	if (!max)
		return -ENOENT;
	rings_init(q, size < max ? size : (uint16_t)max);
	fake_write(driver, VIRTIO_MMIO_QUEUE_SIZE, q->size);
	write_gpa(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc_gpa);
	write_gpa(driver, VIRTIO_MMIO_QUEUE_DRIVER_LOW, q->avail_gpa);
	write_gpa(driver, VIRTIO_MMIO_QUEUE_DEVICE_LOW, q->used_gpa);
	fake_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
	return fake_read(driver, VIRTIO_MMIO_QUEUE_READY) == 1 ? 0 : -EIO;
}

void fake_driver_ok(struct fake_driver *driver)
{
	fake_status_add(driver, VIRTIO_STATUS_DRIVER_OK);
}

int fake_probe(struct fake_driver *driver, uint64_t want, uint16_t size)
{
	int err;

	if (fake_read(driver, VIRTIO_MMIO_MAGIC_VALUE) != VIRTIO_MMIO_MAGIC ||
	    fake_read(driver, VIRTIO_MMIO_VERSION) != 2 ||
	    fake_read(driver, VIRTIO_MMIO_DEVICE_ID) == 0)
		return -ENODEV;
	fake_reset(driver);
	err = fake_negotiate(driver, want);
	if (err)
		return err;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		err = fake_queue_setup(driver, i, size);
		if (err == -ENOENT)
			break;
		if (err)
			return err;
	}
	fake_driver_ok(driver);
	return 0;
}

static struct virtq_desc make_desc(gpa_t gpa, uint32_t len, uint16_t flags,
				   uint16_t next)
{
	return (struct virtq_desc){
		.addr = le64_make(gpa), .len = le32_make(len),
		.flags = le16_make(flags), .next = le16_make(next),
	};
}

void fake_desc_set(struct fake_queue *q, uint16_t i, gpa_t gpa, uint32_t len,
		   uint16_t flags, uint16_t next)
{
	q->desc[i] = make_desc(gpa, len, flags, next);
}

void fake_table_set(struct fake_driver *driver, gpa_t table, unsigned int i,
		    gpa_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	struct virtq_desc d = make_desc(gpa, len, flags, next);

	memcpy(fake_guest_at(driver->guest, table + 16 * i, 16), &d, 16);
}

void fake_avail_idx_set(struct fake_queue *q, uint16_t idx)
{
	q->avail_idx = idx;
	/* Pairs with the acquire in virtq_avail_idx(). */
	__atomic_store_n(&q->avail->idx.raw, htole16(idx), __ATOMIC_RELEASE);
}

void fake_avail_put(struct fake_queue *q, uint16_t head)
{
	le16 *entry = &q->avail->ring[q->avail_idx & (q->size - 1)];

	__atomic_store_n(&entry->raw, htole16(head), __ATOMIC_RELAXED);
	fake_avail_idx_set(q, q->avail_idx + 1);
}

/* The rest of a chain, in the table that belongs to @head. */
static void table_fill(struct fake_queue *q, uint16_t head,
		       const struct fake_seg *seg, unsigned int num,
		       unsigned int out)
{
	gpa_t table = q->table_gpa + (gpa_t)head * FAKE_TABLE_MAX * 16;

	for (unsigned int i = 0; i < num; i++) {
		uint16_t flags = i < out ? 0 : VIRTQ_DESC_F_WRITE;

		if (i + 1 < num)
			flags |= VIRTQ_DESC_F_NEXT;
		fake_table_set(q->driver, table, i, seg[i].gpa, seg[i].len,
			       flags, (uint16_t)(i + 1));
	}
}

/* Takes @count descriptors off the free list; the first is the head. */
static uint16_t chain_take(struct fake_queue *q, unsigned int count)
{
	uint16_t head = q->free_head, last = head;

	for (unsigned int i = 1; i < count; i++)
		last = q->slot[last].next;
	q->free_head = q->slot[last].next;
	q->free_num -= (uint16_t)count;
	q->slot[head].last = last;
	q->slot[head].count = (uint16_t)count;
	q->slot[head].in_flight = true;
	return head;
}

int fake_add(struct fake_queue *q, const struct fake_seg *seg, unsigned int out,
	     unsigned int in, unsigned int direct, void *token)
{
	unsigned int num = out + in;
	unsigned int tabled = direct < num ? num - direct : 0;
	unsigned int count = num - tabled + !!tabled;
	uint32_t in_len = 0;
	uint16_t head, at;

	if (!count || count > q->free_num || tabled > FAKE_TABLE_MAX)
		return -ENOSPC;
	head = at = chain_take(q, count);
	for (unsigned int i = 0; i < count; i++, at = q->slot[at].next) {
		uint16_t flags = i + 1 < count ? VIRTQ_DESC_F_NEXT : 0;

		if (tabled && i + 1 == count) {
			unsigned int done = num - tabled;

			table_fill(q, head, seg + done, tabled,
				   done < out ? out - done : 0);
			fake_desc_set(q, at, q->table_gpa +
				      (gpa_t)head * FAKE_TABLE_MAX * 16,
				      tabled * 16, VIRTQ_DESC_F_INDIRECT, 0);
			break;
		}
		if (i >= out)
			flags |= VIRTQ_DESC_F_WRITE;
		fake_desc_set(q, at, seg[i].gpa, seg[i].len, flags,
			      q->slot[at].next);
	}
	for (unsigned int i = out; i < num; i++)
		in_len += seg[i].len;
	q->slot[head].in_len = in_len;
	q->slot[head].token = token;
	fake_avail_put(q, head);
	return head;
}

/* Section 2.7.10: has the index passed @event, going from @old to @new? */
static bool passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static uint16_t load16(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static le16 *avail_event(const struct fake_queue *q)
{
	void *p = &q->used->ring[q->size];

	return p;
}

uint16_t fake_avail_event(const struct fake_queue *q)
{
	return load16(avail_event(q));
}

uint16_t fake_used_idx(const struct fake_queue *q)
{
	/* Pairs with the release in virtq_flush(). */
	return le16toh(__atomic_load_n(&q->used->idx.raw, __ATOMIC_ACQUIRE));
}

void fake_used_event_set(struct fake_queue *q, uint16_t idx)
{
	__atomic_store_n(&q->avail->ring[q->size].raw, htole16(idx),
			 __ATOMIC_RELAXED);
}

void fake_notify(struct fake_queue *q)
{
	struct virtio_device *vdev = q->driver->vdev;

	if (q->driver->doorbell_direct &&
	    !(vdev->ops->exact_notify & 1u << q->index))
		vdev->host_ops->kick(vdev->host, q->index);
	else
		fake_write(q->driver, VIRTIO_MMIO_QUEUE_NOTIFY, q->index);
}

bool fake_kick(struct fake_queue *q)
{
	uint16_t old = q->kicked;
	bool wanted;

	/* Index out before the wish is read: pairs with virtq_arm(). */
	__sync_synchronize();
	q->kicked = q->avail_idx;
	if (q->event_idx)
		wanted = passed(fake_avail_event(q), q->avail_idx, old);
	else
		wanted = !(load16(&q->used->flags) & VIRTQ_USED_F_NO_NOTIFY);
	if (wanted)
		fake_notify(q);
	return wanted;
}

static void want_interrupt(struct fake_queue *q)
{
	if (q->event_idx)
		fake_used_event_set(q, q->used_seen);
	else
		__atomic_store_n(&q->avail->flags.raw, 0, __ATOMIC_RELAXED);
	/* Wish out before we look again: pairs with virtq_flush(). */
	__sync_synchronize();
}

int fake_harvest(struct fake_queue *q, struct fake_used *used)
{
	const struct virtq_used_elem *elem;
	uint32_t id;

	if (fake_used_idx(q) == q->used_seen)
		return 0;
	elem = &q->used->ring[q->used_seen & (q->size - 1)];
	id = le32_get(elem->id);
	used->len = le32_get(elem->len);
	if (id >= q->size || !q->slot[id].in_flight ||
	    used->len > q->slot[id].in_len)
		return -EPROTO;
	used->head = (uint16_t)id;
	used->token = q->slot[id].token;
	q->used_seen++;
	if (q->interrupts && q->event_idx)
		want_interrupt(q);

	q->slot[id].in_flight = false;
	q->slot[q->slot[id].last].next = q->free_head;
	q->free_head = used->head;
	q->free_num += q->slot[id].count;
	return 1;
}

unsigned int fake_in_flight(const struct fake_queue *q)
{
	return q->size - q->free_num;
}

bool fake_interrupts_on(struct fake_queue *q)
{
	q->interrupts = true;
	want_interrupt(q);
	return fake_used_idx(q) != q->used_seen;
}

void fake_interrupts_off(struct fake_queue *q)
{
	q->interrupts = false;
	/* With EVENT_IDX, used_event is left to fall behind. */
	if (!q->event_idx)
		__atomic_store_n(&q->avail->flags.raw,
				 htole16(VIRTQ_AVAIL_F_NO_INTERRUPT),
				 __ATOMIC_RELAXED);
}

uint32_t fake_isr(struct fake_driver *driver)
{
	uint32_t bits = fake_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS);

	fake_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, bits);
	return bits;
}
