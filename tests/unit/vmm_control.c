// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/json_stream.c, control_message.c, control.c and commands.c: what is said
 * on the control socket. Who says it, and when, is in vmm_control_clients.c.
 */
#include "tests/unit/vmm_control_bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

START_TEST(greeting_is_what_qmp_clients_look_for)
{
	struct peer *p = peer_join();
	json_t *message = peer_hear(p), *qmp, *version;

	qmp = json_object_get(message, "QMP");
	version = json_object_get(json_object_get(qmp, "version"), "qemu");
	ck_assert(json_is_integer(json_object_get(version, "major")));
	ck_assert(json_is_integer(json_object_get(version, "minor")));
	ck_assert(json_is_integer(json_object_get(version, "micro")));
	ck_assert(json_is_array(json_object_get(qmp, "capabilities")));
	ck_assert_uint_eq(json_object_size(message), 1);
	json_decref(message);
}
END_TEST

START_TEST(negotiation_comes_first_and_once)
{
	struct peer *p = peer_join();

	json_decref(peer_hear(p));
	peer_say(p, STATUS);
	expect_error(p, "CommandNotFound", "qmp_capabilities");
	peer_say(p, "{\"execute\":\"no-such\"}");
	expect_error(p, "CommandNotFound", "qmp_capabilities");
	peer_say(p, NEGOTIATE);
	expect_return(p, "{}");
	peer_say(p, NEGOTIATE);
	expect_error(p, "CommandNotFound", "already complete");
	peer_say(p, STATUS);
	expect_running(p);
}
END_TEST

START_TEST(a_capability_that_is_not_there_cannot_be_enabled)
{
	struct peer *p = peer_join();

	json_decref(peer_hear(p));
	peer_say(p, "{\"execute\":\"qmp_capabilities\","
	    "\"arguments\":{\"enable\":[\"oob\"]}}");
	expect_error(p, "GenericError", "'oob'");
	peer_say(p, STATUS);
	expect_error(p, "CommandNotFound", "qmp_capabilities");
	peer_say(p, "{\"execute\":\"qmp_capabilities\","
	    "\"arguments\":{\"enable\":[]}}");
	expect_return(p, "{}");
}
END_TEST

START_TEST(a_message_split_at_every_byte_is_one_message)
{
	static const char text[] =
		" {\"execute\" :\"query-status\",\n\"id\":{\"a\\\"}\":[1]}}\n";
	struct peer *p = peer_join_ready();

	for (size_t i = 1; i < sizeof(text) - 1; i++) {
		peer_say_bytes(p, text, i);
		peer_say_bytes(p, text + i, sizeof(text) - 1 - i);
		expect_running(p);
		expect_silence(p);
	}
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		peer_say_bytes(p, text + i, 1);
	expect_running(p);
	expect_silence(p);
}
END_TEST

START_TEST(messages_in_one_write_are_answered_in_order)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"stop\",\"id\":1}"
	       "{\"execute\":\"query-status\",\"id\":2}\r\n"
	       "{\"execute\":\"frob\",\"id\":3} "
	       "{\"execute\":\"cont\",\"id\":4}");
	for (int i = 1; i <= 4; i++) {
		json_t *message = peer_hear(p);

		ck_assert_ptr_nonnull(message);
		ck_assert_int_eq(json_integer_value(json_object_get(message,
								    "id")), i);
		json_decref(message);
	}
	ck_assert_uint_eq(bed.machine.stops, 1);
	ck_assert_uint_eq(bed.machine.conts, 1);
}
END_TEST

