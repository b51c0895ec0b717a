// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What commands do to the monitor, and what they say when they cannot.
 */
#include "tests/unit/vmm_control_bed.h"

#include <errno.h>
#include <stdio.h>

static const char *const need_machine[] = {
	"stop", "cont", "query-vsock", "query-cpus-fast",
	"query-vm-generation-id", "system_powerdown", "system_reset",
};

START_TEST(without_a_machine_commands_say_what_to_do)
{
	struct peer *p = peer_join_ready();
	char text[64];

	bed.monitor.empty = true;
	snprintf(text, sizeof(text), "{\"execute\":\"%s\"}", need_machine[_i]);
	peer_say(p, text);
	expect_error(p, "GenericError", "snapshot-load path=DIR");
	ck_assert_uint_eq(bed.machine.stops + bed.machine.conts +
			  bed.monitor.resets, 0);
}
END_TEST

START_TEST(without_a_machine_the_status_is_inmigrate)
{
	struct peer *p = peer_join_ready();

	bed.monitor.empty = true;
	peer_say(p, STATUS);
	expect_return(p, "{\"running\":false,\"status\":\"inmigrate\"}");
}
END_TEST

START_TEST(a_load_is_given_the_path)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"snapshot-load\","
		 "\"arguments\":{\"path\":\"/snap\"}}");
	expect_return(p, "{}");
	ck_assert_str_eq(bed.monitor.loaded, "/snap");
}
END_TEST

START_TEST(a_load_that_fails_says_why)
{
	struct peer *p = peer_join_ready();

	bed.monitor.load_rc = -EINVAL;
	peer_say(p, "{\"execute\":\"snapshot-load\","
		 "\"arguments\":{\"path\":\"/snap\"}}");
	expect_error(p, "GenericError", "nothing in '/snap'");
}
END_TEST

START_TEST(a_load_needs_a_path)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"snapshot-load\"}");
	expect_error(p, "GenericError", "path");
	ck_assert_str_eq(bed.monitor.loaded, "");
}
END_TEST

START_TEST(a_reset_is_one)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"system_reset\"}");
	expect_return(p, "{}");
	ck_assert_uint_eq(bed.monitor.resets, 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(without_a_machine_commands_say_what_to_do,
			  UNIT_COUNT(need_machine)),
		UNIT_TEST(without_a_machine_the_status_is_inmigrate),
		UNIT_TEST(a_load_is_given_the_path),
		UNIT_TEST(a_load_that_fails_says_why),
		UNIT_TEST(a_load_needs_a_path),
		UNIT_TEST(a_reset_is_one),
	};

	return UNIT_RUN("vmm_commands", cases, bed_setup, bed_teardown);
}
