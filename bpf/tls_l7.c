// SPDX-License-Identifier: GPL-2.0
/*
 * Which requests do processes send and serve inside TLS?
 *
 * hooks:     uprobes on the reading and writing functions of OpenSSL, BoringSSL, GnuTLS and Go's crypto/tls, in files that
 *            processes in scope have mapped; typed tracepoint tcp_destroy_sock; the system calls within them: socket_l7
 * emits:     maps l7_series_0 and l7_series_1 (requests by series, marked as encrypted), ring l7_samples
 * kernel:    5.15
 * cost:      a trap at the beginning and one at the end of each call of the library
 * misses:    libraries without symbols, and Java: these are shown as encrypted traffic; a process's first requests until
 *            its libraries have been found; everything while socket_l7 is off
 */
#define PLAINTEXT 1
#define FALLBACK 1 /* state by the socket's address: programs on functions are handed no socket */
#include "goroutine.h"

BPF_PROG_ARRAY(tails_uprobe, 64);
BPF_PROG_ARRAY(tails_tcp_destroy_sock, 2);

#define SEARCH 63 /* the program behind those of the protocols and the engine */
#define ARGUMENT(ctx, field) (ctx[OFF_##field / 8])

/* Scope comes first: a function of a shared library is everybody's. */
static __always_inline int begin(u64 *ctx, u64 size_at, bool sent, bool handshake)
{
	struct library_call call = {.size_at = size_at, .sent = sent, .handshake = handshake};
	u64 thread = bpf_get_current_pid_tgid();

	if (!scope_instance_of(thread >> 32))
		return 0;
	call.object = ARGUMENT(ctx, pt_regs__di);
	call.buffer = ARGUMENT(ctx, pt_regs__si);
	library_call_begin(thread, &call);
	return 0;
}

/* SSL_write(object, buffer, bytes) and gnutls_record_send */
int uprobe__write(u64 *ctx)
{
	return begin(ctx, 0, true, false);
}

/* SSL_read(object, buffer, bytes) and gnutls_record_recv */
int uprobe__read(u64 *ctx)
{
	return begin(ctx, 0, false, false);
}

/* SSL_write_ex(object, buffer, bytes, *written) */
int uprobe__write_ex(u64 *ctx)
{
	return begin(ctx, ARGUMENT(ctx, pt_regs__cx), true, false);
}

/* SSL_read_ex(object, buffer, bytes, *read) */
int uprobe__read_ex(u64 *ctx)
{
	return begin(ctx, ARGUMENT(ctx, pt_regs__cx), false, false);
}

/* SSL_do_handshake(object) and gnutls_handshake */
int uprobe__handshake(u64 *ctx)
{
	return begin(ctx, 0, false, true);
}

static __always_inline int end(u64 *ctx)
{
	u32 next = call_end(bpf_get_current_pid_tgid(), (s32)ARGUMENT(ctx, pt_regs__ax)); /* an int: the lower half */

	if (next)
		tails_uprobe.call(ctx, next);
	return 0;
}

int uretprobe__end(u64 *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct library_call *call = tls_calls.lookup(&thread);
	struct library_object object = {.tgid = thread >> 32};

	if (!call)
		return 0;
	object.address = call->object;
	if (!call->sock && (s32)ARGUMENT(ctx, pt_regs__ax) > 0 && worth_search(&object))
		tails_uprobe.call(ctx, SEARCH);
	return end(ctx);
}

int tail__uprobe__63(u64 *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct library_call *call = tls_calls.lookup(&thread);

	if (call)
		object_search(call->object);
	return end(ctx);
}

/* (*Conn).Write(bytes) */
int uprobe__go_write(u64 *ctx)
{
	struct library_call call = {.object = ARGUMENT(ctx, pt_regs__ax), .buffer = ARGUMENT(ctx, pt_regs__bx),
				    .bytes = ARGUMENT(ctx, pt_regs__cx), .sent = 1};
	u32 next = go_begin(ARGUMENT(ctx, pt_regs__r14), &call);

	if (next)
		tails_uprobe.call(ctx, next);
	return 0;
}

/* (*Conn).Read(bytes) */
int uprobe__go_read(u64 *ctx)
{
	struct library_call call = {.object = ARGUMENT(ctx, pt_regs__ax), .buffer = ARGUMENT(ctx, pt_regs__bx)};

	go_begin(ARGUMENT(ctx, pt_regs__r14), &call);
	return 0;
}

/* (*Conn).handshakeContext(...) */
int uprobe__go_handshake(u64 *ctx)
{
	struct library_call call = {.object = ARGUMENT(ctx, pt_regs__ax), .handshake = 1};

	go_begin(ARGUMENT(ctx, pt_regs__r14), &call);
	return 0;
}

/* At each RET of the three. */
int uprobe__go_end(u64 *ctx)
{
	u64 key = goroutine_key(bpf_get_current_pid_tgid() >> 32, ARGUMENT(ctx, pt_regs__r14));
	u32 next = call_end(key, ARGUMENT(ctx, pt_regs__ax));

	if (next)
		tails_uprobe.call(ctx, next);
	return 0;
}

/* SSL_free(object) and gnutls_deinit */
int uprobe__free(u64 *ctx)
{
	object_forget(ARGUMENT(ctx, pt_regs__di));
	return 0;
}

int tp_btf__tcp_destroy_sock(u64 *ctx)
{
	struct conn *conn = conn_find((void *)ctx[0]);
	u64 key = ctx[0];

	l7_joined.delete(&key);
	if (!conn)
		return 0;
	if (in_flight(conn))
		tails_tcp_destroy_sock.call(ctx, 1);
	else
		conn_forget((void *)ctx[0]);
	return 0;
}

int tail__tcp_destroy_sock__1(u64 *ctx)
{
	if (conn_closed((void *)ctx[0]))
		tails_tcp_destroy_sock.call(ctx, 1);
	return 0;
}

int tail__uprobe__2(u64 *ctx)
{
	if (follow_postgresql(NULL))
		tails_uprobe.call(ctx, PROTOCOL_POSTGRESQL);
	return 0;
}

int tail__uprobe__62(u64 *ctx)
{
	u32 next = recognise(NULL);

	if (next)
		tails_uprobe.call(ctx, next);
	return 0;
}

FRAMED_PROGRAMS(uprobe, NULL)
