// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots: memory that a guest never touched is not touched by saving, and
 * what it has written to is saved, be it booted or restored
 * (vmm/snapshot_extent.c).
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux, Documentation/admin-guide/mm/pagemap.rst. */
#define PRESENT	(UINT64_C(1) << 63)
#define SWAPPED	(UINT64_C(1) << 62)

/* Called right after something was written, once. */
static void (*after_pwrite)(void);
/* This one is to look as if it had been swapped out; NULL: none. */
static const uint8_t *swapped_page;
static unsigned int swapped_pages;

/* In place of the C library's, for what is linked here. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t done = syscall(SYS_pwrite64, fd, data, len, offset);
	void (*hook)(void) = after_pwrite;

	after_pwrite = NULL;
	if (hook)
		hook();
	return done;
}

static void swap_out(uint64_t *entry, size_t count, off_t offset)
{
	uint64_t page = (uintptr_t)swapped_page / FIXTURE_PAGE;
	uint64_t first = (uint64_t)offset / sizeof(*entry);

	if (!swapped_page || page < first || page - first >= count)
		return;
	ck_assert_uint_ne(entry[page - first] & PRESENT, 0);
	entry[page - first] = SWAPPED | 42;
	swapped_pages++;
}

ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
	ssize_t done = syscall(SYS_pread64, fd, data, len, offset);
	char link[32], path[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (done > 0 && readlink(link, path, sizeof(path) - 1) > 0 &&
	    strstr(path, "/pagemap"))
		swap_out(data, (size_t)done / sizeof(uint64_t), offset);
	return done;
}

#define PAGES	(FIXTURE_RAM / FIXTURE_PAGE)

/* RAM that is a mapping of a file. */
static struct guest_memory memory;
static uint8_t *ram;
static int ram_fd;
static struct image image;

static void map_ram(int fd, int flags)
{
	ram_fd = fd;
	ram = mmap(NULL, FIXTURE_RAM, PROT_READ | PROT_WRITE, flags, fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	/* What is read ahead would look as if it had been touched. */
	ck_assert_int_eq(madvise(ram, FIXTURE_RAM, MADV_RANDOM), 0);
	memory = fixture.memory;
	memory.region[0].host = ram;
	memory.region[1].host = ram + FIXTURE_LOW;
}

static void unmap_ram(void)
{
	munmap(ram, FIXTURE_RAM);
	close(ram_fd);
}

/* A guest restored from the snapshot at @path. */
static void restore(const char *path)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/memory", path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(image_init(&image, path, fd, FIXTURE_RAM, NULL), 0);
	map_ram(fd, MAP_PRIVATE);
}

static int try_save(const char *path, bool private,
		    struct snapshot_stats *stats)
{
	const struct snapshot_job job = {
		.path = path, .state = fixture.data,
		.state_len = fixture.len, .memory = &memory,
		.memory_fd = ram_fd, .image = private ? &image : NULL,
	};

	return snapshot_write_job(&job, stats, &fixture.why);
}

static void save(const char *path, bool private, struct snapshot_stats *stats)
{
	ck_assert_msg(!try_save(path, private, stats), "%s", fixture.why.text);
}

/* The snapshot at @path is whole, and its memory is what RAM is. */
static void expect_saved(const char *path)
{
	static uint8_t found[FIXTURE_RAM];
	struct snapshot snapshot;

	ck_assert_msg(!snapshot_open(path, &snapshot, &fixture.why), "%s",
		      fixture.why.text);
	ck_assert_msg(!snapshot_verify(&snapshot, NULL, NULL, &fixture.why),
		      "%s", fixture.why.text);
	ck_assert_int_eq(pread(snapshot.memory_fd, found, FIXTURE_RAM, 0),
			 FIXTURE_RAM);
	ck_assert_int_eq(memcmp(found, ram, FIXTURE_RAM), 0);
	snapshot_close(&snapshot);
}

