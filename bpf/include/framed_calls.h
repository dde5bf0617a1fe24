/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a framed protocol calls, after it has set f->length: this message is a request, a response, or nobody answers it.
 */
#ifndef MESHLENS_FRAMED_CALLS_H
#define MESHLENS_FRAMED_CALLS_H

#include "framed.h"

/* Keeps the head of a request for its sample, when none other is in flight; else sends it up at once if its name is not known yet. */
static __always_inline void framed_keep(struct conn *conn, volatile struct framed *f, u64 endpoint, u32 index)
{
	struct endpoint_key name = {.instance = conn->instance, .endpoint = endpoint};
	volatile struct pending *pending;

	if (!in_flight(conn)) {
		conn->head_index = index;
		conn->head_bytes = f->have < f->length ? f->have : f->length;
		conn->thread = f->thread;
		bpf_probe_read_kernel(conn->head, REQUEST_HEAD_BYTES, (void *)f->head);
		return;
	}
	pending = pending_here();
	name.protocol = f->spoken ? f->spoken : conn->protocol;
	if (!pending || endpoint <= OVERFLOW_ENDPOINT || l7_endpoints.lookup(&name))
		return;
	pending_begin(pending, f->now, 0, 0, 0);
	pending->spoken = f->spoken;
	pending->request.start_ns = f->began;
	pending->request.endpoint = endpoint;
	pending->request.bytes = f->length;
	pending->request.offset = f->place;
	pending->duration_ns = 0;
	pending->why = WHY_FIRST;
	pending->framed_request = 1;
	key_of(pending, conn, endpoint, OUTCOME_OK, 0);
	emit_sample(conn, pending);
}

/* A request that is answered in its turn; NULL when it found no room, which is counted. */
static __always_inline struct request *framed_request(struct conn *conn, void *sk, volatile struct framed *f, u64 endpoint)
{
	struct request *request;

	framed_keep(conn, f, endpoint, conn->pushed);
	request = request_push(conn, sk, f->began, endpoint, f->place);
	f->credited = 1;
	if (request)
		request->bytes = f->length;
	return request;
}

static __always_inline void framed_answer(volatile struct pending *pending, volatile struct framed *f, u32 outcome, u32 status)
{
	pending_begin(pending, f->began, f->length, 0, f->have < f->length ? f->have : f->length);
	pending->framed_answer = f->rest ? ANSWER_LONG : ANSWER_FRAMED;
	pending->why = 0;
	pending->spoken = f->spoken;
	pending->outcome = outcome;
	pending->status = status;
	f->credited = 1;
}

/* The response of the oldest request. */
static __always_inline void framed_response(struct conn *conn, void *sk, volatile struct framed *f, u32 outcome, u32 status)
{
	volatile struct pending *pending = pending_here();

	if (!pending || !response_expected(conn))
		return;
	framed_answer(pending, f, outcome, status);
	request_pop(pending, conn, sk);
}

/* Sends the sample of the answer that was counted last, if it is worth one, with f->rest bytes more than others; after every such answer. */
static __always_inline void framed_long(struct conn *conn, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();

	if (!pending)
		return;
	if (pending->framed_answer == ANSWER_LONG && pending->why)
		emit_long(conn, pending, f);
	pending->why = 0; /* it was sent */
	f->rest = f->rest_at = 0;
}

#define ID_TRIES 8 /* places in which a request may lie */

/* The request with this id, NULL when there is none; *free* the place for a new one. */
static __always_inline struct request *framed_slot(struct conn *conn, void *sk, u32 id, bool make)
{
	struct pipeline *pipeline = pipeline_of(sk, make);
	struct request *request, *found = NULL;
	u32 index;

	if (!pipeline)
		return NULL;
	for (u32 i = 0; i < ID_TRIES; i++) {
		index = (id ^ id >> 16) + i;
		asm volatile("%0 &= 255" : "+r"(index));
		request = &pipeline->requests[index];
		if (make ? !request->start_ns : request->start_ns && request->group == id) {
			found = request;
			break;
		}
	}
	return found;
}

/* The request in flight with this id. */
static __always_inline struct request *framed_find(struct conn *conn, void *sk, u32 id)
{
	return framed_slot(conn, sk, id, false);
}

/* A request that is answered by a message with the same id; NULL when it found no room, which is counted. */
static __always_inline struct request *framed_request_id(struct conn *conn, void *sk, volatile struct framed *f, u32 id,
							 u64 endpoint)
{
	struct request *request = framed_slot(conn, sk, id, true);

	f->credited = 1;
	if (!request) {
		conn->overflowed++;
		lost_count(LOST_PIPELINE_FULL);
		return NULL;
	}
	framed_keep(conn, f, endpoint, f->place);
	conn->by_id = 1;
	conn->pushed++;
	request->start_ns = f->began;
	request->endpoint = endpoint;
	request->bytes = f->length;
	request->offset = f->place;
	request->group = id;
	request->kind = 0;
	return request;
}

/* Ends *request*, which framed_find gave, as answered by this message. */
static __always_inline void framed_finish(struct conn *conn, volatile struct framed *f, struct request *request, u32 outcome,
					  u32 status)
{
	volatile struct pending *pending = pending_here();

	if (!pending)
		return;
	framed_answer(pending, f, outcome, status);
	request_end(pending, conn, request);
}

/* The response of the request with this id. */
static __always_inline void framed_response_id(struct conn *conn, void *sk, volatile struct framed *f, u32 id, u32 outcome,
					       u32 status)
{
	struct request *request = framed_find(conn, sk, id);

	if (request)
		framed_finish(conn, f, request, outcome, status);
	else
		response_unexpected(conn);
}

/* A message that nobody answers: counted at once, with no duration. Of either side; the endpoint tells them apart. */
static __always_inline void framed_one_way(struct conn *conn, volatile struct framed *f, u64 endpoint, u32 outcome, u32 status)
{
	volatile struct pending *pending = pending_here();

	if (!pending)
		return;
	pending_begin(pending, f->now, f->request ? 0 : f->length, 0, 0);
	pending->spoken = f->spoken;
	pending->outcome = outcome;
	pending->status = status;
	pending->request.start_ns = f->began;
	pending->request.endpoint = endpoint;
	pending->request.bytes = f->request ? f->length : 0;
	pending->request.offset = f->place;
	pending->duration_ns = 0;
	pending->framed_request = 1;
	f->credited = 1;
	conn_peer_again(conn);
	pending_end(pending, conn);
}

#endif
