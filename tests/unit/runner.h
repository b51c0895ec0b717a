/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main() of a unit test, TAP on standard output; includes <check.h>, which is
 * not to be included directly.
 */
#ifndef WHERRY_TESTS_UNIT_RUNNER_H
#define WHERRY_TESTS_UNIT_RUNNER_H

#include <check.h>
#include <string.h>

/* An old name of ck_abort_msg(); ours is a function (virtio/fail.h). */
#undef fail

/** ck_says() - the reason in a struct fail names what it should */
#define ck_says(why, needle) \
	ck_assert_msg(strstr((why)->text, (needle)), \
		      "reason \"%s\" does not say \"%s\"", (why)->text, needle)

/**
 * struct unit_case - one row of a test program's table
 * @test: what START_TEST() made
 * @from: first value of its _i
 * @to: one past the last
 */
struct unit_case {
	const TTest *test;
	int from;
	int to;
};

/* A test; a test that is run once for each _i in 0 .. count - 1. */
#define UNIT_TEST(name) { (name), 0, 1 }
#define UNIT_LOOP(name, count) { (name), 0, (int)(count) }

/**
 * struct unit_group - tests that start from the same place
 * @name: in the test's names
 * @cases: the tests
 * @count: how many
 * @setup: before each test; NULL: nothing
 * @teardown: after each test; NULL: nothing
 */
struct unit_group {
	const char *name;
	const struct unit_case *cases;
	unsigned int count;
	void (*setup)(void);
	void (*teardown)(void);
};

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNIT_GROUP(name, cases, setup, teardown) \
	{ (name), (cases), UNIT_COUNT(cases), (setup), (teardown) }

/**
 * unit_run() - run all tests of a program
 * @name: of the program
 *
 * Return: the exit status for main().
 */
int unit_run(const char *name, const struct unit_group *groups,
	     unsigned int count);

/* The usual case of one group. */
#define UNIT_RUN(name, cases, setup, teardown) \
	unit_run(name, &(const struct unit_group) \
		 UNIT_GROUP(name, cases, setup, teardown), 1)

#endif
