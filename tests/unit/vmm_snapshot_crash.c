// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots and processes that die, or that save to the same place: what is
 * there is whole, and nothing stays behind for ever.
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In this order; after the last one the old snapshot is removed. */
static const char *const steps[] = {
	"temporary directory", "memory", "state.dtb", "manifest", "rename",
	"sync",
};
#define STEPS	6
#define RENAME	4

static void die_at(void *opaque, const char *step)
{
	if (!strcmp(opaque, step))
		raise(SIGKILL);
}

/* In a child of its own. Return: its wait status. */
static int save_and_die(const char *step)
{
	char name[32];
	struct snapshot_job job = {
		.path = fixture.path, .state = fixture.data,
		.state_len = fixture.len, .memory = &fixture.memory,
		.memory_fd = -1, .reached = die_at, .opaque = name,
	};
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "%s", step);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(snapshot_write_job(&job, NULL, NULL) ? 1 : 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(first_save_killed_leaves_none_or_a_whole_one)
{
	int status = save_and_die(steps[_i]);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(fixture_saved("snap"), _i < RENAME ? -ENOENT : 1);
	/* Somebody tries again. */
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 2);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(save_killed_leaves_the_old_one_or_the_new)
{
	int status;

	ck_assert_int_eq(fixture_save(), 0);
	fixture_generation(2);
	status = save_and_die(steps[_i]);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(fixture_saved("snap"), _i < RENAME ? 1 : 2);
	/* From the rename on it held the lock, which is a file. */
	ck_assert_uint_eq(fixture_entries(), _i < RENAME ? 2 : 3);
	/* Somebody tries again. */
	fixture_generation(3);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 3);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

static unsigned int now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned int)(t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

START_TEST(save_killed_at_any_moment_leaves_a_whole_one)
{
	unsigned int start = now_us(), took;
	unsigned int seed = 1;
	unsigned int changed = 0;
	int ret, status;
	pid_t pid;

	ck_assert_int_eq(fixture_save(), 0);
	/* So that about one in two gets through. */
	took = (now_us() - start) * 2 + 1000;
	for (int i = 2; i < 100; i++) {
		fixture_generation(i);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (!pid) {
			for (;;)
				fixture_save();
		}
		usleep(rand_r(&seed) % took);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ret = fixture_saved("snap");
		ck_assert_msg(ret > 0, "%s", fixture.why.text);
		changed += ret == i;
	}
	printf("# %u of 98 killed saves had finished one\n", changed);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(savers_to_one_path_do_not_disturb_each_other)
{
	pid_t pid[3];
	int status;

	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i])
			continue;
		fixture_generation(i + 1);
		for (int n = 0; n < 40; n++)
			if (fixture_save()) {
				printf("# %s\n", fixture.why.text);
				fflush(stdout);
				_exit(1);
			}
		_exit(0);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_gt(fixture_saved("snap"), 0);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(snapshot_opens_while_it_is_replaced)
{
	unsigned int opened = 0;
	int status, found;
	pid_t pid;

	ck_assert_int_eq(fixture_save(), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		for (int i = 2; i < 100; i++) {
			fixture_generation(i);
			if (fixture_save())
				_exit(1);
		}
		_exit(0);
	}
	do {
		found = fixture_saved("snap");
		ck_assert_msg(found > 0, "%s", fixture.why.text);
		opened++;
	} while (!waitpid(pid, &status, WNOHANG));
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(fixture_saved("snap"), 99);
	printf("# opened %u times\n", opened);
}
END_TEST

static void make_stale(const char *folder)
{
	char name[128];

	ck_assert_int_eq(mkdir(folder, 0700), 0);
	snprintf(name, sizeof(name), "%s/memory", folder);
	fixture_write_file(name, "left", 4);
}

/* Whatever they were to be called. */
START_TEST(stale_temporary_directories_are_removed)
{
	make_stale(".snap.wherry-0123ab");
	make_stale(".other one.wherry-0123ab");
	make_stale("..wherry-0123ab.wherry-0123ab");
	ck_assert_int_eq(mkdir(".x.wherry-0123ac", 0700), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

START_TEST(temporary_directory_in_use_is_left_alone)
{
	int fd;

	make_stale(".snap.wherry-0123ab");
	fd = open(".snap.wherry-0123ab", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(access(".snap.wherry-0123ab/memory", F_OK), 0);
	close(fd);
}
END_TEST

START_TEST(what_only_looks_temporary_is_left_alone)
{
	static const char *const names[] = {
		".wherry-0123ab", ".snap.wherry-0123abc",
		".snap.wherry-0123a", ".snap.wherry-0123aZ",
		"snap.wherry-0123ab", ".snap.wherry-", ".snap.tmp-0123ab",
		".snap.wherry-0123a.",
	};

	make_stale(names[_i]);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_uint_eq(fixture_entries(), 2);
	ck_assert_int_eq(access(names[_i], F_OK), 0);
}
END_TEST

START_TEST(temporary_directory_of_another_user_is_left_alone)
{
	if (geteuid())
		return;
	make_stale(".snap.wherry-0123ab");
	ck_assert_int_eq(chown(".snap.wherry-0123ab", 65534, 65534), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(access(".snap.wherry-0123ab/memory", F_OK), 0);
}
END_TEST

START_TEST(temporary_directory_with_foreign_files_is_left_alone)
{
	make_stale(".snap.wherry-0123ab");
	fixture_write_file(".snap.wherry-0123ab/thesis.tex", "42", 2);
	fixture_write_file(".snap.wherry-0123ac", "a file", 6);
	ck_assert_int_eq(symlink(".", ".snap.wherry-0123ad"), 0);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(access(".snap.wherry-0123ab/memory", F_OK), 0);
	ck_assert_int_eq(access(".snap.wherry-0123ab/thesis.tex", F_OK), 0);
	ck_assert_int_eq(access(".snap.wherry-0123ac", F_OK), 0);
	ck_assert_uint_eq(fixture_entries(), 4);
}
END_TEST

static void put_foreign_there(void *opaque, const char *step)
{
	(void)opaque;
	if (strcmp(step, "manifest"))
		return;
	ck_assert_int_eq(mkdir("snap", 0700), 0);
	fixture_write_file("snap/thesis.tex", "42", 2);
}

START_TEST(foreign_directory_made_meanwhile_is_not_replaced)
{
	struct snapshot_job job = {
		.path = "snap", .state = fixture.data,
		.state_len = fixture.len, .memory = &fixture.memory,
		.memory_fd = -1, .reached = put_foreign_there,
	};

	ck_assert_int_eq(snapshot_write_job(&job, NULL, &fixture.why), -EEXIST);
	ck_says(&fixture.why, "thesis.tex");
	ck_assert_int_eq(access("snap/thesis.tex", F_OK), 0);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

static void save_there(void *opaque, const char *step)
{
	if (strcmp(step, "manifest"))
		return;
	ck_assert_int_eq(snapshot_write("snap", fixture.data, fixture.len,
					&fixture.memory, NULL, NULL), 0);
	*(unsigned int *)opaque += 1;
}

START_TEST(snapshot_made_meanwhile_is_replaced)
{
	unsigned int count = 0;
	struct snapshot_job job = {
		.path = "snap", .state = fixture.data,
		.state_len = fixture.len, .memory = &fixture.memory,
		.memory_fd = -1, .reached = save_there, .opaque = &count,
	};

	ck_assert_int_eq(snapshot_write_job(&job, NULL, &fixture.why), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(first_save_killed_leaves_none_or_a_whole_one, STEPS),
		UNIT_LOOP(save_killed_leaves_the_old_one_or_the_new, STEPS),
		UNIT_TEST(save_killed_at_any_moment_leaves_a_whole_one),
		UNIT_TEST(savers_to_one_path_do_not_disturb_each_other),
		UNIT_TEST(snapshot_opens_while_it_is_replaced),
		UNIT_TEST(stale_temporary_directories_are_removed),
		UNIT_TEST(temporary_directory_in_use_is_left_alone),
		UNIT_LOOP(what_only_looks_temporary_is_left_alone, 8),
		UNIT_TEST(temporary_directory_of_another_user_is_left_alone),
		UNIT_TEST(temporary_directory_with_foreign_files_is_left_alone),
		UNIT_TEST(foreign_directory_made_meanwhile_is_not_replaced),
		UNIT_TEST(snapshot_made_meanwhile_is_replaced),
	};

	return UNIT_RUN("snapshot-crash", cases, fixture_setup,
			fixture_teardown);
}
