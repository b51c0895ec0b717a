// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/control.c and commands.c: clients that come, go, are deaf or too many,
 * events, commands, and the socket with a path.
 */
#include "tests/unit/vmm_control_bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/unix_socket.h"

START_TEST(leaving_mid_sentence_harms_nobody)
{
	struct peer *other = peer_join_ready();
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"qu");
	peer_leave(p);
	bed_pump();
	ck_assert_uint_eq(control_clients(bed.control), 1);
	ck_assert_uint_eq(bed.machine.quits, 0);
	bed_event(MACHINE_EVENT_STOP);
	expect_event(other, "STOP");
}
END_TEST

START_TEST(half_closed_clients_get_their_answers)
{
	struct peer *p = peer_join();

	peer_say(p, NEGOTIATE STATUS "{\"execute\":\"st");
	shutdown(p->fd, SHUT_WR);
	bed_pump();
	json_decref(peer_hear(p));
	expect_return(p, "{}");
	expect_running(p);
	ck_assert(peer_is_closed(p));
	ck_assert_uint_eq(control_clients(bed.control), 0);
}
END_TEST

START_TEST(commands_of_one_who_left_are_carried_out)
{
	struct peer *p = peer_join();

	ck_assert_int_gt(send(p->fd, NEGOTIATE "{\"execute\":\"stop\"}",
			      strlen(NEGOTIATE) + 18, 0), 0);
	peer_leave(p);
	bed_pump();
	ck_assert_uint_eq(bed.machine.stops, 1);
	ck_assert_uint_eq(control_clients(bed.control), 0);
}
END_TEST

START_TEST(events_only_after_negotiation)
{
	struct peer *ready = peer_join_ready();
	struct peer *p = peer_join();

	json_decref(peer_hear(p));
	bed_event(MACHINE_EVENT_STOP);
	expect_event(ready, "STOP");
	expect_silence(p);
	peer_say(p, NEGOTIATE);
	expect_return(p, "{}");
	bed_event(MACHINE_EVENT_RESUME);
	expect_event(p, "RESUME");
	expect_event(ready, "RESUME");
}
END_TEST

START_TEST(events_carry_time_and_data)
{
	struct peer *p = peer_join_ready();
	json_t *message, *stamp;
	json_int_t us;

	control_event(bed.control, "SHUTDOWN", json_pack("{s:b}", "guest", 1));
	message = peer_hear(p);
	stamp = json_object_get(message, "timestamp");
	ck_assert_int_gt(json_integer_value(json_object_get(stamp,
							    "seconds")), 0);
	us = json_integer_value(json_object_get(stamp, "microseconds"));
	ck_assert(us >= 0 && us < 1000000);
	ck_assert(json_is_true(json_object_get(json_object_get(message,
							       "data"),
					       "guest")));
	json_decref(message);
	/* Without a control socket it is nobody's business. */
	control_event(NULL, "SHUTDOWN", json_object());
}
END_TEST

START_TEST(an_event_within_a_command_precedes_its_reply)
{
	struct peer *p = peer_join_ready();

	bed.machine.event_in_save = true;
	peer_say(p, "{\"execute\":\"snapshot-save\",\"arguments\":"
	       "{\"path\":\"d\"}}");
	expect_event(p, "SNAPSHOT_SAVED");
	expect_silence(p);
	bed_complete(0);
	expect_return(p, "{\"pause-us\":7}");
}
END_TEST

#define SAVE "{\"execute\":\"snapshot-save\",\"id\":9," \
	"\"arguments\":{\"path\":\"d\"}}"

START_TEST(what_takes_its_time_is_answered_at_its_end)
{
	struct peer *p = peer_join_ready();
	json_t *message;

	peer_say(p, SAVE);
	expect_silence(p);
	bed_complete(0);
	message = peer_hear(p);
	ck_assert_int_eq(json_integer_value(json_object_get(message, "id")),
			 9);
	ck_assert_ptr_nonnull(json_object_get(message, "return"));
	json_decref(message);
	peer_say(p, SAVE);
	bed_complete(-EIO);
	expect_error(p, "GenericError", "the disk is on fire");
	peer_say(p, STATUS);
	expect_running(p);
}
END_TEST

