// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The folder, the guest and its snapshots that the tests of snapshots share.
 */
#include "tests/unit/vmm_snapshot_bed.h"
#include "tests/unit/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture fixture;

void fixture_setup(void)
{
	const char *tmp = getenv("TMPDIR");
	uint8_t *ram;

	memset(&fixture, 0, sizeof(fixture));
	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(fixture.folder, sizeof(fixture.folder), "%s/wherry-XXXXXX",
		 tmp);
	ck_assert_ptr_nonnull(mkdtemp(fixture.folder));
	ck_assert_int_eq(chdir(fixture.folder), 0);
	fixture.path = "snap";
	ram = mmap(NULL, FIXTURE_RAM, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	fixture.memory.count = 2;
	fixture.memory.region[0].size = FIXTURE_LOW;
	fixture.memory.region[0].host = ram;
	fixture.memory.region[1].gpa = UINT64_C(1) << 32;
	fixture.memory.region[1].size = FIXTURE_HIGH;
	fixture.memory.region[1].host = ram + FIXTURE_LOW;
	fixture_generation(1);
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_teardown(void)
{
	(void)!chdir("/");
	nftw(fixture.folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	munmap(fixture.memory.region[0].host, FIXTURE_RAM);
	state_writer_free(&fixture.state);
}

static const unsigned int low_pages[] = { 1, 2, 5 };

static void mark_page(uint8_t *page, uint32_t generation)
{
	memset(page, 0, FIXTURE_PAGE);
	memcpy(page + 100, &generation, sizeof(generation));
}

static void mark_ram(uint8_t *ram, uint32_t generation)
{
	for (unsigned int i = 0; i < 3; i++)
		mark_page(ram + low_pages[i] * FIXTURE_PAGE, generation);
	mark_page(ram + FIXTURE_RAM - FIXTURE_PAGE, generation);
}

void fixture_generation(uint32_t generation)
{
	int ret;

	mark_ram(fixture.memory.region[0].host, generation);
	state_writer_free(&fixture.state);
	state_writer_init(&fixture.state);
	state_put_u32(&fixture.state, "generation", generation);
	ret = state_writer_finish(&fixture.state, &fixture.data, &fixture.len,
				  &fixture.why);
	ck_assert_int_eq(ret, 0);
}

int fixture_save(void)
{
	return snapshot_write(fixture.path, fixture.data, fixture.len,
			      &fixture.memory, NULL, &fixture.why);
}

/* Return: -EBADMSG when the memory is not all that of @generation. */
static int compare_memory(int fd, uint32_t generation)
{
	static uint8_t expected[FIXTURE_RAM];
	static uint8_t found[FIXTURE_RAM];

	memset(expected, 0, sizeof(expected));
	mark_ram(expected, generation);
	if (pread(fd, found, FIXTURE_RAM, 0) != (ssize_t)FIXTURE_RAM ||
	    memcmp(expected, found, FIXTURE_RAM))
		return fail(&fixture.why, -EBADMSG, "memory is another one");
	return 0;
}

int fixture_saved(const char *path)
{
	struct fail *why = &fixture.why;
	struct snapshot snapshot;
	uint32_t generation = 0;
	int ret;

	if (access(path, F_OK))
		return -ENOENT;
	ret = snapshot_open(path, &snapshot, why);
	if (ret)
		return ret == -ENOENT ? -EBADMSG : ret;
	ret = state_get_u32(&snapshot.root, "generation", &generation, why);
	if (!ret)
		ret = state_leave(&snapshot.root, why);
	if (!ret && snapshot.memory_size != FIXTURE_RAM)
		ret = fail(why, -EBADMSG, "memory of another size");
	if (!ret)
		ret = snapshot_verify(&snapshot, NULL, NULL, why);
	if (!ret)
		ret = compare_memory(snapshot.memory_fd, generation);
	snapshot_close(&snapshot);
	return ret ? ret : (int)generation;
}

unsigned int fixture_entries(void)
{
	unsigned int count = 0;
	DIR *stream = opendir(fixture.folder);

	ck_assert_ptr_nonnull(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count - 2;
}

void fixture_write_file(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), len);
	close(fd);
}

size_t fixture_read_file(const char *name, void *data, size_t size)
{
	int fd = open(name, O_RDONLY);
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	len = read(fd, data, size);
	ck_assert_int_ge(len, 0);
	ck_assert_uint_lt(len, size);
	close(fd);
	return len;
}