START_TEST(an_id_comes_back_whatever_it_is)
{
	static const char *const ids[] = {
		"1", "\"x\"", "null", "[1,{\"a\":2}]", "true", "1.5",
	};
	struct peer *p = peer_join_ready();
	char text[128], *got;
	json_t *message;

	for (size_t i = 0; i < UNIT_COUNT(ids); i++) {
		snprintf(text, sizeof(text),
			 "{\"execute\":\"%s\",\"id\":%s}",
			 i % 2 ? "frob" : "query-status", ids[i]);
		peer_say(p, text);
		message = peer_hear(p);
		got = json_dumps(json_object_get(message, "id"),
				 JSON_COMPACT | JSON_ENCODE_ANY);
		ck_assert_str_eq(got, ids[i]);
		free(got);
		json_decref(message);
	}
}
END_TEST

static const struct {
	const char *text;
	const char *said;
} refusals[] = {
	{ "[]", "must be a JSON object" },
	{ "{}", "lacks member 'execute'" },
	{ "{\"execute\":1}", "'execute' must be a string" },
	{ "{\"execute\":\"stop\",\"arguments\":[]}", "'arguments' must be" },
	{ "{\"execute\":\"stop\",\"arguments\":null}", "'arguments' must be" },
	{ "{\"execute\":\"stop\",\"frob\":1}", "'frob' is unexpected" },
	{ "{\"exec-oob\":\"stop\"}", "'exec-oob' is unexpected" },
	{ "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}",
	  "Parameter 'x' is unexpected" },
	{ "{\"execute\":\"snapshot-save\"}", "Parameter 'path' is missing" },
	{ "{\"execute\":\"snapshot-save\",\"arguments\":{\"path\":1}}",
	  "'path', expected: string" },
	{ "{\"execute\":\"snapshot-save\",\"arguments\":{\"path\":\"\"}}",
	  "'path' is empty" },
	{ "{\"execute\":\"snapshot-save\",\"arguments\":"
	  "{\"path\":\"a\\u0000b\"}}", "JSON parse error" },
	{ "{\"execute\":\"query-vsock\"}", "--vsock" },
	{ "{\"execute\":\"stop\",\"execute\":\"stop\"}", "duplicate" },
	{ "{\"execute\":stop}", "JSON parse error" },
	{ "{\"execute\":\"\xff\"}", "JSON parse error" },
	{ "{\"execute\":]\n", "brackets do not match" },
	{ "}\n", "'{' expected" },
	{ "hello {\"execute\":\"stop\"}\n", "'{' expected" },
	{ "\"stop\"\n", "'{' expected" },
	{ "{\"execute\":\"sto\n", "line break in a string" },
};

START_TEST(a_refusal_names_the_fault_and_the_talk_goes_on)
{
	struct peer *p = peer_join_ready();

	peer_say(p, refusals[_i].text);
	expect_error(p, "GenericError", refusals[_i].said);
	expect_silence(p);
	peer_say(p, STATUS);
	expect_running(p);
	ck_assert_uint_eq(bed.machine.stops, 0);
}
END_TEST

START_TEST(an_unknown_command_is_named)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"frobnicate\"}");
	expect_error(p, "CommandNotFound", "frobnicate");
}
END_TEST

START_TEST(garbage_is_answered_once_a_line)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "GET / HTTP/1.1\r\nHost: x\r\n");
	expect_error(p, "GenericError", "JSON parse error");
	expect_error(p, "GenericError", "JSON parse error");
	expect_silence(p);
	peer_say(p, "\x01\x02\xff and half a line");
	expect_error(p, "GenericError", "JSON parse error");
	peer_say(p, " and its end {}\n" STATUS);
	expect_running(p);
}
END_TEST

