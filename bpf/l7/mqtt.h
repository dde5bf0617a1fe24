/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MQTT 3.1, 3.1.1 and 5.
 *
 * https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html
 *
 * The packet id pairs what a client sends with the broker's answer; a publication of quality 2 ends with PUBCOMP, or with a PUBREC
 * that refuses. Quality 0, DISCONNECT and what the broker delivers are one-way, and a client's answers to deliveries are nothing
 * of their own. The endpoint is the packet's type with its (first) topic, ids collapsed. The head of a delivery gets type 0, so that
 * its sample tells it from a publication.
 */
#ifndef MESHLENS_MQTT_H
#define MESHLENS_MQTT_H

#include "run.h"
#include "subject.h"

FRAMED_PROTOCOL(mqtt, PROTOCOL_MQTT, 2)

#define MQTT_HEADER 2
#define MQTT_TURNS 3
#define MQTT_CODES_BYTES 24 /* of SUBACK that are looked at */

enum mqtt_type {
	MQTT_DELIVER, MQTT_CONNECT, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP, MQTT_SUBSCRIBE,
	MQTT_SUBACK, MQTT_UNSUBSCRIBE, MQTT_UNSUBACK, MQTT_PINGREQ, MQTT_PINGRESP, MQTT_DISCONNECT, MQTT_AUTH,
};

enum mqtt_known { MQTT_TYPE, MQTT_BODY, MQTT_ID, MQTT_CODE, MQTT_HASH, MQTT_OUTCOME };

#define MQTT_IS(f, set) ((set) >> (f)->scratch[MQTT_TYPE] & 1)
#define MQTT_OF_CLIENT (1 << MQTT_CONNECT | 1 << MQTT_SUBSCRIBE | 1 << MQTT_UNSUBSCRIBE | 1 << MQTT_PINGREQ)
#define MQTT_OF_BROKER (1 << MQTT_CONNACK | 1 << MQTT_SUBACK | 1 << MQTT_UNSUBACK | 1 << MQTT_PINGRESP)
#define MQTT_ASKING (MQTT_OF_CLIENT | 1 << MQTT_PUBLISH)
#define MQTT_ANSWERING (MQTT_OF_BROKER | 1 << MQTT_PUBACK | 1 << MQTT_PUBREC | 1 << MQTT_PUBCOMP)
#define MQTT_FILTERS (1 << MQTT_SUBSCRIBE | 1 << MQTT_UNSUBSCRIBE)
#define MQTT_FLAGGED (MQTT_FILTERS | 1 << MQTT_PUBREL) /* their flags are 2 */

/* Packet ids have 16 bits; what has none is given one. */
#define MQTT_CONNECT_ID 0x10040
#define MQTT_PING_ID 0x20080

/* The length of the fixed header, 0 while it is not whole, 9 when it is none; sets the bytes behind it. */
static __always_inline u32 mqtt_fixed(volatile struct framed *f, u32 *rest)
{
	u64 length = 0, bytes = 1, more = 1;

	for (u32 i = 0; i < 4; i++) {
		u8 c = head_u8(f, 1 + i);

		length += ((u64)(c & 0x7f) << (7 * i)) * more;
		bytes += more;
		more &= c >> 7;
	}
	*rest = length;
	if (more)
		return f->have < 5 ? 0 : 9;
	return bytes > f->have ? 0 : bytes;
}

static __always_inline bool mqtt_flags(volatile struct framed *f)
{
	u32 type = head_u8(f, 0) >> 4, flags = head_u8(f, 0) & 15;

	if (type == MQTT_PUBLISH)
		return (flags & 6) != 6;
	return type && flags == (MQTT_FLAGGED >> type & 1) * 2;
}

/* Whether what stands at *at* is a text of a topic that fits into the packet. */
static __always_inline bool mqtt_topic(volatile struct framed *f, u32 at)
{
	u32 size = head_be16(f, at);
	u64 plain = 1;

	if (!size || at + 2 + size > f->length || at + 2 + size > FRAME_HEAD_BYTES)
		return false;
	for (u32 i = 0; i < 8; i++)
		plain &= is_below(31, head_u8(f, at + 2 + i)) | is_below(size, i + 1);
	return plain;
}

