// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF: an uncompressed kernel (vmlinux), or a small test program.
 *
 * Called by boot.c on the main thread, before vCPUs run. Segments are read
 * straight into guest memory. Every field is checked against the file before
 * it is used. A kernel that carries a PVH note is started there; any other at
 * e_entry, in 64-bit mode. (e_entry is not the load address: Linux 6.12's
 * differs from it.)
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/x86_64/kernel.h"
#include "vmm/x86_64/layout.h"

/* xen/include/public/elfnote.h: 32-bit physical entry point. */
#define NOTE_PHYS32_ENTRY	18u
/* Linux' COMMAND_LINE_SIZE, less the NUL. */
#define CMDLINE_MAX		2047u

bool x86_elf_probe(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int check_ident(const Elf64_Ehdr *e, const char *path, struct fail *why)
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64)
		return fail(why, -EINVAL, "%s: ELF class %u, expected 2 "
			    "(64-bit)", path, e->e_ident[EI_CLASS]);
	if (e->e_ident[EI_DATA] != ELFDATA2LSB)
		return fail(why, -EINVAL, "%s: ELF byte order %u, expected 1 "
			    "(little-endian)", path, e->e_ident[EI_DATA]);
	if (e->e_machine != EM_X86_64)
		return fail(why, -EINVAL, "%s: ELF machine %u, expected %u "
			    "(x86-64)", path, e->e_machine, EM_X86_64);
	if (e->e_type != ET_EXEC)
		return fail(why, -EINVAL, "%s: ELF type %u, expected %u "
			    "(executable)", path, e->e_type, ET_EXEC);
	return 0;
}

int x86_elf_header(const uint8_t *head, size_t len, uint64_t file_size,
		   const char *path, Elf64_Ehdr *ehdr, struct fail *why)
{
	uint64_t table;
	int err;

	if (!x86_elf_probe(head, len) || len < sizeof(*ehdr))
		return fail(why, -EINVAL, "%s: truncated: %zu bytes, an ELF "
			    "header has %zu", path, len, sizeof(*ehdr));
	memcpy(ehdr, head, sizeof(*ehdr));
	err = check_ident(ehdr, path, why);
	if (err)
		return err;
	if (ehdr->e_phentsize != sizeof(Elf64_Phdr))
		return fail(why, -EINVAL, "%s: program headers of %u bytes, "
			    "expected %zu", path, ehdr->e_phentsize,
			    sizeof(Elf64_Phdr));
	if (ehdr->e_phnum < 1 || ehdr->e_phnum > X86_ELF_SEGMENTS_MAX)
		return fail(why, -EINVAL, "%s: %u program headers, expected "
			    "1 .. %u", path, ehdr->e_phnum,
			    X86_ELF_SEGMENTS_MAX);
	table = ehdr->e_phnum * sizeof(Elf64_Phdr);
	if (ehdr->e_phoff > file_size || table > file_size - ehdr->e_phoff)
		return fail(why, -EINVAL, "%s: truncated: program headers at %"
			    PRIu64 ", the file has %" PRIu64 " bytes", path,
			    (uint64_t)ehdr->e_phoff, file_size);
	return 0;
}

int x86_elf_segment(const Elf64_Phdr *phdr, uint64_t file_size,
		    const char *path, struct fail *why)
{
	if (phdr->p_offset > file_size ||
	    phdr->p_filesz > file_size - phdr->p_offset)
		return fail(why, -EINVAL, "%s: truncated: a segment of %" PRIu64
			    " bytes at %" PRIu64 ", the file has %" PRIu64
			    " bytes", path, (uint64_t)phdr->p_filesz,
			    (uint64_t)phdr->p_offset, file_size);
	if (phdr->p_type == PT_LOAD && phdr->p_filesz > phdr->p_memsz)
		return fail(why, -EINVAL, "%s: a segment of %" PRIu64 " bytes "
			    "for %" PRIu64 " bytes of memory", path,
			    (uint64_t)phdr->p_filesz,
			    (uint64_t)phdr->p_memsz);
	if (phdr->p_type == PT_NOTE && phdr->p_filesz > X86_ELF_NOTES_MAX)
		return fail(why, -EINVAL, "%s: %" PRIu64 " bytes of notes, "
			    "expected at most %u", path,
			    (uint64_t)phdr->p_filesz, X86_ELF_NOTES_MAX);
	return 0;
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) / align * align;
}

uint32_t x86_elf_pvh_entry(const uint8_t *notes, size_t len, uint64_t align)
{
	const uint64_t unit = align == 8 ? 8 : 4;
	uint64_t at = 0, name, desc;
	Elf64_Nhdr note;
	uint32_t entry;

	while (at < len && len - at >= sizeof(note)) {
		memcpy(&note, notes + at, sizeof(note));
		/* Sums of 32-bit sizes: no overflow in 64 bits. */
		name = at + sizeof(note);
		desc = round_up(name + note.n_namesz, unit);
		if (desc > len || note.n_descsz > len - desc)
			break;
		/* The value is 4 or 8 bytes; the address has 32 bits. */
		if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
		    memcmp(notes + name, "Xen", 4) == 0 &&
		    note.n_descsz >= sizeof(entry)) {
			memcpy(&entry, notes + desc, sizeof(entry));
			return entry;
		}
		at = round_up(desc + note.n_descsz, unit);
	}
	return 0;
}

static int load_segment(const struct x86_file *file, const Elf64_Phdr *phdr,
			const struct guest_memory *memory, struct fail *why)
{
	int err = x86_fits(memory, phdr->p_paddr, phdr->p_memsz, file->path,
			   why);

	/* Fresh guest memory is zero: nothing to do past p_filesz. */
	if (err || !phdr->p_filesz)
		return err;
	return x86_file_read(file, phdr->p_offset,
			     guest_memory_at(memory, phdr->p_paddr,
					     phdr->p_filesz),
			     phdr->p_filesz, why);
}

