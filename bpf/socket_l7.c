// SPDX-License-Identifier: GPL-2.0
/*
 * Which requests do processes send and serve, how long do they take, and how do they end?
 *
 * hooks:     typed tracepoints sock_recv_length, sock_send_length, inet_sock_set_state, tcp_destroy_sock
 * fallback:  typed tracepoints sys_exit, inet_sock_set_state, tcp_destroy_sock
 * emits:     maps l7_series_0 and l7_series_1 (requests by series), ring l7_samples
 * kernel:    6.3; 5.11 with the fall-back
 * cost:      1.1 us per request (two calls), 2 us with the fall-back; 0.1 us per socket call out of scope
 * misses:    bytes under splice and io_uring (counted as content not seen); what TLS encrypts (tls_l7); sockets that are
 *            not IPv4 or IPv6; with the fall-back also all of io_uring, unseen
 */
#include "engine.h"

#define AF_INET 2
#define AF_INET6 10
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2

static __always_inline bool for_us(void *sk)
{
	u16 family = SOCK_FIELD(u16, sk, OFF_sock_common__skc_family);

	return family == AF_INET || family == AF_INET6;
}

#ifdef FALLBACK
BPF_PROG_ARRAY(tails_sys_exit, 64);
#else
BPF_PROG_ARRAY(tails_sock_recv_length, 64); /* for both: the two tracepoints have the same arguments */
#endif
BPF_PROG_ARRAY(tails_tcp_destroy_sock, 2); /* the second place is for plain text */

static __always_inline void call_read(struct call_registers *call, void *task, void *registers)
{
	call->thread = LOAD(u32, task, OFF_task_struct__pid);
	call->number = LOAD(u64, registers, OFF_pt_regs__orig_ax);
	call->buffer = LOAD(u64, registers, OFF_pt_regs__si);
	call->count = LOAD(u64, registers, OFF_pt_regs__dx);
	call->name = LOAD(u64, registers, OFF_pt_regs__r8);
}

#ifndef FALLBACK

/* Which program follows the messages, 0 when there is nothing to follow. */
static __always_inline u32 on_call(void *sk, int bytes, bool sent)
{
	struct call_registers call;
	struct conn *conn;
	void *task;

	if (bytes <= 0 || !for_us(sk))
		return 0;
	task = CURRENT();
	conn = conn_of(sk, LOAD(u32, task, OFF_task_struct__tgid), sent, bytes);
	if (!conn)
		return 0;
	call_read(&call, task, (void *)bpf_task_pt_regs(task));
	return on_bytes(conn, sk, &call, sent, bytes);
}

int tp_btf__sock_recv_length(u64 *ctx)
{
	int flags = ctx[2];
	u32 next;

	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	next = on_call((void *)ctx[0], ctx[1], false);
	if (next)
		tails_sock_recv_length.call(ctx, next);
	return 0;
}

int tp_btf__sock_send_length(u64 *ctx)
{
	u32 next = on_call((void *)ctx[0], ctx[1], true);

	if (next)
		tails_sock_recv_length.call(ctx, next);
	return 0;
}

int tail__sock_recv_length__60(u64 *ctx)
{
	return take_dns((void *)ctx[0]);
}

int tail__sock_recv_length__2(u64 *ctx)
{
	if (follow_postgresql((void *)ctx[0]))
		tails_sock_recv_length.call(ctx, PROTOCOL_POSTGRESQL);
	return 0;
}

int tail__sock_recv_length__62(u64 *ctx)
{
	u32 next = recognise((void *)ctx[0]);

	if (next)
		tails_sock_recv_length.call(ctx, next);
	return 0;
}

FRAMED_PROGRAMS(sock_recv_length, (void *)ctx[0])

#else

#include "descriptor.h"

int tp_btf__sys_exit(u64 *ctx)
{
	void *registers = (void *)ctx[0], *task, *sk;
	struct call_registers call;
	struct conn *conn;
	bool sent = false;
	long bytes = ctx[1];
	u64 flags;
	u32 tgid, next;
	int fd;

	if (bytes <= 0)
		return 0;
	task = CURRENT();
	call_read(&call, task, registers);
	fd = descriptor_of(call.number, LOAD(u64, registers, OFF_pt_regs__di), call.count, &sent);
	if (fd < 0)
		return 0;
	tgid = LOAD(u32, task, OFF_task_struct__tgid);
	if (!scope_instance_of(tgid))
		return 0;
	sk = sock_of(task, fd);
	if (!sk || !for_us(sk))
		return 0;
	flags = call.number == CALL_RECVFROM ? LOAD(u64, registers, OFF_pt_regs__r10) :
		call.number == CALL_RECVMSG ? call.count : 0;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	conn = conn_of(sk, tgid, sent, bytes);
	next = conn ? on_bytes(conn, sk, &call, sent, bytes) : 0;
	if (next)
		tails_sys_exit.call(ctx, next);
	return 0;
}

int tail__sys_exit__60(u64 *ctx)
{
	return take_dns(NULL);
}

int tail__sys_exit__2(u64 *ctx)
{
	if (follow_postgresql(NULL))
		tails_sys_exit.call(ctx, PROTOCOL_POSTGRESQL);
	return 0;
}

int tail__sys_exit__62(u64 *ctx)
{
	u32 next = recognise(NULL);

	if (next)
		tails_sys_exit.call(ctx, next);
	return 0;
}

FRAMED_PROGRAMS(sys_exit, NULL)

#endif

int tp_btf__inet_sock_set_state(u64 *ctx)
{
	void *sk = (void *)ctx[0];
	int before = ctx[1], after = ctx[2];
	u32 instance;

	if (after == TCP_ESTABLISHED && before == TCP_SYN_SENT) {
		conn_established(sk);
	} else if (after == TCP_SYN_SENT) {
		instance = scope_instance();
		if (instance)
			conn_begin(sk, instance, ROLE_CLIENT);
	}
	return 0;
}

/*
 * The end is taken from here and not from the state: a reset that comes while a response is being sent closes the connection before
 * the response is seen, and requests can be read after it.
 */
int tp_btf__tcp_destroy_sock(u64 *ctx)
{
	struct conn *conn = conn_find((void *)ctx[0]);

	if (conn && in_flight(conn))
		tails_tcp_destroy_sock.call(ctx, 0);
	else if (conn)
		conn_forget((void *)ctx[0]);
	return 0;
}

int tail__tcp_destroy_sock__0(u64 *ctx)
{
	if (conn_closed((void *)ctx[0]))
		tails_tcp_destroy_sock.call(ctx, 0);
	return 0;
}
