/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two ends of a connection find each other, whatever addresses NAT shows them: both know both initial sequence
 * numbers, and these travel unchanged.
 */
#ifndef MESHLENS_ENDS_H
#define MESHLENS_ENDS_H

#include "kernel_read.h"
#include "lost.h"
#include "records.h"

#define MAX_JOINS 65536

struct end_pair {
	u32 instance[2]; /* by role; 0: not seen (yet) */
	u32 left[2]; /* 1: this end has closed */
};

BPF_F_TABLE("hash", u64, struct end_pair, ends, MAX_JOINS, BPF_F_NO_PREALLOC);

/*
 * The key that both ends compute alike: (client's initial sequence number + 1, server's + 1). At any time of the
 * connection's life: the oldest unacknowledged byte minus what was acknowledged, and the next byte expected minus
 * what was received. The client's own SYN counts as acknowledged data, the server's does not.
 */
static __always_inline u64 ends_key(void *sk, u32 role)
{
	u32 acked = READ(u64, sk, OFF_tcp_sock__bytes_acked), received = READ(u64, sk, OFF_tcp_sock__bytes_received);
	u32 own = READ(u32, sk, OFF_tcp_sock__snd_una) - acked;
	u32 other = READ(u32, sk, OFF_tcp_sock__rcv_nxt) - received;

	return role == ROLE_CLIENT ? (u64)(own + 1) << 32 | other : (u64)other << 32 | own;
}

static __always_inline void ends_join(u64 key, u32 role, u32 instance)
{
	struct end_pair fresh = {}, *pair = ends.lookup_or_try_init(&key, &fresh);

	if (!pair)
		lost_count(LOST_JOIN_MAP_FULL);
	else if (role == ROLE_CLIENT)
		pair->instance[ROLE_CLIENT] = instance;
	else
		pair->instance[ROLE_SERVER] = instance;
}

/* The instance at the other end, 0 when it is not on this node, not in scope, or not there yet. */
static __always_inline u32 ends_peer(u64 key, u32 role)
{
	struct end_pair *pair = ends.lookup(&key);

	if (!pair)
		return 0;
	return role == ROLE_CLIENT ? pair->instance[ROLE_SERVER] : pair->instance[ROLE_CLIENT];
}

/* One end is gone; the pair goes with the second, or at once when there is only one. */
static __always_inline void ends_leave(u64 key, u32 role)
{
	struct end_pair *pair = ends.lookup(&key);

	if (!pair)
		return;
	if (role == ROLE_CLIENT) {
		pair->left[ROLE_CLIENT] = 1;
		if (!pair->instance[ROLE_SERVER] || pair->left[ROLE_SERVER])
			ends.delete(&key);
	} else {
		pair->left[ROLE_SERVER] = 1;
		if (!pair->instance[ROLE_CLIENT] || pair->left[ROLE_CLIENT])
			ends.delete(&key);
	}
}

#endif