static int read_notes(const struct x86_file *file, const Elf64_Phdr *phdr,
		      struct x86_kernel *kernel, struct fail *why)
{
	uint8_t notes[X86_ELF_NOTES_MAX];
	uint32_t entry;
	int err;

	err = x86_file_read(file, phdr->p_offset, notes, phdr->p_filesz, why);
	if (err)
		return err;
	entry = x86_elf_pvh_entry(notes, phdr->p_filesz, phdr->p_align);
	if (entry) {
		kernel->protocol = X86_PVH;
		kernel->entry = entry;
	}
	return 0;
}

/* A boot_params header for a kernel that has none of its own in the file. */
static void make_header(struct setup_header *h)
{
	h->boot_flag = 0xaa55;
	h->header = 0x53726448;
	h->version = 0x020c;
	h->type_of_loader = 0xff;
	h->loadflags = 1;
	h->vid_mode = 0xffff;
	h->kernel_alignment = 0x1000000;
	h->cmdline_size = CMDLINE_MAX;
}

/*
 * Two that want the same memory: one's contents would be lost, or the other's
 * zeros be none. No sums here: neither is known to lie in memory.
 */
static int check_overlap(const Elf64_Phdr *a, const Elf64_Phdr *b,
			 const char *path, struct fail *why)
{
	const Elf64_Phdr *low = a->p_paddr <= b->p_paddr ? a : b;
	const Elf64_Phdr *high = low == a ? b : a;

	if (a->p_type != PT_LOAD || b->p_type != PT_LOAD || !a->p_memsz ||
	    !b->p_memsz || high->p_paddr - low->p_paddr >= low->p_memsz)
		return 0;
	return fail(why, -EINVAL, "%s: segments overlap: %" PRIu64 " bytes at "
		    "0x%" PRIx64 " reach into %" PRIu64 " bytes at 0x%" PRIx64,
		    path, (uint64_t)low->p_memsz, (uint64_t)low->p_paddr,
		    (uint64_t)high->p_memsz, (uint64_t)high->p_paddr);
}

/* Checks all segments before any is loaded; finds kernel->end. */
static int check_segments(const struct x86_file *file, const Elf64_Phdr *phdr,
			  unsigned int count, const struct guest_memory *memory,
			  struct x86_kernel *kernel, struct fail *why)
{
	const Elf64_Phdr *top = NULL;
	int err = 0;

	for (unsigned int i = 0; !err && i < count; i++) {
		const Elf64_Phdr *p = &phdr[i];

		if (p->p_type == PT_LOAD || p->p_type == PT_NOTE)
			err = x86_elf_segment(p, file->size, file->path, why);
		for (unsigned int j = 0; !err && j < i; j++)
			err = check_overlap(&phdr[j], p, file->path, why);
		if (p->p_type == PT_LOAD && p->p_memsz &&
		    (!top || p->p_paddr > top->p_paddr))
			top = p;
	}
	if (err)
		return err;
	if (!top)
		return fail(why, -EINVAL, "%s: no segment to load",
			    file->path);
	kernel->end = top->p_paddr + top->p_memsz;
	/* The topmost alone: it says how much memory all need. */
	return x86_fits(memory, top->p_paddr, top->p_memsz, file->path, why);
}

/* Zeros behind a segment's contents are no code. */
static bool has_code(uint64_t gpa, const Elf64_Phdr *phdr, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (phdr[i].p_type == PT_LOAD && gpa >= phdr[i].p_paddr &&
		    gpa - phdr[i].p_paddr < phdr[i].p_filesz)
			return true;
	return false;
}

static int load_all(const struct x86_file *file, const Elf64_Ehdr *ehdr,
		    const struct guest_memory *memory,
		    struct x86_kernel *kernel, struct fail *why)
{
	Elf64_Phdr phdr[X86_ELF_SEGMENTS_MAX];
	int err;

	err = x86_file_read(file, ehdr->e_phoff, phdr,
			    ehdr->e_phnum * sizeof(phdr[0]), why);
	if (!err)
		err = check_segments(file, phdr, ehdr->e_phnum, memory, kernel,
				     why);
	for (unsigned int i = 0; !err && i < ehdr->e_phnum; i++) {
		if (phdr[i].p_type == PT_LOAD && phdr[i].p_memsz)
			err = load_segment(file, &phdr[i], memory, why);
		else if (phdr[i].p_type == PT_NOTE)
			err = read_notes(file, &phdr[i], kernel, why);
	}
	if (!err && !has_code(kernel->entry, phdr, ehdr->e_phnum))
		return fail(why, -EINVAL, "%s: no segment has code at its "
			    "entry point 0x%" PRIx64, file->path,
			    kernel->entry);
	return err;
}

int x86_elf_load(const struct x86_file *file, const uint8_t *head, size_t len,
		 const struct guest_memory *memory, struct x86_kernel *kernel,
		 struct fail *why)
{
	Elf64_Ehdr ehdr;
	int err;

	memset(kernel, 0, sizeof(*kernel));
	err = x86_elf_header(head, len, file->size, file->path, &ehdr, why);
	if (err)
		return err;
	kernel->protocol = X86_LINUX64;
	kernel->entry = ehdr.e_entry;
	kernel->initrd_end = ARCH_RAM_LOW_MAX;
	kernel->cmdline_max = CMDLINE_MAX;
	make_header(&kernel->header);
	return load_all(file, &ehdr, memory, kernel, why);
}
