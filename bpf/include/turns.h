/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Turns of a loop, one for each message or part of it: as many as a call brings.
 *
 * A kernel that has bpf_loop (5.17) repeats a function, which its verifier walks once. services/probe_manager/linking.py puts the
 * function behind the program that names its place. An older kernel's verifier walks every turn of a plain loop, which is short
 * therefore. Either way a program that is not through calls itself, up to MAX_TAIL_CALLS times.
 */
#ifndef MESHLENS_TURNS_H
#define MESHLENS_TURNS_H

#include "conn.h"

#define MAX_TAIL_CALLS 32
#define LOOP_TURNS 2048 /* of one program: 67,584 in all, some milliseconds of the thread that makes such a call */
#define LOOP_MARK 0x6c6f6f7000000000ULL

/* What a turn works on; it lies on the program's stack, so that nothing is looked up again. */
struct turns {
	void *sk;
	struct conn *conn;
	volatile void *reading; /* struct framed or struct follow */
	volatile struct follower *way;
};

#if defined(HAS_bpf_loop) && !defined(BOUNDED)
#define LOOPS 1
#define TAKE_TURNS(place, most, turns, turn) bpf_loop(LOOP_TURNS, (void *)(LOOP_MARK | (place)), turns, 0)
#else
#define TAKE_TURNS(place, most, turns, turn)                                                                           \
	for (int i = 0; i < (most); i++)                                                                               \
		if (!turn(turns))                                                                                      \
			break
#endif

/* What the kernel hands to a loop's function: the program's own. The compiler need not know whose the memory is. */
static __always_inline struct turns *turns_of(u64 *ctx)
{
	asm volatile("" : "+r"(ctx));
	return (struct turns *)ctx;
}

#endif
