// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, writing, and the check: what is written is accepted, and what
 * could not have been written is not.
 */
#include "tests/unit/virtio_state_bed.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/corpus.h"

START_TEST(first_error_sticks)
{
	state_put_u32(&writer, "first bad", 1);
	state_put_u32(&writer, "second bad", 1);
	state_begin(&writer, "also bad");
	state_put_u32(&writer, "good", 1);
	state_end(&writer);
	ck_assert_int_eq(finish(), -EINVAL);
	ck_says(&why, "\"first bad\" is no name for a property");
}
END_TEST

START_TEST(bad_name_is_not_written)
{
	static const char *const names[] = {
		"", "a b", "a/b", "@1", "a@", "a@1@2", "a\n",
		"n2345678901234567890123456789012", "\303\244",
	};

	state_begin(&writer, "%s", names[_i]);
	state_end(&writer);
	ck_assert_int_eq(finish(), -EINVAL);
	ck_says(&why, "is no name for a node");
	ck_assert(!state_name_valid(names[_i], strlen(names[_i]), true));
}
END_TEST

START_TEST(what_would_be_refused_is_not_written)
{
	switch (_i) {
	case 0:
		state_put_u32(&writer, "twice", 1);
		state_put_u32(&writer, "twice", 1);
		break;
	case 1:
		state_begin(&writer, "node");
		state_end(&writer);
		state_put_u32(&writer, "late", 1);
		break;
	case 2:
		for (int i = 0; i < 2; i++) {
			state_begin(&writer, "node@1");
			state_end(&writer);
		}
		break;
	case 3:
		for (int i = 0; i < 6; i++)
			state_begin(&writer, "n");
		for (int i = 0; i < 6; i++)
			state_end(&writer);
		break;
	default:
		for (int i = 0; i < 129; i++) {
			state_begin(&writer, "n@%x", i);
			state_end(&writer);
		}
		break;
	}
	ck_assert_int_eq(finish(), -EINVAL);
	ck_says(&why, "saved state: ");
}
END_TEST

START_TEST(buffer_grows_up_to_the_cap)
{
	size_t len = STATE_SIZE_MAX - 200;
	uint8_t *blob = malloc(STATE_SIZE_MAX);
	const void *data;
	size_t found;

	memset(blob, 0x55, STATE_SIZE_MAX);
	state_put_u32(&writer, "before", 1);
	state_put_blob(&writer, "blob", blob, len);
	state_put_u32(&writer, "after", 1);
	finish_well();
	ck_assert_int_eq(state_get_blob(&root, "blob", &data, &found, &why), 0);
	ck_assert_uint_eq(found, len);
	ck_assert_mem_eq(data, blob, len);
	state_writer_free(&writer);

	ck_assert_int_eq(state_writer_init(&writer), 0);
	state_put_blob(&writer, "blob", blob, STATE_SIZE_MAX - 20);
	ck_assert_int_eq(finish(), -EFBIG);
	ck_says(&why, "larger than 4194304 bytes");
	free(blob);
}
END_TEST

START_TEST(same_state_gives_the_same_bytes)
{
	struct state_writer other;
	const void *a, *b;
	size_t a_len, b_len;

	/* Heap that others have used: libfdt does not clear the padding. */
	for (size_t size = 1 << 14; size <= 1 << 17; size *= 2) {
		uint8_t *dirty = malloc(size);

		memset(dirty, 0xaa, size);
		free(dirty);
	}
	ck_assert_int_eq(state_writer_init(&other), 0);
	for (int round = 0; round < 2; round++) {
		struct state_writer *w = round ? &other : &writer;

		for (unsigned int i = 0; i < 100; i++) {
			state_begin(w, "node@%x", i);
			for (unsigned int k = 0; k < 15; k++) {
				char name[8];

				snprintf(name, sizeof(name), "p%u", k);
				state_put_blob(w, name, "abcdefghijklmno", k);
			}
			state_end(w);
		}
	}
	ck_assert_int_eq(state_writer_finish(&writer, &a, &a_len, &why), 0);
	ck_assert_int_eq(state_writer_finish(&other, &b, &b_len, &why), 0);
	ck_assert_uint_gt(a_len, 16 << 10);
	ck_assert_uint_eq(a_len, b_len);
	ck_assert_mem_eq(a, b, a_len);
	state_writer_free(&other);
}
END_TEST

/* Grows trees of all shapes within the caps; the writer checks them itself. */
static void write_random(unsigned int seed)
{
	uint8_t blob[600] = { 1, 2, 3 };
	unsigned int depth = 1;
	unsigned int serial = 0;
	char name[16];

	for (unsigned int i = 0; i < 300; i++) {
		unsigned int n = rand_r(&seed);

		if (n % 3 == 0 && depth < STATE_DEPTH_MAX) {
			state_begin(&writer, "node@%x", serial++);
			depth++;
			for (unsigned int k = 0; k < n / 7 % 20; k++) {
				snprintf(name, sizeof(name), "p%x",
					 n % 50 + k);
				state_put_blob(&writer, name, blob,
					       n / 11 % sizeof(blob));
			}
		} else if (depth > 1) {
			state_end(&writer);
			depth--;
		}
	}
	for (; depth > 1; depth--)
		state_end(&writer);
}

