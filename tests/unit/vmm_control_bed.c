// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fixture of the control socket's tests; see vmm_control_bed.h.
 */
#include "tests/unit/vmm_control_bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"

struct control_bed bed;

struct machine *monitor_machine(const struct monitor *mon)
{
	return mon->empty ? NULL : &bed.machine;
}

const char *monitor_status(const struct monitor *mon)
{
	if (mon->empty)
		return "inmigrate";
	return bed.machine.running ? "running" : "paused";
}

int monitor_load(struct monitor *mon, const char *path, struct fail *reason)
{
	snprintf(mon->loaded, sizeof(mon->loaded), "%s", path);
	if (mon->load_rc)
		return fail(reason, mon->load_rc, "nothing in '%s'", path);
	mon->empty = false;
	return 0;
}

int monitor_reset(struct monitor *mon, struct fail *reason)
{
	(void)reason;
	mon->resets++;
	return 0;
}

void machine_stop(struct machine *m)
{
	m->stops++;
	m->running = false;
}

void monitor_cont(struct monitor *mon)
{
	(void)mon;
	bed.machine.conts++;
	bed.machine.running = true;
}

void monitor_quit(struct monitor *mon)
{
	(void)mon;
	bed.machine.quits++;
}

int machine_save(struct machine *m, const char *path,
		 struct control_pending *reply, struct fail *reason)
{
	snprintf(m->saved, sizeof(m->saved), "%s", path);
	if (m->save_rc)
		return fail(reason, m->save_rc, "no room in '%s'", path);
	if (m->event_in_save)
		machine_tell(bed.control, MACHINE_EVENT_SNAPSHOT_SAVED, NULL);
	m->saving = reply;
	return 0;
}

int machine_verify(struct machine *m, const char *path,
		   struct control_pending *reply, struct fail *reason)
{
	return machine_save(m, path, reply, reason);
}

void bed_complete(int rc)
{
	struct control_pending *reply = bed.machine.saving;
	struct fail reason;

	ck_assert_ptr_nonnull(reply);
	bed.machine.saving = NULL;
	fail(&reason, rc, "the disk is on fire");
	control_complete(reply, rc, json_pack("{s:i}", "pause-us", 7),
			 &reason);
	bed_pump();
}

json_t *machine_query_vsock(const struct machine *m)
{
	return m->has_vsock ? json_pack("{s:i}", "cid", 3) : NULL;
}

void machine_powerdown(struct machine *m)
{
	m->presses++;
}

json_t *machine_query_cpus(const struct machine *m)
{
	(void)m;
	return json_pack("[{s:i}]", "cpu-index", 0);
}

json_t *machine_query_generation(const struct machine *m)
{
	(void)m;
	return json_pack("{s:s}", "guid", "x");
}

void bed_setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	bed.machine = (struct machine){ .running = true };
	bed.monitor = (struct monitor){ .empty = false };
	bed.peer_count = 0;
	bed.loop = loop_new(&bed.why);
	ck_assert_ptr_nonnull(bed.loop);
	bed.control = control_new(bed.loop, NULL, machine_commands, &bed.monitor,
				  &bed.why);
	ck_assert_ptr_nonnull(bed.control);
}

void peer_leave(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	json_stream_reset(&p->in);
}

void bed_teardown(void)
{
	if (bed.machine.saving)
		bed_complete(0);
	control_free(bed.control);
	loop_free(bed.loop);
	while (bed.peer_count)
		peer_leave(&bed.peers[--bed.peer_count]);
}

void bed_pump(void)
{
	while (loop_run_once(bed.loop, 0))
		;
}

struct peer *peer_join(void)
{
	struct peer *p = &bed.peers[bed.peer_count++];
	int pair[2];

	*p = (struct peer){ .fd = -1 };
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    pair), 0);
	p->fd = pair[0];
	ck_assert_int_eq(control_adopt(bed.control, pair[1]), 0);
	return p;
}

void peer_say_bytes(struct peer *p, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(p->fd, text, len, MSG_NOSIGNAL);

		if (n < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			ck_assert(loop_run_once(bed.loop, 1000));
			continue;
		}
		text += n;
		len -= (size_t)n;
	}
	bed_pump();
}

void peer_say(struct peer *p, const char *text)
{
	peer_say_bytes(p, text, strlen(text));
}

/* The next message, or NULL: nothing came, or the server closed. */
json_t *peer_hear(struct peer *p)
{
	enum json_stream_result result;
	char bytes[65536];
	json_t *message;
	ssize_t n;

	for (;;) {
		result = json_stream_next(&p->in, &message, &bed.why);
		if (result == JSON_STREAM_VALUE)
			return message;
		ck_assert_int_eq(result, JSON_STREAM_MORE);
		n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			return NULL;
		ck_assert_int_eq(json_stream_push(&p->in, bytes, (size_t)n),
				 0);
		bed_pump();
	}
}

void peer_forget(struct peer *p)
{
	json_t *message;

	while ((message = peer_hear(p)))
		json_decref(message);
}

bool peer_is_closed(struct peer *p)
{
	char c;

	peer_forget(p);
	return recv(p->fd, &c, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

struct peer *peer_join_ready(void)
{
	struct peer *p = peer_join();

	peer_say(p, NEGOTIATE);
	peer_forget(p);
	return p;
}

/* The next message is a result; @text: how it looks, compact. */
void expect_return(struct peer *p, const char *text)
{
	json_t *message = peer_hear(p);
	char *got;

	ck_assert_ptr_nonnull(message);
	got = json_dumps(json_object_get(message, "return"),
			 JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_msg(got && !strcmp(got, text), "%s expected, not %s", text,
		      got ? got : "an error");
	free(got);
	json_decref(message);
}

void expect_error(struct peer *p, const char *class, const char *desc)
{
	json_t *message = peer_hear(p);
	json_t *error = json_object_get(message, "error");
	const char *text = json_string_value(json_object_get(error, "desc"));

	ck_assert_ptr_nonnull(error);
	ck_assert_str_eq(json_string_value(json_object_get(error, "class")),
			 class);
	ck_assert_msg(strstr(text, desc), "'%s' expected in '%s'", desc, text);
	json_decref(message);
}

void expect_event(struct peer *p, const char *name)
{
	json_t *message = peer_hear(p);

	ck_assert_ptr_nonnull(message);
	ck_assert_str_eq(json_string_value(json_object_get(message, "event")),
			 name);
	json_decref(message);
}

void expect_silence(struct peer *p)
{
	ck_assert_ptr_null(peer_hear(p));
	ck_assert(!peer_is_closed(p));
}

void expect_running(struct peer *p)
{
	expect_return(p, "{\"running\":true,\"status\":\"running\"}");
}

void bed_event(enum machine_event kind)
{
	machine_tell(bed.control, kind, NULL);
	bed_pump();
}
