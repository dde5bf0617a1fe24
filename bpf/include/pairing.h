/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests with their responses, in the order in which they were sent.
 *
 * The oldest request in flight lies in the connection's own state; only a connection that pipelines is given a ring
 * for the others. A request beyond the ring is counted as lost at once, and its response is passed over when its turn comes.
 */
#ifndef MESHLENS_PAIRING_H
#define MESHLENS_PAIRING_H

#include "emit.h"

static __always_inline u32 in_flight(struct conn *conn)
{
	return conn->pushed - conn->popped;
}

/* The request with this index, NULL when it has no place. */
static __always_inline struct request *request_at(struct conn *conn, void *sk, u32 index, bool make)
{
	struct pipeline *pipeline;

	if (conn->one_index == index)
		return &conn->one;
	pipeline = pipeline_of(sk, make);
	if (!pipeline)
		return NULL;
	asm volatile("%0 &= 255" : "+r"(index)); /* after the check, where the verifier wants it */
	return &pipeline->requests[index];
}

static __always_inline struct request *newest_request(struct conn *conn, void *sk)
{
	return in_flight(conn) ? request_at(conn, sk, conn->pushed - 1, false) : NULL;
}

static __always_inline struct request *request_push(struct conn *conn, void *sk, u64 now, u64 endpoint, u32 offset)
{
	u32 waiting = in_flight(conn);
	struct request *request = NULL;

	if (!waiting)
		conn->one_index = conn->pushed;
	if (!conn->overflowed && waiting < MAX_IN_FLIGHT)
		request = request_at(conn, sk, conn->pushed, true);
	if (!request) {
		conn->overflowed++;
		lost_count(LOST_PIPELINE_FULL);
		return NULL;
	}
	request->start_ns = now;
	request->endpoint = endpoint;
	request->bytes = 0;
	request->offset = offset;
	conn->pushed++;
	return request;
}

/* Takes back the newest request: it was none. */
static __always_inline void request_unpush(struct conn *conn)
{
	if (in_flight(conn))
		conn->pushed--;
}

static __always_inline void key_of(struct series_key *key, struct conn *conn, u64 endpoint, u8 outcome, u16 status)
{
	key->instance = conn->instance;
	key->peer = conn->peer;
	key->role = conn->role;
	key->protocol = conn->protocol;
	key->outcome = outcome;
	key->unused = 0;
	key->status = status;
	key->port = conn->port;
	key->endpoint = endpoint;
	if (conn->peer)
		__builtin_memset(key->remote, 0, sizeof(key->remote));
	else
		__builtin_memcpy(key->remote, conn->remote, sizeof(key->remote));
}

/* Adds *request* to the series of *key*; sets *first* when its endpoint was never seen before. */
static __always_inline bool request_add(struct series_key *key, struct request *request, struct ending *ending,
					bool *first)
{
	struct series_value *value = series_of(key, first);
	u32 bucket = bucket_of(ending->duration_ns);

	if (!value) {
		lost_count(LOST_SERIES_FULL);
		return false;
	}
	__sync_fetch_and_add(&value->requests, 1);
	__sync_fetch_and_add(&value->duration_sum_ns, ending->duration_ns);
	__sync_fetch_and_add(&value->request_bytes, request->bytes);
	__sync_fetch_and_add(&value->response_bytes, ending->response_bytes);
	asm volatile("" : "+r"(bucket)); /* else the compiler drops the check that the verifier asks for */
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&value->duration[bucket], 1);
	return true;
}

/* Counts *request* as ended. */
static __always_inline void request_count(struct conn *conn, struct request *request, struct ending *ending,
					  struct view *answer)
{
	struct series_key key;
	bool first = false;

	conn_peer_again(conn);
	key_of(&key, conn, request->endpoint, ending->outcome, ending->status);
	if (!request_add(&key, request, ending, &first))
		return;
	conn->last_endpoint = request->endpoint;
	conn->last_outcome = ending->outcome;
	conn->last_status = ending->status;
	ending->why = why_sample(conn, request, ending->outcome, ending->duration_ns, first);
	if (ending->why)
		emit_sample(conn, &key, request, ending, answer);
}

/* Whether there is a request that this response answers; if not, why not is counted. */
static __always_inline bool response_expected(struct conn *conn)
{
	if (in_flight(conn))
		return true;
	if (conn->overflowed)
		conn->overflowed--;
	else
		lost_count(conn->pushed ? LOST_UNPAIRED_RESPONSE : LOST_ATTACHED_MIDSTREAM);
	return false;
}

/* Ends the oldest request in flight. */
static __always_inline void request_pop(struct conn *conn, void *sk, u64 now, struct ending *ending, struct view *answer)
{
	struct request *request = request_at(conn, sk, conn->popped, false);

	ending->index = conn->popped;
	if (request) {
		ending->duration_ns = now > request->start_ns ? now - request->start_ns : 0;
		request_count(conn, request, ending, answer);
	}
	conn->popped++;
}

/* More bytes of a request or of a response that is counted already. */
static __always_inline void late_bytes(struct conn *conn, u32 request_bytes, u32 response_bytes)
{
	struct series_key key;
	struct series_value *value;
	bool first;

	if (!conn->popped)
		return;
	key_of(&key, conn, conn->last_endpoint, conn->last_outcome, conn->last_status);
	value = series_of(&key, &first);
	if (!value)
		return;
	if (request_bytes)
		__sync_fetch_and_add(&value->request_bytes, request_bytes);
	if (response_bytes)
		__sync_fetch_and_add(&value->response_bytes, response_bytes);
}

#endif
