// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs the tests of one program under libcheck, TAP on standard output.
 *
 * The tables in the test programs list tests one by one; a test that was
 * written and not listed is an unused variable, which the compiler tells.
 * CK_FORK=no, CK_RUN_CASE and the like work as libcheck documents them.
 */
#include "tests/unit/runner.h"

#include <stdlib.h>

/* Sanitizers and valgrind make the default of 4 s a matter of luck. */
#define TIMEOUT_SECONDS 60

static TCase *make_tcase(const struct unit_group *group)
{
	TCase *tcase = tcase_create(group->name);

	tcase_set_timeout(tcase, TIMEOUT_SECONDS);
	tcase_add_checked_fixture(tcase, group->setup, group->teardown);
	for (unsigned int i = 0; i < group->count; i++) {
		const struct unit_case *c = &group->cases[i];

		tcase_add_loop_test(tcase, c->test, c->from, c->to);
	}
	return tcase;
}

int unit_run(const char *name, const struct unit_group *groups,
	     unsigned int count)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	for (unsigned int i = 0; i < count; i++)
		suite_add_tcase(suite, make_tcase(&groups[i]));
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
