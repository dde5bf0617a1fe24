/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMQP 0-9-1, as RabbitMQ speaks it.
 *
 * https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
 *
 * A method that asks is answered on its channel, by its -ok or by a Close whose reply code is the status; with no-wait it is one-way.
 * So are publications, acknowledgements, deliveries and returned messages; heartbeats, content headers and bodies are only bytes. On
 * a channel that confirms (amqp_confirms.h), publications are answered by the broker's Ack or Nack of their number. The endpoint is
 * the method with its queue or exchange, or with exchange and routing key, ids collapsed; what was delivered before has its own.
 */
#ifndef MESHLENS_AMQP_H
#define MESHLENS_AMQP_H

#include "amqp_confirms.h"
#include "framed.h"
#include "subject.h"

FRAMED_PROTOCOL(amqp, PROTOCOL_AMQP, 1)

#define AMQP_HEADER 8
#define AMQP_TURNS 2
#define AMQP_GREETING 0x414d515000000901ULL
#define AMQP_AGAIN 0x10000 /* beside a method: the message was delivered before */

static __always_inline u32 amqp_method(volatile struct framed *f)
{
	return AMQP(head_be16(f, 7), head_be16(f, 9));
}

static __always_inline bool amqp_frame(volatile struct framed *f)
{
	u32 kind = head_u8(f, 0);

	return (kind == 1 || kind == 2 || kind == 3 || kind == 8) && head_be32(f, 3) <= AMQP_MAX_FRAME;
}

/* The greeting; or a whole method of a known class, or a content header. */
static __always_inline enum match amqp_match(struct conn *conn, volatile struct framed *f)
{
	u32 first = head_u8(f, 0), length, class;

	if (first != 'A' && first != 1 && first != 2)
		return MATCH_NO;
	if (f->have < AMQP_HEADER)
		return MATCH_MORE;
	if (first == 'A')
		return f->request && head_be64(f, 0) == AMQP_GREETING ? MATCH_YES : MATCH_NO;
	length = head_be32(f, 3);
	if (length < 4 || length > FRAME_HEAD_BYTES - 8)
		return MATCH_NO;
	if (f->have < length + 8)
		return MATCH_MORE;
	class = head_be16(f, 7);
	asm volatile("" : "+r"(length)); /* else the compiler drops the mask of the place below */
	if (first == 2) /* a content header, in the middle: of class Basic, whose weight is 0 */
		return head_u8(f, length + 7) == 0xce && length >= 14 && class == 60 && !head_be16(f, 9) ? MATCH_YES : MATCH_NO;
	return head_u8(f, length + 7) == 0xce && (class == 40 || class == 50 || class == 60 || class == 20) && head_be16(f, 9) <= 120 ?
		       MATCH_YES :
		       MATCH_NO;
}

/* Whether the client waits for no answer: a bit behind so many names. */
static __always_inline bool amqp_no_wait(volatile struct framed *f, u32 method)
{
	u32 at = AMQP_ARGUMENTS + 2, names = 1, bit = 0;

	switch (method) {
	case AMQP(40, 10): /* Exchange.Declare, its name and its kind */
		names = 2;
		bit = 4;
		break;
	case AMQP(40, 20):
		bit = 1;
		break;
	case AMQP(40, 30): /* Exchange.Bind, Unbind, Queue.Bind: both ends and the key */
	case AMQP(40, 40):
	case AMQP(50, 20):
		names = 3;
		break;
	case AMQP(50, 10):
		bit = 4;
		break;
	case AMQP(50, 30):
		break;
	case AMQP(50, 40):
		bit = 2;
		break;
	case AMQP(60, 20): /* Consume: the queue and the consumer */
		names = 2;
		bit = 3;
		break;
	case AMQP(60, 30):
		at = AMQP_ARGUMENTS;
		break;
	case AMQP(85, 10):
		at = AMQP_ARGUMENTS;
		names = 0;
		break;
	default:
		return false;
	}
	f->scratch[AMQP_AT] = at;
	for (u32 i = 0; i < 3; i++) {
		if (i < names)
			f->scratch[AMQP_AT] += 1 + head_u8(f, f->scratch[AMQP_AT]);
	}
	return f->scratch[AMQP_AT] + 1 < f->length && f->scratch[AMQP_AT] < f->have && head_u8(f, f->scratch[AMQP_AT]) >> bit & 1;
}

