// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/image.c: memory of a restored guest that goes away, and who is told.
 */
#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "virtio/memory.h"

#define PAGE	4096u
#define PAGES	8u
#define SIZE	(PAGES * PAGE)

static struct guest_memory memory;
static struct image image;
static struct fail why;
static uint8_t *ram;
static unsigned int losses;
static int fd;

static uint8_t *map(void)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
			  0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static void lose(void *opaque)
{
	(*(unsigned int *)opaque)++;
	errno = EXDEV;
}

static void guard(void)
{
	ck_assert_int_eq(image_guard(ram, SIZE, lose, &losses, &why), 0);
}

static void setup(void)
{
	char name[] = "/tmp/wherry-image-XXXXXX";
	uint8_t page[PAGE];

	fd = mkstemp(name);
	ck_assert_int_ge(fd, 0);
	unlink(name);
	for (unsigned int i = 0; i < PAGES; i++) {
		memset(page, 'a' + (int)i, PAGE);
		ck_assert_int_eq(write(fd, page, PAGE), PAGE);
	}
	ck_assert_int_eq(image_init(&image, "/snap", fd, SIZE, &why), 0);
	ram = map();
	memory.count = 1;
	memory.region[0] = (struct guest_region){
		.gpa = 0, .size = SIZE, .host = ram,
	};
	losses = 0;
}

static void teardown(void)
{
	image_unguard(ram);
	munmap(ram, SIZE);
	close(fd);
}

START_TEST(image_of_another_length_is_refused)
{
	ck_assert_int_eq(image_init(&image, "/snap", fd, SIZE + PAGE, &why),
			 -EINVAL);
	ck_says(&why, "32768 bytes, 36864 expected");
}
END_TEST

START_TEST(image_that_is_what_it_was_passes)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
				     { .tv_nsec = UTIME_OMIT } };

	ck_assert_int_eq(image_check(&image, &why), 0);
	/* Reading it, mapping it, and what others may do with its inode. */
	memset(ram, 'x', 2 * PAGE);
	ck_assert_int_eq(futimens(fd, times), 0);
	ck_assert_int_eq(fchmod(fd, 0400), 0);
	ck_assert_int_eq(image_check(&image, &why), 0);
}
END_TEST

START_TEST(image_that_was_cut_off_is_named)
{
	ck_assert_int_eq(ftruncate(fd, 3), 0);
	ck_assert_int_eq(image_check(&image, &why), -EIO);
	ck_says(&why, "/snap");
	ck_says(&why, "3 bytes, 32768 expected");
}
END_TEST

/* What a device reads and writes, in this or that order. */
START_TEST(devices_outlive_missing_memory)
{
	uint8_t data[2 * PAGE];

	guard();
	ck_assert_int_eq(ftruncate(fd, 2 * PAGE + 7), 0);
	errno = ENOTTY;
	if (_i)
		ck_assert_int_eq(guest_memory_write(&memory, 4 * PAGE - 1,
						    "xyz", 3), 0);
	ck_assert_int_eq(guest_memory_read(&memory, 3 * PAGE + 9, data,
					   sizeof(data)), 0);
	/* Three pages of which nothing is there. */
	ck_assert_uint_eq(losses, 3);
	ck_assert_int_eq(errno, ENOTTY);
	for (unsigned int i = 0; i < sizeof(data); i++) {
		unsigned int at = i + 9;

		if (_i && at >= PAGE - 1 && at < PAGE + 2)
			ck_assert_uint_eq(data[i], "xyz"[at - (PAGE - 1)]);
		else
			ck_assert_uint_eq(data[i], 0);
	}
	/* The rest is what it was. */
	ck_assert_uint_eq(ram[0], 'a');
	ck_assert_uint_eq(ram[2 * PAGE], 'c');
	ck_assert_uint_eq(losses, 3);
}
END_TEST

static void *look(void *opaque)
{
	return (void *)(uintptr_t)*(volatile uint8_t *)opaque;
}

START_TEST(it_is_found_out_on_any_thread)
{
	pthread_t thread;
	void *found = ram;

	guard();
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, look, ram + PAGE), 0);
	pthread_join(thread, &found);
	ck_assert_ptr_null(found);
	ck_assert_uint_eq(losses, 1);
}
END_TEST

/* In a child. Return: the signal that it died of. */
static int dies_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void look_elsewhere(void)
{
	look(map());
}

static void be_killed(void)
{
	kill(getpid(), SIGBUS);
}

static void look_when_unguarded(void)
{
	image_unguard(ram);
	look(ram);
}

START_TEST(other_bus_errors_are_what_they_were)
{
	guard();
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(dies_of(look_elsewhere), SIGBUS);
	ck_assert_int_eq(dies_of(be_killed), SIGBUS);
	ck_assert_int_eq(dies_of(look_when_unguarded), SIGBUS);
}
END_TEST

START_TEST(two_machines_can_be_guarded_time_and_again)
{
	uint8_t *regions[2 * GUEST_REGIONS_MAX];
	unsigned int other = 0;

	for (int turn = 0; turn < 3; turn++) {
		for (unsigned int i = 0; i < 2 * GUEST_REGIONS_MAX; i++) {
			regions[i] = map();
			ck_assert_int_eq(image_guard(regions[i], SIZE, lose,
						     i == 5 ? &other : &losses,
						     &why), 0);
		}
		ck_assert_int_eq(image_guard(ram, SIZE, lose, NULL, &why),
				 -ENOSPC);
		if (turn == 2) {
			ck_assert_int_eq(ftruncate(fd, 0), 0);
			look(regions[5]);
			ck_assert_uint_eq(other, 1);
			ck_assert_uint_eq(losses, 0);
		}
		for (unsigned int i = 0; i < 2 * GUEST_REGIONS_MAX; i++) {
			image_unguard(regions[i]);
			munmap(regions[i], SIZE);
		}
	}
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(image_of_another_length_is_refused),
		UNIT_TEST(image_that_is_what_it_was_passes),
		UNIT_TEST(image_that_was_cut_off_is_named),
		UNIT_LOOP(devices_outlive_missing_memory, 2),
		UNIT_TEST(it_is_found_out_on_any_thread),
		UNIT_TEST(other_bus_errors_are_what_they_were),
		UNIT_TEST(two_machines_can_be_guarded_time_and_again),
	};

	return UNIT_RUN("vmm_image", cases, setup, teardown);
}
