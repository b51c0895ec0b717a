// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the tests of vmm/options.c share: a command line, as words.
 */
#include "tests/unit/vmm_options_bed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOL_MAX 256

struct options options;
struct fail why;
/* What was parsed points to its words: they stay until the test ends. */
static char *pool[POOL_MAX];
static unsigned int pooled;

int options_try(const char *const *words)
{
	static char program[] = "wherry";
	char *argv[WORDS_MAX + 2] = { program };
	int argc = 1;

	for (; words[argc - 1]; argc++) {
		ck_assert_int_le(argc, WORDS_MAX);
		ck_assert_uint_lt(pooled, POOL_MAX);
		argv[argc] = strdup(words[argc - 1]);
		ck_assert_ptr_nonnull(argv[argc]);
		pool[pooled++] = argv[argc];
	}
	why.text[0] = '\0';
	return options_parse(argc, argv, &options, &why);
}

void options_refused(const struct refusal *refusal)
{
	ck_assert_msg(options_try(refusal->argv) == -EINVAL, "%s was accepted",
		      refusal->rule);
	ck_assert_msg(strstr(why.text, refusal->said), "%s: '%s' lacks '%s'",
		      refusal->rule, why.text, refusal->said);
}

void options_teardown(void)
{
	options_free(&options);
	while (pooled)
		free(pool[--pooled]);
}
