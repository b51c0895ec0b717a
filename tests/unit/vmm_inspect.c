// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/inspect.c: what is told of a snapshot, and that of a damaged one nothing
 * is.
 */
#include "vmm/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/vsock/gate.h"
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"
#include "virtio/device.h"
#include "virtio/vsock.h"
#include "vmm/arch.h"
#include "vmm/machine.h"

#define QUEUE_SIZE 64

static struct virtio_device rng, vsock;
static struct vsock_gate gate;

static const struct virtio_device_ops rng_ops = {
	.name = "rng", .id = VIRTIO_ID_RNG, .queues = 1,
};

static const struct virtio_device_ops vsock_ops = {
	.name = "vsock", .id = VIRTIO_ID_VSOCK, .queues = 3,
	.state = &vsock_gate_table,
};

/* What tree the next snapshot has. */
enum tree { TREE_WHOLE, TREE_NO_CPUS, TREE_NO_GATE };

static void save_devices(struct state_writer *w, enum tree tree)
{
	state_begin(w, "serial@3f8");
	state_put_u32(w, "ier", 5);
	state_end(w);
	state_begin(w, "rng@d0002000");
	virtio_device_save(&rng, w);
	state_end(w);
	state_begin(w, "vsock@d0003000");
	virtio_device_save(tree == TREE_NO_GATE ? &rng : &vsock, w);
	state_end(w);
}

/* The tree of a machine, as far as it is looked at, and something unknown. */
static void save(enum tree tree)
{
	struct state_writer *w = &fixture.state;

	state_writer_free(w);
	state_writer_init(w);
	state_put_version(w, 7);
	if (tree != TREE_NO_CPUS)
		state_put_u32(w, "cpus", 2);
	state_put_u64(w, "of-tomorrow", 1);
	save_devices(w, tree);
	for (unsigned int i = 0; i < 3; i++) {
		state_begin(w, "cpu@%x", i);
		state_put_version(w, i == 1 ? 300 : 2);
		state_end(w);
	}
	state_begin(w, "irqchip");
	state_end(w);
	ck_assert_int_eq(state_writer_finish(w, &fixture.data, &fixture.len,
					     &fixture.why), 0);
	ck_assert_int_eq(fixture_save(), 0);
}

static void setup(void)
{
	fixture_setup();
	gate = (struct vsock_gate){ .owed = 1 };
	virtio_device_init(&rng, &rng_ops, &fixture.memory, 0, QUEUE_SIZE,
			   NULL);
	virtio_device_init(&vsock, &vsock_ops, &fixture.memory,
			   VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET), QUEUE_SIZE,
			   &gate);
	vsock.status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
		       VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK;
	vsock.features = VIRTIO_BIT(VIRTIO_F_VERSION_1);
}

static void teardown(void)
{
	virtio_device_destroy(&rng);
	virtio_device_destroy(&vsock);
	fixture_teardown();
}

static char *output;

static int run(bool verify)
{
	struct inspect_options o = {
		.path = fixture.path,
		.verify = verify,
		.progress_fd = -1,
	};
	size_t size;
	int status;

	o.out = open_memstream(&output, &size);
	fixture.why.text[0] = '\0';
	status = inspect_run(&o, &fixture.why);
	fclose(o.out);
	ck_assert_msg(!status == !fixture.why.text[0], "%s", fixture.why.text);
	return status;
}

/* Return: what was printed, one line of JSON. */
static json_t *told(bool verify)
{
	json_t *all;

	ck_assert_msg(!run(verify), "%s", fixture.why.text);
	ck_assert_ptr_eq(strchr(output, '\n'), output + strlen(output) - 1);
	all = json_loads(output, 0, NULL);
	ck_assert_ptr_nonnull(all);
	free(output);
	return all;
}

static void expect_json(const json_t *value, const char *text)
{
	char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	ck_assert_str_eq(found, text);
	free(found);
}

static void expect_member(const json_t *all, const char *key, const char *text)
{
	expect_json(json_object_get(all, key), text);
}

START_TEST(machine_is_described)
{
	json_t *all;

	save(TREE_WHOLE);
	all = told(false);
	expect_member(all, "format-version", "1");
	expect_member(all, "architecture", "\"" ARCH_NAME "\"");
	expect_member(all, "cpus", "2");
	ck_assert_int_eq(json_integer_value(json_object_get(all,
							    "memory-bytes")),
			 FIXTURE_RAM);
	expect_member(all, "memory-verified", "false");
	json_decref(all);
}
END_TEST

START_TEST(devices_are_described)
{
	json_t *all;

	save(TREE_WHOLE);
	all = told(false);
	expect_member(all, "devices",
		      "[{\"name\":\"serial\",\"address\":\"0x3f8\"},"
		      "{\"name\":\"rng\",\"address\":\"0xd0002000\","
		      "\"queues\":1,\"queue-size\":64,\"driver-ok\":false,"
		      "\"features-offered\":\"0x130000000\","
		      "\"features-negotiated\":\"0x0\"},"
		      "{\"name\":\"vsock\",\"address\":\"0xd0003000\","
		      "\"queues\":3,\"queue-size\":64,\"driver-ok\":true,"
		      "\"features-offered\":\"0x130000002\","
		      "\"features-negotiated\":\"0x100000000\"}]");
	expect_member(all, "vsock", "{\"seqpacket\":true,\"resets-owed\":1}");
	json_decref(all);
}
END_TEST

