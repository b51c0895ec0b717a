// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stands between two instructions of the device. See watch.h.
 *
 * Called by tests, on the thread that plays the device.
 *
 * Theory of operation. What may not be touched raises SIGSEGV before the
 * instruction that does. The pages are then opened and the processor told to
 * trap after one instruction (the trap flag; Intel SDM volume 3, 17.3.1.4):
 * SIGTRAP closes them again. With the flag left set there is a SIGTRAP before
 * each instruction, which can be looked at.
 */
#include "tests/fake/watch.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE		4096u
#define TRAP_FLAG	0x100

typedef void handler_fn(int signal, siginfo_t *info, void *context);

static struct {
	uint8_t *page;
	size_t len;
	fake_watch_fn *fn;
	void *opaque;
	unsigned int stores;
	const uint16_t *word;
	uint16_t before;
	bool tracing;
	struct fake_order order;
	struct sigaction segv;
	struct sigaction trap;
} watch;

static void protect(int how)
{
	if (mprotect(watch.page, watch.len, how))
		abort();
}

static void set_handlers(handler_fn *on_segv, handler_fn *on_trap)
{
	struct sigaction segv = {
		.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO,
	};
	struct sigaction trap = {
		.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO,
	};

	if (sigaction(SIGSEGV, &segv, &watch.segv) ||
	    sigaction(SIGTRAP, &trap, &watch.trap))
		abort();
}

static void restore_handlers(void)
{
	sigaction(SIGSEGV, &watch.segv, NULL);
	sigaction(SIGTRAP, &watch.trap, NULL);
}

static void trap_next(void *context, bool on)
{
	ucontext_t *uc = context;

	if (on)
		uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	else
		uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

/* A fault of the page's? If not: die of it, once more and as before. */
static bool is_ours(int signal, const siginfo_t *info)
{
	if ((uintptr_t)info->si_addr - (uintptr_t)watch.page < watch.len)
		return true;
	sigaction(signal, &watch.segv, NULL);
	return false;
}

static void on_store(int signal, siginfo_t *info, void *context)
{
	if (!is_ours(signal, info))
		return;
	protect(PROT_READ | PROT_WRITE);
	watch.fn(watch.opaque, watch.stores++);
	trap_next(context, true);
}

static void after_store(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	trap_next(context, false);
	protect(PROT_READ);
}

void fake_watch_start(void *at, size_t len, fake_watch_fn *fn, void *opaque)
{
	uintptr_t start = (uintptr_t)at / PAGE * PAGE;

	watch.page = (uint8_t *)at - ((uintptr_t)at - start);
	watch.len = ((uintptr_t)at + len - start + PAGE - 1) / PAGE * PAGE;
	watch.fn = fn;
	watch.opaque = opaque;
	watch.stores = 0;
	set_handlers(on_store, after_store);
	protect(PROT_READ);
}

unsigned int fake_watch_stop(void)
{
	protect(PROT_READ | PROT_WRITE);
	restore_handlers();
	return watch.stores;
}

static void on_look(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!is_ours(signal, info))
		return;
	watch.order.looked = true;
	protect(PROT_READ | PROT_WRITE);
}

/* A locked instruction, or MFENCE: both drain the store buffer. */
static bool is_full_fence(const uint8_t *code)
{
	return code[0] == 0xf0 ||
	       (code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf0);
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const void *code = (const void *)uc->uc_mcontext.gregs[REG_RIP];

	(void)signal;
	(void)info;
	trap_next(context, watch.tracing);
	if (*(const volatile uint16_t *)watch.word != watch.before)
		watch.order.stored = true;
	if (watch.order.stored && !watch.order.looked && is_full_fence(code))
		watch.order.fenced = true;
}

struct fake_order fake_trace(void (*fn)(void *opaque), void *opaque,
			     const uint16_t *word, void *page)
{
	watch.page = page;
	watch.len = PAGE;
	watch.word = word;
	watch.before = *word;
	watch.order = (struct fake_order){ 0 };
	set_handlers(on_look, on_step);
	protect(PROT_NONE);
	watch.tracing = true;
	raise(SIGTRAP);
	fn(opaque);
	watch.tracing = false;
	raise(SIGTRAP);
	protect(PROT_READ | PROT_WRITE);
	restore_handlers();
	return watch.order;
}