/* CONNECT, which says what it is; or a publication of which all lengths fit. */
static __always_inline enum match mqtt_match(struct conn *conn, volatile struct framed *f)
{
	u32 first = head_u8(f, 0), rest, body;
	u64 name;

	if (!f->request ? first >> 4 != MQTT_PUBLISH : first != 0x10 && first >> 4 != MQTT_PUBLISH && first != 0xc0)
		return MATCH_NO;
	if (f->have < MQTT_HEADER)
		return MATCH_MORE;
	body = mqtt_fixed(f, &rest);
	if (!body)
		return MATCH_MORE;
	if (body == 9 || !mqtt_flags(f))
		return MATCH_NO;
	if (first == 0xc0)
		return !rest && f->have == 2 ? MATCH_YES : MATCH_NO;
	f->length = body + rest;
	if (rest < 5)
		return MATCH_NO;
	if (f->have < body + 8 && f->have < f->length)
		return MATCH_MORE;
	name = head_be64(f, body);
	if (first == 0x10)
		return name >> 9 == 0x00044d51545404ULL >> 1 || name == 0x00064d5149736470ULL ? MATCH_YES : MATCH_NO;
	if (f->have < f->length && f->have < FRAME_HEAD_BYTES && f->have < body + 10)
		return MATCH_MORE;
	return mqtt_topic(f, body) ? MATCH_YES : MATCH_NO;
}

/* Where the first topic stands: version 5 has properties before filters, and no filter is empty. */
static __always_inline u32 mqtt_topic_at(volatile struct framed *f)
{
	u32 at = f->scratch[MQTT_BODY], size;

	if (MQTT_IS(f, 1 << MQTT_PUBLISH))
		return at;
	at += 2;
	size = head_be16(f, at);
	if (size && at + 2 + size <= f->length && head_u8(f, at + 2) >= 32)
		return at;
	return at + 1 + (head_u8(f, at) & 0x7f);
}

/* How many bytes of the head are wanted. */
static __always_inline u32 mqtt_wanted(volatile struct framed *f)
{
	u32 wanted = f->scratch[MQTT_BODY] + 3;

	if (MQTT_IS(f, MQTT_FILTERS | 1 << MQTT_PUBLISH))
		wanted = FRAME_HEAD_BYTES;
	if (MQTT_IS(f, 1 << MQTT_SUBACK | 1 << MQTT_UNSUBACK))
		wanted += MQTT_CODES_BYTES;
	return wanted < f->length ? wanted : f->length;
}

/* The code of an answer: that of the first refusal where there are several. */
static __always_inline u32 mqtt_code(volatile struct framed *f)
{
	u32 at = f->scratch[MQTT_BODY], end = f->length, properties;
	u64 code = 0;

	if (MQTT_IS(f, 1 << MQTT_CONNACK))
		return head_u8(f, at + 1);
	if (MQTT_IS(f, 1 << MQTT_DISCONNECT))
		return end > at ? head_u8(f, at) : 0;
	at += 2;
	if (!MQTT_IS(f, 1 << MQTT_SUBACK | 1 << MQTT_UNSUBACK))
		return end > at ? head_u8(f, at) : 0;
	properties = head_u8(f, at);
	if (properties > 2 && at + 1 + properties < end && properties < 0x80)
		at += properties + 1;
	for (u32 i = 0; i < MQTT_CODES_BYTES; i++) {
		u8 one = head_u8(f, at + i);

		code += one * (is_below(0x7f, one) & is_below(at + i, end) & is_equal(code, 0));
	}
	return code;
}

