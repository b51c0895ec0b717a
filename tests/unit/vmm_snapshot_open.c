// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opening snapshots: whatever is not as it was written is refused.
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/arch.h"

#define SMALL_FILE	8192

static struct snapshot snapshot;

static int reopen(void)
{
	int ret;

	memset(&fixture.why, 0, sizeof(fixture.why));
	ret = snapshot_open("snap", &snapshot, &fixture.why);
	if (ret)
		ck_says(&fixture.why, "snap");
	return ret;
}

static void setup(void)
{
	fixture_setup();
	ck_assert_int_eq(fixture_save(), 0);
	snapshot.memory_fd = -1;
	snapshot.state = NULL;
}

static void teardown(void)
{
	snapshot_close(&snapshot);
	fixture_teardown();
}

/* Writes a manifest that is right but for what the test changes. */
static void write_manifest(const struct manifest *m)
{
	char text[SMALL_FILE];
	int len = manifest_format(m, text, sizeof(text));

	ck_assert_int_gt(len, 0);
	fixture_write_file("snap/manifest", text, len);
}

static void read_manifest(struct manifest *m)
{
	char text[SMALL_FILE];
	size_t len = fixture_read_file("snap/manifest", text, sizeof(text));

	ck_assert_int_eq(manifest_parse(text, len, m, NULL), 0);
}

START_TEST(open_snapshot_gives_state_and_memory)
{
	uint32_t generation;
	uint8_t *ram;

	ck_assert_int_eq(reopen(), 0);
	ck_assert_uint_eq(snapshot.memory_size, FIXTURE_RAM);
	ck_assert_uint_eq(snapshot.state_len, fixture.len);
	ck_assert_str_eq(snapshot.manifest.arch, ARCH_NAME);
	ck_assert_int_eq(state_get_u32(&snapshot.root, "generation",
				       &generation, NULL), 0);
	ck_assert_uint_eq(generation, 1);
	ram = mmap(NULL, FIXTURE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		   snapshot.memory_fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	ck_assert_mem_eq(ram, fixture.memory.region[0].host, FIXTURE_RAM);
	munmap(ram, FIXTURE_RAM);
	snapshot_close(&snapshot);
	ck_assert_int_eq(snapshot.memory_fd, -1);
	snapshot_close(NULL);
}
END_TEST

START_TEST(missing_snapshot_is_named)
{
	ck_assert_int_eq(snapshot_open("none", &snapshot, &fixture.why),
			 -ENOENT);
	ck_says(&fixture.why, "none");
	fixture_write_file("file", "", 0);
	ck_assert_int_eq(snapshot_open("file", &snapshot, &fixture.why),
			 -ENOTDIR);
	ck_says(&fixture.why, "file");
}
END_TEST

START_TEST(directory_without_manifest_is_no_snapshot)
{
	ck_assert_int_eq(unlink("snap/manifest"), 0);
	ck_assert_int_eq(reopen(), -ENOENT);
	ck_says(&fixture.why, "not a snapshot");
}
END_TEST

START_TEST(missing_file_is_named)
{
	const char *name = _i ? "snap/memory" : "snap/state.dtb";

	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(reopen(), -ENOENT);
	ck_says(&fixture.why, name + strlen("snap/"));
}
END_TEST

static const char *const files[] = { "manifest", "state.dtb", "memory" };

START_TEST(symbolic_link_to_a_file_is_refused)
{
	char name[32];

	snprintf(name, sizeof(name), "snap/%s", files[_i]);
	ck_assert_int_eq(rename(name, "elsewhere"), 0);
	ck_assert_int_eq(symlink("../elsewhere", name), 0);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, files[_i]);
	ck_says(&fixture.why, "symbolic link");
}
END_TEST

START_TEST(fifo_is_refused_without_waiting)
{
	char name[32];

	snprintf(name, sizeof(name), "snap/%s", files[_i]);
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, files[_i]);
	ck_says(&fixture.why, "regular file");
}
END_TEST

START_TEST(directory_instead_of_a_file_is_refused)
{
	char name[32];

	snprintf(name, sizeof(name), "snap/%s", files[_i]);
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "regular file");
}
END_TEST

