// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One KVM virtual machine: /dev/kvm, the VM, its RAM, its event descriptors.
 *
 * Owns every descriptor and mapping of struct vm. Called by machine.c on the
 * main thread, before the vCPUs run and after they have ended; vm_report()
 * alone may come from any thread. No locks: what is here is constant while
 * the guest runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/vm.h"

#define KVM_PATH "/dev/kvm"
#define PAGE UINT64_C(4096)

static const struct vm_capability needed[] = {
	VM_CAPABILITY(KVM_CAP_USER_MEMORY),
	VM_CAPABILITY(KVM_CAP_IRQCHIP),
	VM_CAPABILITY(KVM_CAP_IRQ_ROUTING),
	VM_CAPABILITY(KVM_CAP_IRQFD),
	VM_CAPABILITY(KVM_CAP_IOEVENTFD),
	VM_CAPABILITY(KVM_CAP_IMMEDIATE_EXIT),
	VM_CAPABILITY(KVM_CAP_MP_STATE),
};

int vm_require(struct vm *vm, const struct vm_capability *list,
	       unsigned int count, struct fail *why)
{
	for (unsigned int i = 0; i < count; i++) {
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, list[i].cap) > 0)
			continue;
		return fail(why, -EOPNOTSUPP,
			    KVM_PATH ": this KVM has no %s, which is needed",
			    list[i].name);
	}
	return 0;
}

void vm_report(struct vm *vm, enum vm_event event)
{
	if (__atomic_exchange_n(&vm->reported, true, __ATOMIC_ACQ_REL))
		return;
	vm->event(vm->opaque, event);
}

static int fail_open(int err, struct fail *why)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return fail(why, -err, KVM_PATH ": not there: enable "
			    "virtualisation in the firmware and load kvm-intel "
			    "or kvm-amd");
	case EACCES:
	case EPERM:
		return fail(why, -err, KVM_PATH ": permission denied: join "
			    "group kvm or run as root");
	default:
		return fail(why, -err, KVM_PATH ": %s", strerror(err));
	}
}

static int open_kvm(struct vm *vm, unsigned int cpus, struct fail *why)
{
	int n, err;

	vm->kvm_fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return fail_open(errno, why);
	n = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (n < 0)
		return fail(why, -errno, KVM_PATH ": not a KVM device: %s",
			    strerror(errno));
	if (n != KVM_API_VERSION)
		return fail(why, -EOPNOTSUPP,
			    KVM_PATH ": API version %d, expected %d", n,
			    KVM_API_VERSION);
	err = vm_require(vm, needed, sizeof(needed) / sizeof(needed[0]), why);
	if (err)
		return err;
	n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (n > 0 && cpus > (unsigned int)n)
		return fail(why, -EINVAL,
			    "%u vCPUs: this KVM takes at most %d", cpus, n);
	return 0;
}

static int create_vm(struct vm *vm, struct fail *why)
{
	/* Interrupted while it waits for other CPUs: try again. */
	do {
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd >= 0)
		return 0;
	return fail(why, -errno, KVM_PATH ": KVM_CREATE_VM: %s%s",
		    strerror(errno), errno == EBUSY ?
		    " (another hypervisor holds the CPU's virtualisation)" :
		    "");
}

int vm_create(struct vm *vm, unsigned int cpus, struct fail *why)
{
	int err;

	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->memory_fd = -1;
	vm->cpus = 0;
	if (cpus < 1 || cpus > VM_CPUS_MAX)
		return fail(why, -EINVAL, "%u vCPUs: expected 1 .. %u", cpus,
			    VM_CPUS_MAX);
	err = open_kvm(vm, cpus, why);
	if (err)
		goto destroy;
	err = create_vm(vm, why);
	if (err)
		goto destroy;
	vm->cpus = cpus;
	for (unsigned int i = 0; i < cpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].id = i;
		vm->vcpu[i].fd = -1;
	}
	err = arch_vm_init(vm, why);
	for (unsigned int i = 0; !err && i < cpus; i++) {
		err = vcpu_create(vm, i, why);
		if (!err)
			err = arch_vcpu_init(&vm->vcpu[i], why);
	}
	if (!err)
		return 0;
destroy:
	vm_destroy(vm);
	return err;
}

static void unmap_memory(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->memory.count; i++) {
		struct guest_region *region = &vm->memory.region[i];

		if (region->host) {
			image_unguard(region->host);
			munmap(region->host, region->size);
		}
		region->host = NULL;
	}
	vm->memory.count = 0;
	if (vm->memory_fd >= 0)
		close(vm->memory_fd);
	vm->memory_fd = -1;
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cpus; i++)
		vcpu_destroy(&vm->vcpu[i]);
	vm->cpus = 0;
	arch_vm_destroy(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	vm->kvm_fd = -1;
	/* Last: the VM's page tables pointed into it. */
	unmap_memory(vm);
}

