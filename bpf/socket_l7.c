// SPDX-License-Identifier: GPL-2.0
/*
 * Which requests do processes send and serve, how long do they take, and how do they end?
 *
 * hooks:     typed tracepoints sock_recv_length, sock_send_length, inet_sock_set_state
 * fallback:  typed tracepoints sys_exit, inet_sock_set_state
 * emits:     maps l7_series_0 and l7_series_1 (requests by series), ring l7_samples
 * kernel:    6.3; 5.11 with the fall-back
 * cost:      0.4 us per request; 20 ns per socket call out of scope
 * misses:    bytes under sendfile, splice and io_uring (counted as content not seen); sockets that are not IPv4 or
 *            IPv6; with the fall-back also all of io_uring, unseen
 */
#include "messages.h"

#define AF_INET 2
#define AF_INET6 10
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define MAX_ENDED 32 /* as many as the verifier follows */

static __always_inline void on_bytes(struct conn *conn, void *sk, struct call_registers *call, bool sent, u32 bytes)
{
	bool request = sent == (conn->role == ROLE_CLIENT);
	u64 now = bpf_ktime_get_ns();
	struct view view;

	if (conn->ignored)
		return;
	view_open(&view, conn, call, bytes);
	if (!view.seen)
		stream_unseen(conn, sk, request, bytes);
	else if (request)
		stream_request(conn, sk, &view, now, sent, bytes);
	else
		stream_response(conn, sk, &view, now, bytes);
}

static __always_inline bool for_us(void *sk)
{
	u16 family = SOCK_FIELD(u16, sk, OFF_sock_common__skc_family);

	return family == AF_INET || family == AF_INET6;
}

static __always_inline void call_read(struct call_registers *call, void *registers)
{
	call->number = LOAD(u64, registers, OFF_pt_regs__orig_ax);
	call->buffer = LOAD(u64, registers, OFF_pt_regs__si);
	call->count = LOAD(u64, registers, OFF_pt_regs__dx);
	call->name = LOAD(u64, registers, OFF_pt_regs__r8);
}

#ifndef FALLBACK

static __always_inline void on_call(void *sk, int bytes, bool sent)
{
	struct call_registers call;
	struct conn *conn;
	void *task;

	if (bytes <= 0 || !for_us(sk))
		return;
	task = CURRENT();
	conn = conn_of(sk, LOAD(u32, task, OFF_task_struct__tgid), sent, bytes);
	if (!conn)
		return;
	call_read(&call, (void *)bpf_task_pt_regs(task));
	on_bytes(conn, sk, &call, sent, bytes);
}

int tp_btf__sock_recv_length(u64 *ctx)
{
	int flags = ctx[2];

	if (!(flags & (MSG_PEEK | MSG_ERRQUEUE)))
		on_call((void *)ctx[0], ctx[1], false);
	return 0;
}

int tp_btf__sock_send_length(u64 *ctx)
{
	on_call((void *)ctx[0], ctx[1], true);
	return 0;
}

#else

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* The socket behind a file descriptor of the task that runs now, NULL when it is none. */
static __always_inline void *sock_of(void *task, u32 fd)
{
	void *files = LOAD(void *, task, OFF_task_struct__files), *table, *file, *inode, *socket;

	table = READ(void *, files, OFF_files_struct__fdt);
	if (fd >= READ(u32, table, OFF_fdtable__max_fds))
		return NULL;
	file = READ(void *, READ(void *, table, OFF_fdtable__fd), fd * sizeof(void *));
	inode = file ? READ(void *, file, OFF_file__f_inode) : NULL;
	if (!inode || (READ(u16, inode, OFF_inode__i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = READ(void *, file, OFF_file__private_data);
	return READ(void *, socket, OFF_socket__sk);
}

/* Which descriptor a call works on and in which direction; -1 for one that moves no bytes of a socket. */
static __always_inline int descriptor_of(u64 number, u64 first, u64 third, bool *sent)
{
	switch (number) {
	case CALL_WRITE:
	case CALL_WRITEV:
	case CALL_PWRITEV2:
	case CALL_SENDTO:
	case CALL_SENDMSG:
	case CALL_SENDMMSG:
	case CALL_SENDFILE:
		*sent = true;
		return first;
	case CALL_SPLICE:
		*sent = true;
		return third;
	case CALL_READ:
	case CALL_READV:
	case CALL_PREADV2:
	case CALL_RECVFROM:
	case CALL_RECVMSG:
	case CALL_RECVMMSG:
		*sent = false;
		return first;
	}
	return -1;
}

int tp_btf__sys_exit(u64 *ctx)
{
	void *registers = (void *)ctx[0], *task, *sk;
	struct call_registers call;
	struct conn *conn;
	bool sent = false;
	long bytes = ctx[1];
	u64 flags;
	u32 tgid;
	int fd;

	if (bytes <= 0)
		return 0;
	call_read(&call, registers);
	fd = descriptor_of(call.number, LOAD(u64, registers, OFF_pt_regs__di), call.count, &sent);
	if (fd < 0)
		return 0;
	task = CURRENT();
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
	if (conn)
		on_bytes(conn, sk, &call, sent, bytes);
	return 0;
}

#endif

/* What was in flight when the connection ended has no response; the oldest of it may be worth a sample. */
static __always_inline void conn_closed(void *sk)
{
	struct ending ending = {.outcome = OUTCOME_NO_RESPONSE};
	struct conn *conn = conn_find(sk);
	struct request *request;
	struct series_key key;
	bool first;

	if (!conn)
		return;
	if (in_flight(conn))
		request_pop(conn, sk, bpf_ktime_get_ns(), &ending, NULL);
	for (int i = 0; i < MAX_ENDED && in_flight(conn); i++) {
		request = request_at(conn, sk, conn->popped++, false);
		if (!request)
			continue;
		key_of(&key, conn, request->endpoint, OUTCOME_NO_RESPONSE, 0);
		request_add(&key, request, &ending, &first);
	}
	if (in_flight(conn))
		lost_add(LOST_CLOSED_IN_FLIGHT, in_flight(conn));
	conn->popped = conn->pushed;
	conn_forget(sk);
}

int tp_btf__inet_sock_set_state(u64 *ctx)
{
	void *sk = (void *)ctx[0];
	int before = ctx[1], after = ctx[2];
	u32 instance;

	if (after == TCP_CLOSE) {
		conn_closed(sk);
	} else if (after == TCP_ESTABLISHED && before == TCP_SYN_SENT) {
		conn_established(sk);
	} else if (after == TCP_SYN_SENT) {
		instance = scope_instance();
		if (instance)
			conn_begin(sk, instance, ROLE_CLIENT);
	}
	return 0;
}
