// SPDX-License-Identifier: GPL-2.0
/*
 * Which TCP connections are opened, fail and close, how long does opening take, and what travels on them?
 *
 * hooks:   raw tracepoints inet_sock_set_state, tcp_destroy_sock; iterators task_file (once, at start) and
 *          bpf_map_elem over the connections (on each tick)
 * emits:   maps l4_series_*, l4_notes_* (failures by errno), ends
 * kernel:  6.1 (iterators over maps and over the files of one process)
 * cost:    2.5 us for each end of a connection over its life, 0.5 us for each live connection on the tick; nothing for
 *          a packet or a call
 * misses:  connections that routing refuses before a SYN is sent; what arrives after the application has closed;
 *          where several instances listen on one port (SO_REUSEPORT), all its connections count for one of them
 */
#include "iterators.h"
#include "listeners.h"
#include "tcp_connection.h"

#define ERROR_CANCELED 125 /* the caller gave up before there was an answer */
#define YOUNG_NS 1000000000ULL

static __always_inline void connect_begins(void *sk)
{
	u32 instance = scope_instance();

	if (instance && is_tcp(sk))
		connection_add(sk, ROLE_CLIENT, instance);
}

static __always_inline void connect_fails(void *sk, struct tcp_connection *connection)
{
	u32 error = READ(u32, sk, OFF_sock__sk_err);

	l4_note_count(&connection->series, NOTE_FAILED, error ? error : ERROR_CANCELED, 1);
	connection->flags |= CONNECTION_CLOSED;
	connection_count(sk, connection, false);
}

static __always_inline void established(void *sk, u32 before, struct tcp_connection *connection)
{
	u32 instance;

	if (before == STATE_SYN_RECV && !connection) {
		instance = is_tcp(sk) ? listening_instance(sk) : 0;
		connection = instance ? connection_add(sk, ROLE_SERVER, instance) : NULL;
	} else if (connection) {
		connection->connect_ns = bpf_ktime_get_ns() - connection->started_ns;
	}
	if (!connection)
		return;
	connection->flags |= CONNECTION_OPENED;
	connection_establish(sk, connection);
}

static __always_inline void closes(void *sk, u32 before, struct tcp_connection *connection)
{
	if (connection->flags & CONNECTION_CLOSED)
		return;
	if (before == STATE_SYN_SENT) {
		connect_fails(sk, connection);
		return;
	}
	connection->flags |= CONNECTION_CLOSED;
	connection_count(sk, connection, true);
	connection_hide(sk, connection);
}

RAW_TRACEPOINT_PROBE(inet_sock_set_state)
{
	void *sk = (void *)ctx->args[0];
	u32 before = ctx->args[1], after = ctx->args[2];
	u64 key = (u64)sk;
	struct tcp_connection *connection;

	if (after == STATE_SYN_SENT)
		connect_begins(sk);
	if (after != STATE_ESTABLISHED && after != STATE_CLOSE)
		return 0;
	connection = tcp_connections.lookup(&key);
	if (after == STATE_ESTABLISHED)
		established(sk, before, connection);
	else if (connection)
		closes(sk, before, connection);
	return 0;
}

/* Resets and drops after the close still belong to the connection, so it is forgotten only here. */
RAW_TRACEPOINT_PROBE(tcp_destroy_sock)
{
	void *sk = (void *)ctx->args[0];
	u64 key = (u64)sk;
	struct tcp_connection *connection = tcp_connections.lookup(&key);

	if (!connection)
		return 0;
	if (connection_grew(sk, connection))
		connection_count(sk, connection, false);
	if (connection->join)
		ends_leave(connection->join, connection->series.role);
	tcp_connections.delete(&key);
	return 0;
}

/* An accepted socket inherits the length of its listener's queue; one that was connected has none. */
static __always_inline bool accepted(void *sk)
{
	return READ(u32, sk, OFF_sock__sk_max_ack_backlog) || listening_instance(sk);
}

/* What was open before: its totals so far are not ours. */
BPF_ITER(task_file)
{
	u32 instance = ctx->task ? scope_instance_of(READ(u32, ctx->task, OFF_task_struct__tgid)) : 0;
	void *sk = instance ? socket_of_file(ctx->file) : NULL;
	u64 key = (u64)sk;
	struct tcp_connection *connection;
	u8 state;

	if (!sk || !is_tcp(sk) || tcp_connections.lookup(&key))
		return 0;
	state = READ(u8, sk, OFF_sock_common__skc_state);
	if (state == STATE_CLOSE || state == STATE_LISTEN || state == STATE_SYN_SENT)
		return 0;
	connection = connection_add(sk, accepted(sk) ? ROLE_SERVER : ROLE_CLIENT, instance);
	if (!connection)
		return 0;
	connection_establish(sk, connection);
	totals_of(sk, connection->series.role, &connection->counted);
	return 0;
}

/* The tick. A young connection waits for its other end to be joined, so that its figures stay in one series. */
int bpf_iter__bpf_map_elem__tcp_connections(struct visited_socket *ctx)
{
	struct tcp_connection *connection;
	u64 key;

	if (!ctx->key)
		return 0;
	key = *ctx->key;
	connection = tcp_connections.lookup(&key);
	if (!connection || connection->flags & CONNECTION_CLOSED)
		return 0;
	find_peer(connection);
	connection_make_findable((void *)key, connection);
	if (connection->series.peer || bpf_ktime_get_ns() - connection->started_ns > YOUNG_NS)
		connection_count((void *)key, connection, false);
	return 0;
}
