// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/device.c: what is saved comes back, and what could not have been
 * saved is refused with a reason that names it.
 */
#include "virtio/device.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/virtio_bed.h"

#define NODE "device@0"
#define PATH "/" NODE

static struct bed_device other;
static struct fake_host other_host;
static struct fail why;
/* The tree, in memory of our own that tests may spoil. */
static void *tree;
static size_t tree_len;

static void setup(void)
{
	bed_setup_live();
	bed_device_init(&other);
	fake_host_init(&other_host, &other.vdev);
}

static void setup_unprobed(void)
{
	bed_setup();
	bed_device_init(&other);
	fake_host_init(&other_host, &other.vdev);
}

static void teardown(void)
{
	free(tree);
	tree = NULL;
	virtio_device_destroy(&other.vdev);
	bed_teardown();
}

static void save(struct virtio_device *vdev)
{
	struct state_writer w;
	const void *data;

	ck_assert_int_eq(state_writer_init(&w), 0);
	state_begin(&w, "%s", NODE);
	virtio_device_save(vdev, &w);
	state_end(&w);
	ck_assert_msg(!state_writer_finish(&w, &data, &tree_len, &why), "%s",
		      why.text);
	free(tree);
	tree = malloc(tree_len);
	ck_assert_ptr_nonnull(tree);
	memcpy(tree, data, tree_len);
	state_writer_free(&w);
}

static int load(struct virtio_device *vdev)
{
	struct state_node root, node;
	int err;

	state_root(&root, tree);
	ck_assert_int_eq(state_enter(&root, &node, &why, "%s", NODE), 0);
	err = virtio_device_load(vdev, &node, &why);
	if (err)
		return err;
	err = state_leave(&node, &why);
	if (err)
		return err;
	return state_leave(&root, &why);
}

static void ck_loaded(struct virtio_device *vdev)
{
	int err = load(vdev);

	ck_assert_msg(!err, "%s", why.text);
}

static void ck_queue_same(const struct virtq *a, const struct virtq *b)
{
	ck_assert_uint_eq(a->size_max, b->size_max);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_uint_eq(a->ready, b->ready);
	ck_assert_uint_eq(a->event_idx, b->event_idx);
	ck_assert_uint_eq(a->indirect, b->indirect);
	ck_assert_uint_eq(a->desc_gpa, b->desc_gpa);
	ck_assert_uint_eq(a->driver_gpa, b->driver_gpa);
	ck_assert_uint_eq(a->device_gpa, b->device_gpa);
	ck_assert_uint_eq(a->last_avail, b->last_avail);
	ck_assert_uint_eq(a->used_idx, b->used_idx);
	ck_assert_uint_eq(a->flushed, b->flushed);
	ck_assert_uint_eq(a->notified, b->notified);
	ck_assert_ptr_eq(a->desc, b->desc);
	ck_assert_ptr_eq(a->avail, b->avail);
	ck_assert_ptr_eq(a->used, b->used);
}

static void ck_device_same(struct virtio_device *a, struct virtio_device *b)
{
	ck_assert_uint_eq(a->offered, b->offered);
	ck_assert_uint_eq(a->features, b->features);
	ck_assert_uint_eq(a->status, b->status);
	ck_assert_uint_eq(atomic_load(&a->interrupt_status),
			  atomic_load(&b->interrupt_status));
	ck_assert_uint_eq(a->config_generation, b->config_generation);
	ck_assert_uint_eq(a->features_sel, b->features_sel);
	ck_assert_uint_eq(a->driver_features_sel, b->driver_features_sel);
	ck_assert_uint_eq(a->queue_sel, b->queue_sel);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		ck_queue_same(&a->queue[i], &b->queue[i]);
}

/* As after virtio_device_init(): the same as a device that just was. */
static void ck_untouched(void)
{
	struct bed_device fresh;

	bed_device_init(&fresh);
	ck_device_same(&other.vdev, &fresh.vdev);
	ck_assert_uint_eq(other.vdev.resets, 0);
	virtio_device_destroy(&fresh.vdev);
}

/* Some life: indices that differ by queue, an unread interrupt. */
static void live_a_little(void)
{
	for (unsigned int i = 0; i < BED_QUEUES; i++) {
		struct fake_used used;

		bed_fill(&bed.driver.queue[i], 4 + i);
		bed_use(&bed.q[i], 2 + i);
		virtio_device_flush(&bed.device.vdev, &bed.q[i]);
		ck_assert_int_eq(fake_harvest(&bed.driver.queue[i], &used), 1);
	}
	fake_notify(bed.dq);
	virtio_device_config_changed(&bed.device.vdev);
	bed.device.own = (struct bed_own){ 42, UINT64_MAX - 1 };
}

