// SPDX-License-Identifier: GPL-2.0
/*
 * Which packets of the observed connections does the kernel drop, and for which reason?
 *
 * hooks:   raw tracepoint kfree_skb (since 6.11 it names the receiving socket; before, only the sender's is known)
 * emits:   drops by reason in l4_notes_*
 * kernel:  5.17 (reasons)
 * cost:    0.2 us for each packet dropped on the machine, 0.5 us for one of an observed connection
 * misses:  packets dropped on the way in, before a socket was looked up for them, of connections younger than a tick;
 *          packets dropped between two namespaces; both show at the sender as retransmissions
 */
#include "listeners.h"
#include "tcp_connection.h"

#define SUBSYSTEM_REASON 0xffff /* stands for all reasons that a subsystem numbers on its own */

static __always_inline void connection_drop(struct tcp_connection *connection, u16 reason)
{
	find_peer(connection);
	if (!connection->series.peer && !(connection->flags & CONNECTION_CLOSED)) {
		if (!connection->early_drops)
			connection->early_reason = reason;
		if (connection->early_reason == reason) {
			__sync_fetch_and_add(&connection->early_drops, 1);
			return;
		}
	}
	l4_note_count(&connection->series, NOTE_DROPPED, reason, 1);
}

static __always_inline bool count_drop(void *sk, u16 reason)
{
	u64 key = (u64)sk;
	struct tcp_connection *connection;
	struct listener *listener;
	struct l4_key series;

	if (!sk)
		return false;
	connection = tcp_connections.lookup(&key);
	if (connection) {
		connection_drop(connection, reason);
		return true;
	}
	listener = listeners.lookup(&key);
	if (!listener)
		return false;
	listener_key(listener, &series);
	l4_note_count(&series, NOTE_DROPPED, reason, 1);
	return true;
}

RAW_TRACEPOINT_PROBE(kfree_skb)
{
	void *skb = (void *)ctx->args[0];
	u16 reason = ctx->args[2] > SUBSYSTEM_REASON ? SUBSYSTEM_REASON : ctx->args[2];

#ifndef FALLBACK
	if (count_drop((void *)ctx->args[3], reason))
		return 0;
#endif
	if (!count_drop(READ(void *, skb, OFF_sk_buff__sk), reason))
		count_drop(receiver_of(skb), reason);
	return 0;
}