START_TEST(every_flipped_byte_of_state_is_refused)
{
	uint8_t data[SMALL_FILE];
	size_t len = fixture_read_file("snap/state.dtb", data, sizeof(data));

	for (size_t i = 0; i < len; i++) {
		data[i] ^= (uint8_t)(1 << i % 8);
		fixture_write_file("snap/state.dtb", data, len);
		ck_assert_int_eq(reopen(), -EBADMSG);
		ck_says(&fixture.why, "state.dtb: damaged");
		data[i] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

START_TEST(every_flipped_byte_of_the_manifest_is_refused)
{
	uint8_t data[SMALL_FILE];
	size_t len = fixture_read_file("snap/manifest", data, sizeof(data));

	for (size_t i = 0; i < len * 8; i++) {
		data[i / 8] ^= (uint8_t)(1 << i % 8);
		fixture_write_file("snap/manifest", data, len);
		ck_assert_int_lt(reopen(), 0);
		ck_says(&fixture.why, "manifest");
		data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	static uint8_t data[SMALL_FILE];
	char name[32];
	size_t len;

	snprintf(name, sizeof(name), "snap/%s", files[_i]);
	len = fixture_read_file(name, data, sizeof(data));
	for (size_t i = 0; i < len; i++) {
		fixture_write_file(name, data, i);
		ck_assert_int_lt(reopen(), 0);
		ck_says(&fixture.why, files[_i]);
	}
}
END_TEST

START_TEST(longer_file_is_refused)
{
	static uint8_t data[SMALL_FILE];
	char name[32];
	size_t len;

	snprintf(name, sizeof(name), "snap/%s", files[_i]);
	len = fixture_read_file(name, data, sizeof(data) - 1);
	fixture_write_file(name, data, len + 1);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, files[_i]);
}
END_TEST

START_TEST(memory_of_another_length_is_refused)
{
	const off_t lengths[] = { 0, 1, FIXTURE_RAM - 1, FIXTURE_RAM + 1,
				  FIXTURE_RAM - FIXTURE_PAGE };

	ck_assert_int_eq(truncate("snap/memory", lengths[_i]), 0);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "memory: ");
	ck_says(&fixture.why, "524288 expected");
}
END_TEST

START_TEST(changed_memory_is_found_by_verifying_alone)
{
	/* Data, a hole, the very last byte. */
	const off_t offsets[] = { FIXTURE_PAGE + 100, 20 * FIXTURE_PAGE,
				  FIXTURE_RAM - 1 };
	FILE *file = fopen("snap/memory", "r+");

	ck_assert_int_eq(fseek(file, offsets[_i], SEEK_SET), 0);
	ck_assert_int_eq(fputc('x', file), 'x');
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(reopen(), 0);
	ck_assert_int_eq(snapshot_verify(&snapshot, NULL, NULL,
					 &fixture.why), -EBADMSG);
	ck_says(&fixture.why, "memory: damaged");
}
END_TEST

START_TEST(holes_may_have_been_filled_by_copying)
{
	static uint8_t data[FIXTURE_RAM + 1];
	size_t len = fixture_read_file("snap/memory", data, sizeof(data));

	fixture_write_file("snap/memory", data, len);
	ck_assert_int_eq(fixture_saved("snap"), 1);
}
END_TEST

START_TEST(other_architecture_is_refused)
{
	struct manifest m;

	read_manifest(&m);
	snprintf(m.arch, sizeof(m.arch), "pdp11");
	write_manifest(&m);
	ck_assert_int_eq(reopen(), -ENOTSUP);
	ck_says(&fixture.why, "architecture pdp11, this program runs "
			      ARCH_NAME);
}
END_TEST

START_TEST(other_version_is_refused)
{
	fixture_write_file("snap/manifest", "wherry-snapshot 7\nnew: {}\n",
			   26);
	ck_assert_int_eq(reopen(), -ENOTSUP);
	ck_says(&fixture.why, "snapshot format 7, this program reads "
			      "format 1");
}
END_TEST

START_TEST(manifest_without_both_files_is_refused)
{
	struct manifest m;

	read_manifest(&m);
	if (!_i)
		m.file[0] = m.file[1];
	m.files = 1;
	write_manifest(&m);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "files state.dtb and memory expected");
}
END_TEST

