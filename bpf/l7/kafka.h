/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kafka.
 *
 * https://kafka.apache.org/protocol
 *
 * Requests are paired by correlation id. The endpoint is the request's name with its first topic (Produce, Fetch, ListOffsets; by
 * its name or its id) or its group. Where a response has its first error depends on the request's kind and version, so the
 * request keeps the place. It is the error of the first topic or partition; where errors lie deeper (Metadata, OffsetFetch, groups that
 * are described, transactions' partitions) only samples tell. The wait that a Fetch allows is no part of its duration.
 */
#ifndef MESHLENS_KAFKA_H
#define MESHLENS_KAFKA_H

#include "dotted.h"
#include "framed.h"

FRAMED_PROTOCOL(kafka, PROTOCOL_KAFKA, 2)

#define KAFKA_HEADER 8
#define KAFKA_TURNS 4
#define KAFKA_REQUEST_HEADER 14
#define KAFKA_MAX_BYTES (100 << 20) /* socket.request.max.bytes */
#define KAFKA_KEYS 93
#define KAFKA_VERSIONS 20
#define KAFKA_CLIENT_BYTES 255
#define KAFKA_LOOKED_AT 24 /* bytes of a client's id that must be text */
#define KAFKA_NAME_BYTES 96 /* longer topics and groups do not name endpoints */
#define NS_PER_MS 1000000ULL

enum kafka_key {
	KAFKA_PRODUCE = 0, KAFKA_FETCH = 1, KAFKA_LIST_OFFSETS = 2, KAFKA_METADATA = 3, KAFKA_OFFSET_COMMIT = 8, KAFKA_OFFSET_FETCH = 9,
	KAFKA_FIND_COORDINATOR = 10, KAFKA_JOIN_GROUP = 11, KAFKA_HEARTBEAT = 12, KAFKA_LEAVE_GROUP = 13, KAFKA_SYNC_GROUP = 14,
	KAFKA_LIST_GROUPS = 16, KAFKA_SASL_HANDSHAKE = 17, KAFKA_API_VERSIONS = 18, KAFKA_CREATE_TOPICS = 19,
	KAFKA_DELETE_TOPICS = 20, KAFKA_INIT_PRODUCER_ID = 22, KAFKA_ADD_OFFSETS = 25, KAFKA_END_TXN = 26,
	KAFKA_SASL_AUTHENTICATE = 36, KAFKA_GROUP_HEARTBEAT = 68,
};

/* Where a response has its error, in the low bits of a request's kind; above them flags, and the wait that it allows. */
enum kafka_place { KAFKA_NOWHERE, KAFKA_FIRST, KAFKA_IN_TOPIC, KAFKA_IN_COORDINATOR, KAFKA_IN_PARTITION, KAFKA_IN_FETCH };
#define KAFKA_PLACE 7
#define KAFKA_FLEXIBLE 8
#define KAFKA_THROTTLED 16
#define KAFKA_BY_ID 32
#define KAFKA_NAME_AND_ID 64
#define KAFKA_TAGGED 128
#define KAFKA_WAIT_SHIFT 8
#define KAFKA_MAX_WAIT 0xffffff

/* The first version whose lengths are varints, in which structs end in tagged fields; 255: none of those that are looked into. */
static __always_inline u32 kafka_flexible_from(u32 key)
{
	switch (key) {
	case KAFKA_PRODUCE: case KAFKA_METADATA: return 9;
	case KAFKA_FETCH: return 12;
	case KAFKA_OFFSET_COMMIT: return 8;
	case KAFKA_LIST_OFFSETS: case KAFKA_OFFSET_FETCH: case KAFKA_JOIN_GROUP: return 6;
	case KAFKA_CREATE_TOPICS: return 5;
	case KAFKA_HEARTBEAT: case KAFKA_LEAVE_GROUP: case KAFKA_SYNC_GROUP: case KAFKA_DELETE_TOPICS: return 4;
	case KAFKA_FIND_COORDINATOR: case KAFKA_LIST_GROUPS: case KAFKA_ADD_OFFSETS: case KAFKA_END_TXN: case KAFKA_API_VERSIONS: return 3;
	case KAFKA_INIT_PRODUCER_ID: case KAFKA_SASL_AUTHENTICATE: return 2;
	case KAFKA_GROUP_HEARTBEAT: return 0;
	}
	return 255;
}

/* The numbers of a request's header can be those of a request. */
static __always_inline bool kafka_plausible(volatile struct framed *f)
{
	u32 size = head_be32(f, 0), client = head_be16(f, 12);

	return size >= 10 && size <= KAFKA_MAX_BYTES && head_be16(f, 4) < KAFKA_KEYS && head_be16(f, 6) <= KAFKA_VERSIONS &&
	       (client == 0xffff || (client <= KAFKA_CLIENT_BYTES && client + 10 <= size));
}

/* A request whose client says in text who it is; one that does not say asks for the versions first. */
static __always_inline enum match kafka_match(struct conn *conn, volatile struct framed *f)
{
	u32 client = head_be16(f, 12), looked_at = client < KAFKA_LOOKED_AT ? client : KAFKA_LOOKED_AT;

	if (!f->request || head_u8(f, 0) > KAFKA_MAX_BYTES >> 24)
		return MATCH_NO;
	if (f->have < KAFKA_REQUEST_HEADER)
		return MATCH_MORE;
	if (!kafka_plausible(f))
		return MATCH_NO;
	if (!client || client == 0xffff)
		return head_be16(f, 4) == KAFKA_API_VERSIONS && head_be32(f, 0) < 64 ? MATCH_YES : MATCH_NO;
	if (f->have < KAFKA_REQUEST_HEADER + looked_at)
		return MATCH_MORE;
	f->scratch[0] = 0;
	for (u32 i = 0; i < KAFKA_LOOKED_AT; i++)
		f->scratch[0] += i < looked_at && (u8)(head_u8(f, KAFKA_REQUEST_HEADER + i) - 0x20) >= 0x5f;
	return f->scratch[0] ? MATCH_NO : MATCH_YES;
}

/* ---- what is being read: scratch 0: the place in the head, 1: flexible ---------------------------------------- */

/* The head holds so many bytes at the place; else it is noted that they are missing. */
static __always_inline bool kafka_in_reach(volatile struct framed *f, u32 bytes)
{
	u32 end = f->scratch[0] + bytes;

	if (end <= f->have)
		return true;
	if (!f->scratch[7])
		f->scratch[7] = end;
	return false;
}

static __always_inline u32 kafka_code(volatile struct framed *f)
{
	return kafka_in_reach(f, 2) ? head_be16(f, f->scratch[0]) : 0;
}

/* The length at the place, which moves behind it: of *width* bytes, or a varint; null and empty are 0. */
static __always_inline u32 kafka_length(volatile struct framed *f, u32 width)
{
	u32 at = f->scratch[0], length;

	if (!kafka_in_reach(f, f->scratch[1] ? 1 : width))
		return 0;
	if (f->scratch[1]) {
		length = head_u8(f, at);
		f->scratch[0] = at + 1;
		if (length & 0x80) {
			if (!kafka_in_reach(f, 1))
				return 0;
			length = (length & 0x7f) | (u32)head_u8(f, at + 1) << 7;
			f->scratch[0] = at + 2;
		}
		return length ? length - 1 : 0;
	}
	f->scratch[0] = at + width;
	length = width == 2 ? head_be16(f, at) : head_be32(f, at);
	return length == (width == 2 ? 0xffff : ~0U) ? 0 : length;
}

static __always_inline void kafka_skip(volatile struct framed *f, u32 bytes)
{
	f->scratch[0] += bytes < FRAME_HEAD_BYTES ? bytes : FRAME_HEAD_BYTES;
}

/* Mixes the name at the place, a topic's or a group's, into the endpoint. */
static __always_inline void kafka_name(volatile struct framed *f, volatile struct text_state *text)
{
	u32 length = kafka_length(f, 2);
	u8 c;

	if (!length || length > KAFKA_NAME_BYTES || !kafka_in_reach(f, length))
		return;
	f->scratch[2] = f->scratch[0] + length;
	for (u32 i = 0; i < KAFKA_NAME_BYTES; i++) {
		if (f->scratch[0] >= f->scratch[2])
			break;
		c = head_u8(f, f->scratch[0]);
		f->scratch[0]++;
		dotted_byte(text, c);
	}
	dotted_end(text, 0);
}

/* Moves the place from the body's beginning to what names the endpoint; false when nothing does. */
static __always_inline bool kafka_to_name(volatile struct framed *f, u32 key, u32 version)
{
	switch (key) {
	case KAFKA_PRODUCE:
		if (version >= 3)
			kafka_skip(f, kafka_length(f, 2));
		kafka_skip(f, 6);
		break;
	case KAFKA_FETCH:
		kafka_skip(f, (version > 14 ? 8 : 12) + (version >= 3) * 4 + (version >= 4) + (version >= 7) * 8);
		break;
	case KAFKA_LIST_OFFSETS:
		kafka_skip(f, 4 + (version >= 2));
		break;
	case KAFKA_OFFSET_FETCH:
		if (version < 8)
			return true;
		break;
	case KAFKA_OFFSET_COMMIT: case KAFKA_JOIN_GROUP: case KAFKA_HEARTBEAT: case KAFKA_LEAVE_GROUP: case KAFKA_SYNC_GROUP:
	case KAFKA_GROUP_HEARTBEAT:
		return true;
	default:
		return false;
	}
	return kafka_length(f, 4);
}

/*
 * The endpoint. A Fetch without topics goes on with those of its session, which the connection remembers; where they were not seen,
 * it has none.
 */
static __always_inline u64 kafka_endpoint(struct conn *conn, volatile struct framed *f, u32 key, u32 version)
{
	volatile struct text_state *text = text_start(PROTOCOL_KAFKA | key << 8);

	if (!text)
		return 0;
	f->scratch[6] = kafka_to_name(f, key, version);
	if (f->scratch[6])
		f->scratch[6] += head_be16(f, 6) >= 13 && head_be16(f, 4) <= KAFKA_FETCH; /* topics have ids instead of names */
	if (f->scratch[6] == 2) {
		if (!kafka_in_reach(f, 16))
			return 0;
		text->hash = mix(text->hash, head_be64(f, f->scratch[0]));
		text->hash = mix(text->hash, head_be64(f, f->scratch[0] + 8));
	} else if (f->scratch[6]) {
		kafka_name(f, text);
	} else if (head_be16(f, 4) == KAFKA_FETCH) {
		return conn->bound_endpoint;
	}
	if (head_be16(f, 4) == KAFKA_FETCH)
		conn->bound_endpoint = endpoint_of(text->hash);
	return endpoint_of(text->hash);
}

/* Where the response to such a request has its first error. */
static __always_inline u32 kafka_place(u32 key, u32 version)
{
	u32 throttled_from = 1, place = KAFKA_FIRST;

	switch (key) {
	case KAFKA_PRODUCE:
		return KAFKA_IN_PARTITION | (version >= 13 ? KAFKA_BY_ID : 0);
	case KAFKA_FETCH:
		place = version >= 7 ? KAFKA_IN_FETCH : KAFKA_IN_PARTITION;
		return place | (version >= 1 ? KAFKA_THROTTLED : 0) | (version >= 13 ? KAFKA_BY_ID : 0);
	case KAFKA_LIST_OFFSETS:
		throttled_from = 2;
		place = KAFKA_IN_PARTITION;
		break;
	case KAFKA_OFFSET_COMMIT:
		throttled_from = 3;
		place = KAFKA_IN_PARTITION | (version >= 10 ? KAFKA_BY_ID : 0);
		break;
	case KAFKA_CREATE_TOPICS:
		throttled_from = 2;
		place = KAFKA_IN_TOPIC | (version >= 7 ? KAFKA_NAME_AND_ID : 0);
		break;
	case KAFKA_DELETE_TOPICS:
		place = KAFKA_IN_TOPIC | (version >= 6 ? KAFKA_NAME_AND_ID : 0);
		break;
	case KAFKA_FIND_COORDINATOR:
		place = version >= 4 ? KAFKA_IN_COORDINATOR : KAFKA_FIRST;
		break;
	case KAFKA_JOIN_GROUP:
		throttled_from = 2;
		break;
	case KAFKA_HEARTBEAT: case KAFKA_LEAVE_GROUP: case KAFKA_SYNC_GROUP: case KAFKA_LIST_GROUPS:
		break;
	case KAFKA_INIT_PRODUCER_ID: case KAFKA_ADD_OFFSETS: case KAFKA_END_TXN: case KAFKA_GROUP_HEARTBEAT:
		throttled_from = 0;
		break;
	case KAFKA_SASL_HANDSHAKE: case KAFKA_SASL_AUTHENTICATE: case KAFKA_API_VERSIONS:
		throttled_from = 255;
		break;
	default:
		return KAFKA_NOWHERE;
	}
	return place | (version >= throttled_from ? KAFKA_THROTTLED : 0);
}

/*
 * The error at the place that the request kept: the response's own, or that of its first topic or partition. Where the head ends
 * before, scratch 7 has the bytes that it takes. More is not asked for: brokers send the records themselves without a buffer.
 */
static __always_inline u32 kafka_error(volatile struct framed *f, u32 kind)
{
	u32 place = kind & KAFKA_PLACE;

	f->scratch[0] = 8 + !!(kind & KAFKA_TAGGED) + (kind & KAFKA_THROTTLED ? 4 : 0);
	f->scratch[1] = kind & KAFKA_FLEXIBLE;
	if (place == KAFKA_IN_FETCH) {
		if (!kafka_in_reach(f, 2) || head_be16(f, f->scratch[0]))
			return kafka_code(f);
		kafka_skip(f, 6);
	}
	if (place > KAFKA_FIRST) {
		if (!kafka_length(f, 4))
			return 0;
		kafka_skip(f, kind & KAFKA_BY_ID ? 16 : kafka_length(f, 2));
		kafka_skip(f, kind & KAFKA_NAME_AND_ID ? 16 : 0);
	}
	if (place == KAFKA_IN_COORDINATOR) {
		kafka_skip(f, 4);
		kafka_skip(f, kafka_length(f, 2));
		kafka_skip(f, 4);
	}
	if (place > KAFKA_IN_COORDINATOR) {
		if (!kafka_length(f, 4))
			return 0;
		kafka_skip(f, 4);
	}
	return place ? kafka_code(f) : 0;
}

/* Codes by which a broker says that it, its replicas or its quota did not let a request through; shared/protocols/_kafka_errors.py. */
#define KAFKA_BROKERS_LOW 0x031002000019ebe4ULL /* 0 to 63 */
#define KAFKA_BROKERS_HIGH 0x0000300302096900ULL /* 64 to 127 */

static __always_inline u32 kafka_outcome(u32 error)
{
	u64 codes = error < 64 ? KAFKA_BROKERS_LOW : KAFKA_BROKERS_HIGH;

	if (!error || error == 79 || error == 88) /* a member gets its id; an offset is not committed yet */
		return OUTCOME_OK;
	return error >= 128 || codes >> (error & 63) & 1 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

/* The place of the body of a request. */
static __always_inline void kafka_to_body(volatile struct framed *f)
{
	u32 client = head_be16(f, 12);

	f->scratch[0] = KAFKA_REQUEST_HEADER + (client <= KAFKA_CLIENT_BYTES ? client : 0) + f->scratch[1];
}

/* Notes in scratch 3 what the response will be read with, in scratch 4 whether there is none. */
static __always_inline void kafka_note(volatile struct framed *f)
{
	f->scratch[1] = head_be16(f, 6) >= kafka_flexible_from(head_be16(f, 4));
	f->scratch[3] = kafka_place(head_be16(f, 4), head_be16(f, 6));
	if (f->scratch[1])
		f->scratch[3] |= KAFKA_FLEXIBLE | (head_be16(f, 4) == KAFKA_API_VERSIONS ? 0 : KAFKA_TAGGED);
	f->scratch[4] = 0;
	kafka_to_body(f);
	if (head_be16(f, 4) == KAFKA_FETCH) {
		u32 wait = head_be32(f, f->scratch[0] + (head_be16(f, 6) > 14 ? 0 : 4));

		f->scratch[3] |= (wait < KAFKA_MAX_WAIT ? wait : KAFKA_MAX_WAIT) << KAFKA_WAIT_SHIFT;
	} else if (head_be16(f, 4) == KAFKA_PRODUCE) {
		if (head_be16(f, 6) >= 3)
			kafka_skip(f, kafka_length(f, 2));
		f->scratch[4] = kafka_in_reach(f, 2) && !head_be16(f, f->scratch[0]); /* acks */
	}
	kafka_to_body(f);
}

static __always_inline void kafka_request(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *request;

	kafka_note(f);
	f->scratch[5] = kafka_endpoint(conn, f, head_be16(f, 4), head_be16(f, 6));
	conn->ways[0].flags = head_be16(f, 4) == KAFKA_SASL_HANDSHAKE && !head_be16(f, 6);
	if (f->scratch[4]) {
		framed_one_way(conn, f, f->scratch[5], OUTCOME_OK, 0);
		return;
	}
	request = framed_request_id(conn, sk, f, head_be32(f, 8), f->scratch[5]);
	if (request)
		request->kind = f->scratch[3];
}

/* Returns how many bytes of the head it takes to find the error. */
static __always_inline u32 kafka_response(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *request = framed_find(conn, sk, head_be32(f, 4));
	u64 wait, elapsed;

	if (!request) {
		if (!conn->ways[0].flags)
			response_unexpected(conn);
		return FRAME_DONE;
	}
	f->scratch[7] = 0;
	f->scratch[3] = kafka_error(f, request->kind);
	if (f->scratch[7] && f->scratch[7] <= f->length && f->scratch[7] <= FRAME_HEAD_BYTES)
		return f->scratch[7];
	wait = (request->kind >> KAFKA_WAIT_SHIFT) * NS_PER_MS;
	elapsed = f->began - request->start_ns;
	f->began -= wait < elapsed ? wait : elapsed;
	f->scratch[4] = kafka_outcome(f->scratch[3]);
	f->rest = (request->kind & KAFKA_PLACE) == KAFKA_IN_FETCH ? 768 : RESPONSE_REST_BYTES; /* behind a Fetch's there are records */
	framed_finish(conn, f, request, f->scratch[4], f->scratch[3]);
	framed_long(conn, f);
	return FRAME_DONE;
}

static __always_inline u32 kafka_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 size = head_be32(f, 0), total = size + 4;

	if (size < 4 || size > (f->request ? KAFKA_MAX_BYTES : 1 << 30))
		return FRAME_WRONG;
	f->length = total;
	if (!f->request)
		return kafka_response(conn, sk, f);
	if (f->have < total && f->have < FRAME_HEAD_BYTES)
		return total < FRAME_HEAD_BYTES ? total : FRAME_HEAD_BYTES;
	if (total >= KAFKA_REQUEST_HEADER && kafka_plausible(f))
		kafka_request(conn, sk, f);
	else if (!conn->ways[0].flags) /* else a token as it was sent after the first kind of SASL handshake */
		return FRAME_WRONG;
	return FRAME_DONE;
}

#endif
