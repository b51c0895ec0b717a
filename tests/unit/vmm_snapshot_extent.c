// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots: memory that a guest never touched is not touched by saving, and
 * what it has written to is saved, be it booted or restored
 * (vmm/snapshot_extent.c).
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES	(FIXTURE_RAM / FIXTURE_PAGE)

/* RAM that is a mapping of a file. */
static struct guest_memory memory;
static uint8_t *ram;
static int ram_fd;

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
	map_ram(fd, MAP_PRIVATE);
}

static void save(const char *path, bool private, struct snapshot_stats *stats)
{
	const struct snapshot_job job = {
		.path = path, .state = fixture.data,
		.state_len = fixture.len, .memory = &memory,
		.memory_fd = ram_fd, .memory_private = private,
	};

	ck_assert_msg(!snapshot_write_job(&job, stats, &fixture.why), "%s",
		      fixture.why.text);
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
	close(ram_fd);
	ram_fd = -1;
	save("next", true, NULL);
	expect_saved("next");
	munmap(ram, FIXTURE_RAM);
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
	};

	return UNIT_RUN("vmm_snapshot_extent", cases, fixture_setup,
			fixture_teardown);
}