START_TEST(file_that_is_not_known_is_refused)
{
	struct manifest m;

	read_manifest(&m);
	manifest_add_file(&m, "disk", 0, 0);
	write_manifest(&m);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "disk");
}
END_TEST

START_TEST(memory_size_must_make_sense)
{
	const uint64_t sizes[] = { 0, 4095, FIXTURE_RAM + FIXTURE_PAGE,
				   UINT64_MAX };
	struct manifest m;

	read_manifest(&m);
	m.memory_size = sizes[_i];
	write_manifest(&m);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "memory-size");
	for (unsigned int i = 0; i < m.files; i++)
		if (!strcmp(m.file[i].name, "memory"))
			m.file[i].length = sizes[_i];
	write_manifest(&m);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "memory");
}
END_TEST

/* Puts a state.dtb there that the manifest vouches for. */
static void replace_state(const void *data, size_t len)
{
	struct manifest m;

	read_manifest(&m);
	for (unsigned int i = 0; i < m.files; i++) {
		if (strcmp(m.file[i].name, "state.dtb"))
			continue;
		m.file[i].length = len;
		m.file[i].crc = crc32c(0, data, len);
	}
	write_manifest(&m);
	fixture_write_file("snap/state.dtb", data, len);
}

START_TEST(state_with_a_right_checksum_is_still_checked)
{
	uint8_t data[SMALL_FILE];
	size_t len = fixture_read_file("snap/state.dtb", data, sizeof(data));

	/* The header's version: libfdt 1.6.1 dies of 2. */
	data[23] = 2;
	replace_state(data, len);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "state.dtb: state tree header: version 2");
}
END_TEST

START_TEST(empty_state_is_refused)
{
	replace_state("", 0);
	ck_assert_int_eq(reopen(), -EINVAL);
	ck_says(&fixture.why, "state.dtb");
}
END_TEST

START_TEST(too_large_a_file_is_refused_unread)
{
	if (_i) {
		ck_assert_int_eq(truncate("snap/manifest",
					  MANIFEST_SIZE_MAX + 1), 0);
	} else {
		ck_assert_int_eq(truncate("snap/state.dtb",
					  STATE_SIZE_MAX + 1), 0);
	}
	ck_assert_int_eq(reopen(), -EFBIG);
	ck_says(&fixture.why, _i ? "manifest" : "state.dtb");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(open_snapshot_gives_state_and_memory),
		UNIT_TEST(missing_snapshot_is_named),
		UNIT_TEST(directory_without_manifest_is_no_snapshot),
		UNIT_LOOP(missing_file_is_named, 2),
		UNIT_LOOP(symbolic_link_to_a_file_is_refused, 3),
		UNIT_LOOP(fifo_is_refused_without_waiting, 3),
		UNIT_LOOP(directory_instead_of_a_file_is_refused, 3),
		UNIT_TEST(every_flipped_byte_of_state_is_refused),
		UNIT_TEST(every_flipped_byte_of_the_manifest_is_refused),
		UNIT_LOOP(every_truncation_is_refused, 2),
		UNIT_LOOP(longer_file_is_refused, 2),
		UNIT_LOOP(memory_of_another_length_is_refused, 5),
		UNIT_LOOP(changed_memory_is_found_by_verifying_alone, 3),
		UNIT_TEST(holes_may_have_been_filled_by_copying),
		UNIT_TEST(other_architecture_is_refused),
		UNIT_TEST(other_version_is_refused),
		UNIT_LOOP(manifest_without_both_files_is_refused, 2),
		UNIT_TEST(file_that_is_not_known_is_refused),
		UNIT_LOOP(memory_size_must_make_sense, 4),
		UNIT_TEST(state_with_a_right_checksum_is_still_checked),
		UNIT_TEST(empty_state_is_refused),
		UNIT_LOOP(too_large_a_file_is_refused_unread, 2),
	};

	return UNIT_RUN("snapshot-open", cases, setup, teardown);
}
