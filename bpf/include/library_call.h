/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of TLS libraries that have begun, and the socket that a system call within one uses, on the same thread.
 *
 * Go's are kept by goroutine, since one may begin on one thread, wait, and end on another. The runtime keeps the goroutine in the thread's
 * storage, where it is found from within a system call.
 */
#ifndef MESHLENS_LIBRARY_CALL_H
#define MESHLENS_LIBRARY_CALL_H

#include "joined.h"
#include "kernel_read.h"

/* A call of a TLS library that has begun, by thread (Go: by goroutine). */
struct library_call {
	u64 object;
	u64 buffer;
	u64 size_at; /* where the library puts the number of bytes, 0 when it returns it */
	u64 sock; /* that a system call within this one has used */
	u32 bytes; /* Go: of a call that writes */
	u8 sent;
	u8 counted; /* when it began: Go writes all or fails */
	u8 handshake; /* moves no plain text, and tells the socket */
	u8 unused;
};

BPF_TABLE("lru_hash", u64, struct library_call, tls_calls, 32768);
BPF_TABLE("lru_hash", u32, u32, go_processes, 4096);
BPF_TABLE("array", u32, u32, tls_in_use, 1); /* whether a call has ever begun: where nobody speaks TLS, nothing is looked up */

static __always_inline void library_call_begin(u64 key, struct library_call *call)
{
	u32 zero = 0, *in_use = tls_in_use.lookup(&zero);

	if (in_use && !*in_use)
		*in_use = 1;
	tls_calls.update(&key, call);
}

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

/* A system call uses *sk*: if that is within a call of a library, what is on the wire counts no more from here on. */
static __always_inline void library_call_uses(void *sk)
{
	u64 thread = bpf_get_current_pid_tgid(), one = 1;
	u32 zero = 0, *in_use = tls_in_use.lookup(&zero);
	struct library_call *call;

	if (!in_use || !*in_use)
		return;
	call = tls_calls.lookup(&thread);
	if (!call) {
		thread = goroutine_here(thread);
		call = thread ? tls_calls.lookup(&thread) : NULL;
	}
	if (!call)
		return;
	call->sock = (u64)sk;
	if (!l7_joined.lookup(&call->sock))
		l7_joined.update(&call->sock, &one);
}

#endif
