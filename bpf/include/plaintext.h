/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plain text of encrypted connections, where programs hand it to their TLS library and take it from there.
 *
 * A call of the library is put down when it begins and looked at when it ends: only then its result tells how many bytes it moved, so a call
 * that has to be made again is counted once. The socket is the one that a system call within it used, on the same thread; it is remembered
 * with the library's object for reads that find their bytes in the library's buffer, and forgotten with it. The state of the plain
 * text lies beside that of the socket and is of the same kind: the same programs read it.
 */
#ifndef MESHLENS_PLAINTEXT_H
#define MESHLENS_PLAINTEXT_H

#include "engine.h"

/* A call of a TLS library that has begun, by thread (Go: by goroutine). */
struct library_call {
	u64 object;
	u64 buffer;
	u64 size_at; /* where the library puts the number of bytes, 0 when it returns it */
	u64 sock; /* that a system call within this one has used */
	u32 sent;
	u32 unused;
};

struct library_object {
	u64 address;
	u32 tgid;
	u32 unused;
};

/* The socket of an object, and which connection that socket was then. */
struct library_socket {
	u64 sock;
	u64 id;
};

BPF_F_TABLE("hash", u64, struct library_call, tls_calls, 16384, BPF_F_NO_PREALLOC);
BPF_TABLE("lru_hash", struct library_object, struct library_socket, tls_objects, 16384);

static __always_inline void call_begin(u64 thread, u64 object, u64 buffer, u64 size_at, bool sent)
{
	struct library_call call = {.object = object, .buffer = buffer, .size_at = size_at, .sent = sent};

	tls_calls.update(&thread, &call);
}

/* The state of the plain text of *sk*, made for process *tgid* when it is new. */
static __always_inline struct conn *plain_conn(void *sk, u32 tgid, u32 instance)
{
	struct conn *conn = conn_find(sk);
	u64 key = (u64)sk;

	if (conn) {
		conn->tgid = tgid;
		conn->instance = instance;
		return conn;
	}
	conn = conn_begin(sk, instance, tcp_role(sk));
	if (!conn || conn->datagram)
		return NULL;
	conn_identify(conn, sk);
	conn->passed[0] = conn->passed[1] = 0;
	conn->encrypted = 1;
	l7_joined.update(&key, &conn->id);
	return conn;
}

/* The socket whose plain text *call* has moved, 0 when it is not known: of the system call within it, or the object's own. */
static __always_inline u64 call_socket(struct library_call *call, u32 tgid)
{
	struct library_object object = {.address = call->object, .tgid = tgid};
	struct library_socket *known = tls_objects.lookup(&object), now = {};
	u32 instance = scope_instance_of(tgid);
	struct conn *conn;

	if (!instance || (!call->sock && !known))
		return 0;
	now.sock = call->sock ? call->sock : known->sock;
	if (!call->sock) { /* the socket's address may be another connection's by now */
		conn = conn_find((void *)now.sock);
		return conn && conn->id == known->id ? now.sock : 0;
	}
	conn = plain_conn((void *)now.sock, tgid, instance);
	if (!conn)
		return 0;
	now.id = conn->id;
	if (!known || known->sock != now.sock || known->id != now.id)
		tls_objects.update(&object, &now);
	return now.sock;
}

/* The call has moved so many *bytes*. Returns the program that goes on. */
static __always_inline u32 call_moved(struct library_call *call, u32 bytes)
{
	u64 thread = bpf_get_current_pid_tgid(), sock = call_socket(call, thread >> 32);
	struct call_registers registers = {};
	struct conn *conn = sock ? conn_find((void *)sock) : NULL;

	if (!conn)
		return 0;
	registers.number = CALL_READ; /* one buffer */
	registers.buffer = call->buffer;
	registers.count = bytes;
	registers.thread = thread;
	conn->passed[call->sent & 1] += bytes;
	return on_bytes(conn, (void *)sock, &registers, call->sent, bytes);
}

/* The call of this thread ends with *result*: bytes, or success where the library puts their number elsewhere. */
static __always_inline u32 call_end(u64 thread, s64 result)
{
	struct library_call *found = tls_calls.lookup(&thread), call;
	u64 size = 0;

	if (!found)
		return 0;
	call = *found;
	tls_calls.delete(&thread);
	if (result > 0 && call.size_at) {
		bpf_probe_read_user(&size, sizeof(size), (void *)call.size_at);
		result = size;
	}
	return result > 0 && result < 1LL << 31 ? call_moved(&call, result) : 0;
}

static __always_inline void object_forget(u64 address)
{
	struct library_object object = {.address = address, .tgid = bpf_get_current_pid_tgid() >> 32};

	tls_objects.delete(&object);
}

#endif