static __always_inline u32 mqtt_outcome(volatile struct framed *f)
{
	u32 code = f->scratch[MQTT_CODE];

	if (MQTT_IS(f, 1 << MQTT_CONNACK) && code && code < 0x80)
		return code == 3 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
	if (code < 0x80)
		return OUTCOME_OK;
	/* 0x80 0x83 0x88 0x89 0x8b 0x97 0x9c 0x9d */
	return code < 0xa0 && 0x30800b09U >> (code & 31) & 1 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

/* The id of what is asked or answered. */
static __always_inline u32 mqtt_id(volatile struct framed *f)
{
	u32 at = f->scratch[MQTT_BODY];

	if (MQTT_IS(f, 1 << MQTT_CONNECT | 1 << MQTT_CONNACK))
		return MQTT_CONNECT_ID;
	if (MQTT_IS(f, 1 << MQTT_PINGREQ | 1 << MQTT_PINGRESP))
		return MQTT_PING_ID;
	if (MQTT_IS(f, 1 << MQTT_PUBLISH))
		at += 2 + head_be16(f, at);
	return head_be16(f, at);
}

/* One more packet with the same length and the same topic, of quality 0. */
static __always_inline bool mqtt_again(struct conn *conn, volatile struct framed *f)
{
	f->length = conn->name;
	return run_begins(conn, f);
}

enum mqtt_act { MQTT_NOTHING, MQTT_ASK, MQTT_ANSWER, MQTT_TELL };

static __always_inline u32 mqtt_act(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 quality = head_u8(f, 0) >> 1 & 3;

	if (MQTT_IS(f, 1 << MQTT_DISCONNECT))
		return MQTT_TELL;
	if (!f->request && MQTT_IS(f, 1 << MQTT_PUBLISH))
		return MQTT_TELL;
	if (f->request && MQTT_IS(f, 1 << MQTT_PUBLISH) && !quality)
		return MQTT_TELL;
	if (f->request && MQTT_IS(f, MQTT_ASKING))
		return head_u8(f, 0) & 8 && framed_find(conn, sk, f->scratch[MQTT_ID]) ? MQTT_NOTHING : MQTT_ASK;
	if (f->request || !MQTT_IS(f, MQTT_ANSWERING))
		return MQTT_NOTHING;
	if (MQTT_IS(f, 1 << MQTT_PUBREC) && f->scratch[MQTT_CODE] < 0x80)
		return MQTT_NOTHING;
	return MQTT_ANSWER;
}

static __always_inline u32 mqtt_take(struct conn *conn, void *sk, volatile struct framed *f)
{
	f->scratch[MQTT_ID] = mqtt_id(f);
	f->scratch[MQTT_CODE] = 0;
	if (MQTT_IS(f, MQTT_ANSWERING | 1 << MQTT_DISCONNECT))
		f->scratch[MQTT_CODE] = mqtt_code(f);
	f->scratch[MQTT_OUTCOME] = mqtt_outcome(f);
	f->settled = mqtt_act(conn, sk, f);
	if (f->settled == MQTT_TELL && MQTT_IS(f, 1 << MQTT_PUBLISH)) {
		f->scratch[MQTT_HASH] = endpoint_of(mix(f->scratch[MQTT_HASH], f->request ? MQTT_PUBLISH : MQTT_DELIVER));
		conn->name = f->length;
		/* Packets with an id differ in it. */
		run_keep(conn, f, f->scratch[MQTT_BODY] + 2 + head_be16(f, f->scratch[MQTT_BODY]), f->scratch[MQTT_HASH]);
		if (!f->request)
			f->head[0] &= 0x0f;
	} else {
		f->scratch[MQTT_HASH] = endpoint_of(mix(f->scratch[MQTT_HASH], f->scratch[MQTT_TYPE]));
	}
	if (f->settled == MQTT_ASK)
		framed_request_id(conn, sk, f, f->scratch[MQTT_ID], f->scratch[MQTT_HASH]);
	if (f->settled == MQTT_ANSWER)
		framed_response_id(conn, sk, f, f->scratch[MQTT_ID], f->scratch[MQTT_OUTCOME], f->scratch[MQTT_CODE]);
	if (f->settled == MQTT_TELL)
		framed_one_way(conn, f, f->scratch[MQTT_HASH], f->scratch[MQTT_OUTCOME], f->scratch[MQTT_CODE]);
	return FRAME_DONE;
}

static __always_inline u32 mqtt_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = run_way(conn, f);
	u32 body, rest, at;

	if (RUN(conn, way, f, MQTT_HEADER, mqtt_again))
		return MQTT_HEADER;
	if (f->have < FRAME_HEAD_BYTES / 2)
		framed_fill(f);
	body = mqtt_fixed(f, &rest);
	f->scratch[MQTT_BODY] = body;
	f->length = body + rest;
	f->scratch[MQTT_TYPE] = head_u8(f, 0) >> 4;
	if (!f->scratch[MQTT_BODY])
		return f->have + 1;
	if (f->scratch[MQTT_BODY] == 9 || !mqtt_flags(f) || MQTT_IS(f, f->request ? MQTT_OF_BROKER : MQTT_OF_CLIENT))
		return FRAME_WRONG;
	f->settled = mqtt_wanted(f);
	if (f->have < f->settled)
		return f->settled;
	f->scratch[MQTT_HASH] = mix(HASH_START, PROTOCOL_MQTT);
	if (MQTT_IS(f, MQTT_FILTERS | 1 << MQTT_PUBLISH)) {
		at = mqtt_topic_at(f) + 2;
		f->scratch[MQTT_HASH] = subject_hash(f, f->scratch[MQTT_HASH], at, at + head_be16(f, at - 2), '/');
	}
	return mqtt_take(conn, sk, f);
}

#endif
