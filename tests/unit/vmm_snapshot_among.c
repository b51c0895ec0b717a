// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saving among others: what they do to the folder between two system calls of
 * ours, who may lock it, and what is on stable storage when
 * (vmm/snapshot_place.c).
 */
#include "tests/unit/runner.h"
#include "tests/unit/vmm_snapshot_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/dir_lock.h"

#define SYNCS_MAX	32u

/* Called right before something gets the name that a snapshot is to have. */
static void (*before_rename)(void);
/* How often that has been so. */
static unsigned int renames;

/**
 * struct sync - a call of fsync()
 * @ino: of what
 * @size: how long it was
 * @renames: how many there had been
 */
static struct sync {
	ino_t ino;
	off_t size;
	unsigned int renames;
} syncs[SYNCS_MAX];
static unsigned int synced;
/* The number of the call that fails; -1: none does. */
static int fails_at = -1;

/* In place of the C library's, for what is linked here. */
int renameat2(int olddir, const char *old, int newdir, const char *new,
	      unsigned int flags)
{
	void (*hook)(void) = before_rename;
	int ret;

	before_rename = NULL;
	if (hook)
		hook();
	ret = (int)syscall(SYS_renameat2, olddir, old, newdir, new, flags);
	if (!ret)
		renames++;
	return ret;
}

int fsync(int fd)
{
	struct sync *s = &syncs[synced];
	struct stat st;

	ck_assert_uint_lt(synced, SYNCS_MAX);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*s = (struct sync){ st.st_ino, st.st_size, renames };
	if ((int)synced++ == fails_at) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

/* Return: which call it was; asserts that there was one. */
static unsigned int sync_of(const char *path, unsigned int after)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	for (unsigned int i = 0; i < synced; i++)
		if (syncs[i].ino == st.st_ino && syncs[i].renames == after &&
		    (S_ISDIR(st.st_mode) || syncs[i].size == st.st_size))
			return i;
	ck_abort_msg("%s: not synced after %u renames", path, after);
	return 0;
}

START_TEST(all_is_on_stable_storage_before_it_has_its_name)
{
	unsigned int dir;

	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_uint_eq(renames, 1);
	dir = sync_of("snap", 0);
	ck_assert_uint_lt(sync_of("snap/manifest", 0), dir);
	ck_assert_uint_lt(sync_of("snap/state.dtb", 0), dir);
	ck_assert_uint_lt(sync_of("snap/memory", 0), dir);
	ck_assert_uint_gt(sync_of(".", 1), dir);
}
END_TEST

/* Whichever of them it is; and the guest can be saved again. */
START_TEST(failed_sync_leaves_what_was_there)
{
	unsigned int calls;
	char aside[96];

	snprintf(aside, sizeof(aside), "%s-aside", fixture.folder);
	for (int there = 0; there < 2; there++) {
		synced = 0;
		ck_assert_int_eq(fixture_save(), 0);
		calls = synced;
		ck_assert_uint_eq(calls, 5);
		fixture_generation(2);
		for (unsigned int i = 0; i < calls; i++) {
			if (!there)
				ck_assert_int_eq(rename("snap", aside), 0);
			synced = 0;
			fails_at = (int)i;
			ck_assert_int_eq(fixture_save(), -EIO);
			ck_says(&fixture.why, "sync");
			fails_at = -1;
			if (!there) {
				ck_assert_int_eq(fixture_saved("snap"),
						 -ENOENT);
				ck_assert_int_eq(rename(aside, "snap"), 0);
			}
			ck_assert_int_eq(fixture_saved("snap"), 1);
			ck_assert_uint_eq(fixture_entries(), 1);
		}
		fixture_generation(1);
	}
}
END_TEST

static void make_foreign(void)
{
	ck_assert_int_eq(mkdir("snap", 0700), 0);
	fixture_write_file("snap/thesis.tex", "42", 2);
}

static void put_foreign_in_its_place(void)
{
	ck_assert_int_eq(rename("snap", "moved"), 0);
	make_foreign();
}

/* After it was looked at what is there, before that is replaced. */
START_TEST(directory_put_there_by_somebody_else_is_not_replaced)
{
	if (_i)
		ck_assert_int_eq(fixture_save(), 0);
	before_rename = _i ? put_foreign_in_its_place : make_foreign;
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), -EEXIST);
	ck_says(&fixture.why, "thesis.tex");
	ck_assert_int_eq(access("snap/thesis.tex", F_OK), 0);
	ck_assert_int_ne(access("snap/manifest", F_OK), 0);
	ck_assert_uint_eq(fixture_entries(), 1 + (unsigned int)_i);
	if (_i)
		ck_assert_int_eq(fixture_saved("moved"), 1);
}
END_TEST

static void put_file_in_its_place(void)
{
	ck_assert_int_eq(rename("snap", "moved"), 0);
	fixture_write_file("snap", "42", 2);
}

