// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's RAM: a memfd or the image of a snapshot, mapped here, and handed
 * to KVM.
 *
 * Owns vm->memory, its mappings and its descriptor. Called on the main thread,
 * before the vCPUs run and after they have ended; no locks.
 */
#include "vmm/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/image.h"

#define PAGE UINT64_C(4096)

void vm_unmap_memory(struct vm *vm)
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
		vm_unmap_memory(vm);
	return err;
}
