/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From bytes that were moved to requests that are counted, and what becomes of them when the connection ends.
 *
 * The programs that move bytes in (socket_l7.c: system calls; tls_l7.c: calls of TLS libraries) hand them to on_bytes() and
 * go on with the program that it names.
 */
#ifndef MESHLENS_ENGINE_H
#define MESHLENS_ENGINE_H

#include "http2_kind.h"
#include "joined.h"
#include "library_call.h"
#include "recognise.h"

#define ENDED_TURNS 8 /* requests that one program ends; it can call itself often enough for MAX_IN_FLIGHT of them */

/* Which program goes on with these bytes, by protocol; 0 when all is done. */
static __always_inline u32 on_bytes(struct conn *conn, void *sk, struct call_registers *call, bool sent, u32 bytes)
{
	volatile struct pending *pending = pending_here();
	bool request = sent == (conn->role == ROLE_CLIENT);
	struct view view, start;

	if (!pending)
		return 0;
	pending->now = bpf_ktime_get_ns();
	pending->spoken = 0;
	if (conn->protocol == PROTOCOL_HTTP1 && conn->ignored != IGNORED &&
	    (request ? quick_request(pending, conn, call, sent, bytes) : quick_response(pending, conn, sk, call, bytes)))
		return 0;
#ifndef PLAINTEXT
	library_call_uses(sk);
#endif
	if (conn->ignored == IGNORED)
		return 0;
	view_open(&view, conn, call, bytes);
	if (!view.seen && conn->datagram)
		return 0;
	if (!view.seen) {
		stream_unseen(pending, conn, sk, request, bytes);
		return 0;
	}
	start = view;
	pending->earlier = 0;
	if (conn->datagram) {
		follow_begin(conn, sk, &start, pending->now, request, sent, bytes, 0);
		return DNS_DATAGRAM;
	}
	pending->next = conn->protocol;
	if (!is_followed(conn)) {
		pending->next = request ? stream_request(pending, conn, sk, &view, call->thread, sent, bytes) :
					  stream_response(pending, conn, sk, &view, bytes);
		if (!pending->next)
			return 0;
		if (request && pending->next != RECOGNISE)
			request_unpush(conn);
	}
	if (pending->next == RECOGNISE || FOLLOWED_BY_FRAMES >> (pending->next & 63) & 1)
		framed_begin(conn, sk, &start, pending->now, call->thread, request, sent, bytes, pending->earlier);
	else
		follow_begin(conn, sk, &start, pending->now, request, sent, bytes, pending->earlier);
	return pending->next;
}

/*
 * One turn takes a byte of a header with *turn*, or passes over what it announced; false when there is no more to do. follow_*name*
 * takes turns. True when there is more and the program has to call itself.
 */
