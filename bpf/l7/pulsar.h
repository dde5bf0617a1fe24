/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pulsar's binary protocol.
 *
 * https://pulsar.apache.org/docs/developing-binary-protocol/
 *
 * A message is a command in protocol buffers, perhaps with a payload. Requests are paired by request id, what is sent by producer and
 * sequence id. The endpoint is the command with the topic, where the command has one. Messages that the broker pushes, permits
 * and acknowledgements are one-way.
 */
#ifndef MESHLENS_PULSAR_H
#define MESHLENS_PULSAR_H

#include "dotted.h"
#include "framed.h"

FRAMED_PROTOCOL(pulsar, PROTOCOL_PULSAR, 2)

#define PULSAR_HEADER 12
#define PULSAR_TURNS 6
#define PULSAR_MAX_BYTES (6 << 20)
#define PULSAR_NAME_BYTES 96
#define PULSAR_FIELDS 8 /* of a command, that are looked at */
#define PULSAR_VARINT 10
#define PULSAR_SENT 0x80000000 /* ids of what is sent, apart from those of requests */
#define PULSAR_ONLY 0x40000000 /* of what has no id */
#define PULSAR_FAR 0xe0 /* away from the places of the first requests' ids */
#define PULSAR_PUSH 0x100 /* mixed into the endpoint of what the broker says unasked */

enum pulsar_type {
	PULSAR_CONNECT = 2, PULSAR_CONNECTED = 3, PULSAR_SUBSCRIBE = 4, PULSAR_PRODUCER = 5, PULSAR_SEND = 6, PULSAR_SEND_RECEIPT = 7,
	PULSAR_SEND_ERROR = 8, PULSAR_MESSAGE = 9, PULSAR_ACK = 10, PULSAR_FLOW = 11, PULSAR_UNSUBSCRIBE = 12, PULSAR_SUCCESS = 13,
	PULSAR_ERROR = 14, PULSAR_CLOSE_PRODUCER = 15, PULSAR_CLOSE_CONSUMER = 16, PULSAR_PRODUCER_SUCCESS = 17, PULSAR_PING = 18,
	PULSAR_PONG = 19, PULSAR_REDELIVER = 20, PULSAR_METADATA = 21, PULSAR_METADATA_RESPONSE = 22, PULSAR_LOOKUP = 23,
	PULSAR_LOOKUP_RESPONSE = 24, PULSAR_STATS = 25, PULSAR_STATS_RESPONSE = 26, PULSAR_END_OF_TOPIC = 27, PULSAR_SEEK = 28,
	PULSAR_LAST_ID = 29, PULSAR_LAST_ID_RESPONSE = 30, PULSAR_CONSUMER_CHANGE = 31, PULSAR_TOPICS = 32,
	PULSAR_TOPICS_RESPONSE = 33, PULSAR_SCHEMA = 34, PULSAR_SCHEMA_RESPONSE = 35, PULSAR_AUTH_CHALLENGE = 36,
	PULSAR_AUTH_RESPONSE = 37, PULSAR_ACK_RESPONSE = 38, PULSAR_MAKE_SCHEMA = 39, PULSAR_MAKE_SCHEMA_RESPONSE = 40,
	PULSAR_TYPES = 70,
};

#define PULSAR_BIT(type) (1ULL << (type))

/* The kinds of commands, a bit for each type. Answered with the request id in field 1, 2, 3 or 5; and answers with it in 1, 2 or 4. */
#define PULSAR_ASKS_1 (PULSAR_BIT(PULSAR_STATS) | PULSAR_BIT(PULSAR_TOPICS) | PULSAR_BIT(PULSAR_SCHEMA) | PULSAR_BIT(PULSAR_MAKE_SCHEMA))
#define PULSAR_ASKS_2                                                                                                  \
	(PULSAR_BIT(PULSAR_UNSUBSCRIBE) | PULSAR_BIT(PULSAR_CLOSE_PRODUCER) | PULSAR_BIT(PULSAR_CLOSE_CONSUMER) |             \
	 PULSAR_BIT(PULSAR_METADATA) | PULSAR_BIT(PULSAR_LOOKUP) | PULSAR_BIT(PULSAR_SEEK) | PULSAR_BIT(PULSAR_LAST_ID))
#define PULSAR_ANSWERS_1                                                                                               \
	(PULSAR_BIT(PULSAR_SUCCESS) | PULSAR_BIT(PULSAR_ERROR) | PULSAR_BIT(PULSAR_PRODUCER_SUCCESS) |                         \
	 PULSAR_BIT(PULSAR_STATS_RESPONSE) | PULSAR_BIT(PULSAR_TOPICS_RESPONSE) | PULSAR_BIT(PULSAR_SCHEMA_RESPONSE) |        \
	 PULSAR_BIT(PULSAR_MAKE_SCHEMA_RESPONSE))
