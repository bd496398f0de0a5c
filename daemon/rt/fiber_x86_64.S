/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * System V AMD64: a call may change everything but rbx, rbp, r12 to r15 and the stack pointer, so
 * these are all that a switch keeps. The control bits of mxcsr and the x87 unit are callee-saved
 * too, but nothing in this program changes them. Layout at a saved stack pointer, upwards:
 * r15 r14 r13 r12 rbx rbp return-address; fiber.c and tools/gdb/fibers.py know it.
 */
	.text

	.globl fiber_switch
	.type fiber_switch, @function
	.p2align 4
fiber_switch:
	.cfi_startproc
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	/* Not ret: the processor's return predictor remembers the other stack. */
	popq %rcx
	jmpq *%rcx
	.cfi_endproc
	.size fiber_switch, .-fiber_switch

	.globl fiber_entry
	.type fiber_entry, @function
	.p2align 4
fiber_entry:
	.cfi_startproc
	.cfi_undefined rip
	movq %r12, %rdi
	xorl %ebp, %ebp
	subq $8, %rsp
	call fiber_main
	ud2
	.cfi_endproc
	.size fiber_entry, .-fiber_entry

	.section .note.GNU-stack, "", @progbits