START_TEST(others_are_served_while_a_command_goes_on)
{
	struct peer *p = peer_join_ready(), *other = peer_join_ready();

	peer_say(p, SAVE);
	peer_say(other, STATUS);
	expect_running(other);
	bed_event(MACHINE_EVENT_SNAPSHOT_PROGRESS);
	expect_event(other, "SNAPSHOT_PROGRESS");
	expect_event(p, "SNAPSHOT_PROGRESS");
	bed_complete(0);
	expect_return(p, "{\"pause-us\":7}");
	expect_silence(other);
}
END_TEST

START_TEST(ones_own_next_requests_wait_their_turn)
{
	struct peer *p = peer_join_ready();

	peer_say(p, SAVE "{\"execute\":\"stop\"}" STATUS);
	peer_say(p, "{\"execute\":\"cont\"}");
	expect_silence(p);
	ck_assert_uint_eq(bed.machine.stops, 0);
	bed_complete(0);
	expect_return(p, "{\"pause-us\":7}");
	expect_return(p, "{}");
	expect_return(p, "{\"running\":false,\"status\":\"paused\"}");
	expect_return(p, "{}");
}
END_TEST

START_TEST(leaving_while_ones_command_goes_on_is_safe)
{
	struct peer *p = peer_join_ready(), *other = peer_join_ready();

	peer_say(p, SAVE "{\"execute\":\"stop\"}");
	peer_leave(p);
	bed_pump();
	/* Its command is not done yet. */
	ck_assert_uint_eq(control_clients(bed.control), 2);
	bed_event(MACHINE_EVENT_RESUME);
	expect_event(other, "RESUME");
	bed_complete(0);
	/* What it asked before it left is done too. */
	ck_assert_uint_eq(bed.machine.stops, 1);
	ck_assert_uint_eq(control_clients(bed.control), 1);
}
END_TEST

START_TEST(dying_while_ones_command_goes_on_is_safe)
{
	struct peer *p = peer_join_ready();
	char text[1024];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	peer_say(p, SAVE);
	/* It reads nothing of all this. */
	for (int i = 0; i < 6000; i++)
		control_event(bed.control, "X", json_string(text));
	bed_pump();
	peer_forget(p);
	ck_assert(peer_is_closed(p));
	ck_assert_uint_eq(control_clients(bed.control), 1);
	bed_complete(0);
	ck_assert_uint_eq(control_clients(bed.control), 0);
}
END_TEST

START_TEST(dying_within_ones_own_command_is_safe)
{
	struct peer *p = peer_join_ready();

	bed.machine.event_in_save = true;
	ck_assert_int_gt(send(p->fd, "{\"execute\":\"snapshot-save\","
			      "\"arguments\":{\"path\":\"d\"}}", 53, 0), 0);
	peer_leave(p);
	bed_pump();
	ck_assert_str_eq(bed.machine.saved, "d");
	bed_complete(0);
	ck_assert_uint_eq(control_clients(bed.control), 0);
}
END_TEST

START_TEST(one_who_never_reads_events_is_dropped_alone)
{
	struct peer *deaf = peer_join_ready();
	struct peer *p = peer_join_ready();
	char text[1024];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 8192 && control_clients(bed.control) == 2; i++) {
		control_event(bed.control, "STOP",
			      json_pack("{s:s}", "t", text));
		bed_pump();
		expect_event(p, "STOP");
	}
	ck_assert_uint_eq(control_clients(bed.control), 1);
	ck_assert(peer_is_closed(deaf));
	peer_say(p, STATUS);
	expect_running(p);
}
END_TEST