START_TEST(whatever_is_written_passes_the_check)
{
	write_random(_i);
	finish_well();
	ck_assert_int_eq(state_check(root.fdt, fdt_totalsize(root.fdt), &why),
			 0);
	ck_assert_int_eq(fdt_check_full(root.fdt, fdt_totalsize(root.fdt)), 0);
}
END_TEST

/* A small tree with everything in it, in memory of its own. */
static uint8_t *small_tree(size_t *len)
{
	const void *data;
	uint8_t *copy;

	state_put_u32(&writer, "version", 1);
	state_put_string(&writer, "text", "hello");
	state_begin(&writer, "device@1");
	state_put_u64(&writer, "u64", 1);
	state_put_blob(&writer, "empty", "", 0);
	state_end(&writer);
	state_begin(&writer, "device@2");
	state_end(&writer);
	ck_assert_int_eq(state_writer_finish(&writer, &data, len, &why), 0);
	copy = malloc(*len);
	memcpy(copy, data, *len);
	return copy;
}

START_TEST(every_truncation_is_refused)
{
	size_t len;
	uint8_t *tree = small_tree(&len);

	ck_assert_int_eq(state_check(tree, len, &why), 0);
	for (size_t i = 0; i < len; i++) {
		/* Of its own length, so that a sanitizer sees more. */
		uint8_t *cut = malloc(i ? i : 1);

		memcpy(cut, tree, i);
		ck_assert_int_eq(state_check(cut, i, &why), -EINVAL);
		if (i >= 8) {
			fdt32_t total = cpu_to_fdt32((uint32_t)i);

			memcpy(cut + 4, &total, sizeof(total));
			ck_assert_int_eq(state_check(cut, i, &why), -EINVAL);
		}
		free(cut);
	}
	free(tree);
}
END_TEST

/* A flip may well make another good tree: then libfdt must think so too. */
START_TEST(every_flipped_bit_is_refused_or_harmless)
{
	size_t len;
	uint8_t *tree = small_tree(&len);

	for (size_t i = 0; i < len * 8; i++) {
		tree[i / 8] ^= (uint8_t)(1 << i % 8);
		if (!state_check(tree, len, &why))
			ck_assert_int_eq(fdt_check_full(tree, len), 0);
		tree[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(tree);
}
END_TEST

START_TEST(corpus_is_judged_by_its_names)
{
	corpus_judge("state", state_check);
}
END_TEST

START_TEST(too_large_a_tree_is_refused)
{
	uint8_t *data = calloc(1, STATE_SIZE_MAX + 1);

	ck_assert_int_eq(state_check(data, STATE_SIZE_MAX + 1, &why), -EINVAL);
	ck_says(&why, "at most 4194304");
	free(data);
}
END_TEST

/* As many names to compare as the caps allow, alike up to their ends. */
START_TEST(largest_tree_is_checked_in_no_time)
{
	clock_t start;
	char name[32];

	for (unsigned int i = 0; i < STATE_PROPERTIES_TOTAL; i++) {
		unsigned int k = i % STATE_PROPERTIES_MAX;

		if (!k)
			state_begin(&writer, "node@%x",
				    i / STATE_PROPERTIES_MAX);
		snprintf(name, sizeof(name), "a-name-as-long-as-can-be-%02x",
			 k);
		state_put_blob(&writer, name, "", 0);
		if (k == STATE_PROPERTIES_MAX - 1)
			state_end(&writer);
	}
	finish_well();
	start = clock();
	ck_assert_int_eq(state_check(root.fdt, fdt_totalsize(root.fdt), &why),
			 0);
	/* Some 20 ms; a sanitizer makes it more. */
	ck_assert_int_lt(clock() - start, 5 * CLOCKS_PER_SEC);
	printf("# %ld us\n", (long)((clock() - start) * 1000000 /
				    CLOCKS_PER_SEC));
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(first_error_sticks),
		UNIT_LOOP(bad_name_is_not_written, 9),
		UNIT_LOOP(what_would_be_refused_is_not_written, 5),
		UNIT_TEST(buffer_grows_up_to_the_cap),
		UNIT_TEST(same_state_gives_the_same_bytes),
		UNIT_LOOP(whatever_is_written_passes_the_check, 50),
		UNIT_TEST(every_truncation_is_refused),
		UNIT_TEST(every_flipped_bit_is_refused_or_harmless),
		UNIT_TEST(corpus_is_judged_by_its_names),
		UNIT_TEST(too_large_a_tree_is_refused),
		UNIT_TEST(largest_tree_is_checked_in_no_time),
	};

	return UNIT_RUN("state-write", cases, state_bed_setup,
			state_bed_teardown);
}