/* What a method of the client's is. */
static __always_inline u32 amqp_asks(volatile struct framed *f, u32 method)
{
	switch (method) {
	case AMQP(10, 31): /* TuneOk, and what ends a Close */
	case AMQP(10, 51):
	case AMQP(20, 21):
		return AMQP_NOTHING;
	case AMQP(20, 41):
		return AMQP_LEAVE;
	case AMQP(60, 40): /* Publish, Ack, Reject, Nack */
	case AMQP(60, 80):
	case AMQP(60, 90):
	case AMQP(60, 120):
		return AMQP_TELL;
	}
	return amqp_no_wait(f, method) ? AMQP_TELL : AMQP_ASK;
}

/* What a method of the server's is. */
static __always_inline u32 amqp_answers(u32 method)
{
	switch (method) {
	case AMQP(10, 50): /* Close */
	case AMQP(20, 40):
		return AMQP_CLOSE;
	case AMQP(10, 60): /* Blocked, Unblocked, Return, Deliver, Cancel */
	case AMQP(10, 61):
	case AMQP(60, 50):
	case AMQP(60, 60):
	case AMQP(60, 30):
		return AMQP_TELL;
	case AMQP(60, 80): /* confirms */
	case AMQP(60, 120):
		return AMQP_CONFIRM;
	case AMQP(20, 41):
		return AMQP_LEAVE;
	case AMQP(20, 20):
		return AMQP_NOTHING;
	}
	return AMQP_ANSWER;
}

/* Where the names begin that belong to the endpoint, 0 when it has none. */
static __always_inline u32 amqp_names(volatile struct framed *f, u32 method)
{
	u32 at = AMQP_ARGUMENTS;

	if (method == AMQP(60, 60))
		return at + 1 + head_u8(f, at) + 9;
	if (method == AMQP(60, 50))
		return at + 3 + head_u8(f, at + 2);
	if (method >> 8 == 40 || method >> 8 == 50 || method == AMQP(60, 20) || method == AMQP(60, 40) || method == AMQP(60, 70))
		return at + 2;
	return 0;
}

static __always_inline void amqp_judge(volatile struct framed *f)
{
	u32 method = f->scratch[AMQP_METHOD], code = 0;

	if (method == AMQP(10, 50) || method == AMQP(20, 40) || method == AMQP(60, 50))
		code = head_be16(f, AMQP_ARGUMENTS);
	f->scratch[AMQP_STATUS] = code;
	f->scratch[AMQP_OUTCOME] = OUTCOME_OK;
	if (code && code != 200)
		f->scratch[AMQP_OUTCOME] = code == 320 || code == 506 || code == 540 || code == 541 || code == 311 || code == 402 ?
						   OUTCOME_SERVER_ERROR :
						   OUTCOME_CLIENT_ERROR;
	if (method == AMQP(10, 60) || (method == AMQP(60, 120) && !f->request))
		f->scratch[AMQP_OUTCOME] = OUTCOME_SERVER_ERROR;
}

/* Whether a message that is delivered, or that was asked for, was delivered before: a bit behind its number. */
static __always_inline bool amqp_again(volatile struct framed *f, u32 method)
{
	u32 at = AMQP_ARGUMENTS + 8;

	if (method == AMQP(60, 60))
		at += 1 + head_u8(f, AMQP_ARGUMENTS);
	else if (method != AMQP(60, 71))
		return false;
	return at + 1 < f->length && at < f->have && head_u8(f, at) & 1;
}

