// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPU threads: one each, running the guest and serving its exits.
 *
 * Owns struct vcpu. The loop thread says what it wants under vcpu->lock; the
 * vCPU's own thread does it. Bus handlers are called on the vCPU thread with
 * no lock of ours held.
 *
 * Theory of operation. The thread leaves KVM_RUN in one way only: KVM_RUN
 * returns EINTR because run->immediate_exit is set. KVM looks at that flag
 * after it has completed the port or MMIO exit that we served last, and
 * before it runs a guest instruction (kvm_arch_vcpu_ioctl_run()). So a thread
 * that came out by EINTR has nothing half done, however late the request to
 * park came: an exit is always followed by another KVM_RUN, and if that one
 * brings the exit's next fragment instead, it is served and KVM_RUN follows
 * again.
 *
 * A request sets @want and the flag together under the lock, then signals the
 * thread. Before KVM_RUN the flag is enough; inside it the signal makes KVM
 * return. The thread clears the flag under the same lock only where it sees
 * VCPU_RUN, so no request is lost, and a late signal costs one extra turn.
 *
 * A bus handler cannot park, but hold: each thread looks at vm->held before
 * KVM_RUN, and leaves it then by the same way, the exit completed and nothing
 * run after it. It stays parked while that lasts, even if told to run.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/vcpu.h"

/* glibc keeps two real-time signals to itself; SIGRTMIN is past them. */
#define VCPU_SIGNAL SIGRTMIN

/**
 * enum vcpu_next - what follows an exit
 * @NEXT_RUN: enter the guest again
 * @NEXT_LOOK: see what is wanted
 * @NEXT_DIE: never run again
 */
enum vcpu_next { NEXT_RUN, NEXT_LOOK, NEXT_DIE };

static __thread struct kvm_run *thread_run;

static void set_immediate_exit(struct kvm_run *run, uint8_t value)
{
	__atomic_store_n(&run->immediate_exit, value, __ATOMIC_RELAXED);
}

static void kicked(int signo)
{
	(void)signo;
	if (thread_run)
		set_immediate_exit(thread_run, 1);
}

int vcpu_create(struct vm *vm, unsigned int id, struct fail *why)
{
	struct vcpu *vcpu = &vm->vcpu[id];
	void *run;
	int size;

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0)
		return fail(why, -errno, "vCPU %u: KVM_CREATE_VCPU: %s", id,
			    strerror(errno));
	size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*vcpu->run))
		return fail(why, -EIO, "vCPU %u: KVM_GET_VCPU_MMAP_SIZE: %d, "
			    "expected at least %zu", id, size,
			    sizeof(*vcpu->run));
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu->fd, 0);
	if (run == MAP_FAILED)
		return fail(why, -errno, "vCPU %u: mmap: %s", id,
			    strerror(errno));
	vcpu->run = run;
	vcpu->run_size = (size_t)size;
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	vcpu->want = VCPU_PARK;
	vcpu->parked = true;
	return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run) {
		pthread_cond_destroy(&vcpu->changed);
		pthread_mutex_destroy(&vcpu->lock);
		munmap(vcpu->run, vcpu->run_size);
	}
	vcpu->run = NULL;
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->fd = -1;
}

static void dump(struct vcpu *vcpu)
{
	char *text = NULL, *save = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	arch_vcpu_dump(vcpu, out);
	if (fclose(out) == 0)
		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save))
			log_error("vCPU %u: %s", vcpu->id, line);
	free(text);
}

static enum vcpu_next crash(struct vcpu *vcpu)
{
	dump(vcpu);
	vm_report(vcpu->vm, VM_EVENT_CRASH);
	return NEXT_DIE;
}

static void note_unknown(struct vcpu *vcpu, const char *what, bool write,
			 uint64_t addr, unsigned int len)
{
	log_guest(LOG_LEVEL_DEBUG, "vCPU %u: %s %s of %u bytes at 0x%" PRIx64
		  ": nobody is there", vcpu->id, what, write ? "write" : "read",
		  len, addr);
}

