/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The corpora of the fuzz targets as cases for a unit test.
 */
#ifndef WHERRY_TESTS_UNIT_CORPUS_H
#define WHERRY_TESTS_UNIT_CORPUS_H

#include <stddef.h>

#include "virtio/fail.h"

/**
 * corpus_judge() - parse each file of a corpus, and judge it by its name
 * @target: the corpus, by its folder in tests/fuzz/corpus
 * @parse: the parser. Its data is aligned for any type. Return: 0 if it is
 *	accepted.
 *
 * Asserts that files valid* are accepted and others refused, but for found-*,
 * which may be either.
 */
void corpus_judge(const char *target,
		  int (*parse)(const void *data, size_t len, struct fail *why));

#endif