START_TEST(loaded_device_equals_the_saved_one)
{
	live_a_little();
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ck_device_same(&bed.device.vdev, &other.vdev);
	ck_assert_uint_eq(other.own.small, 42);
	ck_assert_uint_eq(other.own.large, UINT64_MAX - 1);
	ck_assert_uint_eq(atomic_load(&other.vdev.interrupt_status), 3);
	ck_assert(other.vdev.queue[0].notified);
	ck_assert(virtio_device_live(&other.vdev));
	ck_assert_uint_eq(other.vdev.resets, 0);
}
END_TEST

START_TEST(saving_again_gives_the_same_bytes)
{
	size_t len;
	void *first;

	live_a_little();
	save(&bed.device.vdev);
	first = tree;
	len = tree_len;
	tree = NULL;
	save(&bed.device.vdev);
	ck_assert_uint_eq(len, tree_len);
	ck_assert_mem_eq(first, tree, len);
	ck_loaded(&other.vdev);
	save(&other.vdev);
	ck_assert_uint_eq(len, tree_len);
	ck_assert_mem_eq(first, tree, len);
	free(first);
}
END_TEST

/* The driver does not notice: what it left in the rings goes on. */
START_TEST(rings_go_on_after_a_load)
{
	struct virtq_chain chain;
	struct fake_used used;
	struct iovec iov;

	live_a_little();
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	bed.driver.vdev = &other.vdev;
	bed_use(&other.vdev.queue[0], 2);
	ck_assert_int_eq(virtq_pop(&other.vdev.queue[0], &iov, 1, &chain,
				   &why), 0);
	virtio_device_flush(&other.vdev, &other.vdev.queue[0]);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
	bed_fill(bed.dq, BED_QUEUE_SIZE);
	bed_use(&other.vdev.queue[0], BED_QUEUE_SIZE);
}
END_TEST

START_TEST(indices_past_the_wrap_are_loaded)
{
	struct fake_used used;

	for (unsigned int i = 0; i < 65537; i++) {
		bed_fill(bed.dq, 1);
		bed_use(bed.q, 1);
		virtq_flush(bed.q);
		ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
		if (i < 65534)
			continue;
		save(&bed.device.vdev);
		ck_loaded(&other.vdev);
		ck_queue_same(&other.vdev.queue[0], bed.q);
	}
}
END_TEST

