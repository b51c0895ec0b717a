// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: a kernel's file, booted in a machine without a KVM.
 *
 * An input is a setting (kernel_setting.h) and the file's bytes. All of
 * arch_boot() runs but the last step, the registers, of which a wrapper takes
 * note. RAM is a sparse file in which an offset is a guest address, so that
 * SEEK_DATA tells which pages were written, inside RAM and outside.
 *
 * - What is refused: for a reason of one line. If for want of memory, then the
 *   amount that it asks for must do.
 * - What is accepted: kernel_view.c reads the file again, in its own way. What
 *   it finds must be in memory as it stands in the file, inside RAM that the
 *   memory map gives to the guest, and nothing else may have been written but
 *   the tables of layout.h.
 */
#include "tests/fuzz/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/kernel_setting.h"
#include "tests/fuzz/kernel_world.h"
#include "vmm/arch.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/layout.h"

#define PAGE	4096u
#define MIB	(UINT64_C(1) << 20)
/* "The machine", the kernel, the initrd: each may ask for more once. */
#define TRIES_MAX	4

const char fuzz_target[] = "kernel";

/* Of the machine that is being booted. */
static struct world *booting;

int __wrap_x86_set_entry(struct vcpu *vcpu, const struct x86_kernel *kernel,
			 struct fail *why);

int __wrap_x86_set_entry(struct vcpu *vcpu, const struct x86_kernel *kernel,
			 struct fail *why)
{
	(void)why;
	require(vcpu == &booting->vm.vcpu[0]);
	booting->entered = true;
	booting->loaded = *kernel;
	return 0;
}

void world_violated(const char *file, int line, const char *rule)
{
	fprintf(stderr, "%s:%d: broken rule: %s\n", file, line, rule);
	abort();
}

static void open_file(struct world_file *file, const char *name)
{
	file->fd = memfd_create(name, MFD_CLOEXEC);
	require(file->fd >= 0);
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

static void fill_file(struct world_file *file, const uint8_t *data, size_t len,
		      uint64_t size)
{
	file->data = data;
	file->len = len;
	file->size = size;
	require(!ftruncate(file->fd, 0));
	require(pwrite(file->fd, data, len, 0) == (ssize_t)len);
	require(!ftruncate(file->fd, (off_t)size));
}

static struct world *get_world(void)
{
	static struct world *w;

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	require(w);
	w->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	require(w->ram_fd >= 0);
	require(!ftruncate(w->ram_fd, WORLD_END));
	w->ram = mmap(NULL, WORLD_END, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, w->ram_fd, 0);
	require(w->ram != MAP_FAILED);
	open_file(&w->kernel, "kernel");
	open_file(&w->initrd, "initrd");
	w->vm.cpus = 1;
	w->vm.vcpu[0].vm = &w->vm;
	w->vm.vcpu[0].fd = -1;
	return w;
}

static int lowest_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd;
}

/* Boots with fresh memory. Return: what arch_boot() returned. */
static int boot(struct world *w, uint64_t ram)
{
	const struct platform_device power = {
		PLATFORM_POWER, ARCH_POWER_BASE, 3, 0,
	};
	const struct arch_boot what = {
		.kernel = w->kernel.path,
		.initrd = w->initrd.size ? w->initrd.path : NULL,
		.append = w->append,
		.device = &power, .devices = 1,
	};
	int fd, rc;

	require(!ftruncate(w->ram_fd, 0) && !ftruncate(w->ram_fd, WORLD_END));
	arch_memory_layout(ram, &w->vm.memory);
	for (unsigned int i = 0; i < w->vm.memory.count; i++) {
		struct guest_region *r = &w->vm.memory.region[i];

		r->host = w->ram + r->gpa;
	}
	w->entered = false;
	w->why.text[0] = '\0';
	booting = w;
	fd = lowest_fd();
	rc = arch_boot(&w->vm, &what, &w->why);
	require(lowest_fd() == fd);
	require(w->entered == !rc);
	return rc;
}

static bool is_within(uint64_t gpa, uint64_t size, const struct world_run *run,
		      unsigned int runs)
{
	for (unsigned int i = 0; i < runs; i++)
		if (gpa >= run[i].gpa && gpa - run[i].gpa < run[i].size &&
		    size <= run[i].size - (gpa - run[i].gpa))
			return true;
	return false;
}

static bool overlaps(uint64_t gpa, uint64_t size, const struct world_run *run,
		     unsigned int runs)
{
	for (unsigned int i = 0; i < runs; i++)
		if (gpa < run[i].gpa + run[i].size && run[i].gpa < gpa + size)
			return true;
	return false;
}

/* A page that was written must have a reason; so must each byte of it. */
static void check_page(const struct world *w, uint64_t gpa,
		       const struct world_run *run, unsigned int runs)
{
	if (is_within(gpa, PAGE, run, runs))
		return;
	require(overlaps(gpa, PAGE, run, runs));
	for (uint64_t at = gpa; at < gpa + PAGE; at++)
		require(!w->ram[at] || is_within(at, 1, run, runs));
}

