/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The subset of classic BPF that seccomp programs use (kernel/seccomp.c, seccomp_check_filter):
 * 32-bit loads from seccomp_data, arithmetic on A, jumps, returns. Written from the instruction
 * set's description, so that it shares no assumption with the code that made the program.
 */
#include "tests/unit/daemon/confine/bpf_interpret.h"
#include <errno.h>

static bool jump_taken(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	case BPF_JGE:
		return a >= k;
	case BPF_JSET:
		return a & k;
	default:
		return false;
	}
}

int bpf_interpret(const struct sock_filter *filter, unsigned len, const struct seccomp_data *data,
	uint32_t *ret)
{
	uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {0};

	for (unsigned pc = 0; pc < len; pc++) {
		const struct sock_filter *f = &filter[pc];
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k % 4 || f->k > sizeof(*data) - 4)
				return -EINVAL;
			memcpy(&a, (const char *)data + f->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_ST:
			if (f->k >= BPF_MEMWORDS)
				return -EINVAL;
			memory[f->k] = a;
			break;
		case BPF_LD | BPF_MEM:
			if (f->k >= BPF_MEMWORDS)
				return -EINVAL;
			a = memory[f->k];
			break;
		case BPF_MISC | BPF_TAX:
			x = a;
			break;
		case BPF_MISC | BPF_TXA:
			a = x;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += jump_taken(f->code, a, f->k) ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			*ret = f->k;
			return 0;
		default:
			return -EINVAL;
		}
	}
	return -EINVAL;
}
