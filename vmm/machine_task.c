// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What takes its time beside a machine that goes on: saving, verifying.
 *
 * Called by commands.c and machine.c on the loop thread. Each task has a
 * worker, a thread of its own; struct machine is the loop thread's alone.
 *
 * Theory of a save: vCPUs are parked, devices brought to rest, state is written
 * down; then the worker copies memory, and the loop thread waits for that and
 * does nothing else, so that no device touches memory. From then on the worker
 * needs nothing of the machine: vCPUs run, the loop turns, other clients are
 * served, while the files go to stable storage. The answer comes at the end.
 *
 *   parked, state ─▶ copying memory ─▶ running, syncing ─▶ in place ─▶ answer
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/event.h"
#include "vmm/machine_internal.h"
#include "vmm/snapshot.h"
#include "vmm/worker.h"

/* People see it move, scripts are not flooded. */
#define PROGRESS_INTERVAL_MS	100

/**
 * struct machine_task - what goes on
 * @worker: its thread
 * @m: whose
 * @kind: where in m->task
 * @path: of the snapshot
 * @reply: who waits for it
 * @why: the reason of a failure, the worker's until it has ended
 * @state: MACHINE_SAVE: holds job.state
 * @job: MACHINE_SAVE: what to save
 * @stats: MACHINE_SAVE: what was saved
 * @pause_us: MACHINE_SAVE: how long the guest stood still
 * @memory_bytes: MACHINE_VERIFY: size of what was read
 */
struct machine_task {
	struct worker worker;
	struct machine *m;
	enum machine_task_kind kind;
	char *path;
	struct control_pending *reply;
	struct fail why;
	struct state_writer state;
	struct snapshot_job job;
	struct snapshot_stats stats;
	uint64_t pause_us;
	uint64_t memory_bytes;
};

static const char *const busy_texts[] = {
	[MACHINE_SAVE] = "is being saved",
	[MACHINE_VERIFY] = "is being verified",
};
_Static_assert(sizeof(busy_texts) / sizeof(*busy_texts) == MACHINE_TASKS,
	       "a text for each kind");

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static struct machine_task *task_of(struct worker *worker)
{
	return loop_owner(worker, struct machine_task, worker);
}

static void task_free(struct machine_task *t)
{
	if (t->kind == MACHINE_SAVE)
		state_writer_free(&t->state);
	free(t->path);
	free(t);
}

static void tell_progress(struct worker *worker,
			  const struct worker_progress *progress)
{
	struct machine_task *t = task_of(worker);

	machine_tell(t->m->control, MACHINE_EVENT_SNAPSHOT_PROGRESS,
		     json_pack("{ss ss sI sI}", "path", t->path,
			       "phase", snapshot_phase_name(progress->phase),
			       "done", (json_int_t)progress->done,
			       "total", (json_int_t)progress->total));
}

static json_t *save_result(const struct machine_task *t)
{
	return json_pack("{ss sI sI sI sI}", "path", t->path,
		"pause-us", (json_int_t)t->pause_us,
		"memory-bytes", (json_int_t)t->stats.memory_bytes,
		"memory-written", (json_int_t)t->stats.memory_written,
		"state-bytes", (json_int_t)t->stats.state_bytes);
}

static json_t *verify_result(const struct machine_task *t)
{
	return json_pack("{ss sI}", "path", t->path,
			 "memory-bytes", (json_int_t)t->memory_bytes);
}

static void task_done(struct worker *worker)
{
	struct machine_task *t = task_of(worker);
	struct machine *m = t->m;
	json_t *result = NULL;
	int rc = worker->result;

	m->task[t->kind] = NULL;
	if (!rc) {
		result = t->kind == MACHINE_SAVE ? save_result(t) :
						   verify_result(t);
		if (!result)
			rc = fail(&t->why, -ENOMEM, "out of memory");
	}
	if (result && t->kind == MACHINE_SAVE)
		machine_tell(m->control, MACHINE_EVENT_SNAPSHOT_SAVED,
			     json_incref(result));
	control_complete(t->reply, rc, result, &t->why);
	task_free(t);
}

/* Return: one that is not started; NULL with the reason. */
static struct machine_task *task_new(struct machine *m,
				     enum machine_task_kind kind,
				     const char *path,
				     struct control_pending *reply,
				     struct fail *why)
{
	struct machine_task *t;

