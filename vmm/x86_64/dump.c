// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's registers and code bytes, for a person.
 *
 * Called by vcpu.c on the vCPU's own thread, or with the vCPU parked.
 */
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

/* Code bytes shown before and from the instruction pointer on. */
#define CODE_BEFORE 16u
#define CODE_LEN 48u

/* Where a processor starts. */
#define RESET_BASE	0xffff0000u
#define RESET_RIP	0xfff0u

static void dump_regs(const struct kvm_regs *r, FILE *out)
{
	const struct { const char *name; uint64_t value; } regs[] = {
		{ "RAX", r->rax }, { "RBX", r->rbx }, { "RCX", r->rcx },
		{ "RDX", r->rdx }, { "RSI", r->rsi }, { "RDI", r->rdi },
		{ "RBP", r->rbp }, { "RSP", r->rsp }, { "R8 ", r->r8 },
		{ "R9 ", r->r9 }, { "R10", r->r10 }, { "R11", r->r11 },
		{ "R12", r->r12 }, { "R13", r->r13 }, { "R14", r->r14 },
		{ "R15", r->r15 }, { "RIP", r->rip }, { "RFL", r->rflags },
	};
	const size_t count = sizeof(regs) / sizeof(regs[0]);

	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s=%016" PRIx64 "%c", regs[i].name,
			regs[i].value, i % 3 == 2 ? '\n' : ' ');
}

static void dump_segment(const char *name, const struct kvm_segment *s,
			 FILE *out)
{
	fprintf(out, "%s=%04x base=%016" PRIx64 " limit=%08" PRIx32
		" type=%x dpl=%u p=%u s=%u db=%u l=%u g=%u%s\n", name,
		s->selector, (uint64_t)s->base, s->limit, s->type, s->dpl,
		s->present, s->s, s->db, s->l, s->g,
		s->unusable ? " unusable" : "");
}

static void dump_sregs(const struct kvm_sregs *s, FILE *out)
{
	dump_segment("CS ", &s->cs, out);
	dump_segment("SS ", &s->ss, out);
	dump_segment("DS ", &s->ds, out);
	dump_segment("ES ", &s->es, out);
	dump_segment("FS ", &s->fs, out);
	dump_segment("GS ", &s->gs, out);
	dump_segment("TR ", &s->tr, out);
	dump_segment("LDT", &s->ldt, out);
	fprintf(out, "GDT=%016" PRIx64 " limit=%04x IDT=%016" PRIx64
		" limit=%04x\n", (uint64_t)s->gdt.base, s->gdt.limit,
		(uint64_t)s->idt.base, s->idt.limit);
	fprintf(out, "CR0=%016" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64
		"\n", (uint64_t)s->cr0, (uint64_t)s->cr2, (uint64_t)s->cr3);
	fprintf(out, "CR4=%016" PRIx64 " CR8=%016" PRIx64 " EFER=%016" PRIx64
		" APIC=%016" PRIx64 "\n", (uint64_t)s->cr4, (uint64_t)s->cr8,
		(uint64_t)s->efer, (uint64_t)s->apic_base);
}

static bool read_byte(struct vcpu *vcpu, uint64_t linear, uint8_t *byte)
{
	struct kvm_translation t = { .linear_address = linear };

	/* Each byte by itself: the next may lie on another page. */
	if (ioctl(vcpu->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return false;
	return !guest_memory_read(&vcpu->vm->memory, t.physical_address, byte,
				  1);
}

static void dump_code(struct vcpu *vcpu, uint64_t rip, FILE *out)
{
	uint8_t byte;

	fprintf(out, "code:");
	for (uint64_t i = 0; i < CODE_LEN; i++) {
		bool here = i == CODE_BEFORE, known;

		known = read_byte(vcpu, rip - CODE_BEFORE + i, &byte);
		fputs(here ? " <" : " ", out);
		if (known)
			fprintf(out, "%02x", byte);
		else
			fputs("--", out);
		fputs(here ? ">" : "", out);
	}
	fputc('\n', out);
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		fprintf(out, "KVM does not give its registers\n");
		return;
	}
	/* An SVM CPU does not keep its state then, and KVM resets the vCPU. */
	if (sregs.cs.base == RESET_BASE && regs.rip == RESET_RIP)
		fprintf(out, "registers after a reset: this CPU loses them "
			"in a triple fault\n");
	dump_regs(&regs, out);
	dump_sregs(&sregs, out);
	/* In 64-bit mode the base of CS is 0. */
	dump_code(vcpu, sregs.cs.base + regs.rip, out);
}