static __always_inline void amqp_name(volatile struct framed *f)
{
	u32 at, routed = f->scratch[AMQP_METHOD] == AMQP(60, 40) || f->scratch[AMQP_METHOD] == AMQP(60, 50) ||
			 f->scratch[AMQP_METHOD] == AMQP(60, 60);

	f->scratch[AMQP_HASH] = mix(mix(HASH_START, PROTOCOL_AMQP),
				    f->scratch[AMQP_METHOD] | (amqp_again(f, f->scratch[AMQP_METHOD]) ? AMQP_AGAIN : 0));
	f->scratch[AMQP_AT] = amqp_names(f, f->scratch[AMQP_METHOD]);
	for (u32 i = 0; i < 2; i++) {
		if (!f->scratch[AMQP_AT] || (i && !routed))
			break;
		at = f->scratch[AMQP_AT];
		f->scratch[AMQP_AT] = at + 1 + head_u8(f, at);
		f->scratch[AMQP_HASH] = mix(subject_hash(f, f->scratch[AMQP_HASH], at + 1, f->scratch[AMQP_AT], '.'), '/');
	}
	f->scratch[AMQP_HASH] = endpoint_of(f->scratch[AMQP_HASH]);
}

/*
 * Ends what the broker confirms or refuses; or, when the channel ends or the broker closes it, what it has not confirmed: that
 * failed for the reason it names, or is not confirmed any more.
 */
static __always_inline void amqp_ends(struct conn *conn, void *sk, volatile struct framed *f, u32 channel)
{
	u32 number = head_be32(f, AMQP_ARGUMENTS + 4) & AMQP_NUMBERS, why = AMQP_ARGUMENTS + 3 + head_u8(f, AMQP_ARGUMENTS + 2);

	f->scratch[AMQP_AT] = 0;
	if (f->settled == AMQP_CLOSE && AMQP(head_be16(f, why), head_be16(f, why + 2)) != AMQP(60, 40))
		return;
	if (f->settled == AMQP_CONFIRM && !(head_u8(f, AMQP_ARGUMENTS + 8) & 1)) {
		f->scratch[AMQP_FOUND] = amqp_find(sk, amqp_mark(channel) | number << 1);
		return;
	}
	if (f->settled == AMQP_CONFIRM && head_be64(f, AMQP_ARGUMENTS))
		f->scratch[AMQP_AT] = number | (AMQP_NUMBERS + 1);
	if (f->settled == AMQP_LEAVE)
		f->scratch[AMQP_OUTCOME] = OUTCOME_NO_RESPONSE;
	amqp_settle(conn, sk, f, amqp_mark(channel), f->scratch[AMQP_AT]);
}

/* The channel is closed for good. */
static __always_inline void amqp_left(struct conn *conn, void *sk, volatile struct framed *f, u32 channel)
{
	if (f->scratch[AMQP_FOUND]) {
		f->length = 0; /* the message itself comes when they are through */
		return;
	}
	f->scratch[AMQP_OUTCOME] = OUTCOME_OK;
	amqp_forget(sk, channel);
	f->settled = f->request ? AMQP_NOTHING : AMQP_ANSWER;
}

/* What the message is to those that are in flight. */
static __always_inline void amqp_decide(struct conn *conn, void *sk, volatile struct framed *f, u32 channel)
{
	u32 id;

	f->scratch[AMQP_ID] = channel;
	f->scratch[AMQP_FOUND] = 0;
	amqp_way(conn, f)->number = 0;
	if (f->settled == AMQP_CLOSE && amqp_find(sk, channel))
		f->settled = AMQP_ANSWER;
	if (f->settled == AMQP_CONFIRM || f->settled == AMQP_CLOSE || f->settled == AMQP_LEAVE)
		amqp_ends(conn, sk, f, channel);
	if (f->settled == AMQP_LEAVE)
		amqp_left(conn, sk, f, channel);
	if (f->settled == AMQP_CLOSE && !f->scratch[AMQP_FOUND])
		f->settled = AMQP_TELL;
	if (f->request && f->scratch[AMQP_METHOD] == AMQP(85, 10))
		amqp_confirming(sk, channel);
	if (f->settled != AMQP_TELL)
		return;
	id = f->request && f->scratch[AMQP_METHOD] == AMQP(60, 40) ? amqp_publication(sk, channel) : 0;
	if (id) {
		f->scratch[AMQP_ID] = id;
		f->settled = AMQP_ASK;
		amqp_way(conn, f)->number = amqp_place(id) + 1;
	}
}