START_TEST(file_put_there_by_somebody_else_is_not_replaced)
{
	struct stat st;

	ck_assert_int_eq(fixture_save(), 0);
	before_rename = put_file_in_its_place;
	ck_assert_int_eq(fixture_save(), -EEXIST);
	ck_assert_int_eq(stat("snap", &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_int_eq(fixture_saved("moved"), 1);
	ck_assert_uint_eq(fixture_entries(), 2);
}
END_TEST

static void move_away(void)
{
	ck_assert_int_eq(rename("snap", "moved"), 0);
}

static void put_empty_in_its_place(void)
{
	move_away();
	ck_assert_int_eq(mkdir("snap", 0700), 0);
}

START_TEST(snapshot_moved_away_meanwhile_is_whole)
{
	ck_assert_int_eq(fixture_save(), 0);
	before_rename = _i ? put_empty_in_its_place : move_away;
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 2);
	ck_assert_int_eq(fixture_saved("moved"), 1);
	ck_assert_uint_eq(fixture_entries(), 2);
}
END_TEST

static int save_and_tell(const char *path,
			 void (*reached)(void *opaque, const char *step))
{
	const struct snapshot_job job = {
		.path = path, .state = fixture.data,
		.state_len = fixture.len, .memory = &fixture.memory,
		.memory_fd = -1, .reached = reached,
	};

	return snapshot_write_job(&job, NULL, &fixture.why);
}

static int told[2];
static pid_t child;

static void tell_manifest(void *opaque, const char *step)
{
	(void)opaque;
	if (!strcmp(step, "manifest"))
		ck_assert_int_eq(write(told[1], "m", 1), 1);
}

/* Another process saves; returns when all its files are written. */
static void save_elsewhere(const char *path)
{
	char c;

	ck_assert_int_eq(pipe(told), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(save_and_tell(path, tell_manifest) ? 1 : 0);
	close(told[1]);
	ck_assert_int_eq(read(told[0], &c, 1), 1);
	close(told[0]);
}

static void await_child(void)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

/* Nobody else may believe that it is a leftover. */
static void sweep_after_rename(void *opaque, const char *step)
{
	char command[] = "test 3 -eq $(ls -d .snap.wherry-*/* | wc -l)";

	(void)opaque;
	if (strcmp(step, "rename"))
		return;
	save_elsewhere("other");
	ck_assert_msg(!system(command), "the old one is not whole any more");
}

START_TEST(what_is_replaced_stays_until_that_is_on_stable_storage)
{
	ck_assert_int_eq(fixture_save(), 0);
	fixture_generation(2);
	ck_assert_int_eq(save_and_tell("snap", sweep_after_rename), 0);
	await_child();
	ck_assert_int_eq(fixture_saved("snap"), 2);
	ck_assert_int_eq(fixture_saved("other"), 2);
	ck_assert_uint_eq(fixture_entries(), 2);
}
END_TEST

START_TEST(saves_are_put_into_place_one_at_a_time)
{
	struct dir_lock lock = DIR_LOCK_INIT;
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, NULL), 0);
	save_elsewhere("snap");
	usleep(200000);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
	ck_assert_int_eq(fixture_saved("snap"), -ENOENT);
	dir_lock_release(&lock);
	await_child();
	ck_assert_int_eq(fixture_saved("snap"), 1);
	ck_assert_uint_eq(fixture_entries(), 1);
	close(dir);
}
END_TEST

START_TEST(reader_of_the_folder_cannot_hold_up_a_save)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_eq(flock(dir, LOCK_EX), 0);
	ck_assert_int_eq(fixture_save(), 0);
	fixture_generation(2);
	ck_assert_int_eq(fixture_save(), 0);
	ck_assert_int_eq(fixture_saved("snap"), 2);
	close(dir);
}
END_TEST

static void must_not_be_reached(void *opaque, const char *step)
{
	(void)opaque;
	ck_abort_msg("reached: %s", step);
}

START_TEST(folder_that_cannot_be_locked_is_told_before_anything_is_written)
{
	char name[64];

	snprintf(name, sizeof(name), DIR_LOCK_NAME "%u", geteuid());
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	ck_assert_int_eq(save_and_tell("snap", must_not_be_reached), -EPERM);
	ck_says(&fixture.why, "snapshot snap: lock " DIR_LOCK_NAME);
	ck_assert_uint_eq(fixture_entries(), 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(all_is_on_stable_storage_before_it_has_its_name),
		UNIT_TEST(failed_sync_leaves_what_was_there),
		UNIT_LOOP(directory_put_there_by_somebody_else_is_not_replaced,
			  2),
		UNIT_TEST(file_put_there_by_somebody_else_is_not_replaced),
		UNIT_LOOP(snapshot_moved_away_meanwhile_is_whole, 2),
		UNIT_TEST(what_is_replaced_stays_until_that_is_on_stable_storage),
		UNIT_TEST(saves_are_put_into_place_one_at_a_time),
		UNIT_TEST(reader_of_the_folder_cannot_hold_up_a_save),
		UNIT_TEST(folder_that_cannot_be_locked_is_told_before_anything_is_written),
	};

	return UNIT_RUN("snapshot-among", cases, fixture_setup,
			fixture_teardown);
}