/* Return: pages of RAM that are in memory, our own or the file's. */
static unsigned int resident(void)
{
	unsigned char map[PAGES];
	unsigned int count = 0;

	ck_assert_int_eq(mincore(ram, FIXTURE_RAM, map), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		count += map[i] & 1;
	return count;
}

START_TEST(untouched_memory_is_not_allocated_by_saving)
{
	const uint8_t *old = fixture.memory.region[0].host;
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct stat before, after;

	ck_assert_int_eq(ftruncate(fd, FIXTURE_RAM), 0);
	map_ram(fd, MAP_SHARED);
	for (unsigned int page = 0; page < PAGES; page++)
		if (old[page * FIXTURE_PAGE + 100])
			memcpy(ram + page * FIXTURE_PAGE,
			       old + page * FIXTURE_PAGE, FIXTURE_PAGE);
	ck_assert_int_eq(fstat(fd, &before), 0);
	save("snap", false, NULL);
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert_int_eq(before.st_blocks, after.st_blocks);
	ck_assert_int_eq(fixture_saved("snap"), 1);
	unmap_ram();
}
END_TEST

START_TEST(untouched_memory_is_not_allocated_by_saving_what_was_restored)
{
	struct snapshot_stats stats;

	ck_assert_int_eq(fixture_save(), 0);
	restore("snap");
	/* Those that the fixture marks, and one more. */
	ram[50 * FIXTURE_PAGE] = 1;
	save("next", true, &stats);
	ck_assert_uint_eq(stats.memory_bytes, FIXTURE_RAM);
	ck_assert_uint_eq(stats.memory_written, 5 * FIXTURE_PAGE);
	ck_assert_uint_le(resident(), 5);
	expect_saved("next");
	unmap_ram();
}
END_TEST

/* Whether there was data or a hole, and whether what is there now is zero. */
START_TEST(what_a_restored_guest_wrote_is_saved)
{
	ck_assert_int_eq(fixture_save(), 0);
	restore("snap");
	memset(ram + 1 * FIXTURE_PAGE, 0x11, FIXTURE_PAGE);
	memset(ram + 2 * FIXTURE_PAGE, 0, FIXTURE_PAGE);
	memset(ram + 0 * FIXTURE_PAGE, 0x22, FIXTURE_PAGE);
	memset(ram + 3 * FIXTURE_PAGE, 0x33, FIXTURE_PAGE);
	memset(ram + 40 * FIXTURE_PAGE, 0, FIXTURE_PAGE);
	ram[FIXTURE_LOW - 1] = 0x44;
	ram[FIXTURE_LOW] = 0x55;
	ram[FIXTURE_RAM - 1] = 0x66;
	save("next", true, NULL);
	expect_saved("next");
	/* Only read: that makes it no more the process's own than before. */
	ck_assert_uint_eq(ram[60 * FIXTURE_PAGE], 0);
	save("next", true, NULL);
	expect_saved("next");
	unmap_ram();
}
END_TEST

/* The snapshot that a guest runs from is replaced by its own next one. */
START_TEST(generations_of_restored_guests_lose_nothing)
{
	static uint8_t expected[FIXTURE_RAM];

	srand(1);
	memcpy(expected, fixture.memory.region[0].host, FIXTURE_RAM);
	ck_assert_int_eq(fixture_save(), 0);
	for (unsigned int generation = 0; generation < 60; generation++) {
		restore("snap");
		ck_assert_int_eq(memcmp(ram, expected, FIXTURE_RAM), 0);
		for (int i = rand() % 40; i > 0; i--) {
			unsigned int page = (unsigned int)rand() % PAGES;
			int byte = rand() % 3 ? rand() & 0xff : 0;

			memset(ram + page * FIXTURE_PAGE, byte, FIXTURE_PAGE);
			memset(expected + page * FIXTURE_PAGE, byte,
			       FIXTURE_PAGE);
		}
		save("snap", true, NULL);
		expect_saved("snap");
		unmap_ram();
	}
}
END_TEST

/* Nobody knows where its holes are: all of it is read. */
START_TEST(memory_of_unknown_origin_is_read_as_a_whole)
{
	ck_assert_int_eq(fixture_save(), 0);
	restore("snap");
	ram[50 * FIXTURE_PAGE] = 1;
	ram_fd = -1;
	save("next", true, NULL);
	expect_saved("next");
	ram_fd = image.fd;
	unmap_ram();
}
END_TEST

/* In a hole of the file, and neither in memory nor of the file. */
START_TEST(page_that_was_swapped_out_is_saved)
{
	ck_assert_int_eq(fixture_save(), 0);
	restore("snap");
	memset(ram + 50 * FIXTURE_PAGE, 0x77, FIXTURE_PAGE);
	swapped_page = ram + 50 * FIXTURE_PAGE;
	save("next", true, NULL);
	ck_assert_uint_ge(swapped_pages, 1);
	expect_saved("next");
	unmap_ram();
}
END_TEST

static void cut_off(void)
{
	ck_assert_int_eq(truncate("snap/memory", 0), 0);
}

static void cut_off_last_page(void)
{
	ck_assert_int_eq(truncate("snap/memory", FIXTURE_RAM - FIXTURE_PAGE),
			 0);
}

static void copy_over(void)
{
	cut_off();
	ck_assert_int_eq(truncate("snap/memory", FIXTURE_RAM), 0);
}

static void write_to(void)
{
	int fd = open("snap/memory", O_WRONLY);

	ck_assert_int_eq(syscall(SYS_pwrite64, fd, "x", 1, 9), 1);
	close(fd);
}

static void (*const changes[])(void) = {
	cut_off, cut_off_last_page, copy_over, write_to,
};
#define CHANGES	4

static void expect_refused(void)
{
	ck_assert_int_eq(try_save("next", true, NULL), -EIO);
	ck_says(&fixture.why, "snapshot next: not saved");
	ck_says(&fixture.why, "snapshot snap was changed");
	ck_assert_int_eq(fixture_saved("next"), -ENOENT);
	ck_assert_uint_eq(fixture_entries(), 1);
}

/* File systems may count time in ticks. */
static void let_time_pass(void)
{
	usleep(20000);
}

static void must_not_be_written(void)
{
	ck_abort_msg("something was written");
}

START_TEST(image_that_was_changed_is_not_saved_as_what_it_was)
{
	ck_assert_int_eq(fixture_save(), 0);
	let_time_pass();
	restore("snap");
	changes[_i]();
	after_pwrite = must_not_be_written;
	expect_refused();
	unmap_ram();
}
END_TEST

static unsigned int losses;

static void lose(void *opaque)
{
	ck_assert_ptr_eq(opaque, &losses);
	losses++;
}

START_TEST(image_that_is_changed_while_it_is_saved_is_not_saved)
{
	ck_assert_int_eq(fixture_save(), 0);
	let_time_pass();
	restore("snap");
	ck_assert_int_eq(image_guard(ram, FIXTURE_RAM, lose, &losses, NULL), 0);
	after_pwrite = changes[_i % CHANGES];
	if (_i >= CHANGES)
		ram_fd = -1;
	expect_refused();
	ck_assert_ptr_null(after_pwrite);
	/* Who asks for holes takes what is missing for one. */
	ck_assert_uint_eq(losses > 0, _i >= CHANGES && _i < CHANGES + 2);
	ram_fd = image.fd;
	image_unguard(ram);
	unmap_ram();
}
END_TEST

START_TEST(image_that_is_cut_off_is_not_verified)
{
	struct snapshot snapshot;

	/* All that is missing are zeros. */
	memset(fixture.memory.region[0].host, 0, FIXTURE_RAM);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	cut_off_last_page();
	ck_assert_int_eq(snapshot_verify(&snapshot, NULL, NULL, &fixture.why),
			 -EIO);
	ck_says(&fixture.why, "shorter");
	snapshot_close(&snapshot);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(untouched_memory_is_not_allocated_by_saving),
		UNIT_TEST(untouched_memory_is_not_allocated_by_saving_what_was_restored),
		UNIT_TEST(what_a_restored_guest_wrote_is_saved),
		UNIT_TEST(generations_of_restored_guests_lose_nothing),
		UNIT_TEST(memory_of_unknown_origin_is_read_as_a_whole),
		UNIT_TEST(page_that_was_swapped_out_is_saved),
		UNIT_LOOP(image_that_was_changed_is_not_saved_as_what_it_was,
			  CHANGES),
		UNIT_LOOP(image_that_is_changed_while_it_is_saved_is_not_saved,
			  2 * CHANGES),
		UNIT_TEST(image_that_is_cut_off_is_not_verified),
	};

	return UNIT_RUN("vmm_snapshot_extent", cases, fixture_setup,
			fixture_teardown);
}
