// SPDX-License-Identifier: GPL-2.0
/*
 * Which packets does the kernel drop, for which reason, and to which observed connection do they belong?
 *
 * hooks:   raw tracepoint kfree_skb (since 6.11 it names the receiving socket; before, only the sender's is known)
 * emits:   drops by reason in l4_notes_*, those of no observed connection without saying whose
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

/* A packet of no observed connection, in a network namespace where somebody is observed: by reason alone. */
static __always_inline void count_outside(void *skb, u16 reason)
{
	u16 kind = bpf_ntohs(READ(u16, skb, OFF_sk_buff__protocol));
	void *device = READ(void *, skb, OFF_sk_buff__dev), *net;
	struct l4_key nobody = {};
	u32 netns;

	if (!device || (kind != ETHERTYPE_IPV4 && kind != ETHERTYPE_IPV6))
		return;
	net = READ(void *, device, OFF_net_device__nd_net);
	netns = net ? READ(u32, net, OFF_net__ns + OFF_ns_common__inum) : 0;
	if (observed_netns.lookup(&netns))
		l4_note_count(&nobody, NOTE_DROPPED, reason, 1);
}

RAW_TRACEPOINT_PROBE(kfree_skb)
{
	void *skb = (void *)ctx->args[0];
	u16 reason = ctx->args[2] > SUBSYSTEM_REASON ? SUBSYSTEM_REASON : ctx->args[2];

#ifndef FALLBACK
	if (count_drop((void *)ctx->args[3], reason))
		return 0;
#endif
	if (!count_drop(READ(void *, skb, OFF_sk_buff__sk), reason) && !count_drop(receiver_of(skb), reason))
		count_outside(skb, reason);
	return 0;
}