START_TEST(device_is_saved_at_every_step_of_a_probe)
{
	struct fake_driver *d = &bed.driver;

	for (unsigned int step = 0; step <= (unsigned int)_i; step++) {
		switch (step) {
		case 0:
			break;
		case 1:
			fake_status_add(d, VIRTIO_STATUS_ACKNOWLEDGE);
			break;
		case 2:
			/* Features that will not be accepted. */
			fake_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
			fake_write(d, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
			break;
		case 3:
			ck_assert_int_eq(fake_negotiate(d, BED_ALL), 0);
			break;
		case 4:
			/* A queue half described, by nonsense. */
			fake_write(d, VIRTIO_MMIO_QUEUE_SEL, 77);
			fake_write(d, VIRTIO_MMIO_QUEUE_SEL, 2);
			fake_write(d, VIRTIO_MMIO_QUEUE_SIZE, 333);
			fake_write(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff);
			break;
		case 5:
			ck_assert_int_eq(fake_queue_setup(d, 0, 8), 0);
			break;
		case 6:
			fake_driver_ok(d);
			break;
		case 7:
			fake_status_add(d, VIRTIO_STATUS_FAILED);
			break;
		case 8:
			virtio_device_break(&bed.device.vdev, &why);
			break;
		default:
			fake_reset(d);
			break;
		}
	}
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ck_device_same(&bed.device.vdev, &other.vdev);
}
END_TEST

/* A value that no device could have saved, and what the refusal names. */
static const struct {
	const char *node;
	const char *property;
	uint64_t value;
	const char *says;
} wrong[] = {
	{ PATH, "device-id", 19, "device-id" },
	{ PATH, "offered-features", 0x130000000, "offered-features" },
	{ PATH, "queues", 2, "queues" },
	{ PATH, "status", 0x10f, "status" },
	{ PATH, "status", 0x2f, "status 0x2f has unknown bits" },
	{ PATH, "status", 0x07, "DRIVER_OK without FEATURES_OK" },
	{ PATH, "status", 0x03, "ready at device status 0x3" },
	{ PATH, "status", 0x4f, "ready at device status 0x4f" },
	{ PATH, "features", 0x30000020, "without VERSION_1" },
	{ PATH, "features", 0x130000021, "features 0x130000021 were accepted" },
	{ PATH, "interrupt-status", 4, "interrupt-status" },
	{ PATH "/queue@1", "size-max", 32, "size-max" },
	{ PATH "/queue@1", "size", 0, "queue@1: size 0" },
	{ PATH "/queue@1", "size", 12, "queue@1: size 12" },
	{ PATH "/queue@1", "size", 32, "queue@1: size 32" },
	{ PATH "/queue@1", "size", 0x10010, "size" },
	{ PATH "/queue@1", "ready", 2, "ready" },
	{ PATH "/queue@1", "ready", 0, "queue@1: last-avail 3, used-idx 3, but" },
	{ PATH "/queue@2", "desc-gpa", 0xfffff0, "queue@2: descriptor area" },
	{ PATH "/queue@2", "driver-gpa", 1, "queue@2: driver area" },
	{ PATH "/queue@2", "device-gpa", BED_RAM, "queue@2: device area" },
	{ PATH "/queue@0", "last-avail", 1, "last-avail 1, used-idx 2, but 0 chains held" },
	{ PATH "/queue@0", "last-avail", 65536, "last-avail" },
	{ PATH "/queue@0", "used-idx", 3, "last-avail 2, used-idx 3, but 0 chains held" },
	{ PATH "/queue@0", "used-idx", 65536, "used-idx" },
	{ PATH "/queue@0", "notified", 2, "notified" },
	{ PATH "/counter", "small", 100, "small" },
};

/* Overwrite a property; its width stays. */
static void spoil(const char *path, const char *property, uint64_t value)
{
	int node = fdt_path_offset(tree, path);
	int len;

	ck_assert_int_ge(node, 0);
	ck_assert_ptr_nonnull(fdt_getprop(tree, node, property, &len));
	if (len == 8)
		ck_assert_int_eq(fdt_setprop_inplace_u64(tree, node, property,
							 value), 0);
	else
		ck_assert_int_eq(fdt_setprop_inplace_u32(tree, node, property,
							 (uint32_t)value), 0);
}

START_TEST(queue_saved_before_chains_could_be_held_loads)
{
	live_a_little();
	save(&bed.device.vdev);
	for (unsigned int i = 0; i < BED_QUEUES; i++) {
		char path[32];

		snprintf(path, sizeof(path), PATH "/queue@%u", i);
		spoil(path, "version", 1);
		ck_assert(!fdt_delprop(tree, fdt_path_offset(tree, path),
				       "held"));
	}
	ck_loaded(&other.vdev);
	ck_device_same(&bed.device.vdev, &other.vdev);
	ck_assert_uint_eq(other.vdev.queue[0].held_count, 0);
}
END_TEST

START_TEST(queue_of_a_newer_version_is_refused_by_name)
{
	save(&bed.device.vdev);
	spoil(PATH "/queue@1", "version", 3);
	ck_assert_int_eq(load(&other.vdev), -ENOTSUP);
	ck_says(&why, "node " PATH "/queue@1: version 3, at most 2 expected");
}
END_TEST

START_TEST(load_refuses_each_wrong_value)
{
	live_a_little();
	save(&bed.device.vdev);
	spoil(wrong[_i].node, wrong[_i].property, wrong[_i].value);
	ck_assert_int_lt(load(&other.vdev), 0);
	ck_says(&why, wrong[_i].says);
	ck_untouched();
}
END_TEST

/* Indices that agree with each other, but not with guest memory. */
START_TEST(a_guest_that_spoils_its_ring_cannot_spoil_its_snapshot)
{
	struct virtq_chain chain;
	struct iovec iov[4];

	live_a_little();
	save(&bed.device.vdev);
	spoil(PATH "/queue@0", "last-avail", 5);
	spoil(PATH "/queue@0", "used-idx", 5);
	ck_assert_int_eq(load(&other.vdev), 0);
	ck_assert_int_eq(virtq_pop(&other.vdev.queue[0], iov, 4, &chain, &why),
			 -EINVAL);
	ck_says(&why, "available index jumped");
}
END_TEST

START_TEST(load_refuses_a_notified_queue_that_is_not_ready)
{
	live_a_little();
	save(&bed.device.vdev);
	spoil(PATH "/queue@0", "ready", 0);
	spoil(PATH "/queue@0", "last-avail", 0);
	spoil(PATH "/queue@0", "used-idx", 0);
	ck_assert_int_eq(load(&other.vdev), -EINVAL);
	ck_says(&why, "queue@0: notified, but the queue is not ready");
	ck_untouched();
}
END_TEST

START_TEST(load_refuses_a_missing_property)
{
	const char *path = _i ? PATH "/queue@2" : PATH;
	const char *name = _i ? "used-idx" : "queue-sel";

	live_a_little();
	save(&bed.device.vdev);
	ck_assert_int_eq(fdt_delprop(tree, fdt_path_offset(tree, path), name),
			 0);
	ck_assert_int_eq(load(&other.vdev), -ENOENT);
	ck_says(&why, name);
	ck_untouched();
}
END_TEST

START_TEST(load_refuses_a_missing_node)
{
	const char *const names[] = { "queue@0", "queue@2", "counter" };
	char path[64];

	live_a_little();
	save(&bed.device.vdev);
	snprintf(path, sizeof(path), PATH "/%s", names[_i]);
	ck_assert_int_eq(fdt_del_node(tree, fdt_path_offset(tree, path)), 0);
	ck_assert_int_eq(load(&other.vdev), -ENOENT);
	ck_says(&why, names[_i]);
	ck_untouched();
}
END_TEST

START_TEST(load_refuses_state_of_another_device)
{
	struct virtio_device_ops ops = *other.vdev.ops;

	save(&bed.device.vdev);
	ops.id = VIRTIO_ID_RNG;
	other.vdev.ops = &ops;
	ck_assert_int_lt(load(&other.vdev), 0);
	ck_says(&why, "device-id");
}
END_TEST

START_TEST(unread_interrupt_is_sent_again_once_loaded)
{
	live_a_little();
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ck_assert_uint_eq(other.loads, 0);
	ck_assert_uint_eq(fake_host_interrupts(&other_host), 0);
	ck_assert_int_eq(virtio_device_loaded(&other.vdev, &why), 0);
	ck_assert_uint_eq(other.loads, 1);
	ck_assert_uint_eq(fake_host_interrupts(&other_host), 1);
}
END_TEST

START_TEST(no_interrupt_is_sent_when_none_was_unread)
{
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ck_assert_int_eq(virtio_device_loaded(&other.vdev, &why), 0);
	ck_assert_uint_eq(fake_host_interrupts(&other_host), 0);
}
END_TEST

START_TEST(refusal_of_the_device_goes_up)
{
	live_a_little();
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	other.loaded_result = -EPROTO;
	ck_assert_int_eq(virtio_device_loaded(&other.vdev, &why), -EPROTO);
	ck_assert_str_eq(why.text, "as told");
	ck_assert_uint_eq(fake_host_interrupts(&other_host), 0);
}
END_TEST

/* Section 5 of facts.md: doorbells do not survive. */
START_TEST(ready_queues_are_kicked_after_a_load)
{
	struct virtio_device_ops ops = *other.vdev.ops;

	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SEL, 1);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_READY, 0);
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ops.loaded = NULL;
	other.vdev.ops = &ops;
	ck_assert_int_eq(virtio_device_loaded(&other.vdev, &why), 0);
	ck_assert_uint_eq(atomic_load(&other_host.pending), 1u << 0 | 1u << 2);
	fake_host_run(&other_host);
	ck_assert_uint_eq(other.notified[0], 1);
	ck_assert_uint_eq(other.notified[1], 0);
}
END_TEST

