/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Single requests worth looking at, into a ring that is drained on a timer: nobody is woken.
 *
 * User space grants a budget with every drain; what comes when it is used up is left out and counted.
 */
#ifndef MESHLENS_EMIT_H
#define MESHLENS_EMIT_H

#include "conn.h"
#include "framing.h"
#include "series.h"

#ifndef SLOW_NS
#define SLOW_NS 500000000
#endif
#ifndef RESERVOIR_MASK
#define RESERVOIR_MASK 1023
#endif
#define UNKNOWN_SAMPLES 2

BPF_RINGBUF_OUTPUT(l7_samples, 256); /* pages */
BPF_TABLE("array", u32, s64, l7_sample_budget, 1);

/* A long sample, while it is put together: what is read where the verifier knows no better ends in the room behind it. */
struct long_sample {
	u64 words[(sizeof(struct sample) + 2 * FRAME_HEAD_BYTES + 4096) / 8];
};

SCRATCH(l7_long_sample, struct long_sample)

/* Takes *pieces* of the budget: a long sample takes one for each 512 bytes more. */
static __always_inline bool sample_granted(s64 pieces)
{
	u32 zero = 0;
	s64 *budget = l7_sample_budget.lookup(&zero);

	if (!budget || *budget <= 0) {
		lost_count(LOST_SAMPLE_RATE);
		return false;
	}
	__sync_fetch_and_add(budget, -pieces);
	return true;
}

enum framed_answer { ANSWER_ELSEWHERE, ANSWER_FRAMED, ANSWER_LONG /* framed_long() sends its sample */ };

/*
 * A request that ends: what is decided about it, one step after the other.
 *
 * It lies in a map and is volatile, because the verifier forgets what it knew of a value that is stored and loaded again: so
 * the ways through one step do not multiply with those through the next.
 */
struct pending {
	struct series_key key;
	struct request request;
	u64 now;
	u64 duration_ns;
	u64 answer_address; /* where the caller keeps the response */
	u32 answer_bytes; /* of it within reach */
	u32 response_bytes;
	u32 index; /* of the request on its connection */
	u32 first; /* its endpoint was never seen before */
	u32 why;
	u16 status;
	u16 outcome;
	u32 settled;
	u32 earlier; /* bytes of a head that came with calls before */
	u32 next; /* program */
	u32 spoken; /* the protocol of the series, where it is not the connection's */
	u32 framed_request; /* the request's head is that of the message in l7_framed */
	u32 framed_answer; /* so is the response's: enum framed_answer */
};

SCRATCH(l7_pending, struct pending)
/* Of connections that end: that may come between two programs that read a call. */
BPF_TABLE("percpu_array", u32, struct pending, l7_pending_at_end, 1);

static __always_inline volatile struct pending *pending_here(void)
{
	return l7_pending_here();
}

static __always_inline volatile struct pending *pending_at_end(void)
{
	u32 zero = 0;

	return l7_pending_at_end.lookup(&zero);
}

static __always_inline void pending_begin(volatile struct pending *pending, u64 now, u32 response_bytes, u64 answer_address,
					  u32 answer_bytes)
{
	pending->now = now;
	pending->response_bytes = response_bytes;
	pending->answer_address = answer_address;
	pending->answer_bytes = answer_bytes;
	pending->outcome = OUTCOME_OK;
	pending->status = 0;
	pending->first = 0;
	pending->spoken = 0;
	pending->framed_request = 0;
	pending->framed_answer = ANSWER_ELSEWHERE;
}

/* Both ends of a connection choose the same requests. */
static __always_inline bool in_reservoir(struct conn *conn, volatile struct pending *pending)
{
	u64 mixed = (conn->id ^ pending->request.offset) * 0x9e3779b97f4a7c15ULL;

	return conn->id && ((mixed >> 40) & RESERVOIR_MASK) == 0;
}

static __always_inline u32 why_sample(struct conn *conn, volatile struct pending *pending)
{
	if (conn->protocol == PROTOCOL_UNKNOWN)
		return conn->unknown_samples < UNKNOWN_SAMPLES ? WHY_UNKNOWN : 0;
	if (pending->first)
		return WHY_FIRST;
	if (pending->outcome != OUTCOME_OK)
		return WHY_FAILED;
	if (pending->duration_ns >= SLOW_NS)
		return WHY_SLOW;
	return in_reservoir(conn, pending) ? WHY_RESERVOIR : 0;
}

/* The heads of a framed protocol are in l7_framed, of which the verifier knows that they are there. */
static __always_inline void sample_framed(struct sample *sample, volatile struct pending *pending)
{
	volatile struct framed *f = framed_here();
	u32 bytes;

	if (!f)
		return;
	bytes = f->have < f->length ? f->have : f->length;
	if (pending->framed_answer) {
		bpf_probe_read_kernel(sample->response_head, RESPONSE_HEAD_BYTES, (void *)f->head);
		sample->response_head_bytes = bytes < RESPONSE_HEAD_BYTES ? bytes : RESPONSE_HEAD_BYTES;
		return;
	}
	bpf_probe_read_kernel(sample->request_head, REQUEST_HEAD_BYTES, (void *)f->head);
	sample->request_head_bytes = bytes < REQUEST_HEAD_BYTES ? bytes : REQUEST_HEAD_BYTES;
	sample->thread = f->thread;
}

