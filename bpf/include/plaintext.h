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

struct library_object {
	u64 address;
	u32 tgid;
	u32 unused;
};

#define SEARCH_STEPS 160 /* the words of an object among which its client's random is looked for */
#define SEARCH_TRIES 4
#define BEHIND(pointer, at) ((pointer) << 16 | (at)) /* the random is not in the object, but in what this pointer in it points to */
#define OPENSSL_1_1 BEHIND(0xa8, 0xb8)
#define BORINGSSL BEHIND(0x30, 0x30)

BPF_TABLE("lru_hash", struct library_object, struct known_socket, tls_objects, 16384); /* without a socket: how often it was looked for */
BPF_TABLE("lru_hash", u32, u32, tls_layouts, 4096); /* process to the place of the random in its objects */

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
	l7_joined.update(&key, &conn->id); /* also of a socket that no call of the library has used itself */
	return conn;
}

/* The socket whose plain text *call* has moved, 0 when it is not known: of the system call within it, or the object's own. */
static __always_inline u64 call_socket(struct library_call *call, u32 tgid)
{
	struct library_object object = {.address = call->object, .tgid = tgid};
	struct known_socket *known = tls_objects.lookup(&object), before = {}, now = {};
	u32 instance = scope_instance_of(tgid);
	struct conn *conn;

	if (known)
		before = *known; /* 6.1 does not remember from one condition to the next that it is there */
	now.sock = call->sock ? call->sock : before.sock;
	if (!instance || !now.sock)
		return 0;
	conn = plain_conn((void *)now.sock, tgid, instance);
	if (!conn || (!call->sock && conn->id != before.id)) /* the socket's address is another connection's by now */
		return 0;
	now.id = conn->id;
	if (before.sock != now.sock || before.id != now.id)
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
	if (call.counted || call.handshake) {
		call_socket(&call, bpf_get_current_pid_tgid() >> 32);
		return 0;
	}
	if (result > 0 && call.size_at) {
		bpf_probe_read_user(&size, sizeof(size), (void *)call.size_at);
		result = size;
	}
	return result > 0 && result < 1LL << 31 ? call_moved(&call, result) : 0;
}

/* Whether it is worth looking for the socket of this object, of which no system call has told. */
static __always_inline bool worth_search(struct library_object *object)
{
	struct known_socket *known = tls_objects.lookup(object), fresh = {};

	if (!known) {
		tls_objects.update(object, &fresh);
		return true;
	}
	return !known->sock && known->id++ < SEARCH_TRIES;
}

static __always_inline bool read_random(struct hello_key *key, u64 object, u32 at)
{
	u64 pointer = at >> 16, from = object;

	if (pointer && bpf_probe_read_user(&from, sizeof(from), (void *)object + pointer))
		return false;
	return !bpf_probe_read_user(key->random, sizeof(key->random), (void *)from + (at & 0xffff));
}

/*
 * Programs that move the bytes themselves and hand them to the library in memory (Node, Python's asyncio): the object holds the 32 random
 * bytes of its ClientHello, which were seen on one socket of this process and no other. Where in the object they lie is found once.
 */
static __always_inline void object_search(u64 address)
{
	struct library_object object = {.address = address, .tgid = bpf_get_current_pid_tgid() >> 32};
	u32 tgid = object.tgid, *layout = tls_layouts.lookup(&tgid), at = 0;
	struct hello_key key = {.tgid = tgid};
	struct known_socket *found = NULL, now;

	for (u32 i = 0; i < SEARCH_STEPS + 2; i++) {
		at = layout ? *layout : i < SEARCH_STEPS ? i * 8 : i == SEARCH_STEPS ? OPENSSL_1_1 : BORINGSSL;
		found = read_random(&key, address, at) ? l7_hellos.lookup(&key) : NULL;
		if (found || layout)
			break;
	}
	if (!found || !found->sock)
		return;
	if (!layout)
		tls_layouts.update(&tgid, &at);
	now = *found;
	tls_objects.update(&object, &now);
}

static __always_inline void object_forget(u64 address)
{
	struct library_object object = {.address = address, .tgid = bpf_get_current_pid_tgid() >> 32};

	tls_objects.delete(&object);
}

#endif
