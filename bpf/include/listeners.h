/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the instances in scope accept connections and datagrams.
 */
#ifndef MESHLENS_LISTENERS_H
#define MESHLENS_LISTENERS_H

#include "family.h"
#include "l4_series.h"

#define MAX_LISTENERS 8192
#define SHARERS 4 /* instances that listen on one address at a time */

struct listener {
	u32 instance;
	u32 netns;
	struct address address; /* all zero: any */
	u16 port;
	u8 transport; /* PROTOCOL_TCP or PROTOCOL_UDP */
	u8 unused;
	u32 overflows; /* connections turned away, as far as they are counted */
	u32 queued; /* connections that wait to be accepted */
	u32 queue_limit;
};

_Static_assert(sizeof(struct listener) == 40, "decode.py reads 40 bytes");

/* What a new connection knows of its listener. */
struct listening_at {
	u32 netns;
	struct address address;
	u16 port;
	u16 unused;
};

/* Who listens there: workers share an address, and so do a program and its successor for a while. */
struct listening_by {
	u32 instance[SHARERS];
	u32 sockets[SHARERS];
};

BPF_F_TABLE("hash", u64, struct listener, listeners, MAX_LISTENERS, BPF_F_NO_PREALLOC); /* by socket */
BPF_F_TABLE("hash", struct listening_at, struct listening_by, listening, MAX_LISTENERS, BPF_F_NO_PREALLOC);

static __always_inline u32 first_sharer(struct listening_by *by)
{
	for (int i = 0; i < SHARERS; i++)
		if (by->instance[i])
			return by->instance[i];
	return 0;
}

static __always_inline void listening_add(struct listening_at *at, u32 instance)
{
	struct listening_by nobody = {}, *by = listening.lookup_or_try_init(at, &nobody);

	for (int i = 0; by && i < SHARERS; i++) {
		if (by->instance[i] && by->instance[i] != instance)
			continue;
		by->instance[i] = instance;
		by->sockets[i] += 1;
		return;
	}
	lost_count(LOST_LISTENER_MAP_FULL);
}

static __always_inline void listening_leave(struct listening_at *at, u32 instance)
{
	struct listening_by *by = listening.lookup(at);

	if (!by)
		return;
	for (int i = 0; i < SHARERS; i++) {
		if (by->instance[i] != instance)
			continue;
		by->sockets[i] -= 1;
		if (!by->sockets[i])
			by->instance[i] = 0;
		break;
	}
	if (!first_sharer(by))
		listening.delete(at);
}

static __always_inline u32 listening_instance(void *sk)
{
	struct listening_at at = {.netns = socket_netns(sk), .port = local_port(sk)};
	struct listening_by *found;

	local_address(&at.address, sk);
	found = listening.lookup(&at);
	if (!found) {
		__builtin_memset(&at.address, 0, sizeof(at.address));
		found = listening.lookup(&at);
	}
	return found ? first_sharer(found) : 0;
}

static __always_inline void listener_add(void *sk, u8 transport, u32 instance)
{
	struct listener listener = {.instance = instance, .transport = transport};
	struct listening_at at = {};
	u64 key = (u64)sk;

	listener.netns = at.netns = socket_netns(sk);
	listener.port = at.port = local_port(sk);
	local_address(&listener.address, sk);
	at.address = listener.address;
	if (!listener.port || listeners.lookup(&key))
		return;
	if (transport == PROTOCOL_TCP)
		listener.overflows = READ(u32, sk, OFF_sock__sk_drops);
	if (listeners.update(&key, &listener))
		lost_count(LOST_LISTENER_MAP_FULL);
	else if (transport == PROTOCOL_TCP)
		listening_add(&at, instance);
	family_changed();
}

static __always_inline void listener_key(struct listener *listener, struct l4_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->instance = listener->instance;
	key->port = listener->port;
	key->role = ROLE_SERVER;
}

/* Connections that the full queue turned away since the last time; the kernel keeps the sum. */
static __always_inline void listener_count(void *sk, struct listener *listener)
{
	u32 drops = READ(u32, sk, OFF_sock__sk_drops);
	struct l4_figures *figures;
	struct l4_key key;

	listener->queued = READ(u32, sk, OFF_sock__sk_ack_backlog);
	listener->queue_limit = READ(u32, sk, OFF_sock__sk_max_ack_backlog);
	if (drops == listener->overflows)
		return;
	listener_key(listener, &key);
	figures = l4_figures_of(&key);
	if (figures)
		__sync_fetch_and_add(&figures->listen_overflows, drops - listener->overflows);
	listener->overflows = drops;
}

static __always_inline void listener_remove(void *sk)
{
	u64 key = (u64)sk;
	struct listener *listener = listeners.lookup(&key);
	struct listening_at at = {};

	if (!listener)
		return;
	listener_count(sk, listener);
	at.netns = listener->netns;
	at.port = listener->port;
	at.address = listener->address;
	listening_leave(&at, listener->instance);
	listeners.delete(&key);
	family_changed();
}

#endif
