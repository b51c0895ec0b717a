/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bare-metal guest with a PVH note: 32-bit protected mode, no paging, EBX
 * points to struct hvm_start_info. Prints "pvh" and the command line, powers
 * off. The ELF entry point is a trap: the note is to be preferred.
 */
	.code32
	.text
	.globl _start
_start:
	ud2
pvh:
	mov	$text, %esi
	cmpl	$0x336ec578, (%ebx)
	jne	bad
	call	put_text
	mov	24(%ebx), %esi		/* cmdline_paddr */
	call	put_text
	mov	32(%ebx), %esi		/* rsdp_paddr: "RSD PTR " */
	cmpl	$0x20445352, (%esi)
	jne	bad
	mov	$end, %esi
	call	put_text
bad:	mov	$0x34, %eax
	mov	$0x600, %edx
	out	%al, %dx
stop:	hlt
	jmp	stop

put_text:
	mov	$0x3f8, %edx
1:	movzbl	(%esi), %eax
	test	%eax, %eax
	jz	2f
	out	%al, %dx
	inc	%esi
	jmp	1b
2:	ret

text:	.asciz	"pvh "
end:	.asciz	"\n"

	.section .note.Xen, "a", @note
	.balign	4
	.long	4			/* bytes of the name */
	.long	4			/* bytes of the value */
	.long	18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	pvh