#define FOLLOW(name, number, most, again, turn, partial)                                                               \
	static __always_inline bool follow_turn_##name(struct turns *turns)                                            \
	{                                                                                                              \
		volatile struct follow *follow = turns->reading;                                                       \
		volatile struct follower *way = turns->way;                                                            \
		struct conn *conn = turns->conn;                                                                       \
                                                                                                                       \
		if (!(again) && way->skip)                                                                             \
			follow_skip(way, follow);                                                                      \
		if (!(again) && follow->chunk_at >= follow->chunk_bytes)                                               \
			return follow_refill((struct follow *)follow) || follow_end(conn, way, follow, partial);       \
		if (turn(conn, turns->sk, way, follow))                                                                \
			return true;                                                                                   \
		follow->more = 0;                                                                                      \
		follow_lost(conn);                                                                                     \
		return false;                                                                                          \
	}                                                                                                              \
                                                                                                                       \
	static __always_inline bool follow_##name(void *sk)                                                            \
	{                                                                                                              \
		volatile struct follow *follow = follow_here();                                                        \
		struct turns turns;                                                                                    \
                                                                                                                       \
		if (!follow)                                                                                           \
			return false;                                                                                  \
		turns.sk = sk ? sk : (void *)follow->sock;                                                             \
		turns.conn = conn_find(turns.sk);                                                                      \
		if (!turns.conn)                                                                                       \
			return false;                                                                                  \
		turns.reading = follow;                                                                                \
		turns.way = follow->request ? &turns.conn->ways[0] : &turns.conn->ways[1];                             \
		follow->more = 1;                                                                                      \
		TAKE_TURNS(number, most, &turns, follow_turn_##name);                                                  \
		if (!follow->more || ++follow->turns < MAX_TAIL_CALLS)                                                 \
			return follow->more;                                                                           \
		follow_lost(turns.conn);                                                                               \
		return false;                                                                                          \
	}

/* Programs that are called once: to take a datagram. */
#define ONCE(name, call)                                                                                               \
	static __always_inline int name(void *sk)                                                                      \
	{                                                                                                              \
		volatile struct follow *follow = follow_here();                                                        \
		struct conn *conn;                                                                                     \
                                                                                                                       \
		if (!follow)                                                                                           \
			return 0;                                                                                      \
		sk = sk ? sk : (void *)follow->sock;                                                                   \
		conn = conn_find(sk);                                                                                  \
		if (conn)                                                                                              \
			call;                                                                                          \
		return 0;                                                                                              \
	}

ONCE(take_dns, dns_datagram(conn, sk, follow))

FOLLOW(postgresql, PROTOCOL_POSTGRESQL, PG_TURNS, way->state == PG_AGAIN, pg_turn, 0)

#ifdef LOOPS
int loop__2(u64 *ctx)
{
	return !follow_turn_postgresql(turns_of(ctx));
}
#endif

/* Nothing is known of the socket any more. */
static __always_inline void conn_forget(void *sk)
{
#ifdef FALLBACK
	u64 key = SOCK_KEY(sk);

	l7_conns_by_sock.delete(&key);
	l7_pipelines_by_sock.delete(&key);
	FORGET_STORES
#endif
}

/* The next request of a connection whose responses name their requests; NULL when none is left. */
static __always_inline struct request *next_by_id(struct conn *conn, void *sk)
{
	struct pipeline *pipeline = pipeline_of(sk, false);
	u32 index;

	if (!pipeline)
		return NULL;
	for (u32 i = 0; i < MAX_IN_FLIGHT; i++) {
		index = *(volatile u16 *)&conn->closing;
		if (index >= MAX_IN_FLIGHT)
			return NULL;
		conn->closing = index + 1;
		asm volatile("%0 &= 255" : "+r"(index));
		if (pipeline->requests[index].start_ns)
			return &pipeline->requests[index];
	}
	return NULL;
}

/* What was in flight when the connection ended has no response. True when there is more of it. */
static __always_inline bool conn_closed(void *sk)
{
	volatile struct pending *pending = pending_at_end();
	struct conn *conn = conn_find(sk);
	struct request *request;

	if (!conn || !pending)
		return false;
	if (conn->protocol == PROTOCOL_TLS && is_joined(sk))
		conn->popped = conn->pushed;
	for (int i = 0; i < ENDED_TURNS && in_flight(conn); i++) {
		pending_begin(pending, bpf_ktime_get_ns(), 0, 0, 0);
		pending->outcome = OUTCOME_NO_RESPONSE;
		if (!conn->by_id) {
			request_pop(pending, conn, sk);
			continue;
		}
		request = next_by_id(conn, sk);
		if (!request)
			break;
		if (conn->protocol == PROTOCOL_HTTP2)
			http2_closed(pending, request);
		request_end(pending, conn, request);
	}
	if (in_flight(conn) && !(conn->by_id && conn->closing >= MAX_IN_FLIGHT))
		return true;
	conn->popped = conn->pushed;
	conn_forget(sk);
	return false;
}

#endif
