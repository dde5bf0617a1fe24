/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMQP 0-9-1, as RabbitMQ speaks it.
 *
 * https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
 *
 * A method that asks is answered on its channel, by its -ok or by a Close whose reply code is the status. Publications,
 * acknowledgements, deliveries and returned messages are one-way; heartbeats, content headers and bodies are only bytes. The endpoint
 * is the method with its queue or exchange, or with exchange and routing key, ids collapsed.
 */
#ifndef MESHLENS_AMQP_H
#define MESHLENS_AMQP_H

#include "framed.h"
#include "subject.h"

FRAMED_PROTOCOL(amqp, PROTOCOL_AMQP, 1)

#define AMQP_HEADER 8
#define AMQP_TURNS 2
#define AMQP_ARGUMENTS 11 /* where they begin */
#define AMQP_MAX_FRAME (16 << 20)
#define AMQP_GREETING 0x414d515000000901ULL

enum amqp_known { AMQP_METHOD, AMQP_HASH, AMQP_STATUS, AMQP_OUTCOME, AMQP_AT };
enum amqp_act { AMQP_NOTHING, AMQP_ASK, AMQP_ANSWER, AMQP_TELL, AMQP_CLOSE };

/* Class and method in one number: of both, what the protocol uses is below 256. */
#define AMQP(class, method) ((class) << 8 | (method))

static __always_inline u32 amqp_method(volatile struct framed *f)
{
	return AMQP(head_be16(f, 7), head_be16(f, 9));
}

static __always_inline bool amqp_frame(volatile struct framed *f)
{
	u32 kind = head_u8(f, 0);

	return (kind == 1 || kind == 2 || kind == 3 || kind == 8) && head_be32(f, 3) <= AMQP_MAX_FRAME;
}

/* The greeting; or a whole method of a known class. */
static __always_inline enum match amqp_match(struct conn *conn, volatile struct framed *f)
{
	u32 first = head_u8(f, 0), length, class;

	if (first != 'A' && first != 1)
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
	return head_u8(f, length + 7) == 0xce && (class == 40 || class == 50 || class == 60 || class == 20) && head_be16(f, 9) <= 120 ?
		       MATCH_YES :
		       MATCH_NO;
}

/* What a method of the client's is. */
static __always_inline u32 amqp_asks(u32 method)
{
	switch (method) {
	case AMQP(10, 31): /* TuneOk, and what ends a Close */
	case AMQP(10, 51):
	case AMQP(20, 41):
	case AMQP(20, 21):
		return AMQP_NOTHING;
	case AMQP(60, 40): /* Publish, Ack, Reject, Nack */
	case AMQP(60, 80):
	case AMQP(60, 90):
	case AMQP(60, 120):
		return AMQP_TELL;
	}
	return AMQP_ASK;
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
	if (method == AMQP(10, 60))
		f->scratch[AMQP_OUTCOME] = OUTCOME_SERVER_ERROR;
}

static __always_inline void amqp_name(volatile struct framed *f)
{
	u32 at, routed = f->scratch[AMQP_METHOD] == AMQP(60, 40) || f->scratch[AMQP_METHOD] == AMQP(60, 50) ||
			 f->scratch[AMQP_METHOD] == AMQP(60, 60);

	f->scratch[AMQP_HASH] = mix(mix(HASH_START, PROTOCOL_AMQP), f->scratch[AMQP_METHOD]);
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

static __always_inline u32 amqp_take(struct conn *conn, void *sk, volatile struct framed *f, u32 channel)
{
	if (f->settled == AMQP_CLOSE)
		f->settled = framed_find(conn, sk, channel) ? AMQP_ANSWER : AMQP_TELL;
	if (f->settled == AMQP_ASK)
		framed_request_id(conn, sk, f, channel, f->scratch[AMQP_HASH]);
	if (f->settled == AMQP_ANSWER)
		framed_response_id(conn, sk, f, channel, f->scratch[AMQP_OUTCOME], f->scratch[AMQP_STATUS]);
	if (f->settled == AMQP_TELL)
		framed_one_way(conn, f, f->scratch[AMQP_HASH], f->scratch[AMQP_OUTCOME], f->scratch[AMQP_STATUS]);
	return FRAME_DONE;
}

static __always_inline u32 amqp_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	f->length = 8;
	f->scratch[AMQP_STATUS] = f->scratch[AMQP_OUTCOME] = 0;
	f->settled = AMQP_ASK;
	if (head_be64(f, 0) != AMQP_GREETING) {
		if (!amqp_frame(f))
			return FRAME_WRONG;
		f->length = head_be32(f, 3) + 8;
		if (head_u8(f, 0) != 1)
			return FRAME_DONE;
		if (f->length < 12)
			return FRAME_WRONG;
		f->settled = f->length < FRAME_HEAD_BYTES ? f->length : FRAME_HEAD_BYTES;
		if (f->have < f->settled)
			return f->settled;
		f->scratch[AMQP_METHOD] = amqp_method(f);
		amqp_judge(f);
		f->settled = f->request ? amqp_asks(f->scratch[AMQP_METHOD]) : amqp_answers(f->scratch[AMQP_METHOD]);
		amqp_name(f);
		return amqp_take(conn, sk, f, head_be16(f, 1));
	}
	f->scratch[AMQP_HASH] = endpoint_of(mix(mix(HASH_START, PROTOCOL_AMQP), 1));
	return amqp_take(conn, sk, f, 0);
}

#endif
