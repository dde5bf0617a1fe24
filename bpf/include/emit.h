/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Single requests worth looking at, into a ring that is drained on a timer: nobody is woken.
 *
 * User space grants a budget with every drain; what comes when it is used up is left out and counted.
 */
#ifndef MESHLENS_EMIT_H
#define MESHLENS_EMIT_H

#include "conn.h"
#include "series.h"
#include "view.h"

#ifndef SLOW_NS
#define SLOW_NS 500000000
#endif
#ifndef RESERVOIR_MASK
#define RESERVOIR_MASK 1023
#endif
#define UNKNOWN_SAMPLES 2

BPF_RINGBUF_OUTPUT(l7_samples, 256); /* pages */
BPF_TABLE("array", u32, s64, l7_sample_budget, 1);

/* Both ends of a connection choose the same requests. */
static __always_inline bool in_reservoir(struct conn *conn, struct request *request)
{
	u64 mixed = (conn->id ^ request->offset) * 0x9e3779b97f4a7c15ULL;

	return conn->id && ((mixed >> 40) & RESERVOIR_MASK) == 0;
}

static __always_inline u8 why_sample(struct conn *conn, struct request *request, u8 outcome, u64 duration, bool first)
{
	if (conn->protocol == PROTOCOL_UNKNOWN) {
		if (conn->unknown_samples >= UNKNOWN_SAMPLES)
			return 0;
		conn->unknown_samples++;
		return WHY_UNKNOWN;
	}
	if (first)
		return WHY_FIRST;
	if (outcome != OUTCOME_OK)
		return WHY_FAILED;
	if (duration >= SLOW_NS)
		return WHY_SLOW;
	return in_reservoir(conn, request) ? WHY_RESERVOIR : 0;
}

static __always_inline bool sample_granted(void)
{
	u32 zero = 0;
	s64 *budget = l7_sample_budget.lookup(&zero);

	if (!budget || *budget <= 0) {
		lost_count(LOST_SAMPLE_RATE);
		return false;
	}
	__sync_fetch_and_add(budget, -1);
	return true;
}

static __always_inline void sample_heads(struct sample *sample, struct conn *conn, u32 index, struct view *answer)
{
	u64 bytes = conn->head_bytes;

	if (bytes > REQUEST_HEAD_BYTES)
		bytes = REQUEST_HEAD_BYTES;
	if (conn->head_index == index) {
		bpf_probe_read_kernel(sample->request_head, REQUEST_HEAD_BYTES, conn->head);
		sample->request_head_bytes = bytes;
		sample->thread = conn->thread;
	}
	if (!answer || !view_ready(answer))
		return;
	bytes = answer->here;
	if (bytes > RESPONSE_HEAD_BYTES)
		bytes = RESPONSE_HEAD_BYTES;
	asm volatile("" : "+r"(bytes)); /* else the compiler drops the check that the verifier asks for */
	if (bytes <= RESPONSE_HEAD_BYTES && !bpf_probe_read_user(sample->response_head, bytes, (void *)answer->at))
		sample->response_head_bytes = bytes;
}

/* What was decided about a request that has ended. */
struct ending {
	u64 duration_ns;
	u32 index; /* of the request on its connection */
	u32 response_bytes;
	u16 status;
	u8 outcome;
	u8 why;
};

static __always_inline void emit_sample(struct conn *conn, struct series_key *key, struct request *request,
					struct ending *ending, struct view *answer)
{
	struct sample *sample;

	if (!sample_granted())
		return;
	sample = l7_samples.ringbuf_reserve(sizeof(*sample));
	if (!sample) {
		lost_count(LOST_SAMPLE_RING_FULL);
		return;
	}
	__builtin_memset(sample, 0, sizeof(*sample) - REQUEST_HEAD_BYTES - RESPONSE_HEAD_BYTES);
	sample->observed_ns = request->start_ns;
	sample->endpoint = key->endpoint;
	sample->duration_ns = ending->duration_ns;
	sample->request_bytes = request->bytes;
	sample->response_bytes = ending->response_bytes;
	sample->connection = conn->id;
	sample->instance = key->instance;
	sample->peer = key->peer;
	sample->offset = request->offset;
	sample->status = key->status;
	sample->port = key->port;
	sample->role = key->role;
	sample->protocol = key->protocol;
	sample->outcome = key->outcome;
	sample->why = ending->why;
	__builtin_memcpy(sample->remote, conn->remote, sizeof(sample->remote));
	sample_heads(sample, conn, ending->index, answer);
	l7_samples.ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
}

#endif
