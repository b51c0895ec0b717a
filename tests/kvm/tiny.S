/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bare-metal guest, started by the 64-bit boot protocol: RSI points to struct
 * boot_params. The first letter of the kernel command line says what to do,
 * hexadecimal digits after it are its argument. Only instructions that a
 * software KVM can emulate; no SSE.
 *
 *	p	print "hello", power off
 *	c<n>	add 3 to a counter n times, print it, power off
 *	l<n>	print 0 .. n - 1, some time between them, power off
 *	v<n>	drive the vsock device (queues of 8, an event buffer, an RX
 *		one), then as l, and the number of events it got
 *	m	read 4 bytes at MMIO, print them, power off
 *	k	write 4 bytes of 1 to MMIO, print, power off
 *	s	outs 4 bytes to PORT, ins 4 bytes from it, print them, power off
 *	i	print "<", wait for an interrupt on pin GSI, print, power off
 *	d	print "<", wait for the TSC deadline timer, print, power off
 *	b<n>	set up the vsock device n times, break it each time, print n,
 *		power off
 *	r	reset by the register
 *	y<n>	write the byte n to the panic port, print "after", power off
 *	t	triple fault
 *	u	an instruction on MMIO that no KVM emulates
 */
#define SERIAL		0x3f8
#define POWER		0x600
#define RESET		0x602
#define MMIO		0xd0100000
#define VSOCK		0xd0003000	/* its row in the machine's table */
#define QUEUES		0x200000
#define QUEUE_BYTES	0x4000
#define EVENT_USED	(QUEUES + 2 * QUEUE_BYTES + 0x2000)
#define PVPANIC		0x505
#define PORT		0x700
#define GSI		5
#define VECTOR		0x40
#define LAPIC		0xfee00000
#define IOAPIC		0xfec00000
#define CODE		0x10

	.code64
	.text
	.globl _start
_start:
	mov	0x228(%rsi), %esi	/* boot_params.hdr.cmd_line_ptr */
	movzbl	(%rsi), %edi
	inc	%rsi
	call	argument
	lea	modes(%rip), %rsi
1:	movzbl	(%rsi), %eax
	test	%eax, %eax
	jz	unknown
	cmp	%eax, %edi
	je	2f
	add	$5, %rsi
	jmp	1b
2:	mov	1(%rsi), %eax
	jmp	*%rax

modes:
	.irp	mode, p, c, l, v, m, k, s, i, d, b, r, y, t, u
	.ascii	"\mode"
	.long	mode_\mode
	.endr
	.byte	0

unknown:
	mov	$'?', %eax
	call	put
power_off:
	mov	$0x34, %eax		/* SLP_EN, SLP_TYP 5 */
	mov	$POWER, %edx
	out	%al, %dx
stop:	hlt
	jmp	stop

/* Hexadecimal digits at RSI: the number in EBX. */
argument:
	xor	%ebx, %ebx
1:	movzbl	(%rsi), %eax
	inc	%rsi
	sub	$'0', %eax
	cmp	$10, %eax
	jb	2f
	sub	$('a' - '0' - 10), %eax
	cmp	$10, %eax
	jb	3f
	cmp	$16, %eax
	jae	3f
2:	shl	$4, %ebx
	add	%eax, %ebx
	jmp	1b
3:	ret

/* AL to the serial port; EDX is lost. */
put:
	mov	$SERIAL, %edx
	out	%al, %dx
	ret

/* EBX as eight digits and a newline; EAX, ECX, EDX are lost. */
put_number:
	mov	$8, %ecx
1:	rol	$4, %ebx
	mov	%ebx, %eax
	and	$15, %eax
	add	$'0', %eax
	cmp	$('9' + 1), %eax
	jb	2f
	add	$('a' - '9' - 1), %eax
2:	call	put
	dec	%ecx
	jnz	1b
	mov	$'\n', %eax
	jmp	put

mode_p:
	lea	hello(%rip), %rsi
print:
1:	movzbl	(%rsi), %eax
	test	%eax, %eax
	jz	power_off
	call	put
	inc	%rsi
	jmp	1b
hello:	.asciz	"hello\n"

mode_c:
	mov	$'<', %eax
	call	put
	mov	%ebx, %ecx
	xor	%ebx, %ebx
1:	add	$3, %ebx
	mov	%ebx, counter(%rip)
	dec	%ecx
	jnz	1b
	mov	counter(%rip), %ebx
	call	put_number
	jmp	power_off

mode_l:
	call	count_slowly
	jmp	power_off

/* Print 0 .. EBX - 1. */
count_slowly:
	mov	%ebx, %edi
	xor	%ebx, %ebx
1:	call	put_number
	call	read_tsc
	lea	0x4000000(%rax), %r8	/* some 30 ms */
2:	call	read_tsc
	cmp	%r8, %rax
	jb	2b
	inc	%ebx
	cmp	%edi, %ebx
	jb	1b
	ret

/* Virtio 1.2: the registers, section 4.2.2; the rings, 2.7. */
mode_v:
	/* A writable buffer in the event queue, and in the RX queue. */
	mov	$(QUEUES + 2 * QUEUE_BYTES), %eax
	movl	$0x20f000, (%rax)	/* address */
	movl	$8, 8(%rax)		/* length */
	movw	$2, 12(%rax)		/* VIRTQ_DESC_F_WRITE */
	movw	$1, 0x1002(%rax)	/* avail.idx */
	mov	$QUEUES, %eax
	movl	$0x210000, (%rax)
	movl	$4096, 8(%rax)
	movw	$2, 12(%rax)
	movw	$1, 0x1002(%rax)
	lea	vsock_writes(%rip), %rsi
	mov	$VSOCK, %ecx
