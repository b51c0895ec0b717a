/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of vmm/options.c share: a command line, as words.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_OPTIONS_BED_H
#define WHERRY_TESTS_UNIT_VMM_OPTIONS_BED_H

#include "tests/unit/runner.h"
#include "vmm/options.h"

#define WORDS_MAX 24

/**
 * struct refusal - a command line that cannot be
 * @rule: which rule it breaks
 * @argv: after the program's name
 * @said: what the reason must contain
 */
struct refusal {
	const char *rule;
	const char *argv[WORDS_MAX];
	const char *said;
};

/* Of the last PARSE(). */
extern struct options options;
extern struct fail why;

/**
 * PARSE() - options_parse(), of words behind the program's name
 *
 * options_free() what was parsed before. Return: as options_parse().
 */
#define PARSE(...) options_try((const char *const[]){ __VA_ARGS__, NULL })
int options_try(const char *const *words);

/** options_refused() - asserts that it is, with a reason that says why */
void options_refused(const struct refusal *refusal);

/** options_teardown() - for UNIT_RUN() */
void options_teardown(void);

#endif
