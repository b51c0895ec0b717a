// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/options.c: the commands that talk to a machine or look at what one has
 * left: ctl, connect, inspect.
 */
#include "tests/unit/vmm_options_bed.h"

static const struct refusal refusals[] = {
	{ "ctl_nothing", { "ctl" }, "ctl: a control socket, and" },
	{ "ctl_no_command", { "ctl", "s" }, "ctl: a control socket, and" },
	{ "ctl_empty_socket", { "ctl", "", "stop" }, "path is empty" },
	{ "ctl_empty_command", { "ctl", "s", "" }, "command is empty" },
	{ "ctl_wait_alone", { "ctl", "--wait", "STOP" },
	  "ctl: a control socket, and" },
	{ "ctl_wait_nothing", { "ctl", "s", "--wait=" }, "name of an event" },
	{ "ctl_wait_needs_a_value", { "ctl", "s", "stop", "--wait" },
	  "--wait needs a value" },
	{ "ctl_json_takes_no_value", { "ctl", "s", "stop", "--json=yes" },
	  "--json takes no value" },
	{ "ctl_timeout_text", { "ctl", "s", "stop", "--timeout=1m" },
	  "'1m'" },
	{ "ctl_option", { "ctl", "s", "stop", "--now" }, "'--now'" },

	{ "connect_nothing", { "connect" }, "connect: a vsock socket and" },
	{ "connect_no_port", { "connect", "u" }, "connect: a vsock socket" },
	{ "connect_bad_port", { "connect", "u", "ssh" }, "port 'ssh'" },
	{ "connect_port_any", { "connect", "u", "4294967295" },
	  "'4294967295'" },
	{ "connect_extra", { "connect", "u", "1", "2" }, "'2'" },
	{ "connect_empty_path", { "connect", "", "1" }, "path is empty" },
	{ "timeout_text", { "connect", "u", "1", "--timeout=soon" },
	  "'soon'" },
	{ "timeout_negative", { "connect", "u", "1", "--timeout=-1" },
	  "'-1'" },
	{ "timeout_too_long", { "connect", "u", "1", "--timeout=86401" },
	  "86400" },
	{ "timeout_too_fine", { "connect", "u", "1", "--timeout=1.0001" },
	  "three decimals" },

	{ "connect_waits_for_no_event", { "connect", "u", "1", "--wait=STOP" },
	  "--wait 'STOP': seconds" },
	{ "connect_wait_negative", { "connect", "u", "1", "--wait=-1" },
	  "--wait '-1'" },
	{ "connect_wait_too_long", { "connect", "u", "1", "--wait=86401" },
	  "86400" },
	{ "connect_wait_twice", { "connect", "u", "1", "--wait=1", "--wait=2" },
	  "--wait is given twice" },
	{ "json_is_not_of_connect", { "connect", "u", "1", "--json" },
	  "'--json'" },

	{ "inspect_nothing", { "inspect" }, "snapshot's directory expected" },
	{ "inspect_empty", { "inspect", "" }, "path is empty" },
	{ "inspect_two", { "inspect", "a", "b" }, "'b'" },
	{ "inspect_timeout", { "inspect", "a", "--timeout=1" },
	  "'--timeout=1'" },
	{ "verify_is_not_of_restore", { "restore", "a", "--verify" },
	  "'--verify'" },
};

START_TEST(refusal_names_what_is_wrong)
{
	options_refused(&refusals[_i]);
}
END_TEST

START_TEST(ctl_takes_arguments)
{
	ck_assert_int_eq(PARSE("ctl", "s", "snapshot-save", "path=a", "b=c"),
			 0);
	ck_assert_int_eq(options.command, COMMAND_CTL);
	ck_assert_str_eq(options.socket, "s");
	ck_assert_str_eq(options.execute, "snapshot-save");
	ck_assert_uint_eq(options.arguments, 2);
	ck_assert_str_eq(options.argument[0], "path=a");
	ck_assert_str_eq(options.argument[1], "b=c");
	ck_assert(!options.json);
	ck_assert_ptr_null(options.wait);
	ck_assert_int_lt(options.timeout_ms, 0);
}
END_TEST

START_TEST(connect_takes_a_port)
{
	ck_assert_int_eq(PARSE("connect", "u", "4294967294"), 0);
	ck_assert_uint_eq(options.port, 4294967294);
	ck_assert_int_lt(options.timeout_ms, 0);
	options_free(&options);
	ck_assert_int_eq(PARSE("connect", "u", "0", "--timeout", "1.5"), 0);
	ck_assert_int_eq(options.timeout_ms, 1500);
	options_free(&options);
	ck_assert_int_eq(PARSE("connect", "u", "0", "--timeout", "0.025"), 0);
	ck_assert_int_eq(options.timeout_ms, 25);
	ck_assert_int_eq(options.wait_ms, 0);
	options_free(&options);
	ck_assert_int_eq(PARSE("connect", "--wait", "2.5", "u", "0"), 0);
	ck_assert_int_eq(options.wait_ms, 2500);
	ck_assert_int_lt(options.timeout_ms, 0);
}
END_TEST

START_TEST(ctl_takes_options_anywhere)
{
	ck_assert_int_eq(PARSE("ctl", "--wait", "STOP", "s", "--json", "stop",
			       "--timeout=0.5", "a=b"), 0);
	ck_assert_str_eq(options.wait, "STOP");
	ck_assert(options.json);
	ck_assert_int_eq(options.timeout_ms, 500);
	ck_assert_str_eq(options.socket, "s");
	ck_assert_str_eq(options.execute, "stop");
	ck_assert_uint_eq(options.arguments, 1);
	ck_assert_str_eq(options.argument[0], "a=b");
}
END_TEST

START_TEST(ctl_may_wait_without_a_command)
{
	ck_assert_int_eq(PARSE("ctl", "s", "--wait", "SHUTDOWN"), 0);
	ck_assert_str_eq(options.socket, "s");
	ck_assert_ptr_null(options.execute);
	ck_assert_uint_eq(options.arguments, 0);
}
END_TEST

START_TEST(inspect_takes_a_directory)
{
	ck_assert_int_eq(PARSE("inspect", "d"), 0);
	ck_assert_int_eq(options.command, COMMAND_INSPECT);
	ck_assert_str_eq(options.directory, "d");
	ck_assert(!options.verify && !options.json);
	options_free(&options);
	ck_assert_int_eq(PARSE("inspect", "--verify", "--json", "--", "--d"),
			 0);
	ck_assert_str_eq(options.directory, "--d");
	ck_assert(options.verify && options.json);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(refusal_names_what_is_wrong, UNIT_COUNT(refusals)),
		UNIT_TEST(ctl_takes_arguments),
		UNIT_TEST(ctl_takes_options_anywhere),
		UNIT_TEST(ctl_may_wait_without_a_command),
		UNIT_TEST(connect_takes_a_port),
		UNIT_TEST(inspect_takes_a_directory),
	};

	return UNIT_RUN("vmm_options_client", cases, NULL, options_teardown);
}