1:	mov	(%rsi), %edx		/* register */
	mov	4(%rsi), %eax
	mov	%eax, (%rcx, %rdx)
	add	$8, %rsi
	cmp	$0x50, %edx		/* the notification is the last */
	jne	1b
	call	count_slowly
	mov	$EVENT_USED, %eax
	movzwl	2(%rax), %ebx		/* used.idx */
	call	put_number
	jmp	power_off

vsock_writes:
	.long	0x70, 0			/* status: reset */
	.long	0x70, 3			/* ACKNOWLEDGE, DRIVER */
	.long	0x24, 0			/* INDIRECT_DESC, EVENT_IDX */
	.long	0x20, 0x30000000
	.long	0x24, 1			/* VERSION_1 */
	.long	0x20, 1
	.long	0x70, 0xb		/* FEATURES_OK */
	.irp	queue, 0, 1, 2
	.long	0x30, \queue
	.long	0x38, 8			/* size */
	.long	0x80, QUEUES + \queue * QUEUE_BYTES
	.long	0x90, QUEUES + \queue * QUEUE_BYTES + 0x1000
	.long	0xa0, QUEUES + \queue * QUEUE_BYTES + 0x2000
	.long	0x44, 1			/* ready */
	.endr
	.long	0x70, 0xf		/* DRIVER_OK */
	.long	0x50, 2			/* notify the event queue */

read_tsc:
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret

mode_m:
	mov	$MMIO, %eax
	mov	(%rax), %ebx
	call	put_number
	jmp	power_off

mode_k:
	mov	$MMIO, %eax
	movl	$1, (%rax)
	call	put_number
	jmp	power_off

mode_s:
	mov	$PORT, %edx
	mov	$4, %ecx
	lea	hello(%rip), %rsi
	rep outsb
	mov	$4, %ecx
	lea	counter(%rip), %rdi
	rep insb
	mov	counter(%rip), %ebx
	call	put_number
	jmp	power_off

/* An IDT with one gate, the LAPIC on. */
set_up_interrupts:
	lea	handler(%rip), %rax
	lea	idt(%rip), %rdi
	add	$(VECTOR * 16), %rdi
	mov	%ax, (%rdi)
	movw	$CODE, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	shr	$16, %rax
	mov	%ax, 6(%rdi)
	movl	$0, 8(%rdi)
	lidt	idt_pointer(%rip)
	mov	$LAPIC, %eax
	movl	$0x1ff, 0xf0(%rax)	/* spurious vector, enable */
	ret

handler:
	push	%rax
	incl	counter(%rip)
	mov	$LAPIC, %eax
	movl	$0, 0xb0(%rax)		/* end of interrupt */
	pop	%rax
	iretq

mode_i:
	call	set_up_interrupts
	mov	$IOAPIC, %eax
	movl	$(0x10 + 2 * GSI), (%rax)
	movl	$VECTOR, 0x10(%rax)	/* fixed, edge, active high */
	movl	$(0x11 + 2 * GSI), (%rax)
	movl	$0, 0x10(%rax)		/* to APIC 0 */
	jmp	await

mode_d:
	call	set_up_interrupts
	mov	$LAPIC, %eax
	movl	$(0x40000 | VECTOR), 0x320(%rax)	/* TSC deadline */
	call	read_tsc
	add	$0x20000000, %rax	/* some 200 ms */
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$0x6e0, %ecx
	wrmsr
await:
	mov	$'<', %eax
	call	put
1:	sti
	hlt
	cli
	mov	counter(%rip), %ebx
	test	%ebx, %ebx
	jz	1b
	call	put_number
	jmp	power_off

/* virtio 1.2, 4.2.2: Status, DriverFeatures, QueueNum, QueueReady. */
mode_b:
	mov	%ebx, %edi
	mov	$VSOCK, %eax
1:	movl	$0, 0x70(%rax)
	movl	$1, 0x70(%rax)
	movl	$3, 0x70(%rax)
	movl	$1, 0x24(%rax)
	movl	$1, 0x20(%rax)		/* VERSION_1 */
	movl	$11, 0x70(%rax)
	movl	$15, 0x70(%rax)		/* DRIVER_OK: the gate opens */
	movl	$0, 0x30(%rax)
	movl	$3, 0x38(%rax)		/* not a power of 2 */
	movl	$1, 0x44(%rax)
	dec	%edi
	jnz	1b
	call	put_number
	jmp	power_off

mode_r:
	mov	$0x2a, %eax
	mov	$RESET, %edx
	out	%al, %dx
	jmp	stop

mode_y:
	mov	%ebx, %eax
	mov	$PVPANIC, %edx
	out	%al, %dx
	lea	after(%rip), %rsi
	jmp	print
after:	.asciz	"after\n"

mode_t:
	lidt	no_idt(%rip)
	ud2

mode_u:
	mov	$MMIO, %eax
	fldl	(%rax)
	jmp	power_off

	.balign	16
idt_pointer:
	.word	(VECTOR + 1) * 16 - 1
	.quad	idt
no_idt:	.word	0
	.quad	0

	.bss
	.balign	16
idt:	.skip	(VECTOR + 1) * 16
counter: .skip	8