static void check_written(const struct world *w, const struct world_run *run,
			  unsigned int runs)
{
	off_t at = 0, end;

	while ((at = lseek(w->ram_fd, at, SEEK_DATA)) >= 0) {
		end = lseek(w->ram_fd, at, SEEK_HOLE);
		require(end > at && at % PAGE == 0 && end % PAGE == 0);
		for (; at < end; at += PAGE)
			check_page(w, (uint64_t)at, run, runs);
	}
	require(errno == ENXIO);
}

/* What may always be written. Return: how many of @run. */
static unsigned int table_runs(const struct world *w, struct world_run *run)
{
	const struct world_run tables[] = {
		{ LAYOUT_PVH_INFO, PAGE },
		{ LAYOUT_ZERO_PAGE, PAGE },
		{ LAYOUT_PML4, 6 * PAGE },
		{ LAYOUT_CMDLINE, strlen(w->append) + 1 },
		{ LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI },
		{ LAYOUT_RESET_VECTOR, LAYOUT_FIRMWARE_END -
				       LAYOUT_RESET_VECTOR },
	};

	memcpy(run, tables, sizeof(tables));
	return sizeof(tables) / sizeof(tables[0]);
}
#define TABLE_RUNS	6

static void check_contents(const struct world *w, const struct world_file *file,
			   uint64_t offset, uint64_t gpa, uint64_t size)
{
	uint8_t want[PAGE];
	uint64_t len;

	for (uint64_t at = 0; at < size; at += len) {
		len = size - at < PAGE ? size - at : PAGE;
		world_file_bytes(file, offset + at, want, len);
		require(!memcmp(w->ram + gpa + at, want, len));
	}
}

static void check_loaded(const struct world *w)
{
	const struct guest_region *low = &w->vm.memory.region[0];
	struct world_run run[TABLE_RUNS + X86_ELF_SEGMENTS_MAX + 1];
	struct world_part part[X86_ELF_SEGMENTS_MAX];
	unsigned int parts = world_parts(w, part);
	unsigned int runs = table_runs(w, run);
	struct world_run initrd;

	require(parts && w->loaded.end <= low->size);
	for (unsigned int i = 0; i < parts; i++) {
		require(part[i].gpa >= LAYOUT_KERNEL_MIN);
		require(part[i].gpa <= w->loaded.end);
		require(part[i].size <= w->loaded.end - part[i].gpa);
		for (unsigned int j = 0; j < i; j++)
			require(part[i].gpa + part[i].size <= part[j].gpa ||
				part[j].gpa + part[j].size <= part[i].gpa);
		run[runs++] = (struct world_run){ part[i].gpa, part[i].filled };
	}
	world_check_parameters(w, part, parts);
	initrd = world_initrd(w);
	require(initrd.size == w->initrd.size);
	if (initrd.size) {
		require(initrd.gpa % PAGE == 0);
		require(initrd.gpa >= w->loaded.end);
		require(initrd.gpa + initrd.size <= w->loaded.initrd_end);
		run[runs++] = initrd;
	}
	check_written(w, run, runs);
	for (unsigned int i = 0; i < parts; i++)
		check_contents(w, &w->kernel, part[i].offset, part[i].gpa,
			       part[i].filled);
	check_contents(w, &w->initrd, 0, initrd.gpa, initrd.size);
}

static void check_refused(const struct world *w)
{
	struct world_run run[TABLE_RUNS + 1];
	unsigned int runs = table_runs(w, run);

	require(w->why.text[0] != '\0');
	for (const char *p = w->why.text; *p; p++)
		require(*p >= ' ' && *p <= '~');
	/* It may have come as far as loading. */
	if (w->vm.memory.region[0].size > LAYOUT_KERNEL_MIN)
		run[runs++] = (struct world_run){
			LAYOUT_KERNEL_MIN,
			w->vm.memory.region[0].size - LAYOUT_KERNEL_MIN,
		};
	check_written(w, run, runs);
}

static int try_boot(struct world *w, uint64_t ram)
{
	int rc = boot(w, ram);

	if (rc)
		check_refused(w);
	else
		check_loaded(w);
	return rc;
}

/* Says the reason that more would do? Return: how much it asks for, bytes. */
static uint64_t asked_for(const struct world *w)
{
	const char *at = strstr(w->why.text, "needs at least ");
	uint64_t mib = 0;

	require(at && sscanf(at, "needs at least %" SCNu64 " MiB", &mib) == 1);
	return mib * MIB;
}

static void try_machine(struct world *w, uint64_t ram)
{
	int rc = try_boot(w, ram);

	for (unsigned int i = 0; rc == -ENOMEM; i++) {
		bool initrd = w->initrd.size &&
			      strstr(w->why.text, w->initrd.path);
		uint64_t need = asked_for(w);

		require(i < TRIES_MAX && need > ram && need <= KERNEL_RAM_MAX);
		ram = need;
		rc = try_boot(w, ram);
		/* Only what comes after the initrd may be wrong now. */
		require(!initrd || !rc || rc == -E2BIG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct world *w = get_world();
	struct kernel_setting setting;

	if (!kernel_setting_take(&setting, &data, &len))
		return 0;
	fill_file(&w->kernel, data, len, len + setting.zeros);
	fill_file(&w->initrd, data, len < setting.initrd_size ? len :
		  (size_t)setting.initrd_size, setting.initrd_size);
	memset(w->append, 'a', setting.append_size);
	w->append[setting.append_size] = '\0';
	try_machine(w, setting.ram);
	return 0;
}