static __always_inline void sample_heads(struct sample *sample, struct conn *conn, volatile struct pending *pending)
{
	u64 bytes = conn->head_bytes;

	if (pending->framed_request || pending->framed_answer)
		sample_framed(sample, pending);
	if (pending->framed_request)
		return;
	if (bytes > REQUEST_HEAD_BYTES)
		bytes = REQUEST_HEAD_BYTES;
	if (conn->head_index == pending->index) {
		bpf_probe_read_kernel(sample->request_head, REQUEST_HEAD_BYTES, conn->head);
		sample->request_head_bytes = bytes;
		sample->thread = conn->thread;
	}
	if (pending->framed_answer)
		return;
	bytes = pending->answer_bytes;
	if (bytes > RESPONSE_HEAD_BYTES)
		bytes = RESPONSE_HEAD_BYTES;
	if (!bytes)
		return;
	asm volatile("" : "+r"(bytes)); /* else the compiler joins both checks into one that old verifiers do not follow */
	if (bytes <= RESPONSE_HEAD_BYTES &&
	    !bpf_probe_read_user(sample->response_head, bytes, (void *)pending->answer_address))
		sample->response_head_bytes = bytes;
}

static __always_inline void sample_fill(struct sample *sample, struct conn *conn, volatile struct pending *pending)
{
	__builtin_memset(sample, 0, sizeof(*sample) - REQUEST_HEAD_BYTES);
	sample->observed_ns = pending->request.start_ns;
	sample->endpoint = pending->key.endpoint;
	sample->duration_ns = pending->duration_ns;
	sample->request_bytes = pending->request.bytes;
	sample->response_bytes = pending->response_bytes;
	sample->connection = conn->id;
	sample->instance = pending->key.instance;
	sample->peer = pending->key.peer;
	sample->offset = pending->request.offset;
	sample->status = pending->key.status;
	sample->port = pending->key.port;
	sample->role = pending->key.role;
	sample->protocol = pending->key.protocol;
	sample->outcome = pending->key.outcome;
	sample->why = pending->why;
	__builtin_memcpy(sample->remote, conn->remote, sizeof(sample->remote));
	sample_heads(sample, conn, pending);
}

/* How many bytes of the answer lie behind its head, in one piece with it. */
static __always_inline u32 rest_in_reach(volatile struct framed *f)
{
	u32 ahead = f->have - f->before, bytes = f->rest;

	if (f->rest_at)
		return bytes;
	if (f->have >= f->length || f->view.here <= ahead)
		return 0;
	if (bytes > f->length - f->have)
		bytes = f->length - f->have;
	return bytes < f->view.here - ahead ? bytes : f->view.here - ahead;
}

/* A sample of an answer that tells more: all of its head, and what lies behind it. */
static __always_inline void emit_long(struct conn *conn, volatile struct pending *pending, volatile struct framed *f)
{
	u64 head = f->have < f->length ? f->have : f->length, rest = rest_in_reach(f);
	struct sample *sample = (struct sample *)l7_long_sample_here();
	u8 *response;
	long unread;

	if (!sample || !sample_granted(1 + (rest >> 9)))
		return;
	sample_fill(sample, conn, pending);
	response = sample->response_head;
	bpf_probe_read_kernel(response, FRAME_HEAD_BYTES, (void *)f->head);
	asm volatile("%0 &= 511" : "+r"(head));
	asm volatile("%0 &= 4095" : "+r"(rest));
	if (f->rest_at)
		unread = bpf_probe_read_kernel(response + head, rest, (void *)f->rest_at);
	else
		unread = bpf_probe_read_user(response + head, rest, (void *)(f->view.at + f->have - f->before));
	if (!unread)
		head += rest;
	if (head > FRAME_HEAD_BYTES + RESPONSE_REST_BYTES)
		head = FRAME_HEAD_BYTES + RESPONSE_REST_BYTES; /* as it is already; the verifier may have forgotten */
	sample->response_head_bytes = head;
	if (l7_samples.ringbuf_output(sample, sizeof(*sample) + head, BPF_RB_NO_WAKEUP))
		lost_count(LOST_SAMPLE_RING_FULL);
}

static __always_inline void emit_sample(struct conn *conn, volatile struct pending *pending)
{
	struct sample *sample;

	if (pending->framed_answer == ANSWER_LONG || !sample_granted(1))
		return;
	sample = l7_samples.ringbuf_reserve(sizeof(*sample) + RESPONSE_HEAD_BYTES);
	if (!sample) {
		lost_count(LOST_SAMPLE_RING_FULL);
		return;
	}
	sample_fill(sample, conn, pending);
	l7_samples.ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
}

#endif
