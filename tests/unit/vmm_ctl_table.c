// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/ctl_table.c and vmm/ctl_progress.c: what people see.
 */
#include "vmm/ctl_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/runner.h"
#include "vmm/ctl_progress.h"

static char *printed(const char *json, bool pretty)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctl_print(out, value, pretty), 0);
	fclose(out);
	json_decref(value);
	return text;
}

START_TEST(people_get_a_table)
{
	char *text = printed("{\"list\":[1,{\"b\":2}],"
			     "\"status\":\"running\",\"on\":true,"
			     "\"empty\":{},\"sum\":{\"a\":1,\"bcd\":[2]}}",
			     true);

	ck_assert_str_eq(text, "status  running\n"
			       "on      true\n"
			       "empty   {}\n"
			       "list\n"
			       "  1\n"
			       "  {\"b\":2}\n"
			       "sum\n"
			       "  a    1\n"
			       "  bcd  [2]\n");
	free(text);
	text = printed("{}", true);
	ck_assert_str_eq(text, "");
	free(text);
	text = printed("[1]", true);
	ck_assert_str_eq(text, "[\n  1\n]\n");
	free(text);
}
END_TEST

START_TEST(a_terminal_gets_no_orders)
{
	static const struct { const char *json, *text; } orders[] = {
		{ "{\"a\":\"\\u001b[2J\"}", "a  \"\\u001B[2J\"\n" },
		/* CSI of one byte, in UTF-8. */
		{ "{\"a\":\"\\u009b2J\"}", "a  \"\\u009B2J\"\n" },
		{ "{\"\\u001b[2J\":1}", "?  1\n" },
		{ "[\"\\u009b\"]", "[\n  \"\\u009B\"\n]\n" },
		{ "[{\"\\u009b\":\"\\u001b\"}]", "?\n\"\\u001B\"\n" },
	};

	for (size_t i = 0; i < UNIT_COUNT(orders); i++) {
		char *text = printed(orders[i].json, true);

		ck_assert_str_eq(text, orders[i].text);
		free(text);
	}
}
END_TEST

START_TEST(arrays_of_objects_are_columns)
{
	char *text = printed("[{\"name\":\"a\"},{\"name\":\"bcd\"}]", true);

	ck_assert_str_eq(text, "name\na\nbcd\n");
	free(text);
	/* Numbers stand to the right; what is missing is a dash. */
	text = printed("{\"cid\":3,\"connections\":["
		       "{\"port\":1234,\"state\":\"open\",\"credit\":5},"
		       "{\"port\":7,\"state\":\"\\u00fc\","
		       "\"more\":{\"x\":[]}}]}",
		       true);
	ck_assert_str_eq(text, "cid  3\n"
			       "connections\n"
			       "  port  state  credit  more\n"
			       "  1234  open        5  -\n"
			       "     7  \u00fc           -  {\"x\":[]}\n");
	free(text);
	text = printed("[{},{}]", true);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(bytes_and_microseconds_have_units)
{
	static const struct { const char *json, *text; } numbers[] = {
		{ "{\"a-bytes\":0}", "a-bytes  0 B\n" },
		{ "{\"a-bytes\":1023}", "a-bytes  1023 B\n" },
		{ "{\"a-bytes\":1536}", "a-bytes  1.5 KiB\n" },
		{ "{\"a-bytes\":268435456}", "a-bytes  256 MiB\n" },
		{ "{\"a-bytes\":9223372036854775807}", "a-bytes  8 EiB\n" },
		{ "{\"a-bytes\":-1}", "a-bytes  -1\n" },
		{ "{\"a-bytes\":\"x\"}", "a-bytes  x\n" },
		{ "{\"a-written\":1024}", "a-written  1 KiB\n" },
		{ "{\"bytes\":2048}", "bytes  2048\n" },
		{ "{\"a-us\":999}", "a-us  999 us\n" },
		{ "{\"a-us\":1500}", "a-us  1.5 ms\n" },
		{ "{\"a-us\":2500000}", "a-us  2.50 s\n" },
		{ "{\"status\":2500000}", "status  2500000\n" },
		{ "{\"s\":{\"a-us\":1}}", "s\n  a-us  1 us\n" },
		{ "[{\"a-bytes\":1024}]", "a-bytes\n  1 KiB\n" },
	};

	for (size_t i = 0; i < UNIT_COUNT(numbers); i++) {
		char *text = printed(numbers[i].json, true);

		ck_assert_str_eq(text, numbers[i].text);
		free(text);
	}
	/* A program gets the number. */
	char *text = printed("{\"a-bytes\":1536}", false);

	ck_assert_str_eq(text, "{\"a-bytes\":1536}\n");
	free(text);
}
END_TEST

static const struct {
	uint64_t done, total;
	unsigned int columns;
	const char *phase, *text;
} bars[] = {
	{ 0, 4096, 80, "copying",
	  "copying [----------------------------------------]   0%  "
	  "0 B of 4 KiB" },
	{ 3072, 4096, 80, "copying",
	  "copying [##############################----------]  75%  "
	  "3 KiB of 4 KiB" },
	{ 4096, 4096, 44, "copying",
	  "copying [#############] 100%  4 KiB of 4 KiB" },
	{ 9999, 4096, 41, "x", "x [################] 100%  4 KiB of 4 KiB" },
	{ 0, 0, 80, "x",
	  "x [########################################] 100%  0 B of 0 B" },
	{ 1024, 4096, 80, "\033[2J",
	  "? [##########------------------------------]  25%  "
	  "1 KiB of 4 KiB" },
	{ 1024, 4096, 30, "copying", " 25%" },
	{ 1024, 4096, 3, "copying", "" },
	{ 1024, 4096, 0, "copying", "" },
};

START_TEST(a_bar_fits_its_terminal)
{
	char text[CTL_PROGRESS_TEXT];

	ck_assert_str_eq(ctl_progress_text(text, bars[_i].phase, bars[_i].done,
					   bars[_i].total, bars[_i].columns),
			 bars[_i].text);
	ck_assert_uint_le(strlen(text), bars[_i].columns);
}
END_TEST

START_TEST(a_full_disk_is_noticed)
{
	FILE *out = fopen("/dev/full", "w");
	json_t *value = json_object();

	ck_assert_int_eq(ctl_print(out, value, false), -ENOSPC);
	fclose(out);
	json_decref(value);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(people_get_a_table),
		UNIT_TEST(arrays_of_objects_are_columns),
		UNIT_TEST(bytes_and_microseconds_have_units),
		UNIT_TEST(a_terminal_gets_no_orders),
		UNIT_TEST(a_full_disk_is_noticed),
		UNIT_LOOP(a_bar_fits_its_terminal, UNIT_COUNT(bars)),
	};

	return UNIT_RUN("vmm_ctl_table", cases, NULL, NULL);
}