static enum vcpu_next serve_pio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const struct bus *bus = &vcpu->vm->pio;
	bool write = run->io.direction == KVM_EXIT_IO_OUT, known = true;
	unsigned int len = run->io.size, count = run->io.count;
	uint16_t port = run->io.port;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	/* A string instruction: all its elements go to the same port. */
	for (unsigned int i = 0; i < count; i++, data += len) {
		if (write)
			known = bus_write(bus, port, data, len);
		else
			known = bus_read(bus, port, data, len);
	}
	if (!known)
		note_unknown(vcpu, "port", write, port, len);
	return NEXT_RUN;
}

static unsigned int power_of_two(unsigned int len)
{
	if (len >= 8)
		return 8;
	return len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static enum vcpu_next serve_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const struct bus *bus = &vcpu->vm->mmio;
	bool write = run->mmio.is_write, known = true;
	uint64_t addr = run->mmio.phys_addr;
	unsigned int len = run->mmio.len, part;
	uint8_t *data = run->mmio.data;

	if (len > sizeof(run->mmio.data))
		len = sizeof(run->mmio.data);
	/* A crossing of pages leaves odd lengths; devices know powers of 2. */
	for (unsigned int at = 0; at < len; at += part) {
		part = power_of_two(len - at);
		if (write)
			known &= bus_write(bus, addr + at, data + at, part);
		else
			known &= bus_read(bus, addr + at, data + at, part);
	}
	if (!known)
		note_unknown(vcpu, "memory", write, addr, len);
	return NEXT_RUN;
}

static const char *suberror_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM cannot emulate an instruction: "
		       "this KVM cannot run this guest";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "exit while delivering an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "unexpected exit of the CPU";
	default:
		return "unknown to this program";
	}
}

static enum vcpu_next serve_internal_error(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	log_error("vCPU %u: KVM internal error, suberror %u: %s", vcpu->id,
		  run->internal.suberror,
		  suberror_text(run->internal.suberror));
	for (unsigned int i = 0; i < run->internal.ndata && i < 16; i++)
		log_error("vCPU %u: data[%u] 0x%016" PRIx64, vcpu->id, i,
			  (uint64_t)run->internal.data[i]);
	return crash(vcpu);
}

static enum vcpu_next serve_system_event(struct vcpu *vcpu)
{
	uint32_t type = vcpu->run->system_event.type;

	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_report(vcpu->vm, VM_EVENT_POWEROFF);
		return NEXT_DIE;
	case KVM_SYSTEM_EVENT_RESET:
		vm_report(vcpu->vm, VM_EVENT_RESET);
		return NEXT_DIE;
	default:
		log_error("vCPU %u: the guest crashed: system event %u",
			  vcpu->id, type);
		return crash(vcpu);
	}
}

static enum vcpu_next serve_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return serve_pio(vcpu);
	case KVM_EXIT_MMIO:
		return serve_mmio(vcpu);
	case KVM_EXIT_INTR:
		return NEXT_LOOK;
	case KVM_EXIT_SHUTDOWN:
		log_error("vCPU %u: triple fault", vcpu->id);
		return crash(vcpu);
	case KVM_EXIT_INTERNAL_ERROR:
		return serve_internal_error(vcpu);
	case KVM_EXIT_SYSTEM_EVENT:
		return serve_system_event(vcpu);
	case KVM_EXIT_FAIL_ENTRY:
		log_error("vCPU %u: the CPU refused to enter the guest: "
			  "hardware reason 0x%" PRIx64, vcpu->id, (uint64_t)
			  run->fail_entry.hardware_entry_failure_reason);
		return crash(vcpu);
	default:
		log_error("vCPU %u: KVM exit %u is unknown to this program",
			  vcpu->id, run->exit_reason);
		return crash(vcpu);
	}
}

static bool is_held(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->vm->held, __ATOMIC_ACQUIRE);
}

void vcpus_hold(struct vm *vm)
{
	__atomic_store_n(&vm->held, true, __ATOMIC_RELEASE);
}

void vcpus_release(struct vm *vm)
{
	__atomic_store_n(&vm->held, false, __ATOMIC_RELEASE);
}

static enum vcpu_next enter(struct vcpu *vcpu)
{
	if (is_held(vcpu))
		set_immediate_exit(vcpu->run, 1);
	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0)
		return serve_exit(vcpu);
	/* EAGAIN: an application processor was woken by INIT or SIPI. */
	if (errno == EAGAIN)
		return NEXT_RUN;
	if (errno == EINTR)
		return NEXT_LOOK;
	/* Memory that cannot be had; the loop finds out why, and says it. */
	if (errno == EFAULT && vcpu->vm->memory_private) {
		vm_report(vcpu->vm, VM_EVENT_MEMORY);
		return NEXT_DIE;
	}
	log_error("vCPU %u: KVM_RUN: %s", vcpu->id, strerror(errno));
	return crash(vcpu);
}

