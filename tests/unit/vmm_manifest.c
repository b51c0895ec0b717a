// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manifest's text, line by line, and CRC32C.
 */
#include "tests/unit/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/corpus.h"
#include "vmm/manifest.h"

#define FIRST	"wherry-snapshot 1\n"
#define ARCH	"arch x86_64\n"
#define SIZE	"memory-size 4096\n"
#define STATE	"file state.dtb 140 0123abcd\n"
#define MEMORY	"file memory 4096 00000000\n"

static struct fail why;

/* Parses the lines with the right CRC behind them. */
static int parse(const char *lines, struct manifest *m)
{
	char text[4096];
	int len;

	len = snprintf(text, sizeof(text), "%scrc %08" PRIx32 "\n", lines,
		       crc32c(0, lines, strlen(lines)));
	ck_assert_int_lt(len, sizeof(text));
	return manifest_parse(text, len, m, &why);
}

START_TEST(crc32c_is_that_of_rfc_3720)
{
	uint8_t data[32] = { 0 };

	/* RFC 3720, B.4, as big-endian words there. */
	ck_assert_uint_eq(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	ck_assert_uint_eq(crc32c(0, data, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	ck_assert_uint_eq(crc32c(0, data, 32), 0x46dd794e);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(crc32c_may_be_computed_in_pieces)
{
	const char *text = "the quick brown fox jumps over the lazy dog";
	size_t len = strlen(text);
	uint32_t whole = crc32c(0, text, len);

	for (size_t i = 0; i <= len; i++)
		ck_assert_uint_eq(crc32c(crc32c(0, text, i), text + i, len - i),
				  whole);
}
END_TEST

START_TEST(crc32c_of_zeros_is_that_of_the_bytes)
{
	static const uint8_t zeros[70000];
	uint32_t start = crc32c(0, "abc", _i ? 3 : 0);

	for (size_t len = 0; len < sizeof(zeros); len += len < 70 ? 1 : 997)
		ck_assert_uint_eq(crc32c_zeros(start, len),
				  crc32c(start, zeros, len));
	/* 2^40 bytes, in one step or two. */
	ck_assert_uint_eq(crc32c_zeros(start, UINT64_C(1) << 40),
			  crc32c_zeros(crc32c_zeros(start, 12345),
				       (UINT64_C(1) << 40) - 12345));
}
END_TEST

START_TEST(manifest_comes_back)
{
	struct manifest m = { .arch = "x86_64", .memory_size = UINT64_MAX };
	struct manifest found;
	char text[4096];
	int len;

	manifest_add_file(&m, "memory", UINT64_MAX, 0);
	manifest_add_file(&m, "state.dtb", 0, UINT32_MAX);
	len = manifest_format(&m, text, sizeof(text));
	ck_assert_int_eq(len, strlen(text));
	ck_assert_int_eq(manifest_parse(text, len, &found, &why), 0);
	ck_assert_str_eq(found.arch, "x86_64");
	ck_assert_uint_eq(found.memory_size, UINT64_MAX);
	ck_assert_uint_eq(found.files, 2);
	ck_assert_str_eq(found.file[0].name, "memory");
	ck_assert_uint_eq(found.file[0].length, UINT64_MAX);
	ck_assert_uint_eq(found.file[0].crc, 0);
	ck_assert_uint_eq(manifest_find_file(&found, "state.dtb")->crc,
			  UINT32_MAX);
	ck_assert_ptr_null(manifest_find_file(&found, "state"));
	ck_assert(manifest_is_ours(text, len));
	ck_assert(!manifest_is_ours(text, 10));
}
END_TEST

START_TEST(largest_manifest_comes_back)
{
	struct manifest m = { .memory_size = UINT64_MAX };
	char *text = malloc(MANIFEST_SIZE_MAX);
	struct manifest found;
	char name[32];
	int len;

	memset(m.arch, 'a', MANIFEST_WORD_MAX);
	for (unsigned int i = 0; i < MANIFEST_FILES_MAX; i++) {
		snprintf(name, sizeof(name),
			 "a-name-as-long-as-any-can-be-%02x", i);
		manifest_add_file(&m, name, UINT64_MAX, UINT32_MAX);
	}
	len = manifest_format(&m, text, MANIFEST_SIZE_MAX);
	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(manifest_parse(text, len, &found, &why), 0);
	ck_assert_mem_eq(&m, &found, sizeof(m));
	for (int size = 0; size <= len; size++)
		ck_assert_int_eq(manifest_format(&m, text, size), -ENOSPC);
	ck_assert_int_eq(manifest_format(&m, text, len + 1), len);
	free(text);
}
END_TEST

START_TEST(wrong_line_is_refused_by_its_number)
{
	static const struct {
		const char *lines;
		const char *reason;
	} bad[] = {
		{ ARCH SIZE STATE, "line 1" },
		{ "wherry-snapshot\n" ARCH, "line 1" },
		{ "wherry-snapshot 01\n" ARCH, "line 1" },
		{ "wherry-snapshot 1 \n" ARCH, "line 1" },
		{ FIRST SIZE STATE, "line 2" },
		{ FIRST "arch \n" SIZE STATE, "line 2" },
		{ FIRST "arch x86 64\n" SIZE STATE, "line 2" },
		{ FIRST "arch X86\n" SIZE STATE, "line 2" },
		{ FIRST "arch  x86\n" SIZE STATE, "line 2" },
		{ FIRST "arch \033[2J\n" SIZE STATE, "line 2" },
		{ FIRST "arch aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" SIZE STATE,
		  "line 2" },
		{ FIRST ARCH STATE, "line 3" },
		{ FIRST ARCH "memory-size 04096\n" STATE, "line 3" },
		{ FIRST ARCH "memory-size -1\n" STATE, "line 3" },
		{ FIRST ARCH "memory-size 0x10\n" STATE, "line 3" },
		{ FIRST ARCH "memory-size 18446744073709551616\n" STATE,
		  "line 3" },
		{ FIRST ARCH "memory-size \n" STATE, "line 3" },
		{ FIRST ARCH SIZE, "no \"file\" line" },
		{ FIRST ARCH SIZE STATE "note hello\n", "line 5" },
		{ FIRST ARCH SIZE STATE "\n" MEMORY, "line 5" },
		{ FIRST ARCH SIZE STATE "# comment\n", "line 5" },
		{ FIRST ARCH SIZE STATE STATE, "line 5" },
		{ FIRST ARCH SIZE STATE ARCH, "line 5" },
		{ FIRST ARCH SIZE "file ../passwd 1 00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file .hidden 1 00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file a/b 1 00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file A 1 00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file  1 00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1 0000000\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1 000000000\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1 0000000A\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1 00000000 x\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1 00000000\r\n", "line 4" },
		{ FIRST ARCH SIZE "file a 1  00000000\n", "line 4" },
		{ FIRST ARCH SIZE "file a\t1 00000000\n", "line 4" },
	};
	struct manifest m;

	for (unsigned int i = 0; i < UNIT_COUNT(bad); i++) {
		ck_assert_int_eq(parse(bad[i].lines, &m), -EINVAL);
		ck_says(&why, bad[i].reason);
		ck_assert_uint_eq(m.files, 0);
	}
	ck_assert_int_eq(parse(FIRST ARCH SIZE STATE MEMORY, &m), 0);
}
END_TEST

START_TEST(too_many_files_are_refused)
{
	char lines[2048] = FIRST ARCH SIZE;
	struct manifest m;

	for (unsigned int i = 0; i < MANIFEST_FILES_MAX; i++)
		sprintf(lines + strlen(lines), "file f%u 1 00000000\n", i);
	ck_assert_int_eq(parse(lines, &m), 0);
	strcat(lines, MEMORY);
	ck_assert_int_eq(parse(lines, &m), -EINVAL);
	ck_says(&why, "line 12: more than 8 files");
}
END_TEST

START_TEST(other_version_is_told_before_anything_else)
{
	const char *text = "wherry-snapshot 23\n\001 no line of ours\n";
	struct manifest m;

	ck_assert_int_eq(manifest_parse(text, strlen(text), &m, &why),
			 -ENOTSUP);
	ck_says(&why, "line 1: snapshot format 23, this program reads "
		      "format 1");
}
END_TEST

START_TEST(damage_is_told_before_lines)
{
	const char *text = FIRST "arch ?\ncrc 01234567\n";
	struct manifest m;

	ck_assert_int_eq(manifest_parse(text, strlen(text), &m, &why),
			 -EBADMSG);
	ck_says(&why, "damaged");
	ck_says(&why, "01234567");
}
END_TEST

START_TEST(nothing_may_follow_the_crc)
{
	const char *lines = FIRST ARCH SIZE STATE;
	char text[256];
	struct manifest m;
	int len;

	len = snprintf(text, sizeof(text), "%scrc %08" PRIx32 "\n", lines,
		       crc32c(0, lines, strlen(lines)));
	ck_assert_int_eq(manifest_parse(text, len, &m, &why), 0);
	ck_assert_int_eq(manifest_parse(text, len + 1, &m, &why), -EINVAL);
	strcat(text, "\n");
	ck_assert_int_eq(manifest_parse(text, len + 1, &m, &why), -EINVAL);
	text[len] = '\0';
	/* A second CRC over all that makes the first a line like others. */
	ck_assert_int_eq(parse(text, &m), -EINVAL);
	ck_says(&why, "line 5");
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	const char *lines = FIRST ARCH SIZE STATE MEMORY;
	char text[256];
	struct manifest m;
	int len;

	len = snprintf(text, sizeof(text), "%scrc %08" PRIx32 "\n", lines,
		       crc32c(0, lines, strlen(lines)));
	for (int i = 0; i < len; i++)
		ck_assert_int_eq(manifest_parse(text, i, &m, &why), -EINVAL);
}
END_TEST

START_TEST(too_long_a_manifest_is_refused)
{
	char *text = calloc(1, MANIFEST_SIZE_MAX + 1);
	struct manifest m;

	ck_assert_int_eq(manifest_parse(text, MANIFEST_SIZE_MAX + 1, &m, &why),
			 -EINVAL);
	ck_says(&why, "at most 65536");
	free(text);
}
END_TEST

static int parse_file(const void *data, size_t len, struct fail *reason)
{
	struct manifest m;

	return manifest_parse(data, len, &m, reason);
}

START_TEST(corpus_is_judged_by_its_names)
{
	corpus_judge("manifest", parse_file);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(crc32c_is_that_of_rfc_3720),
		UNIT_TEST(crc32c_may_be_computed_in_pieces),
		UNIT_LOOP(crc32c_of_zeros_is_that_of_the_bytes, 2),
		UNIT_TEST(manifest_comes_back),
		UNIT_TEST(largest_manifest_comes_back),
		UNIT_TEST(wrong_line_is_refused_by_its_number),
		UNIT_TEST(too_many_files_are_refused),
		UNIT_TEST(other_version_is_told_before_anything_else),
		UNIT_TEST(damage_is_told_before_lines),
		UNIT_TEST(nothing_may_follow_the_crc),
		UNIT_TEST(every_truncation_is_refused),
		UNIT_TEST(too_long_a_manifest_is_refused),
		UNIT_TEST(corpus_is_judged_by_its_names),
	};

	return UNIT_RUN("manifest", cases, NULL, NULL);
}
