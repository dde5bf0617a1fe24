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

static __always_inline void key_of(volatile struct pending *pending, struct conn *conn, u64 endpoint, u16 outcome, u16 status)
{
	struct series_key *key = (struct series_key *)&pending->key;

	key->instance = conn->instance;
	key->peer = conn->peer;
	key->role = conn->role;
	key->protocol = pending->spoken ? pending->spoken : conn->protocol;
	key->outcome = outcome;
	key->encrypted = conn->encrypted;
	key->status = status;
	key->port = conn->port;
	key->endpoint = endpoint;
	__builtin_memcpy(key->remote, conn->remote, sizeof(key->remote));
	if (conn->peer)
		__builtin_memset(key->remote, 0, sizeof(key->remote));
}

/* Adds the request to the series of its key. */
static __always_inline void pending_add(volatile struct pending *pending)
{
	struct series_value *value = series_of((struct series_key *)&pending->key, (u32 *)&pending->first);
	u32 bucket;

	if (!value) {
		lost_count(LOST_SERIES_FULL);
		return;
	}
	__sync_fetch_and_add(&value->requests, 1);
	__sync_fetch_and_add(&value->duration_sum_ns, pending->duration_ns);
	__sync_fetch_and_add(&value->request_bytes, pending->request.bytes);
	__sync_fetch_and_add(&value->response_bytes, pending->response_bytes);
	pending->settled = bucket_of(pending->duration_ns);
	bucket = pending->settled;
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&value->duration[bucket], 1);
}

/* A response without a request: why, is counted. */
static __always_inline void response_unexpected(struct conn *conn)
{
	if (conn->overflowed)
		conn->overflowed--;
	else
		lost_count(conn->pushed ? LOST_UNPAIRED_RESPONSE : LOST_ATTACHED_MIDSTREAM);
}

/* Whether there is a request that this response answers; if not, why not is counted. */
static __always_inline bool response_expected(struct conn *conn)
{
	if (in_flight(conn))
		return true;
	response_unexpected(conn);
	return false;
}

/* Takes the oldest request in flight; a request without a place is only passed over. */
static __always_inline void pending_take(volatile struct pending *pending, struct conn *conn, void *sk)
{
	struct request *request = request_at(conn, sk, conn->popped, false);
	u64 elapsed;

	pending->index = conn->popped;
	pending->request.start_ns = 0;
	conn->popped++;
	if (!request)
		return;
	elapsed = pending->now - request->start_ns;
	pending->request = *request;
	pending->duration_ns = (s64)elapsed > 0 ? elapsed : 0;
}

/* Counts the request that *pending* holds, and sends a sample of it up when it is worth one. */
static __always_inline void pending_end(volatile struct pending *pending, struct conn *conn)
{
	if (conn->owed | conn->owed_back) {
		pending->request.bytes += conn->owed;
		pending->response_bytes += conn->owed_back;
		conn->owed = conn->owed_back = 0;
	}
	key_of(pending, conn, pending->request.endpoint, pending->outcome, pending->status);
	conn->last_endpoint = pending->request.endpoint;
	conn->last_outcome = pending->outcome;
	conn->last_status = pending->status;
	conn->last_spoken = pending->spoken;
	pending_add(pending);
	pending->why = why_sample(conn, pending);
	if (!pending->why)
		return;
	if (pending->why == WHY_UNKNOWN)
		conn->unknown_samples++;
	emit_sample(conn, pending);
}

/* Ends the oldest request in flight as *pending* says. */
static __always_inline void request_pop(volatile struct pending *pending, struct conn *conn, void *sk)
{
	pending_take(pending, conn, sk);
	if (!pending->request.start_ns)
		return;
	conn_peer_again(conn);
	pending_end(pending, conn);
}

/* Ends *request*, which an id has found, as *pending* says. */
static __always_inline void request_end(volatile struct pending *pending, struct conn *conn, struct request *request)
{
	u64 elapsed = pending->now - request->start_ns;

	pending->index = request->offset;
	pending->request = *request;
	pending->duration_ns = (s64)elapsed > 0 ? elapsed : 0;
	request->start_ns = 0;
	conn->popped++;
	conn_peer_again(conn);
	pending_end(pending, conn);
}

/* More bytes of a request or of a response that is counted already. */
static __always_inline void late_bytes(volatile struct pending *pending, struct conn *conn, u32 request_bytes, u32 response_bytes)
{
	struct series_value *value;

	if (!conn->popped && !conn->last_endpoint)
		return;
	pending->spoken = conn->last_spoken;
	key_of(pending, conn, conn->last_endpoint, conn->last_outcome, conn->last_status);
	value = series_of((struct series_key *)&pending->key, (u32 *)&pending->first);
	if (!value)
		return;
	__sync_fetch_and_add(&value->request_bytes, request_bytes);
	__sync_fetch_and_add(&value->response_bytes, response_bytes);
}

#endif