START_TEST(nothing_is_kicked_before_driver_ok)
{
	struct virtio_device_ops ops = *other.vdev.ops;

	fake_reset(&bed.driver);
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 8), 0);
	save(&bed.device.vdev);
	ck_loaded(&other.vdev);
	ops.loaded = NULL;
	other.vdev.ops = &ops;
	ck_assert_int_eq(virtio_device_loaded(&other.vdev, &why), 0);
	ck_assert_uint_eq(atomic_load(&other_host.pending), 0);
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(loaded_device_equals_the_saved_one),
		UNIT_TEST(saving_again_gives_the_same_bytes),
		UNIT_TEST(rings_go_on_after_a_load),
		UNIT_TEST(indices_past_the_wrap_are_loaded),
		UNIT_TEST(queue_saved_before_chains_could_be_held_loads),
		UNIT_TEST(queue_of_a_newer_version_is_refused_by_name),
		UNIT_LOOP(load_refuses_each_wrong_value, UNIT_COUNT(wrong)),
		UNIT_TEST(a_guest_that_spoils_its_ring_cannot_spoil_its_snapshot),
		UNIT_TEST(load_refuses_a_notified_queue_that_is_not_ready),
		UNIT_LOOP(load_refuses_a_missing_property, 2),
		UNIT_LOOP(load_refuses_a_missing_node, 3),
		UNIT_TEST(load_refuses_state_of_another_device),
		UNIT_TEST(unread_interrupt_is_sent_again_once_loaded),
		UNIT_TEST(no_interrupt_is_sent_when_none_was_unread),
		UNIT_TEST(refusal_of_the_device_goes_up),
		UNIT_TEST(ready_queues_are_kicked_after_a_load),
		UNIT_TEST(nothing_is_kicked_before_driver_ok),
	};
	const struct unit_case unprobed[] = {
		UNIT_LOOP(device_is_saved_at_every_step_of_a_probe, 10),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, setup, teardown),
		UNIT_GROUP("unprobed", unprobed, setup_unprobed, teardown),
	};

	return unit_run("virtio_save", groups, UNIT_COUNT(groups));
}