#define PULSAR_ANSWERS_2 (PULSAR_BIT(PULSAR_METADATA_RESPONSE) | PULSAR_BIT(PULSAR_LAST_ID_RESPONSE))
#define PULSAR_ERROR_2 (PULSAR_ANSWERS_1 & ~PULSAR_BIT(PULSAR_SUCCESS) & ~PULSAR_BIT(PULSAR_PRODUCER_SUCCESS) & ~PULSAR_BIT(PULSAR_TOPICS_RESPONSE))
/* One-way: what no command answers. */
#define PULSAR_TELLS (PULSAR_BIT(PULSAR_ACK) | PULSAR_BIT(PULSAR_FLOW) | PULSAR_BIT(PULSAR_REDELIVER))
#define PULSAR_PUSHES                                                                                                  \
	(PULSAR_BIT(PULSAR_MESSAGE) | PULSAR_BIT(PULSAR_CLOSE_PRODUCER) | PULSAR_BIT(PULSAR_CLOSE_CONSUMER) |                 \
	 PULSAR_BIT(PULSAR_PING) | PULSAR_BIT(PULSAR_END_OF_TOPIC) | PULSAR_BIT(PULSAR_CONSUMER_CHANGE))
#define PULSAR_HAS_TOPIC                                                                                               \
	(PULSAR_BIT(PULSAR_SUBSCRIBE) | PULSAR_BIT(PULSAR_PRODUCER) | PULSAR_BIT(PULSAR_METADATA) | PULSAR_BIT(PULSAR_LOOKUP))

/* Whether the message begins as it must: both lengths fit, and the command's type is also the number of its only field. */
static __always_inline bool pulsar_plausible(volatile struct framed *f)
{
	u32 total = head_be32(f, 0), size = head_be32(f, 4), type = head_u8(f, 9);
	u32 tag = type < 16 ? type << 3 | 2 : (((type << 3 | 2) & 0x7f) | 0x80) | (type >> 4) << 8;
	u32 found = type < 16 ? head_u8(f, 10) : head_le16(f, 10);

	return total <= PULSAR_MAX_BYTES && size >= 4 && size + 4 <= total && head_u8(f, 8) == 8 && type >= PULSAR_CONNECT &&
	       type < PULSAR_TYPES && tag == found;
}

static __always_inline enum match pulsar_match(struct conn *conn, volatile struct framed *f)
{
	if (!f->request || head_u8(f, 0))
		return MATCH_NO;
	if (f->have < PULSAR_HEADER)
		return MATCH_MORE;
	return pulsar_plausible(f) ? MATCH_YES : MATCH_NO;
}

/* The varint at the place in scratch 0, which moves behind it. */
static __always_inline u64 pulsar_varint(volatile struct framed *f)
{
	u64 value = 0;
	u8 c;

	for (u32 i = 0; i < PULSAR_VARINT; i++) {
		c = head_u8(f, f->scratch[0]);
		f->scratch[0]++;
		if (i < 9)
			value |= (u64)(c & 0x7f) << (7 * i);
		if (c < 0x80)
			break;
	}
	return value;
}

/* Notes the numbers of a command in scratch 1 to 6 by the fields' numbers, and in scratch 7 where the text of field 1 is. */
static __always_inline void pulsar_fields(volatile struct framed *f, u32 end)
{
	u32 tag, length;
	u64 value;

	for (u32 i = 1; i < 8; i++)
		f->scratch[i] = 0;
	for (u32 i = 0; i < PULSAR_FIELDS; i++) {
		if (f->scratch[0] >= end)
			break;
		tag = head_u8(f, f->scratch[0]);
		f->scratch[0]++;
		value = pulsar_varint(f);
		length = value < FRAME_HEAD_BYTES ? value : FRAME_HEAD_BYTES;
		if ((tag & 7) == 0) {
			tag >>= 3;
			if (tag < 7)
				f->scratch[tag & 7] = value;
		} else if ((tag & 7) == 2) {
			if (tag == 0x0a)
				f->scratch[7] = f->scratch[0] << 16 | length;
			f->scratch[0] += length;
		} else {
			break;
		}
	}
}

/* The endpoint: the command, and the topic that scratch 7 tells of. */
static __always_inline u64 pulsar_endpoint(volatile struct framed *f, u32 type)
{
	volatile struct text_state *text = text_start(PROTOCOL_PULSAR | (type | (f->request ? 0 : PULSAR_PUSH)) << 8);
	u32 length = f->scratch[7] & 0xffff;

	if (!text)
		return 0;
	f->scratch[0] = f->scratch[7] >> 16;
	if (!(PULSAR_HAS_TOPIC >> (type & 63) & 1) || !length || length > PULSAR_NAME_BYTES || f->scratch[0] + length > f->have)
		return endpoint_of(text->hash);
	f->scratch[7] = f->scratch[0] + length;
	for (u32 i = 0; i < PULSAR_NAME_BYTES; i++) {
		if (f->scratch[0] >= f->scratch[7])
			break;
		dotted_byte(text, head_u8(f, f->scratch[0]));
		f->scratch[0]++;
	}
	dotted_end(text, 0);
	return endpoint_of(text->hash);
}

enum pulsar_action { PULSAR_NOTHING, PULSAR_REQUEST, PULSAR_RESPONSE, PULSAR_ONE_WAY };

