/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Protocols that pipeline are followed message by message: each header is read byte after byte, what it announces is passed
 * over. The place where a buffer ends does not matter, because the state lies in the connection.
 *
 * A turn of the loop takes one byte of a header. The verifier bounds the turns, so a program that is not through with its
 * bytes puts its place down and calls itself.
 */
#ifndef MESHLENS_FOLLOW_H
#define MESHLENS_FOLLOW_H

#include "pairing.h"
#include "text.h"
#include "turns.h"

enum match { MATCH_NO, MATCH_MORE, MATCH_YES };

#define CHUNK_BYTES 256

struct follow {
	u64 now;
	struct view view; /* of what is not in the chunk yet */
	u64 chunk_address; /* where the caller keeps it; 0 for what an earlier call brought */
	u64 sock; /* for programs that are not handed it */
	u32 chunk_at;
	u32 chunk_bytes;
	u32 bytes; /* of the whole call */
	u32 named; /* of these, bytes that were given to a request or response */
	u32 request; /* 1: bytes of requests, 0: of responses */
	u32 turns; /* how often the program has called itself */
	u32 settled;
	u32 sent; /* 1: by the process that is watched */
	u32 more; /* to do: the turns were used up */
	u32 unused;
	u8 chunk[2 * CHUNK_BYTES]; /* the upper half stays empty */
};

SCRATCH(l7_follow, struct follow)

/* The verifier forgets by which way this value came about. */
static __always_inline u32 settle(volatile struct follow *follow, u32 value)
{
	follow->settled = value;
	return follow->settled;
}

static __always_inline volatile struct follow *follow_here(void)
{
	return l7_follow_here();
}

/* Puts down what there is to follow: the *earlier* bytes that lie in the connection's head, and those of this call. */
static __always_inline void follow_begin(struct conn *conn, void *sk, struct view *view, u64 now, bool request, bool sent,
					 u32 bytes, u64 earlier)
{
	struct follow *follow = l7_follow_here();

	if (!follow)
		return;
	follow->now = now;
	follow->view = *view;
	follow->sock = (u64)sk;
	follow->chunk_address = follow->chunk_at = follow->chunk_bytes = 0;
	follow->bytes = bytes + earlier;
	follow->named = request ? conn->ways[0].ahead : conn->ways[1].ahead;
	follow->turns = 0;
	follow->request = request;
	follow->sent = sent;
	if (earlier && earlier <= CHUNK_BYTES) {
		bpf_probe_read_kernel(follow->chunk, CHUNK_BYTES, conn->head);
		follow->chunk_bytes = earlier;
	}
}

/* Bytes that can be read at the place in one piece. */
static __always_inline u32 follow_reach(volatile struct follow *follow)
{
	return follow->chunk_bytes - follow->chunk_at + follow->view.here;
}

/* The place, as the caller's address. */
static __always_inline u64 follow_address(volatile struct follow *follow)
{
	return follow->chunk_address + follow->chunk_at;
}

static __always_inline bool follow_refill(struct follow *follow)
{
	u64 take;

	if (!view_ready(&follow->view))
		return false;
	take = follow->view.here;
	if (take > CHUNK_BYTES)
		take = CHUNK_BYTES;
	follow->chunk_at = 0;
	follow->chunk_bytes = 0;
	follow->chunk_address = follow->view.at;
	asm volatile("" : "+r"(take));
	if (take > CHUNK_BYTES)
		return false;
	if (read_user(follow->chunk, take, follow->view.at)) {
		follow->view.seen = false;
		return false;
	}
	follow->chunk_bytes = take;
	view_skip(&follow->view, take);
	return true;
}

/* Passes over what a header announced, as far as it is there. */
static __always_inline void follow_skip(volatile struct follower *way, volatile struct follow *follow)
{
	u32 inside = follow->chunk_bytes - follow->chunk_at, take = way->skip < inside ? way->skip : inside;
	u32 beyond;

	follow->chunk_at += take;
	way->skip -= take;
	beyond = way->skip < follow->view.here ? way->skip : follow->view.here;
	if (!beyond)
		return;
	view_skip((struct view *)&follow->view, beyond);
	way->skip -= beyond;
	follow->chunk_at = follow->chunk_bytes = 0;
	follow->chunk_address = follow->view.at;
}

/* The byte at the place, which goes on. */
static __always_inline u8 follow_byte(volatile struct follow *follow)
{
	return follow->chunk[follow->chunk_at++ & (CHUNK_BYTES - 1)];
}

/* The messages cannot be told apart any more: what is in flight is lost; begin anew with what comes next. */
static __always_inline void follow_lost(struct conn *conn)
{
	lost_add(LOST_STREAM_NOT_FOLLOWED, in_flight(conn) ? in_flight(conn) : 1);
	conn->popped = conn->pushed;
	conn->overflowed = 0;
	__builtin_memset(conn->ways, 0, sizeof(conn->ways));
	conn->protocol = PROTOCOL_UNKNOWN;
	conn->infer_tries = 0;
	conn->gathering = 0;
}

/*
 * The call is through. Bytes that no message claims belong to the last one. What was claimed before it came, or what belongs to a
 * header that is not complete (*partial* bytes of it), is settled with the next call.
 */
static __always_inline bool follow_end(struct conn *conn, volatile struct follower *way, volatile struct follow *follow,
				       u32 partial)
{
	volatile struct pending *pending = pending_here();
	s32 unclaimed = follow->bytes - follow->named - partial;

	follow->more = 0;
	if (!follow->view.seen) {
		follow_lost(conn);
		return false;
	}
	if (unclaimed < 0)
		unclaimed = 0;
	way->ahead = follow->named + unclaimed - follow->bytes;
	if (unclaimed && pending)
		late_bytes(pending, conn, follow->request ? unclaimed : 0, follow->request ? 0 : unclaimed);
	return false;
}

#endif
