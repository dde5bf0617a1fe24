/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The TCP connections of the instances in scope, by socket.
 *
 * TCP counts bytes, segments and retransmissions itself. So nothing is done for each packet or call: a connection's
 * totals are read on the tick and when it ends, and what they grew by goes into its series.
 */
#ifndef MESHLENS_TCP_CONNECTION_H
#define MESHLENS_TCP_CONNECTION_H

#include "ends.h"
#include "l4_series.h"
#include "scope.h"

#define MAX_CONNECTIONS 65536
#define SOCK_DONE 2 /* the flag's bit: the other end's FIN was received */
#define PATIENCE 256

enum connection_flag {
	CONNECTION_OPENED = 1, /* opened, and not yet counted as such */
	CONNECTION_ESTABLISHED = 2,
	CONNECTION_CLOSED = 4,
};

struct tcp_connection {
	u64 busy; /* 1: somebody is counting it */
	u64 join; /* key in ends, 0 before it is established */
	u64 started_ns;
	u64 connect_ns; /* from connect to established, 0 on the server's side */
	u64 bytes_sent; /* counted so far, like the next three */
	u64 bytes_received;
	u32 segments_sent;
	u32 retransmits;
	struct l4_key series;
	u32 flags;
};

BPF_F_TABLE("hash", u64, struct tcp_connection, tcp_connections, MAX_CONNECTIONS, BPF_F_NO_PREALLOC);

static __always_inline struct tcp_connection *connection_add(void *sk, u32 role, u32 instance)
{
	struct tcp_connection fresh = {};
	u64 key = (u64)sk;

	fresh.started_ns = bpf_ktime_get_ns();
	fresh.series.instance = instance;
	fresh.series.role = role;
	fresh.series.port = role == ROLE_CLIENT ? remote_port(sk) : local_port(sk);
	remote_address(&fresh.series.remote, sk);
	if (tcp_connections.update(&key, &fresh)) {
		lost_count(LOST_CONNECTION_MAP_FULL);
		return NULL;
	}
	return tcp_connections.lookup(&key);
}

static __always_inline void connection_establish(void *sk, struct tcp_connection *connection)
{
	u32 role = connection->series.role;

	connection->join = ends_key(sk, role);
	connection->flags |= CONNECTION_ESTABLISHED;
	ends_join(connection->join, role, connection->series.instance);
}

static __always_inline void find_peer(struct tcp_connection *connection)
{
	if (connection->series.peer || !connection->join)
		return;
	connection->series.peer = ends_peer(connection->join, connection->series.role);
	if (connection->series.peer)
		__builtin_memset(&connection->series.remote, 0, sizeof(struct address));
}

static __always_inline void count_totals(void *sk, struct tcp_connection *connection, struct l4_figures *figures)
{
	u64 sent = READ(u64, sk, OFF_tcp_sock__bytes_sent) - READ(u64, sk, OFF_tcp_sock__bytes_retrans);
	u64 received = READ(u64, sk, OFF_tcp_sock__bytes_received); /* counts the FIN as a byte */
	u32 segments = READ(u32, sk, OFF_tcp_sock__segs_out), again = READ(u32, sk, OFF_tcp_sock__total_retrans);

	if (READ(u64, sk, OFF_sock_common__skc_flags) & SOCK_DONE)
		received -= 1;
	if (segments != connection->segments_sent && connection->flags & CONNECTION_ESTABLISHED)
		histogram_add(figures->rtt, (u64)(READ(u32, sk, OFF_tcp_sock__srtt_us) >> 3) * 1000);
	if (segments < connection->segments_sent) /* disconnect() has set them all to zero */
		return;
	__sync_fetch_and_add(&figures->bytes_sent, sent - connection->bytes_sent);
	__sync_fetch_and_add(&figures->bytes_received, received - connection->bytes_received);
	__sync_fetch_and_add(&figures->segments_sent, (u64)(u32)(segments - connection->segments_sent));
	__sync_fetch_and_add(&figures->retransmits, (u64)(u32)(again - connection->retransmits));
	connection->bytes_sent = sent;
	connection->bytes_received = received;
	connection->segments_sent = segments;
	connection->retransmits = again;
}

/* Puts into the series what is new since the last time. */
static __always_inline void connection_count(void *sk, struct tcp_connection *connection, bool closing)
{
	struct l4_figures *figures;
	bool mine = false;

	for (int i = 0; i < PATIENCE && !mine; i++)
		mine = __sync_val_compare_and_swap(&connection->busy, 0, 1) == 0;
	if (!mine) {
		lost_count(LOST_L4_SERIES_FULL);
		return;
	}
	find_peer(connection);
	figures = l4_figures_of(&connection->series);
	if (figures) {
		if (connection->flags & CONNECTION_OPENED) {
			__sync_fetch_and_add(&figures->opened, 1);
			if (connection->series.role == ROLE_CLIENT)
				histogram_add(figures->connect, connection->connect_ns);
			connection->flags &= ~CONNECTION_OPENED;
		}
		if (closing)
			__sync_fetch_and_add(&figures->closed, 1);
		count_totals(sk, connection, figures);
	}
	connection->busy = 0;
}

/* A socket is used by another instance than the one that was thought to own it: the kernel handed it over. */
static __always_inline void connection_used_by(void *sk, u32 instance)
{
	u64 key = (u64)sk;
	struct tcp_connection *connection = tcp_connections.lookup(&key);

	if (!connection || connection->series.instance == instance)
		return;
	connection->series.instance = instance;
	if (connection->join)
		ends_join(connection->join, connection->series.role, instance);
}

#endif
