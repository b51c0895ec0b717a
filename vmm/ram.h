/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM.
 */
#ifndef WHERRY_VMM_RAM_H
#define WHERRY_VMM_RAM_H

#include <stdint.h>

#include "virtio/fail.h"
#include "vmm/kvm.h"

/**
 * vm_map_memory() - give the guest its RAM
 * @size: bytes, a multiple of 4096
 * @image_fd: -1: fresh memory (memfd, shared); else a file of exactly @size
 *     bytes, regions in order, mapped MAP_PRIVATE so that it is never changed
 *
 * RAM is split around the hole below 4 GiB (arch_memory_layout()).
 * Transparent huge pages are advised for fresh memory.
 */
int vm_map_memory(struct vm *vm, uint64_t size, int image_fd,
		  struct fail *why);
/** vm_unmap_memory() - the opposite; no-op when there is none. The VM is closed
 *  by then, unless no vCPU has ever run */
void vm_unmap_memory(struct vm *vm);

#endif
