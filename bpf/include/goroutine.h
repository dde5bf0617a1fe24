/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of Go's crypto/tls, by goroutine: one may begin on one thread, wait, and end on another.
 *
 * Arguments are in registers: the connection in AX, the bytes in BX and CX, the goroutine in R14, which the runtime also keeps in the
 * thread's storage, where it is found from within a system call. Where the stack must grow first, a function begins twice.
 */
#ifndef MESHLENS_GOROUTINE_H
#define MESHLENS_GOROUTINE_H

#include "plaintext.h"

BPF_TABLE("lru_hash", u32, u32, go_processes, 4096);

static __always_inline u64 goroutine_key(u32 tgid, u64 goroutine)
{
	return goroutine ? (1ULL << 63 | (u64)tgid << 40) ^ goroutine : 0;
}

/* The goroutine that runs on this thread, 0 when the process is not known to be one of Go's. */
static __always_inline u64 goroutine_here(u64 thread)
{
	u32 tgid = thread >> 32;
	u64 base, goroutine = 0;

	if (!go_processes.lookup(&tgid))
		return 0;
	base = READ(u64, (void *)bpf_get_current_task(), OFF_task_struct__thread + OFF_thread_struct__fsbase);
	bpf_probe_read_user(&goroutine, sizeof(goroutine), (void *)(base - 8));
	return goroutine_key(tgid, goroutine);
}

/* Puts the call down. Returns the program that goes on: what is written is counted now, when the socket is known. */
static __always_inline u32 go_begin(u64 goroutine, struct library_call *call)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, one = 1;
	struct library_object object = {.address = call->object, .tgid = tgid};
	struct library_call *begun;
	struct known_socket *known;
	u64 key;

	if (!scope_instance_of(tgid))
		return 0;
	if (!go_processes.lookup(&tgid))
		go_processes.update(&tgid, &one);
	key = goroutine_key(tgid, goroutine);
	begun = tls_calls.lookup(&key);
	if (begun && begun->object == call->object && begun->buffer == call->buffer && begun->bytes == call->bytes &&
	    begun->sent == call->sent)
		return 0;
	known = call->sent && call->bytes ? tls_objects.lookup(&object) : NULL;
	call->counted = known && known->sock;
	tls_calls.update(&key, call);
	return call->counted ? call_moved(call, call->bytes) : 0;
}

#endif