static __always_inline u32 pulsar_sent_id(volatile struct framed *f)
{
	return PULSAR_SENT | ((u32)f->scratch[2] ^ (u32)f->scratch[1] << 20);
}

/* Works out what a client's command is, and in scratch 1 its id. */
static __always_inline u32 pulsar_asked(volatile struct framed *f, u32 type)
{
	u64 bit = PULSAR_BIT(type & 63);

	if (type >= 64 || bit & PULSAR_TELLS)
		return type < 64 ? PULSAR_ONE_WAY : PULSAR_NOTHING;
	if (type == PULSAR_SEND)
		f->scratch[1] = pulsar_sent_id(f);
	else if (type == PULSAR_CONNECT || type == PULSAR_PING)
		f->scratch[1] = PULSAR_ONLY | (type ^ PULSAR_FAR);
	else if (bit & PULSAR_ASKS_2)
		f->scratch[1] = f->scratch[2];
	else if (type == PULSAR_PRODUCER)
		f->scratch[1] = f->scratch[3];
	else if (type == PULSAR_SUBSCRIBE)
		f->scratch[1] = f->scratch[5];
	else if (!(bit & PULSAR_ASKS_1))
		return PULSAR_NOTHING;
	return PULSAR_REQUEST;
}

/* The same for what the broker says; scratch 2: whether it failed, 3: its error. */
static __always_inline u32 pulsar_answered(volatile struct framed *f, u32 type)
{
	u64 bit = PULSAR_BIT(type & 63);

	if (type >= 64 || bit & PULSAR_PUSHES)
		return type < 64 ? PULSAR_ONE_WAY : PULSAR_NOTHING;
	if (type == PULSAR_SEND_RECEIPT || type == PULSAR_SEND_ERROR) {
		f->scratch[1] = pulsar_sent_id(f);
		f->scratch[2] = type == PULSAR_SEND_ERROR;
	} else if (type == PULSAR_CONNECTED || type == PULSAR_PONG) {
		f->scratch[1] = PULSAR_ONLY | ((type - 1) ^ PULSAR_FAR);
		f->scratch[2] = 0;
	} else if (type == PULSAR_LOOKUP_RESPONSE) {
		f->scratch[1] = f->scratch[4];
		f->scratch[2] = f->scratch[3] == 2;
		f->scratch[3] = f->scratch[6];
	} else if (bit & PULSAR_ANSWERS_2) {
		f->scratch[1] = f->scratch[2];
		f->scratch[2] = type == PULSAR_METADATA_RESPONSE && f->scratch[3] == 1;
		f->scratch[3] = f->scratch[4];
	} else if (bit & PULSAR_ANSWERS_1) {
		f->scratch[3] = f->scratch[2];
		f->scratch[2] = type == PULSAR_ERROR || (bit & PULSAR_ERROR_2 && f->scratch[2]);
		if (type == PULSAR_ERROR && (u32)f->scratch[1] == ~0U) /* refused before it could ask for anything */
			f->scratch[1] = PULSAR_ONLY | (PULSAR_CONNECT ^ PULSAR_FAR);
	} else {
		return PULSAR_NOTHING;
	}
	return PULSAR_RESPONSE;
}

/* Errors by which a broker says that it failed; shared/protocols/pulsar.py. */
#define PULSAR_BROKERS 0x1041c7ULL

static __always_inline void pulsar_count(struct conn *conn, void *sk, volatile struct framed *f, u64 endpoint)
{
	u32 action = f->scratch[0];

	if (action == PULSAR_ONE_WAY) {
		framed_one_way(conn, f, endpoint, OUTCOME_OK, 0);
	} else if (action == PULSAR_REQUEST) {
		framed_request_id(conn, sk, f, f->scratch[1], endpoint);
	} else if (action == PULSAR_RESPONSE) {
		f->scratch[4] = OUTCOME_OK;
		if (!f->scratch[2])
			f->scratch[3] = 0;
		else
			f->scratch[4] = PULSAR_BROKERS >> (f->scratch[3] & 63) & 1 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
		framed_response_id(conn, sk, f, f->scratch[1], f->scratch[4], f->scratch[3]);
	}
}

static __always_inline u32 pulsar_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 command = head_be32(f, 4) + 8;
	u64 endpoint;

	if (!pulsar_plausible(f))
		return FRAME_WRONG;
	if (f->have < command && f->have < FRAME_HEAD_BYTES)
		return command < FRAME_HEAD_BYTES ? command : FRAME_HEAD_BYTES;
	f->length = head_be32(f, 0) + 4;
	f->scratch[0] = head_u8(f, 9) < 16 ? 11 : 12;
	pulsar_varint(f); /* the length of the command's own message */
	pulsar_fields(f, command < f->have ? command : f->have);
	endpoint = pulsar_endpoint(f, head_u8(f, 9));
	f->scratch[0] = f->request ? pulsar_asked(f, head_u8(f, 9)) : pulsar_answered(f, head_u8(f, 9));
	pulsar_count(conn, sk, f, endpoint);
	return FRAME_DONE;
}

#endif
