/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that tell where in a stream they belong, and in which stream: the
 * 32-bit little-endian word at offset 4 * i is seed + i. Cheap to make and to
 * check, at any offset and length: a sum and a comparison per 16 bytes.
 */
#ifndef WHERRY_TESTS_BENCH_PATTERN_H
#define WHERRY_TESTS_BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** pattern_seed() - Return: the seed of stream number @stream */
uint32_t pattern_seed(unsigned int stream);

/** pattern_fill() - write @len bytes that belong at @offset of a stream */
void pattern_fill(void *buf, size_t len, uint32_t seed, uint64_t offset);

/** pattern_check() - Return: are these the bytes that belong there? */
bool pattern_check(const void *buf, size_t len, uint32_t seed,
		   uint64_t offset);

#endif