static int make_memfd(uint64_t size, struct fail *why)
{
	int fd, err;

	fd = memfd_create("wherry-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fail(why, -errno, "guest memory: memfd_create: %s",
			    strerror(errno));
	/*
	 * Whoever is handed the descriptor must not be able to shrink it under
	 * us: that would be a SIGBUS in the middle of a device.
	 */
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = fail(why, -errno, "guest memory of %" PRIu64 " MiB: %s",
			   size >> 20, strerror(errno));
		close(fd);
		return err;
	}
	return fd;
}

/* Return: a descriptor of our own. */
static int take_image(struct vm *vm, int fd, uint64_t size, struct fail *why)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int err;

	if (own < 0)
		return fail(why, -errno, "memory: %s", strerror(errno));
	err = image_init(&vm->image, vm->image.name, own, size, why);
	if (!err)
		return own;
	close(own);
	return err;
}

/* In a signal handler. */
static void memory_is_lost(void *opaque)
{
	vm_report(opaque, VM_EVENT_MEMORY);
}

static void advise_memory(const struct guest_region *region, bool fresh)
{
	/*
	 * Hints, so that failing is no error. A core dump is for the monitor's
	 * own state: the guest's is big and not ours to spill.
	 */
	if (madvise(region->host, region->size, MADV_DONTDUMP) < 0)
		log_debug("madvise(DONTDUMP): %s", strerror(errno));
	if (fresh &&
	    madvise(region->host, region->size, MADV_HUGEPAGE) < 0)
		log_debug("madvise(HUGEPAGE): %s", strerror(errno));
}

static int map_region(struct vm *vm, unsigned int slot, uint64_t offset,
		      struct fail *why)
{
	struct guest_region *region = &vm->memory.region[slot];
	struct kvm_userspace_memory_region kvm_region = {
		.slot = slot,
		.guest_phys_addr = region->gpa,
		.memory_size = region->size,
	};
	void *host;

	host = mmap(NULL, region->size, PROT_READ | PROT_WRITE,
		    (vm->memory_private ? MAP_PRIVATE : MAP_SHARED) |
		    MAP_NORESERVE, vm->memory_fd, (off_t)offset);
	if (host == MAP_FAILED)
		return fail(why, -errno, "guest memory of %" PRIu64 " MiB: %s",
			    region->size >> 20, strerror(errno));
	region->host = host;
	if (vm->memory_private) {
		int err = image_guard(host, region->size, memory_is_lost, vm,
				      why);

		if (err)
			return err;
	}
	advise_memory(region, !vm->memory_private);
	kvm_region.userspace_addr = (uintptr_t)host;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &kvm_region) < 0)
		return fail(why, -errno, "KVM_SET_USER_MEMORY_REGION of %"
			    PRIu64 " MiB at 0x%" PRIx64 ": %s",
			    region->size >> 20, region->gpa, strerror(errno));
	return 0;
}

int vm_map_memory(struct vm *vm, uint64_t size, int image_fd,
		  struct fail *why)
{
	uint64_t offset = 0;
	int err = 0;

	if (size == 0 || size % PAGE)
		return fail(why, -EINVAL, "guest memory of %" PRIu64
			    " bytes: expected a multiple of 4096", size);
	arch_memory_layout(size, &vm->memory);
	vm->memory_private = image_fd >= 0;
	vm->memory_fd = vm->memory_private ?
		take_image(vm, image_fd, size, why) : make_memfd(size, why);
	err = vm->memory_fd < 0 ? vm->memory_fd : 0;
	for (unsigned int i = 0; !err && i < vm->memory.count; i++) {
		err = map_region(vm, i, offset, why);
		offset += vm->memory.region[i].size;
	}
	if (err)
		unmap_memory(vm);
	return err;
}

int vm_add_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd,
		     struct fail *why)
{
	struct kvm_ioeventfd io = {
		.datamatch = value,
		.addr = addr,
		.len = sizeof(value),
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0)
		return fail(why, -errno, "KVM_IOEVENTFD of %u at 0x%" PRIx64
			    ": %s", value, addr, strerror(errno));
	return 0;
}

void vm_set_irq(struct vm *vm, unsigned int gsi, bool high)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = high };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &irq) < 0)
		log_guest(LOG_LEVEL_ERROR, "KVM_IRQ_LINE of GSI %u: %s", gsi,
			  strerror(errno));
}

int vm_add_irqfd(struct vm *vm, unsigned int gsi, int fd, struct fail *why)
{
	struct kvm_irqfd irq = { .fd = (uint32_t)fd, .gsi = gsi };

	if (ioctl(vm->fd, KVM_IRQFD, &irq) < 0)
		return fail(why, -errno, "KVM_IRQFD of GSI %u: %s", gsi,
			    strerror(errno));
	return 0;
}