/* Returns whether to run; false: leave the thread. */
static bool await_work(struct vcpu *vcpu)
{
	bool run;

	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->want == VCPU_PARK ||
	       ((vcpu->dead || is_held(vcpu)) && vcpu->want != VCPU_STOP)) {
		vcpu->parked = true;
		pthread_cond_broadcast(&vcpu->changed);
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	}
	run = vcpu->want == VCPU_RUN;
	vcpu->parked = !run;
	if (run)
		set_immediate_exit(vcpu->run, 0);
	pthread_mutex_unlock(&vcpu->lock);
	return run;
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	enum vcpu_next next;

	thread_run = vcpu->run;
	pthread_mutex_lock(&vcpu->lock);
	vcpu->tid = gettid();
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	while (await_work(vcpu)) {
		do {
			next = enter(vcpu);
		} while (next == NEXT_RUN);
		if (next == NEXT_DIE) {
			pthread_mutex_lock(&vcpu->lock);
			vcpu->dead = true;
			pthread_mutex_unlock(&vcpu->lock);
		}
	}
	thread_run = NULL;
	return NULL;
}

/* The thread is born with all signals blocked but ours and the CPU's faults. */
static int start(struct vcpu *vcpu)
{
	sigset_t mine, old;
	char name[16];
	int err;

	sigfillset(&mine);
	sigdelset(&mine, VCPU_SIGNAL);
	sigdelset(&mine, SIGSEGV);
	sigdelset(&mine, SIGBUS);
	sigdelset(&mine, SIGILL);
	sigdelset(&mine, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &mine, &old);
	err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	vcpu->started = true;
	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(vcpu->thread, name);
	pthread_mutex_lock(&vcpu->lock);
	while (!vcpu->tid)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
	return 0;
}

int vcpus_start(struct vm *vm, struct fail *why)
{
	struct sigaction action = { .sa_handler = kicked };
	int err;

	/* No SA_RESTART: the signal is there to end a system call. */
	sigemptyset(&action.sa_mask);
	if (sigaction(VCPU_SIGNAL, &action, NULL) < 0)
		return fail(why, -errno, "sigaction: %s", strerror(errno));
	for (unsigned int i = 0; i < vm->cpus; i++) {
		err = start(&vm->vcpu[i]);
		if (!err)
			continue;
		vcpus_stop(vm);
		return fail(why, err, "vCPU %u: no thread: %s", i,
			    strerror(-err));
	}
	return 0;
}

static void tell(struct vcpu *vcpu, enum vcpu_want want)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->want = want;
	if (want == VCPU_RUN)
		vcpu->parked = false;
	else
		set_immediate_exit(vcpu->run, 1);
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	if (want != VCPU_RUN)
		pthread_kill(vcpu->thread, VCPU_SIGNAL);
}

void vcpus_resume(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cpus; i++)
		if (vm->vcpu[i].started)
			tell(&vm->vcpu[i], VCPU_RUN);
}

static void wait_parked(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	while (!vcpu->parked)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpus_park(struct vm *vm)
{
	/* All are told first: they stop at about the same time. */
	for (unsigned int i = 0; i < vm->cpus; i++)
		if (vm->vcpu[i].started)
			tell(&vm->vcpu[i], VCPU_PARK);
	for (unsigned int i = 0; i < vm->cpus; i++) {
		if (!vm->vcpu[i].started)
			continue;
		wait_parked(&vm->vcpu[i]);
		arch_vcpu_paused(&vm->vcpu[i]);
	}
}

void vcpus_stop(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cpus; i++)
		if (vm->vcpu[i].started)
			tell(&vm->vcpu[i], VCPU_STOP);
	for (unsigned int i = 0; i < vm->cpus; i++) {
		if (!vm->vcpu[i].started)
			continue;
		pthread_join(vm->vcpu[i].thread, NULL);
		vm->vcpu[i].started = false;
		vm->vcpu[i].tid = 0;
	}
}
