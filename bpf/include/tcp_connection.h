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
#include "packet.h"
#include "scope.h"

#define MAX_CONNECTIONS 65536
#define SOCK_DONE 2 /* the flag's bit: the other end's FIN was received */
#define STATES_AFTER_FIN (1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11) /* FIN_WAIT*, TIME_WAIT, LAST_ACK, CLOSING */
#define PATIENCE 256

enum connection_flag {
	CONNECTION_OPENED = 1, /* opened, and not yet counted as such */
	CONNECTION_ESTABLISHED = 2,
	CONNECTION_CLOSED = 4,
	CONNECTION_SETTLED = 8, /* its bytes are counted to the last */
	CONNECTION_FINDABLE = 16, /* by its four-tuple */
};

struct tcp_totals {
	u64 sent;
	u64 received;
	u64 segments;
	u64 retransmits;
};

struct tcp_connection {
	u64 busy; /* 1: somebody is counting it */
	u64 join; /* key in ends, 0 before it is established */
	u64 started_ns;
	u64 connect_ns; /* from connect to established, 0 on the server's side */
	struct tcp_totals counted;
	u64 early_drops; /* packets dropped while its peer is not known: they wait for it */
	struct l4_key series;
	u16 flags;
	u16 early_reason;
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

static __always_inline void connection_make_findable(void *sk, struct tcp_connection *connection)
{
	struct tcp_tuple tuple = {};
	u64 key = (u64)sk;

	if (connection->flags & CONNECTION_FINDABLE || !(connection->flags & CONNECTION_ESTABLISHED))
		return;
	tuple_of_socket(&tuple, sk);
	if (!tcp_tuples.update(&tuple, &key))
		connection->flags |= CONNECTION_FINDABLE;
}

static __always_inline void connection_hide(void *sk, struct tcp_connection *connection)
{
	struct tcp_tuple tuple = {};

	if (!(connection->flags & CONNECTION_FINDABLE))
		return;
	tuple_of_socket(&tuple, sk);
	tcp_tuples.delete(&tuple);
}

static __always_inline void find_peer(struct tcp_connection *connection)
{
	if (connection->series.peer || !connection->join)
		return;
	connection->series.peer = ends_peer(connection->join, connection->series.role);
	if (connection->series.peer)
		__builtin_memset(&connection->series.remote, 0, sizeof(struct address));
}

/*
 * Payload is told by sequence numbers, because TCP's own sum counts a segment again that the host itself dropped: what
 * was acknowledged and what is under way, without the SYN of the side that opened and without a FIN.
 */
static __always_inline void totals_of(void *sk, u32 role, struct tcp_totals *totals)
{
	u8 state = READ(u8, sk, OFF_sock_common__skc_state);
	u64 acked = 0;
	u32 next = 0;

	for (int i = 0; i < 4; i++) { /* both change together, but not at once */
		acked = READ(u64, sk, OFF_tcp_sock__bytes_acked);
		next = READ(u32, sk, OFF_tcp_sock__snd_nxt);
		totals->sent = acked + (next - READ(u32, sk, OFF_tcp_sock__snd_una));
		if (acked == READ(u64, sk, OFF_tcp_sock__bytes_acked))
			break;
	}
	totals->sent -= role == ROLE_CLIENT;
	if (1 << state & STATES_AFTER_FIN && next == READ(u32, sk, OFF_tcp_sock__write_seq))
		totals->sent -= 1;
	totals->received = READ(u64, sk, OFF_tcp_sock__bytes_received);
	if (READ(u64, sk, OFF_sock_common__skc_flags) & SOCK_DONE)
		totals->received -= 1;
	totals->segments = READ(u32, sk, OFF_tcp_sock__segs_out);
	totals->retransmits = READ(u32, sk, OFF_tcp_sock__total_retrans);
}

static __always_inline void count_totals(void *sk, struct tcp_connection *connection, struct l4_figures *figures)
{
	struct tcp_totals now = {}, *before = &connection->counted;
	bool established = connection->flags & CONNECTION_ESTABLISHED;

	totals_of(sk, connection->series.role, &now);
	if (now.segments < before->segments) /* disconnect() has set them all to zero */
		return;
	if (established && now.segments != before->segments)
		histogram_add(figures->rtt, (u64)(READ(u32, sk, OFF_tcp_sock__srtt_us) >> 3) * 1000);
	__sync_fetch_and_add(&figures->segments_sent, now.segments - before->segments);
	if (now.retransmits != before->retransmits)
		__sync_fetch_and_add(&figures->retransmits, now.retransmits - before->retransmits);
	before->segments = now.segments;
	before->retransmits = now.retransmits;
	if (!established || connection->flags & CONNECTION_SETTLED)
		return;
	/* While a FIN is on its way into the counters they may seem to step back by one: wait until they have not. */
	if ((s64)(now.sent - before->sent) > 0) {
		__sync_fetch_and_add(&figures->bytes_sent, now.sent - before->sent);
		before->sent = now.sent;
	}
	if ((s64)(now.received - before->received) > 0) {
		__sync_fetch_and_add(&figures->bytes_received, now.received - before->received);
		before->received = now.received;
	}
	if (connection->flags & CONNECTION_CLOSED)
		connection->flags |= CONNECTION_SETTLED;
}

/* Whether there is something to count that was not counted at the close: a reset, a last acknowledgement. */
static __always_inline bool connection_grew(void *sk, struct tcp_connection *connection)
{
	return !(connection->flags & CONNECTION_CLOSED) || connection->early_drops ||
	       READ(u32, sk, OFF_tcp_sock__segs_out) > connection->counted.segments;
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
		if (connection->early_drops)
			l4_note_count(&connection->series, NOTE_DROPPED, connection->early_reason, connection->early_drops);
		connection->early_drops = 0;
	}
	connection->busy = 0;
}

#endif