/* @fill between @head and nothing, until the server has had enough. */
static void say_endlessly(struct peer *p, const char *head, char fill,
			  size_t len)
{
	char *text = malloc(len);

	memset(text, fill, len);
	memcpy(text, head, strlen(head));
	while (len) {
		ssize_t n = send(p->fd, text, len > 4096 ? 4096 : len,
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			len -= (size_t)n;
		bed_pump();
	}
	free(text);
}

START_TEST(what_has_no_end_ends_the_connection_alone)
{
	static const char *const heads[] = {
		"{\"execute\":\"", "[", "garbage", "[[[[", "{\"a\":1",
	};
	static const char fills[] = "a1g[ ";
	struct peer *other = peer_join_ready();
	struct peer *p = peer_join_ready();

	say_endlessly(p, heads[_i], fills[_i], JSON_STREAM_MAX + 65536);
	bed_pump();
	ck_assert(peer_is_closed(p));
	ck_assert_uint_eq(control_clients(bed.control), 1);
	peer_say(other, STATUS);
	expect_running(other);
}
END_TEST

START_TEST(the_reason_is_told_before_closing)
{
	struct peer *p = peer_join_ready();
	char deep[JSON_STREAM_DEPTH_MAX + 2];

	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	peer_say(p, deep);
	expect_error(p, "GenericError", "too deep");
	ck_assert(peer_is_closed(p));
}
END_TEST

START_TEST(the_deepest_allowed_is_taken)
{
	struct peer *p = peer_join_ready();
	char text[256] = "{\"execute\":\"query-status\",\"id\":";
	size_t len = strlen(text);

	memset(text + len, '[', JSON_STREAM_DEPTH_MAX - 1);
	memset(text + len + JSON_STREAM_DEPTH_MAX - 1, ']',
	       JSON_STREAM_DEPTH_MAX - 1);
	strcat(text, "}");
	peer_say(p, text);
	expect_running(p);
}
END_TEST

START_TEST(the_longest_allowed_is_taken)
{
	static const char head[] = "{\"execute\":\"query-status\"";
	char *text = malloc(JSON_STREAM_MAX);
	struct peer *p = peer_join_ready();

	memset(text, ' ', JSON_STREAM_MAX);
	memcpy(text, head, sizeof(head) - 1);
	text[JSON_STREAM_MAX - 1] = '}';
	for (size_t done = 0; done < JSON_STREAM_MAX; done += 8192)
		peer_say_bytes(p, text + done, 8192);
	expect_running(p);
	expect_silence(p);
	free(text);
}
END_TEST

/* A message of @len bytes in pieces of one: not a matter of len * len. */
START_TEST(a_slow_talker_costs_little)
{
	struct json_stream s = { 0 };
	const size_t len = JSON_STREAM_MAX - 2;
	bool ok = true;
	json_t *value;

	ck_assert_int_eq(json_stream_push(&s, "[\"", 2), 0);
	/* An assertion for each byte would be a system call for each. */
	for (size_t i = 0; i < len - 2 && ok; i++)
		ok = !json_stream_push(&s, "x", 1) &&
		     json_stream_next(&s, &value, &bed.why) == JSON_STREAM_MORE;
	ck_assert(ok);
	ck_assert_int_eq(json_stream_push(&s, "\"]", 2), 0);
	ck_assert_int_eq(json_stream_next(&s, &value, &bed.why),
			 JSON_STREAM_VALUE);
	json_decref(value);
	json_stream_reset(&s);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(greeting_is_what_qmp_clients_look_for),
		UNIT_TEST(negotiation_comes_first_and_once),
		UNIT_TEST(a_capability_that_is_not_there_cannot_be_enabled),
		UNIT_TEST(a_message_split_at_every_byte_is_one_message),
		UNIT_TEST(messages_in_one_write_are_answered_in_order),
		UNIT_TEST(an_id_comes_back_whatever_it_is),
		UNIT_LOOP(a_refusal_names_the_fault_and_the_talk_goes_on,
			  UNIT_COUNT(refusals)),
		UNIT_TEST(an_unknown_command_is_named),
		UNIT_TEST(garbage_is_answered_once_a_line),
		UNIT_LOOP(what_has_no_end_ends_the_connection_alone, 5),
		UNIT_TEST(the_reason_is_told_before_closing),
		UNIT_TEST(the_deepest_allowed_is_taken),
		UNIT_TEST(the_longest_allowed_is_taken),
		UNIT_TEST(a_slow_talker_costs_little),
	};

	return UNIT_RUN("vmm_control", cases, bed_setup, bed_teardown);
}
