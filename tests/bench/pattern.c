// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Position-dependent bytes. See pattern.h. Pure; called by every process of
 * the benchmark.
 */
#include "tests/bench/pattern.h"

#include <string.h>

#define LANES 4u

/* So that the loops' speed does not depend on where the linker puts them. */
#define ALIGNED __attribute__((aligned(64)))

typedef uint32_t words __attribute__((vector_size(4 * LANES)));

static uint8_t byte_at(uint32_t seed, uint64_t offset)
{
	uint32_t word = seed + (uint32_t)(offset / 4);

	return (uint8_t)(word >> 8 * (offset % 4));
}

/* How many of @len bytes lie before the next word? */
static size_t to_next_word(uint64_t offset, size_t len)
{
	size_t lead = (4 - offset % 4) % 4;

	return lead < len ? lead : len;
}

static words first_words(uint32_t seed, uint64_t offset)
{
	uint32_t word = seed + (uint32_t)(offset / 4);

	return (words){ word, word + 1, word + 2, word + 3 };
}

uint32_t pattern_seed(unsigned int stream)
{
	return (stream + 1) * UINT32_C(2654435761);
}

ALIGNED void pattern_fill(void *buf, size_t len, uint32_t seed, uint64_t offset)
{
	uint8_t *to = buf;
	size_t done = to_next_word(offset, len);
	words next;

	for (size_t i = 0; i < done; i++)
		to[i] = byte_at(seed, offset + i);
	next = first_words(seed, offset + done);
	for (; len - done >= sizeof(next); done += sizeof(next)) {
		memcpy(to + done, &next, sizeof(next));
		next += LANES;
	}
	for (; done < len; done++)
		to[done] = byte_at(seed, offset + done);
}

ALIGNED bool pattern_check(const void *buf, size_t len, uint32_t seed,
			   uint64_t offset)
{
	const uint8_t *from = buf;
	size_t done = to_next_word(offset, len);
	words next, there, wrong = { 0 };
	uint32_t bad = 0;

	for (size_t i = 0; i < done; i++)
		bad |= from[i] ^ byte_at(seed, offset + i);
	next = first_words(seed, offset + done);
	for (; len - done >= sizeof(next); done += sizeof(next)) {
		memcpy(&there, from + done, sizeof(there));
		wrong |= there ^ next;
		next += LANES;
	}
	for (; done < len; done++)
		bad |= from[done] ^ byte_at(seed, offset + done);
	for (unsigned int i = 0; i < LANES; i++)
		bad |= wrong[i];
	return !bad;
}