static __always_inline u32 amqp_take(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct pipeline *pipeline;
	u64 index;

	if (f->settled == AMQP_ASK)
		framed_request_id(conn, sk, f, f->scratch[AMQP_ID], f->scratch[AMQP_HASH]);
	if (f->settled == AMQP_ANSWER) {
		f->scratch[AMQP_FOUND] = amqp_find(sk, f->scratch[AMQP_ID]);
		if (!f->scratch[AMQP_FOUND])
			response_unexpected(conn);
	}
	index = f->scratch[AMQP_FOUND];
	pipeline = index ? pipeline_of(sk, false) : NULL;
	if (pipeline) {
		index--;
		asm volatile("%0 &= 255" : "+r"(index));
		if (f->settled == AMQP_ANSWER && amqp_again(f, f->scratch[AMQP_METHOD]))
			pipeline->requests[index].endpoint = endpoint_of(mix(pipeline->requests[index].endpoint, AMQP_AGAIN));
		framed_finish(conn, f, &pipeline->requests[index], f->scratch[AMQP_OUTCOME], f->scratch[AMQP_STATUS]);
	}
	if (f->settled == AMQP_TELL)
		framed_one_way(conn, f, f->scratch[AMQP_HASH], f->scratch[AMQP_OUTCOME], f->scratch[AMQP_STATUS]);
	return FRAME_DONE;
}

/* Content headers, bodies and heartbeats are only bytes: of the publication that they follow, if that is to be confirmed. */
static __always_inline u32 amqp_content(struct conn *conn, void *sk, volatile struct framed *f)
{
	u64 index = amqp_way(conn, f)->number;
	struct pipeline *pipeline = index ? pipeline_of(sk, false) : NULL;

	index--;
	asm volatile("%0 &= 255" : "+r"(index));
	if (pipeline) {
		pipeline->requests[index].bytes += f->length;
		f->credited = 1;
	}
	return FRAME_DONE;
}

static __always_inline u32 amqp_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	f->length = 8;
	f->scratch[AMQP_STATUS] = f->scratch[AMQP_OUTCOME] = f->scratch[AMQP_FOUND] = f->scratch[AMQP_ID] = 0;
	f->settled = AMQP_ASK;
	if (head_be64(f, 0) != AMQP_GREETING) {
		if (!amqp_frame(f))
			return FRAME_WRONG;
		f->length = head_be32(f, 3) + 8;
		if (head_u8(f, 0) != 1)
			return amqp_content(conn, sk, f);
		if (f->length < 12)
			return FRAME_WRONG;
		f->settled = f->length < FRAME_HEAD_BYTES ? f->length : FRAME_HEAD_BYTES;
		if (f->have < f->settled)
			return f->settled;
		f->scratch[AMQP_METHOD] = amqp_method(f);
		amqp_name(f);
		amqp_judge(f);
		f->settled = f->request ? amqp_asks(f, f->scratch[AMQP_METHOD]) : amqp_answers(f->scratch[AMQP_METHOD]);
		amqp_decide(conn, sk, f, head_be16(f, 1));
		return amqp_take(conn, sk, f);
	}
	f->scratch[AMQP_HASH] = endpoint_of(mix(mix(HASH_START, PROTOCOL_AMQP), 1));
	return amqp_take(conn, sk, f);
}

#endif
