/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of Go's crypto/tls, by goroutine (library_call.h).
 *
 * Arguments are in registers: the connection in AX, the bytes in BX and CX, the goroutine in R14. Where the stack must grow first, a
 * function begins twice.
 */
#ifndef MESHLENS_GOROUTINE_H
#define MESHLENS_GOROUTINE_H

#include "plaintext.h"

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
	library_call_begin(key, call);
	return call->counted ? call_moved(call, call->bytes) : 0;
}

#endif