START_TEST(versions_are_described)
{
	static const char *const parts[] = {
		"rng", "rng/queue", "vsock", "vsock/queue", "vsock/vsock",
	};
	json_t *all, *versions;

	save(TREE_WHOLE);
	all = told(false);
	versions = json_object_get(all, "versions");
	expect_member(versions, "machine", "7");
	/* Who says none is of version 1; of many, the newest counts. */
	expect_member(versions, "serial", "1");
	expect_member(versions, "irqchip", "1");
	expect_member(versions, "cpu", "300");
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(json_integer_value(json_object_get(versions,
					parts[i])) > 0, "no %s", parts[i]);
	ck_assert_uint_eq(json_object_size(versions), 9);
	json_decref(all);
}
END_TEST

START_TEST(files_are_described)
{
	const struct manifest_file *f;
	struct snapshot s;
	char text[512];
	json_t *all;

	save(TREE_WHOLE);
	ck_assert_int_eq(snapshot_open("snap", &s, &fixture.why), 0);
	f = s.manifest.file;
	snprintf(text, sizeof(text),
		 "[{\"name\":\"memory\",\"length-bytes\":%u,"
		 "\"crc32c\":\"%08x\"},{\"name\":\"state.dtb\","
		 "\"length-bytes\":%zu,\"crc32c\":\"%08x\"}]", FIXTURE_RAM,
		 f[0].crc, fixture.len, f[1].crc);
	snapshot_close(&s);
	all = told(false);
	expect_member(all, "files", text);
	json_decref(all);
}
END_TEST

static json_int_t allocated(void)
{
	json_t *all = told(false);
	json_int_t bytes = json_integer_value(json_object_get(all,
					"memory-allocated-bytes"));

	json_decref(all);
	return bytes;
}

START_TEST(memory_that_was_written_is_counted)
{
	json_int_t few, all;

	save(TREE_WHOLE);
	few = allocated();
	ck_assert_int_gt(few, 0);
	memset(fixture.memory.region[0].host, 1, FIXTURE_LOW);
	save(TREE_WHOLE);
	all = allocated();
	ck_assert_int_ge(all, FIXTURE_LOW);
	ck_assert_int_lt(few, all);
}
END_TEST

START_TEST(memory_is_read_when_asked_to)
{
	json_t *all;
	int fd;

	save(TREE_WHOLE);
	all = told(true);
	expect_member(all, "memory-verified", "true");
	json_decref(all);

	fd = open("snap/memory", O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "X", 1, 5000), 1);
	close(fd);
	all = told(false);
	expect_member(all, "memory-verified", "false");
	json_decref(all);
	ck_assert_int_eq(run(true), MACHINE_EXIT_ERROR);
	ck_says(&fixture.why, "snapshot snap: memory: damaged: CRC32C");
	ck_assert_str_eq(output, "");
	free(output);
}
END_TEST

START_TEST(a_damaged_one_is_refused_with_the_reason)
{
	int fd;

	save(TREE_WHOLE);
	fd = open("snap/state.dtb", O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "X", 1, 100), 1);
	close(fd);
	ck_assert_int_eq(run(false), MACHINE_EXIT_ERROR);
	ck_says(&fixture.why, "snapshot snap: state.dtb: damaged: CRC32C");
	ck_assert_str_eq(output, "");
	free(output);
	fixture.path = "nowhere";
	ck_assert_int_eq(run(false), MACHINE_EXIT_ERROR);
	ck_says(&fixture.why, "snapshot nowhere: ");
	free(output);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
	save(TREE_NO_CPUS);
	ck_assert_int_eq(run(false), MACHINE_EXIT_ERROR);
	ck_says(&fixture.why, "snapshot snap: ");
	ck_says(&fixture.why, "property cpus is missing");
	free(output);
}
END_TEST

START_TEST(a_machine_without_vsock_has_no_such_part)
{
	json_t *all;

	save(TREE_NO_GATE);
	all = told(false);
	ck_assert_uint_eq(json_array_size(json_object_get(all, "devices")), 3);
	ck_assert_ptr_null(json_object_get(all, "vsock"));
	json_decref(all);
}
END_TEST

START_TEST(a_full_disk_is_noticed)
{
	struct inspect_options o = { .path = "snap", .progress_fd = -1 };

	save(TREE_WHOLE);
	o.out = fopen("/dev/full", "w");
	ck_assert_int_eq(inspect_run(&o, &fixture.why), MACHINE_EXIT_ERROR);
	ck_assert_str_eq(fixture.why.text, "standard output: No space left on "
			 "device");
	fclose(o.out);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(machine_is_described),
		UNIT_TEST(devices_are_described),
		UNIT_TEST(versions_are_described),
		UNIT_TEST(files_are_described),
		UNIT_TEST(memory_that_was_written_is_counted),
		UNIT_TEST(memory_is_read_when_asked_to),
		UNIT_TEST(a_damaged_one_is_refused_with_the_reason),
		UNIT_TEST(what_is_missing_is_named),
		UNIT_TEST(a_machine_without_vsock_has_no_such_part),
		UNIT_TEST(a_full_disk_is_noticed),
	};

	return UNIT_RUN("vmm_inspect", cases, setup, teardown);
}
