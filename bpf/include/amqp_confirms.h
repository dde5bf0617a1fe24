/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMQP channels that confirm: the broker answers publications, which are numbered from 1 on each channel, one or many at a time.
 *
 * A publication has the place in the pipeline that its channel and number give it, of every second one: so methods that ask find
 * room between them. When that place is taken (128 on their way), the publication is counted at once, as one that nobody answers.
 */
#ifndef MESHLENS_AMQP_CONFIRMS_H
#define MESHLENS_AMQP_CONFIRMS_H

#include "dotted.h"
#include "framed.h"

#define AMQP_ARGUMENTS 11 /* where they begin */
#define AMQP_MAX_FRAME (16 << 20)
#define AMQP_CHANNELS 64 /* of one connection that confirm, when their numbers differ in the low bits */
#define AMQP_ON_THEIR_WAY (MAX_IN_FLIGHT / 2)
#define AMQP_NUMBERS 0x7fff

/* Class and method in one number: of both, what the protocol uses is below 256. */
#define AMQP(class, method) ((class) << 8 | (method))

enum amqp_known { AMQP_METHOD, AMQP_HASH, AMQP_STATUS, AMQP_OUTCOME, AMQP_AT, AMQP_ID, AMQP_FOUND, AMQP_BUCKET };
enum amqp_act { AMQP_NOTHING, AMQP_ASK, AMQP_ANSWER, AMQP_TELL, AMQP_CLOSE, AMQP_CONFIRM, AMQP_LEAVE };

struct amqp_confirms {
	u16 channel[AMQP_CHANNELS]; /* its number, 0 where there is none */
	u16 sent[AMQP_CHANNELS]; /* publications on it */
};

CONN_STORE(l7_amqp, struct amqp_confirms)

/* What publications of *channel* have in common, to which twice the number is added. */
static __always_inline u32 amqp_mark(u32 channel)
{
	return 1U << 31 | (channel & 0x7ff) << 17;
}

static __always_inline u64 amqp_place(u32 id)
{
	u64 index = id ^ id >> 16;

	asm volatile("%0 &= 255" : "+r"(index));
	return index;
}

/* The place of the request with this id and one, 0 when there is none. */
static __always_inline u64 amqp_find(void *sk, u32 id)
{
	struct pipeline *pipeline = pipeline_of(sk, false);
	volatile struct request *request;
	u64 index, found = 0;

	if (!pipeline)
		return 0;
	for (u32 i = 0; i < ID_TRIES; i++) {
		index = amqp_place(id) + i;
		asm volatile("%0 &= 255" : "+r"(index));
		request = &pipeline->requests[index];
		if (request->start_ns && request->group == id) {
			found = index + 1;
			break;
		}
	}
	return found;
}

/* How far the direction of this call is read; not by a branch, which the verifier would follow twice. */
static __always_inline volatile struct follower *amqp_way(struct conn *conn, volatile struct framed *f)
{
	u64 back = f->request & 1;

	asm volatile("%0 ^= 1" : "+r"(back));
	return &conn->ways[back];
}

/* From now on *channel* confirms, if it did not before. */
static __always_inline void amqp_confirming(void *sk, u32 channel)
{
	struct amqp_confirms *confirms = l7_amqp_of(sk, true);
	u64 at = channel & (AMQP_CHANNELS - 1);

	if (confirms && !confirms->channel[at]) {
		confirms->channel[at] = channel;
		confirms->sent[at] = 0;
	}
}

/* The id of a publication on *channel*, 0 when that does not confirm, or when there is no place; a number is used up. */
static __always_inline u32 amqp_publication(void *sk, u32 channel)
{
	struct amqp_confirms *confirms = l7_amqp_of(sk, false);
	u64 at = channel & (AMQP_CHANNELS - 1);
	struct pipeline *pipeline;
	u32 id;

	if (!confirms || !channel || confirms->channel[at] != channel)
		return 0;
	confirms->sent[at]++;
	id = amqp_mark(channel) | (confirms->sent[at] & AMQP_NUMBERS) << 1;
	pipeline = pipeline_of(sk, true);
	return pipeline && !pipeline->requests[amqp_place(id)].start_ns ? id : 0;
}

/* The channel is closed: its number may come back for another that does not confirm. */
static __always_inline void amqp_forget(void *sk, u32 channel)
{
	struct amqp_confirms *confirms = l7_amqp_of(sk, false);
	u64 at = channel & (AMQP_CHANNELS - 1);

	if (confirms && confirms->channel[at] == channel)
		confirms->channel[at] = 0;
}

/*
 * Whether *request* is a publication of those with *mark*, up to *last*; all of them when that is 0. Without branches: it is asked
 * in loops.
 */
static __always_inline u64 amqp_is_meant(volatile struct request *request, u64 mark, u64 last)
{
	u64 group = request->group, before = (last - (group >> 1)) & AMQP_NUMBERS;

	return is_below(0, request->start_ns) & is_equal(group & ~(u64)(AMQP_NUMBERS << 1), mark) &
	       (is_equal(last, 0) | is_below(before, AMQP_NUMBERS / 2));
}

/* Adds one more publication to the series of those that end with it. */
static __always_inline void amqp_add(struct conn *conn, volatile struct framed *f, struct series_value *value,
				     volatile struct request *request)
{
	u64 elapsed = f->began - request->start_ns;
	u32 bucket;

	elapsed &= elapsed >> 63 ? 0 : ~0ULL;
	__sync_fetch_and_add(&value->requests, 1);
	__sync_fetch_and_add(&value->duration_sum_ns, elapsed);
	__sync_fetch_and_add(&value->request_bytes, request->bytes);
	f->scratch[AMQP_BUCKET] = bucket_of(elapsed);
	bucket = f->scratch[AMQP_BUCKET];
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&value->duration[bucket], 1);
	request->start_ns = 0;
	conn->popped++;
}

/*
 * Ends the publications with *mark* up to *last* that have the same endpoint, but for one, which is left in AMQP_FOUND to be ended
 * as a response. Those of other endpoints have their turn when the message is read again: then its length is 0 for now.
 */
static __always_inline void amqp_settle(struct conn *conn, void *sk, volatile struct framed *f, u32 mark, u32 last)
{
	volatile struct pending *pending = pending_here();
	struct pipeline *pipeline = pipeline_of(sk, false);
	struct series_value *value;
	volatile struct request *request;
	u64 found;

	if (!pipeline || !pending)
		return;
	for (u32 i = 0; i < AMQP_ON_THEIR_WAY; i++) {
		if (amqp_is_meant(&pipeline->requests[2 * i], mark, last))
			f->scratch[AMQP_FOUND] = 2 * i + 1;
	}
	found = f->scratch[AMQP_FOUND];
	if (!found)
		return;
	found--;
	asm volatile("%0 &= 255" : "+r"(found));
	request = &pipeline->requests[found];
	pending->request.endpoint = request->endpoint;
	pending->spoken = 0;
	key_of(pending, conn, pending->request.endpoint, f->scratch[AMQP_OUTCOME], f->scratch[AMQP_STATUS]);
	value = series_of((struct series_key *)&pending->key, (u32 *)&pending->first);
	if (!value)
		return;
	for (u32 i = 0; i < AMQP_ON_THEIR_WAY; i++) {
		request = &pipeline->requests[2 * i];
		if (f->scratch[AMQP_FOUND] == 2 * i + 1 || !amqp_is_meant(request, mark, last))
			continue;
		if (request->endpoint == pending->request.endpoint)
			amqp_add(conn, f, value, request);
		else
			f->length = 0;
	}
}

#endif
