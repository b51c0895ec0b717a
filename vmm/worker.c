// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One slow piece of work on a thread of its own.
 *
 * Called by machine_task.c. Two threads: the loop's, which starts it, hears of
 * it and ends it, and the worker's. What both touch is under worker->lock.
 *
 *   started ──worker_release()──▶ released ──work() returns──▶ ended ──▶ done
 *
 * The worker says everything through one eventfd. It is written after a
 * change under the lock, and cleared before the loop's thread looks, so that
 * no change goes unseen; the end is looked at by the loop alone, so that done()
 * never comes from within whoever waits for the release.
 */
#include "vmm/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wake(struct worker *w)
{
	const uint64_t one = 1;
	ssize_t n = write(w->wake.fd, &one, sizeof(one));

	(void)n;
}

static void *worker_thread(void *opaque)
{
	struct worker *w = opaque;
	int result = w->work(w);

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->ended = true;
	pthread_mutex_unlock(&w->lock);
	wake(w);
	return NULL;
}

void worker_release(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->released = true;
	pthread_mutex_unlock(&w->lock);
	wake(w);
}

int worker_progress(struct worker *w, unsigned int phase, uint64_t done,
		    uint64_t total)
{
	uint64_t now = now_ns();
	bool cancelled, news;

	pthread_mutex_lock(&w->lock);
	cancelled = w->cancelled;
	news = w->tell && now >= w->next_ns;
	if (news) {
		w->progress = (struct worker_progress){ phase, done, total };
		w->told = false;
		w->next_ns = now + w->interval_ms * UINT64_C(1000000);
	}
	pthread_mutex_unlock(&w->lock);
	if (news)
		wake(w);
	return cancelled ? -ECANCELED : 0;
}

void worker_cancel(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->cancelled = true;
	pthread_mutex_unlock(&w->lock);
}

/* Clear the eventfd, tell what is to be told. Return: whether it has ended. */
static bool look(struct worker *w, bool *released)
{
	struct worker_progress progress;
	uint64_t count;
	bool told, ended;
	ssize_t n;

	n = read(w->wake.fd, &count, sizeof(count));
	(void)n;
	pthread_mutex_lock(&w->lock);
	progress = w->progress;
	told = w->told;
	w->told = true;
	ended = w->ended;
	*released = w->released;
	pthread_mutex_unlock(&w->lock);
	if (!told)
		w->tell(w, &progress);
	return ended;
}

static void end(struct worker *w)
{
	loop_remove(w->loop, &w->wake);
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	close(w->wake.fd);
	w->done(w);
}

static void on_wake(struct loop_source *source, uint32_t events)
{
	struct worker *w = loop_owner(source, struct worker, wake);
	bool released;

	(void)events;
	if (look(w, &released))
		end(w);
}

static void wait_for_news(const struct worker *w)
{
	struct pollfd news = { .fd = w->wake.fd, .events = POLLIN };

	poll(&news, 1, -1);
}

void worker_wait_release(struct worker *w)
{
	bool released, ended;

	for (;;) {
		ended = look(w, &released);
		if (ended || released)
			break;
		wait_for_news(w);
	}
	/* The news of the end may just have been cleared. */
	if (ended)
		wake(w);
}

void worker_finish(struct worker *w)
{
	bool released;

	while (!look(w, &released))
		wait_for_news(w);
	end(w);
}

/*
 * Signals are for the threads that were there before, but the CPU's faults are
 * its own: SIGBUS has a handler (image.c).
 */
static int start_thread(struct worker *w)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int worker_start(struct worker *w, struct loop *loop, struct fail *why)
{
	int err;

	w->loop = loop;
	w->told = true;
	w->released = w->cancelled = w->ended = false;
	w->next_ns = now_ns() + w->interval_ms * UINT64_C(1000000);
	w->wake.events = 0;
	w->wake.fn = on_wake;
	w->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = w->wake.fd < 0 ? -errno : 0;
	if (err)
		return fail(why, err, "worker: eventfd: %s", strerror(-err));
	pthread_mutex_init(&w->lock, NULL);
	err = loop_add(loop, &w->wake, EPOLLIN);
	if (!err)
		err = start_thread(w);
	if (!err)
		return 0;
	loop_close(loop, &w->wake);
	pthread_mutex_destroy(&w->lock);
	return fail(why, err, "worker: cannot start a thread: %s",
		    strerror(-err));
}
