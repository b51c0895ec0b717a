// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/dir_lock.c: one at a time, and nobody else can hold it.
 */
#include "devices/dir_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runner.h"

/* Called right before a lock is asked for, once. */
static void (*before_flock)(void);

/* In place of the C library's, for what is linked here. */
int flock(int fd, int how)
{
	void (*hook)(void) = before_flock;

	before_flock = NULL;
	if (hook)
		hook();
	return (int)syscall(SYS_flock, fd, how);
}

static char folder[] = "/tmp/wherry-lock-XXXXXX";
static char name[64];
static struct dir_lock lock;
static struct fail why;
static int dir;

static void setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
	lock = (struct dir_lock)DIR_LOCK_INIT;
	snprintf(name, sizeof(name), DIR_LOCK_NAME "%u", geteuid());
}

static void teardown(void)
{
	dir_lock_release(&lock);
	close(dir);
	unlink(name);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* In a child that ends at once. Return: what dir_lock_take() said. */
static int take_elsewhere(unsigned int wait_ms)
{
	struct dir_lock other = DIR_LOCK_INIT;
	int status, own;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		own = open(folder, O_RDONLY | O_DIRECTORY);
		_exit(-dir_lock_take(&other, own, wait_ms, NULL));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

START_TEST(one_at_a_time)
{
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
	ck_assert_int_eq(take_elsewhere(0), -EBUSY);
	ck_assert_int_eq(take_elsewhere(30), -EBUSY);
	dir_lock_release(&lock);
	ck_assert_int_eq(take_elsewhere(0), 0);
}
END_TEST

START_TEST(released_lock_leaves_nothing)
{
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
	ck_assert_int_eq(access(name, F_OK), 0);
	dir_lock_release(&lock);
	ck_assert_int_ne(access(name, F_OK), 0);
	ck_assert_int_eq(lock.fd, -1);
	dir_lock_release(&lock);
}
END_TEST

START_TEST(lock_of_a_dead_process_is_taken_over)
{
	ck_assert_int_eq(take_elsewhere(0), 0);
	ck_assert_int_eq(access(name, F_OK), 0);
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
}
END_TEST

/* Who may read the directory may lock it, but not this. */
START_TEST(others_cannot_hold_it)
{
	mode_t umasks[] = { 0, 022, 0777 };
	mode_t old = umask(umasks[_i]);
	struct stat st;

	ck_assert_int_eq(flock(dir, LOCK_EX), 0);
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
	umask(old);
	ck_assert_int_eq(stat(name, &st), 0);
	ck_assert_uint_eq(st.st_mode & 077, 0);
	if (!geteuid()) {
		ck_assert_int_eq(chmod(folder, 0777), 0);
		ck_assert_int_eq(seteuid(65534), 0);
		ck_assert_int_eq(open(name, O_RDONLY), -1);
		ck_assert_int_eq(errno, EACCES);
		ck_assert_int_eq(seteuid(0), 0);
	}
}
END_TEST

START_TEST(users_have_locks_of_their_own)
{
	struct dir_lock other = DIR_LOCK_INIT;

	if (geteuid())
		return;
	ck_assert_int_eq(chmod(folder, 0777), 0);
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(dir_lock_take(&other, dir, 0, &why), 0);
	dir_lock_release(&other);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(what_others_put_there_is_refused_by_name)
{
	switch (_i) {
	case 0:
		if (geteuid())
			return;
		close(open(name, O_CREAT | O_WRONLY, 0666));
		ck_assert_int_eq(chown(name, 65534, 65534), 0);
		break;
	case 1:
		ck_assert_int_eq(mkfifo(name, 0600), 0);
		break;
	case 2:
		ck_assert_int_eq(symlink("elsewhere", name), 0);
		break;
	}
	ck_assert_int_eq(dir_lock_take(&lock, dir, 10000, &why),
			 _i == 2 ? -ELOOP : -EPERM);
	ck_says(&why, name);
	ck_assert_int_eq(lock.fd, -1);
	/* And left alone. */
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_ne(access("elsewhere", F_OK), 0);
}
END_TEST

START_TEST(directory_that_cannot_be_written_is_told)
{
	ck_assert_int_eq(chmod(folder, 0555), 0);
	if (!geteuid())
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(dir_lock_take(&lock, dir, 10000, &why), -EACCES);
	ck_says(&why, DIR_LOCK_NAME);
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

static struct dir_lock second = DIR_LOCK_INIT;

/* Who held it released it, the next one has it already. */
static void change_hands(void)
{
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(dir_lock_take(&second, dir, 0, NULL), 0);
}

START_TEST(file_that_was_released_meanwhile_is_no_lock)
{
	before_flock = change_hands;
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), -EBUSY);
	ck_assert_int_eq(access(name, F_OK), 0);
	dir_lock_release(&second);
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
}
END_TEST

START_TEST(release_does_not_remove_the_lock_of_another)
{
	ck_assert_int_eq(dir_lock_take(&lock, dir, 0, &why), 0);
	/* Somebody cleaned up by hand. */
	change_hands();
	dir_lock_release(&lock);
	ck_assert_int_eq(access(name, F_OK), 0);
	dir_lock_release(&second);
}
END_TEST

/* Between release and taking the file goes and comes: never two at a time. */
START_TEST(many_take_it_in_turn)
{
	int *inside = mmap(NULL, sizeof(*inside), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, own;

	ck_assert_ptr_ne(inside, MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		if (fork())
			continue;
		own = open(folder, O_RDONLY | O_DIRECTORY);
		for (int n = 0; n < 300; n++) {
			if (dir_lock_take(&lock, own, 50000, NULL))
				_exit(1);
			if (__atomic_add_fetch(inside, 1, __ATOMIC_SEQ_CST) !=
			    1)
				_exit(2);
			sched_yield();
			__atomic_sub_fetch(inside, 1, __ATOMIC_SEQ_CST);
			dir_lock_release(&lock);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		ck_assert_int_eq(status, 0);
	munmap(inside, sizeof(*inside));
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(one_at_a_time),
		UNIT_TEST(released_lock_leaves_nothing),
		UNIT_TEST(lock_of_a_dead_process_is_taken_over),
		UNIT_LOOP(others_cannot_hold_it, 3),
		UNIT_TEST(users_have_locks_of_their_own),
		UNIT_LOOP(what_others_put_there_is_refused_by_name, 3),
		UNIT_TEST(directory_that_cannot_be_written_is_told),
		UNIT_TEST(file_that_was_released_meanwhile_is_no_lock),
		UNIT_TEST(release_does_not_remove_the_lock_of_another),
		UNIT_TEST(many_take_it_in_turn),
	};

	return UNIT_RUN("devices_dir_lock", cases, setup, teardown);
}
