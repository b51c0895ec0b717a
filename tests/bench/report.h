/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the benchmark prints.
 */
#ifndef WHERRY_TESTS_BENCH_REPORT_H
#define WHERRY_TESTS_BENCH_REPORT_H

#include "tests/bench/bed.h"

#define REPORT_ROUNDS_MAX 99u

/**
 * struct report_bed - what a bed achieved
 * @count: rounds that count
 * @result: one each
 * @status: NULL: all well; else why there are not more
 */
struct report_bed {
	unsigned int count;
	struct bed_result result[REPORT_ROUNDS_MAX];
	const char *status;
};

/** report_begin() - the head of the table */
void report_begin(const struct bench_options *options);
/** report_measure() - a line, or an object */
void report_measure(const struct bench_options *options,
		    const struct bench_measure *measure,
		    const struct report_bed beds[BED_KINDS]);

#endif