START_TEST(one_who_never_reads_answers_is_not_read)
{
	struct peer *deaf = peer_join_ready();
	struct peer *p = peer_join_ready();
	size_t asked = 0, answered = 0;
	json_t *message;
	ssize_t n;

	for (;;) {
		n = send(deaf->fd, STATUS, strlen(STATUS), MSG_NOSIGNAL);
		if (n < 0)
			break;
		ck_assert_int_eq(n, (ssize_t)strlen(STATUS));
		asked++;
		bed_pump();
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_eq(control_clients(bed.control), 2);
	/* It rests: the loop has nothing to do. */
	ck_assert_int_eq(loop_run_once(bed.loop, 0), 0);
	peer_say(p, STATUS);
	expect_running(p);
	/* And nothing is lost. */
	while ((message = peer_hear(deaf))) {
		answered++;
		json_decref(message);
	}
	ck_assert_uint_eq(answered, asked);
}
END_TEST

START_TEST(commands_reach_the_machine)
{
	struct peer *p = peer_join_ready();

	peer_say(p, "{\"execute\":\"stop\"}");
	expect_return(p, "{}");
	peer_say(p, STATUS);
	expect_return(p, "{\"running\":false,\"status\":\"paused\"}");
	peer_say(p, "{\"execute\":\"cont\"}");
	expect_return(p, "{}");
	bed.machine.has_vsock = true;
	peer_say(p, "{\"execute\":\"query-vsock\"}");
	expect_return(p, "{\"cid\":3}");
	peer_say(p, "{\"execute\":\"query-cpus-fast\"}");
	expect_return(p, "[{\"cpu-index\":0}]");
	peer_say(p, "{\"execute\":\"query-vm-generation-id\"}");
	expect_return(p, "{\"guid\":\"x\"}");
	peer_say(p, "{\"execute\":\"system_powerdown\"}");
	expect_return(p, "{}");
	ck_assert_uint_eq(bed.machine.presses, 1);
	peer_say(p, "{\"execute\":\"snapshot-save\",\"arguments\":"
	       "{\"path\":\"/s\"}}");
	bed_complete(0);
	expect_return(p, "{\"pause-us\":7}");
	ck_assert_str_eq(bed.machine.saved, "/s");
	peer_say(p, "{\"execute\":\"snapshot-verify\",\"arguments\":"
	       "{\"path\":\"/v\"}}");
	bed_complete(0);
	expect_return(p, "{\"pause-us\":7}");
	ck_assert_str_eq(bed.machine.saved, "/v");
	bed.machine.save_rc = -ENOSPC;
	peer_say(p, "{\"execute\":\"snapshot-save\",\"arguments\":"
	       "{\"path\":\"/t\"}}");
	expect_error(p, "GenericError", "no room in '/t'");
	peer_say(p, "{\"execute\":\"quit\"}");
	expect_return(p, "{}");
	ck_assert_uint_eq(bed.machine.quits, 1);
}
END_TEST

START_TEST(query_commands_lists_the_table)
{
	struct peer *p = peer_join_ready();
	json_t *message, *list;
	size_t rows = 0;

	peer_say(p, "{\"execute\":\"query-commands\"}");
	message = peer_hear(p);
	list = json_object_get(message, "return");
	while (machine_commands[rows].name)
		rows++;
	ck_assert_uint_eq(json_array_size(list), rows);
	for (size_t i = 0; i < rows; i++)
		ck_assert_str_eq(json_string_value(json_object_get(
					 json_array_get(list, i), "name")),
				 machine_commands[i].name);
	json_decref(message);
	peer_say(p, "{\"execute\":\"query-version\"}");
	message = peer_hear(p);
	ck_assert_ptr_nonnull(json_object_get(json_object_get(message,
							      "return"),
					      "qemu"));
	json_decref(message);
}
END_TEST

START_TEST(clients_are_counted_and_bounded)
{
	int pair[2];

	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		peer_join();
	ck_assert_uint_eq(control_clients(bed.control), CONTROL_CLIENTS_MAX);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(control_adopt(bed.control, pair[1]), -EMFILE);
	close(pair[0]);
	peer_leave(&bed.peers[0]);
	bed_pump();
	ck_assert_uint_eq(control_clients(bed.control),
			  CONTROL_CLIENTS_MAX - 1);
	peer_say(&bed.peers[1], NEGOTIATE);
	peer_forget(&bed.peers[1]);
	peer_join();
	ck_assert_uint_eq(control_clients(bed.control), CONTROL_CLIENTS_MAX);
}
END_TEST

/* The rest is about the socket with a path. */

static char dir[] = "/tmp/wherry-control-XXXXXX";
static char path[64];

static void listen_setup(void)
{
	control_free(bed.control);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c", dir);
	bed.control = control_new(bed.loop, path, machine_commands,
				  &bed.monitor, &bed.why);
	ck_assert_ptr_nonnull(bed.control);
}

static struct peer *dial(void)
{
	struct peer *p = &bed.peers[bed.peer_count++];

	*p = (struct peer){
		.fd = unix_socket_connect(path, SOCK_STREAM, true),
	};
	ck_assert_int_ge(p->fd, 0);
	bed_pump();
	return p;
}

START_TEST(the_socket_is_the_owners_alone_and_goes_away)
{
	struct stat st;
	struct peer *p;

	listen_setup();
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	p = dial();
	json_decref(peer_hear(p));
	peer_say(p, NEGOTIATE STATUS);
	expect_return(p, "{}");
	expect_running(p);
	control_free(bed.control);
	bed.control = NULL;
	ck_assert(peer_is_closed(p));
	ck_assert_int_eq(lstat(path, &st), -1);
	rmdir(dir);
}
END_TEST

START_TEST(one_client_too_many_is_told_so)
{
	listen_setup();
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		dial();
	expect_error(dial(), "GenericError", "too many connections");
	ck_assert(peer_is_closed(&bed.peers[bed.peer_count - 1]));
	ck_assert_uint_eq(control_clients(bed.control), CONTROL_CLIENTS_MAX);
	control_free(bed.control);
	bed.control = NULL;
	rmdir(dir);
}
END_TEST

START_TEST(a_path_in_use_is_named)
{
	struct control *second;

	listen_setup();
	second = control_new(bed.loop, path, machine_commands, &bed.monitor,
			     &bed.why);
	ck_assert_ptr_null(second);
	ck_says(&bed.why, path);
	bed_pump();
	control_free(bed.control);
	bed.control = NULL;
	rmdir(dir);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(leaving_mid_sentence_harms_nobody),
		UNIT_TEST(half_closed_clients_get_their_answers),
		UNIT_TEST(commands_of_one_who_left_are_carried_out),
		UNIT_TEST(events_only_after_negotiation),
		UNIT_TEST(events_carry_time_and_data),
		UNIT_TEST(an_event_within_a_command_precedes_its_reply),
		UNIT_TEST(dying_within_ones_own_command_is_safe),
		UNIT_TEST(what_takes_its_time_is_answered_at_its_end),
		UNIT_TEST(others_are_served_while_a_command_goes_on),
		UNIT_TEST(ones_own_next_requests_wait_their_turn),
		UNIT_TEST(leaving_while_ones_command_goes_on_is_safe),
		UNIT_TEST(dying_while_ones_command_goes_on_is_safe),
		UNIT_TEST(one_who_never_reads_events_is_dropped_alone),
		UNIT_TEST(one_who_never_reads_answers_is_not_read),
		UNIT_TEST(commands_reach_the_machine),
		UNIT_TEST(query_commands_lists_the_table),
		UNIT_TEST(clients_are_counted_and_bounded),
		UNIT_TEST(the_socket_is_the_owners_alone_and_goes_away),
		UNIT_TEST(one_client_too_many_is_told_so),
		UNIT_TEST(a_path_in_use_is_named),
	};

	return UNIT_RUN("vmm_control_clients", cases, bed_setup, bed_teardown);
}