	if (m->task[kind]) {
		fail(why, -EBUSY, "snapshot %s: one at a time: %s %s", path,
		     m->task[kind]->path, busy_texts[kind]);
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t)
		t->path = strdup(path);
	if (!t || !t->path) {
		free(t);
		fail(why, -ENOMEM, "snapshot %s: out of memory", path);
		return NULL;
	}
	t->m = m;
	t->kind = kind;
	t->reply = reply;
	t->worker.tell = tell_progress;
	t->worker.done = task_done;
	t->worker.interval_ms = PROGRESS_INTERVAL_MS;
	return t;
}

/* The worker's thread, from here ... */

static int report(void *opaque, enum snapshot_phase phase, uint64_t done,
		  uint64_t total)
{
	struct machine_task *t = opaque;

	return worker_progress(&t->worker, phase, done, total);
}

static void copied(void *opaque)
{
	struct machine_task *t = opaque;

	worker_release(&t->worker);
}

static int save(struct worker *worker)
{
	struct machine_task *t = task_of(worker);

	return snapshot_write_job(&t->job, &t->stats, &t->why);
}

static int verify(struct worker *worker)
{
	struct machine_task *t = task_of(worker);
	struct snapshot snapshot;
	int rc;

	rc = snapshot_open(t->path, &snapshot, &t->why);
	if (rc)
		return rc;
	rc = snapshot_verify(&snapshot, report, t, &t->why);
	t->memory_bytes = snapshot.memory_size;
	snapshot_close(&snapshot);
	return rc ? fail_within(&t->why, rc, "snapshot %s", t->path) : 0;
}

/* ... to here. */

/* vCPUs are parked; returns when memory is copied, or that has failed. */
static int start_save(struct machine_task *t, struct fail *why)
{
	struct machine *m = t->m;
	int err;

	err = state_writer_init(&t->state);
	if (err)
		return fail(why, err, "snapshot %s: out of memory", t->path);
	err = machine_save_state(m, &t->state, why);
	if (!err)
		err = state_writer_finish(&t->state, &t->job.state,
					  &t->job.state_len, why);
	if (!err)
		err = worker_start(&t->worker, m->loop, why);
	if (!err)
		worker_wait_release(&t->worker);
	return err;
}

int machine_save(struct machine *m, const char *path,
		 struct control_pending *reply, struct fail *why)
{
	struct machine_task *t = task_new(m, MACHINE_SAVE, path, reply, why);
	uint64_t start = now_us();
	int err;

	if (!t)
		return m->task[MACHINE_SAVE] ? -EBUSY : -ENOMEM;
	t->worker.work = save;
	t->job = (struct snapshot_job){
		.path = t->path,
		.memory = &m->vm.memory,
		.memory_fd = m->vm.memory_fd,
		.image = m->vm.memory_private ? &m->vm.image : NULL,
		.copied = copied,
		.progress = report,
		.opaque = t,
	};
	vcpus_park(&m->vm);
	machine_drain(m);
	err = start_save(t, why);
	if (m->running)
		vcpus_resume(&m->vm);
	t->pause_us = now_us() - start;
	if (err)
		task_free(t);
	else
		m->task[MACHINE_SAVE] = t;
	return err;
}

int machine_verify(struct machine *m, const char *path,
		   struct control_pending *reply, struct fail *why)
{
	struct machine_task *t = task_new(m, MACHINE_VERIFY, path, reply, why);
	int err;

	if (!t)
		return m->task[MACHINE_VERIFY] ? -EBUSY : -ENOMEM;
	t->worker.work = verify;
	err = worker_start(&t->worker, m->loop, why);
	if (err)
		task_free(t);
	else
		m->task[MACHINE_VERIFY] = t;
	return err;
}

void machine_finish_tasks(struct machine *m)
{
	struct machine_task *t;

	for (unsigned int kind = 0; kind < MACHINE_TASKS; kind++) {
		t = m->task[kind];
		if (!t)
			continue;
		if (kind == MACHINE_VERIFY)
			worker_cancel(&t->worker);
		worker_finish(&t->worker);
	}
}

void machine_take_tasks(struct machine *m, struct machine *old)
{
	for (unsigned int kind = 0; kind < MACHINE_TASKS; kind++) {
		m->task[kind] = old->task[kind];
		old->task[kind] = NULL;
		if (m->task[kind])
			m->task[kind]->m = m;
	}
}

const char *machine_saving(const struct machine *m)
{
	const struct machine_task *t = m->task[MACHINE_SAVE];

	return t ? t->path : NULL;
}
