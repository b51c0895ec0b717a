// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/log.c: what a line on standard error looks like, and which come.
 */
#include "devices/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/runner.h"

static int saved, far;
static char text[4096];

static void setup(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	far = ends[0];
	fcntl(far, F_SETFL, O_NONBLOCK);
}

static void teardown(void)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(far);
	log_set_level(LOG_LEVEL_WARN);
}

static const char *said(void)
{
	ssize_t n = read(far, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

START_TEST(line_starts_with_the_program_and_the_kind)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a %d", 1);
	ck_assert_str_eq(said(), "wherry: a 1\n");
	log_warn("b");
	ck_assert_str_eq(said(), "wherry: warning: b\n");
	log_info("c");
	ck_assert_str_eq(said(), "wherry: c\n");
	log_debug("d");
	ck_assert_str_eq(said(), "wherry: debug: d\n");
}
END_TEST

START_TEST(messages_above_the_level_are_not_printed)
{
	log_info("by default");
	log_debug("by default");
	ck_assert_str_eq(said(), "");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("no");
	ck_assert_str_eq(said(), "");
	log_error("yes");
	ck_assert_str_eq(said(), "wherry: yes\n");
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
	log_error("\033[2J%s\177|\xc3\xa4", "a\nwherry: forged\r");
	ck_assert_str_eq(said(),
			 "wherry: ?[2Ja?wherry: forged??|\xc3\xa4\n");
}
END_TEST

START_TEST(long_line_is_cut_and_still_a_line)
{
	char line[3000];
	size_t len;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	log_error("%s", line);
	len = strlen(said());
	ck_assert_uint_le(len, 1024);
	ck_assert_uint_gt(len, 1000);
	ck_assert_int_eq(text[len - 1], '\n');
	ck_assert_ptr_eq(strchr(text, '\n'), text + len - 1);
}
END_TEST

START_TEST(errno_is_left_alone)
{
	close(STDERR_FILENO);
	errno = ENOTTY;
	log_error("into the void");
	ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(line_starts_with_the_program_and_the_kind),
		UNIT_TEST(messages_above_the_level_are_not_printed),
		UNIT_TEST(control_characters_do_not_reach_the_terminal),
		UNIT_TEST(long_line_is_cut_and_still_a_line),
		UNIT_TEST(errno_is_left_alone),
	};

	return UNIT_RUN("devices_log", cases, setup, teardown);
}
