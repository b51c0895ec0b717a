// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing snapshots: what is written, what is replaced, what a crash leaves.
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(saved_snapshot_comes_back)
{
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(stats_tell_what_was_written)
{
	struct snapshot_stats stats;

	ck_assert_int_eq(snapshot_write("snap", fixture.data, fixture.len,
					&fixture.memory, &stats, NULL), 0);
	ck_assert_uint_eq(stats.memory_bytes, FIXTURE_RAM);
	ck_assert_uint_eq(stats.memory_written, 4 * FIXTURE_PAGE);
	ck_assert_uint_eq(stats.state_bytes, fixture.len);
}
END_TEST

START_TEST(zero_pages_are_not_written)
{
	struct stat st;

	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(stat("snap/memory", &st), 0);
	ck_assert_int_eq(st.st_size, FIXTURE_RAM);
	/* A file system's block may be larger than a page. */
	ck_assert_int_lt(st.st_blocks * 512, FIXTURE_RAM / 2);
}
END_TEST

START_TEST(memory_may_be_all_zeros)
{
	uint8_t *ram = fixture.memory.region[0].host;
	struct snapshot snapshot;

	memset(ram, 0, FIXTURE_RAM);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	ck_assert_int_eq(snapshot_verify(&snapshot, NULL, NULL, NULL), 0);
	snapshot_close(&snapshot);
}
END_TEST

START_TEST(memory_may_be_without_zeros)
{
	uint8_t *ram = fixture.memory.region[0].host;
	struct snapshot_stats stats;
	struct snapshot snapshot;

	memset(ram, 0xa5, FIXTURE_RAM);
	ck_assert_int_eq(snapshot_write("snap", fixture.data, fixture.len,
					&fixture.memory, &stats, NULL), 0);
	ck_assert_uint_eq(stats.memory_written, FIXTURE_RAM);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	ck_assert_int_eq(snapshot_verify(&snapshot, NULL, NULL, NULL), 0);
	snapshot_close(&snapshot);
}
END_TEST

/**
 * struct heard - what a save told of itself
 * @copying: calls, before memory was copied
 * @syncing: calls, after that
 * @copied: memory was copied
 * @stop: give up in this phase
 */
struct heard {
	unsigned int copying;
	unsigned int syncing;
	bool copied;
	int stop;
};

static int hear(void *opaque, enum snapshot_phase phase, uint64_t done,
		uint64_t total)
{
	struct heard *h = opaque;

	ck_assert_uint_eq(total, guest_memory_total(&fixture.memory));
	ck_assert_uint_le(done, total);
	ck_assert_int_eq(phase, h->copied ? SNAPSHOT_SYNCING :
					    SNAPSHOT_COPYING);
	h->copying += !h->copied;
	h->syncing += h->copied;
	return h->stop == (int)phase ? -ECANCELED : 0;
}

static void hear_copied(void *opaque)
{
	struct heard *h = opaque;

	h->copied = true;
}

static int save_heard(struct heard *h)
{
	const struct snapshot_job job = {
		.path = "snap", .state = fixture.data,
		.state_len = fixture.len, .memory = &fixture.memory,
		.memory_fd = -1, .copied = hear_copied, .progress = hear,
		.opaque = h,
	};

	return snapshot_write_job(&job, NULL, &fixture.why);
}

/* Lets the fixture's second region be of some megabytes. */
static uint8_t *enlarge(struct guest_memory *old)
{
	size_t size = 20 << 20;
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(ram, MAP_FAILED);
	memset(ram, 7, size);
	*old = fixture.memory;
	fixture.memory.region[1].host = ram;
	fixture.memory.region[1].size = size;
	return ram;
}

START_TEST(a_save_tells_how_far_it_is)
{
	struct heard h = { .stop = -1 };
	struct guest_memory old;
	struct snapshot snapshot;
	uint8_t *ram = enlarge(&old);

	ck_assert_int_eq(save_heard(&h), 0);
	ck_assert_uint_ge(h.copying, 10);
	ck_assert_uint_eq(h.syncing, 2);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	ck_assert_int_eq(snapshot_verify(&snapshot, NULL, NULL, NULL), 0);
	snapshot_close(&snapshot);
	munmap(ram, fixture.memory.region[1].size);
	fixture.memory = old;
}
END_TEST

START_TEST(a_save_given_up_leaves_the_old_one)
{
	struct heard h = { .stop = _i };
	struct guest_memory old;
	uint8_t *ram;

	ck_assert_int_eq(fixture_save(), 0);
	ram = enlarge(&old);
	ck_assert_int_eq(save_heard(&h), -ECANCELED);
	ck_says(&fixture.why, "given up");
	ck_assert_uint_eq(h.copied, _i == SNAPSHOT_SYNCING);
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
	munmap(ram, fixture.memory.region[1].size);
	fixture.memory = old;
}
END_TEST

static int stop_second(void *opaque, enum snapshot_phase phase, uint64_t done,
		       uint64_t total)
{
	unsigned int *calls = opaque;

	ck_assert_int_eq(phase, SNAPSHOT_VERIFYING);
	ck_assert_uint_eq(total, guest_memory_total(&fixture.memory));
	ck_assert_uint_eq(!done, !*calls);
	return ++*calls == 2 ? -ECANCELED : 0;
}

START_TEST(verifying_can_be_given_up)
{
	struct guest_memory old;
	struct snapshot snapshot;
	unsigned int calls = 0;
	uint8_t *ram = enlarge(&old);

	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	ck_assert_int_eq(snapshot_verify(&snapshot, stop_second, &calls,
					 &fixture.why), -ECANCELED);
	ck_assert_uint_eq(calls, 2);
	snapshot_close(&snapshot);
	munmap(ram, fixture.memory.region[1].size);
	fixture.memory = old;
}
END_TEST

START_TEST(only_the_owner_may_look)
{
	const char *files[] = { "snap/manifest", "snap/state.dtb",
				"snap/memory" };
	struct stat st;

	umask(0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(stat("snap", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(stat(files[i], &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
	}
}
END_TEST

START_TEST(path_may_be_written_in_any_way)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s//./one///", fixture.folder);
	fixture.path = path;
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("one"), 1);
	fixture.path = "./two/";
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("two"), 1);
}
END_TEST

START_TEST(path_without_a_name_is_refused)
{
	const char *paths[] = { "", "/", ".", "..", "snap/..", "snap/.", "//" };

	fixture.path = paths[_i];
	ck_assert_int_eq(fixture_save(), -EINVAL);
	ck_says(&fixture.why, "does not end with a name");
}
END_TEST

START_TEST(existing_snapshot_is_replaced)
{
	ck_assert_int_eq(fixture_save(), 0);
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 2);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(empty_directory_is_replaced)
{
	ck_assert_int_eq(mkdir("snap", 0755), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(damaged_snapshot_is_replaced)
{
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(truncate("snap/manifest", 30), 0);
	ck_assert_int_eq(unlink("snap/memory"), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 1);
}
END_TEST

START_TEST(existing_foreign_directory_is_not_replaced)
{
	ck_assert_int_eq(mkdir("snap", 0755), 0);
	fixture_write_file("snap/thesis.tex", "42", 2);
	ck_assert_int_eq(fixture_save(), -EEXIST);
	ck_says(&fixture.why, "thesis.tex");
	ck_assert_int_eq(access("snap/thesis.tex", F_OK), 0);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(snapshot_with_a_foreign_file_is_not_replaced)
{
	ck_assert_int_eq(fixture_save(), 0);
	fixture_write_file("snap/notes", "42", 2);
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), -EEXIST);
	ck_says(&fixture.why, "notes");
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(directory_with_another_manifest_is_not_replaced)
{
	ck_assert_int_eq(mkdir("snap", 0755), 0);
	fixture_write_file("snap/manifest", "version: 1\n", 11);
	ck_assert_int_eq(fixture_save(), -EEXIST);
	ck_says(&fixture.why, "manifest");
	ck_assert_int_eq(access("snap/manifest", F_OK), 0);
}
END_TEST

START_TEST(file_is_not_replaced)
{
	fixture_write_file("snap", "42", 2);
	ck_assert_int_eq(fixture_save(), -ENOTDIR);
	ck_says(&fixture.why, "it is a file");
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(symbolic_link_is_not_replaced)
{
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(symlink("snap", "link"), 0);
	fixture.path = "link";
	ck_assert_int_eq(fixture_save(), -ENOTDIR);
	ck_says(&fixture.why, "it is a symbolic link");
	ck_assert_uint_eq(fixture_entries(), 2);
}
END_TEST

START_TEST(missing_parent_is_named)
{
	fixture.path = "no/snap";
	ck_assert_int_eq(fixture_save(), -ENOENT);
	ck_says(&fixture.why, "no/snap");
	fixture_write_file("file", "", 0);
	fixture.path = "file/snap";
	ck_assert_int_eq(fixture_save(), -ENOTDIR);
	ck_says(&fixture.why, "file/snap");
}
END_TEST

START_TEST(parent_without_permission_is_named)
{
	ck_assert_int_eq(chmod(fixture.folder, 0755), 0);
	ck_assert_int_eq(mkdir("closed", 0555), 0);
	/* Root may write everywhere, nobody may not. */
	if (!geteuid())
		ck_assert_int_eq(seteuid(65534), 0);
	fixture.path = "closed/snap";
	ck_assert_int_eq(fixture_save(), -EACCES);
	ck_says(&fixture.why, "closed/snap");
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(too_long_a_name_is_refused)
{
	char path[PATH_MAX + 10];

	memset(path, 'n', sizeof(path));
	path[241] = '\0';
	fixture.path = path;
	ck_assert_int_eq(fixture_save(), -ENAMETOOLONG);
	ck_says(&fixture.why, "too long");
	path[240] = '\0';
	ck_assert_int_eq(fixture_save(), 0);
	memset(path, '/', sizeof(path) - 2);
	path[sizeof(path) - 2] = 'n';
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(fixture_save(), -ENAMETOOLONG);
}
END_TEST

START_TEST(state_that_could_not_be_loaded_is_not_saved)
{
	ck_assert_int_eq(snapshot_write("snap", fixture.data,
					STATE_SIZE_MAX + 1, &fixture.memory,
					NULL, &fixture.why), -EFBIG);
	ck_assert_uint_eq(fixture_entries(), 0);
}
END_TEST

START_TEST(saving_onto_the_snapshot_one_runs_from_is_safe)
{
	struct guest_memory memory = fixture.memory;
	struct snapshot snapshot;
	uint8_t *ram;

	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(snapshot_open("snap", &snapshot, NULL), 0);
	ram = mmap(NULL, FIXTURE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		   snapshot.memory_fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	fixture.memory.region[0].host = ram;
	fixture.memory.region[1].host = ram + FIXTURE_LOW;
	/* Twice: the second time its file has no name any more. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fixture_save(), 0);
		ck_assert_int_eq(fixture_saved("snap"), 1);
		ck_assert_uint_eq(ram[FIXTURE_PAGE + 100], 1);
	}
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 2);
	snapshot_close(&snapshot);
	munmap(ram, FIXTURE_RAM);
	fixture.memory = memory;
}
END_TEST

START_TEST(failed_save_leaves_old_snapshot)
{
	struct rlimit old, small = { FIXTURE_RAM / 2, FIXTURE_RAM / 2 };

	ck_assert_int_eq(fixture_save(), 0);
	fixture_generation(2);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(fixture_save(), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_says(&fixture.why, "snap");
	ck_says(&fixture.why, "memory");
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(full_disk_leaves_old_snapshot)
{
	char blob[256 << 10] = "";

	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mkdir("disk", 0700) ||
	    mount("none", "disk", "tmpfs", 0, "size=64k")) {
		printf("# skipped: cannot mount a small tmpfs: %s\n",
		       strerror(errno));
		return;
	}
	fixture.path = "disk/snap";
	ck_assert_int_eq(fixture_save(), 0);
	memset(fixture.memory.region[0].host, 1, FIXTURE_RAM);
	ck_assert_int_eq(fixture_save(), -ENOSPC);
	ck_says(&fixture.why, "disk/snap");
	ck_assert_int_eq(fixture_saved("disk/snap"), 1);
	/* All that it had written is free again. */
	memset(fixture.memory.region[0].host, 0, FIXTURE_RAM);
	fixture_generation(2);
	ck_assert_int_eq(snapshot_write(fixture.path, blob, sizeof(blob),
					&fixture.memory, NULL, &fixture.why),
			 -ENOSPC);
	ck_assert_int_eq(fixture_saved("disk/snap"), 1);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("disk/snap"), 2);
	umount("disk");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(saved_snapshot_comes_back),
		UNIT_TEST(stats_tell_what_was_written),
		UNIT_TEST(zero_pages_are_not_written),
		UNIT_TEST(memory_may_be_all_zeros),
		UNIT_TEST(memory_may_be_without_zeros),
		UNIT_TEST(a_save_tells_how_far_it_is),
		UNIT_LOOP(a_save_given_up_leaves_the_old_one, 2),
		UNIT_TEST(verifying_can_be_given_up),
		UNIT_TEST(only_the_owner_may_look),
		UNIT_TEST(path_may_be_written_in_any_way),
		UNIT_LOOP(path_without_a_name_is_refused, 7),
		UNIT_TEST(existing_snapshot_is_replaced),
		UNIT_TEST(empty_directory_is_replaced),
		UNIT_TEST(damaged_snapshot_is_replaced),
		UNIT_TEST(existing_foreign_directory_is_not_replaced),
		UNIT_TEST(snapshot_with_a_foreign_file_is_not_replaced),
		UNIT_TEST(directory_with_another_manifest_is_not_replaced),
		UNIT_TEST(file_is_not_replaced),
		UNIT_TEST(symbolic_link_is_not_replaced),
		UNIT_TEST(missing_parent_is_named),
		UNIT_TEST(parent_without_permission_is_named),
		UNIT_TEST(too_long_a_name_is_refused),
		UNIT_TEST(state_that_could_not_be_loaded_is_not_saved),
		UNIT_TEST(saving_onto_the_snapshot_one_runs_from_is_safe),
		UNIT_TEST(failed_save_leaves_old_snapshot),
		UNIT_TEST(full_disk_leaves_old_snapshot),
	};

	return UNIT_RUN("snapshot-save", cases, fixture_setup,
			fixture_teardown);
}
