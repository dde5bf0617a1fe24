/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Apache Thrift: binary (strict) and compact encoding, framed or not.
 *
 * https://github.com/apache/thrift/blob/master/doc/specs/thrift-rpc.md
 *
 * Replies come in the order of the calls. The endpoint is the method's name. A reply whose result has another field than 0 holds
 * an exception that the interface declares: a failure without a number. What the library itself answers has its type as status.
 * Without frames nothing says where a message ends: the next one begins with a call of the socket, after the turn of the other
 * side; what arrives in one piece with a one-way message before it is not seen.
 */
#ifndef MESHLENS_THRIFT_H
#define MESHLENS_THRIFT_H

#include "framed.h"

FRAMED_PROTOCOL(thrift, PROTOCOL_THRIFT, 2)

#define THRIFT_HEADER 1
#define THRIFT_TURNS 4
#define THRIFT_FRAME 4
#define THRIFT_MAX_BYTES (256 << 20)
#define THRIFT_NAME_BYTES 128
#define THRIFT_VARINT_BYTES 5
#define THRIFT_BINARY 0x80
#define THRIFT_COMPACT 0x82

enum thrift_kind { THRIFT_CALL = 1, THRIFT_REPLY, THRIFT_EXCEPTION, THRIFT_ONE_WAY };
enum thrift_state { THRIFT_START, THRIFT_BODY }; /* of a way without frames */

/* What is read of a message's head, in f->scratch. */
enum thrift_read { THRIFT_AT, THRIFT_NAME, THRIFT_NAME_END, THRIFT_STRUCT, THRIFT_KIND, THRIFT_STATUS, THRIFT_OUTCOME, THRIFT_HASH };

static __always_inline bool thrift_lead(u8 c)
{
	return c == THRIFT_BINARY || c == THRIFT_COMPACT;
}

/* Passes the variable-length number at THRIFT_AT. */
static __always_inline void thrift_varint(volatile struct framed *f)
{
	for (int i = 0; i < THRIFT_VARINT_BYTES; i++) {
		f->scratch[THRIFT_AT]++;
		if (head_u8(f, f->scratch[THRIFT_AT] - 1) < 0x80)
			break;
	}
}

/* Reads the head of a message that begins at *start*; returns how many bytes it takes, FRAME_WRONG when it is none. */
static __always_inline u32 thrift_head(volatile struct framed *f, u32 start)
{
	f->scratch[THRIFT_AT] = start;
	if (head_u8(f, start) == THRIFT_BINARY) {
		if (f->have < start + 8)
			return start + 8;
		f->scratch[THRIFT_KIND] = head_u8(f, start + 3);
		f->scratch[THRIFT_NAME] = start + 8;
		f->scratch[THRIFT_NAME_END] = start + 8 + head_be32(f, start + 4);
		f->scratch[THRIFT_STRUCT] = f->scratch[THRIFT_NAME_END] + 4;
		if (head_be16(f, start) != 0x8001 || head_u8(f, start + 2) || head_be32(f, start + 4) > THRIFT_NAME_BYTES)
			return FRAME_WRONG;
	} else if (head_u8(f, start) == THRIFT_COMPACT) {
		if (f->have < start + 4)
			return start + 4;
		f->scratch[THRIFT_KIND] = head_u8(f, start + 1) >> 5;
		f->scratch[THRIFT_AT] = start + 2;
		thrift_varint(f);
		if (f->have <= f->scratch[THRIFT_AT])
			return f->scratch[THRIFT_AT] + 1;
		f->scratch[THRIFT_NAME_END] = head_u8(f, f->scratch[THRIFT_AT]);
		f->scratch[THRIFT_NAME] = f->scratch[THRIFT_AT] + 1;
		if ((head_u8(f, start + 1) & 0x1f) != 1 || f->scratch[THRIFT_NAME_END] >= THRIFT_NAME_BYTES)
			return FRAME_WRONG;
		f->scratch[THRIFT_NAME_END] += f->scratch[THRIFT_NAME];
		f->scratch[THRIFT_STRUCT] = f->scratch[THRIFT_NAME_END];
	} else {
		return FRAME_WRONG;
	}
	if (f->scratch[THRIFT_KIND] - 1 >= THRIFT_ONE_WAY || f->scratch[THRIFT_NAME] >= f->scratch[THRIFT_NAME_END])
		return FRAME_WRONG;
	return f->scratch[THRIFT_STRUCT];
}

/* A call's head, complete, whose method is a name; in a frame that is long enough for it. */
static __always_inline enum match thrift_match(struct conn *conn, volatile struct framed *f)
{
	u32 start = thrift_lead(head_u8(f, 0)) ? 0 : THRIFT_FRAME;

	if (!f->request || (start && head_u8(f, 0) > THRIFT_MAX_BYTES >> 24))
		return MATCH_NO;
	if (f->have <= start)
		return MATCH_MORE;
	f->settled = thrift_head(f, start);
	if (f->settled > FRAME_HEAD_BYTES)
		return MATCH_NO;
	if (start && (head_be32(f, 0) > THRIFT_MAX_BYTES || head_be32(f, 0) + THRIFT_FRAME <= f->settled))
		return MATCH_NO;
	if (f->settled > f->have)
		return MATCH_MORE;
	if (f->scratch[THRIFT_KIND] != THRIFT_CALL && f->scratch[THRIFT_KIND] != THRIFT_ONE_WAY)
		return MATCH_NO;
	f->scratch[THRIFT_STATUS] = is_letter(head_u8(f, f->scratch[THRIFT_NAME])) || head_u8(f, f->scratch[THRIFT_NAME]) == '_';
	for (u32 i = 0; i < THRIFT_NAME_BYTES; i++) {
		f->scratch[THRIFT_AT] = f->scratch[THRIFT_NAME] + i;
		if (f->scratch[THRIFT_AT] >= f->scratch[THRIFT_NAME_END])
			break;
		f->scratch[THRIFT_HASH] = head_u8(f, f->scratch[THRIFT_AT]);
		if (f->scratch[THRIFT_HASH] < '$' || f->scratch[THRIFT_HASH] > 'z')
			f->scratch[THRIFT_STATUS] = 0;
	}
	return f->scratch[THRIFT_STATUS] ? MATCH_YES : MATCH_NO;
}

static __always_inline void thrift_endpoint(volatile struct framed *f)
{
	f->scratch[THRIFT_HASH] = mix(HASH_START, PROTOCOL_THRIFT);
	for (u32 i = 0; i < THRIFT_NAME_BYTES; i++) {
		f->scratch[THRIFT_AT] = f->scratch[THRIFT_NAME] + i;
		if (f->scratch[THRIFT_AT] >= f->scratch[THRIFT_NAME_END])
			break;
		f->scratch[THRIFT_HASH] = mix(f->scratch[THRIFT_HASH], head_u8(f, f->scratch[THRIFT_AT]));
	}
}

/* Reads whether the result of a reply holds an exception; returns how many bytes that takes. */
static __always_inline u32 thrift_result(volatile struct framed *f, bool compact)
{
	u32 at = f->scratch[THRIFT_STRUCT], first = head_u8(f, at);

	if (f->have < at + 1)
		return at + 1;
	if (!first)
		return at;
	if (compact ? first >= 0x10 : f->have >= at + 3 && head_be16(f, at + 1))
		f->scratch[THRIFT_OUTCOME] = OUTCOME_SERVER_ERROR;
	return compact ? at : at + 3;
}

/* Reads the type of an exception, which stands behind its text; returns how many bytes that takes. */
static __always_inline u32 thrift_exception(volatile struct framed *f, bool compact)
{
	u32 at = f->scratch[THRIFT_STRUCT];

	f->scratch[THRIFT_OUTCOME] = OUTCOME_SERVER_ERROR;
	f->scratch[THRIFT_AT] = at;
	if (f->have < at + 1)
		return at + 1;
	if (!compact && head_u8(f, at) == 11) {
		if (f->have < at + 7)
			return at + 7;
		f->scratch[THRIFT_AT] = at + 7 + head_be32(f, at + 3);
	}
	if (compact && head_u8(f, at) == 0x18) {
		f->scratch[THRIFT_AT] = at + 1;
		thrift_varint(f);
		if (f->have < f->scratch[THRIFT_AT])
			return f->scratch[THRIFT_AT];
		f->scratch[THRIFT_AT] += head_u8(f, at + 1);
		if (head_u8(f, at + 1) & 0x80)
			f->scratch[THRIFT_AT] += ((u32)head_u8(f, at + 2) << 7) - 0x80;
	}
	if (f->scratch[THRIFT_AT] >= FRAME_HEAD_BYTES - 8)
		return at;
	at = f->scratch[THRIFT_AT];
	if (f->have < at + (compact ? 2 : 7))
		return at + (compact ? 2 : 7);
	f->scratch[THRIFT_STATUS] = compact ? head_u8(f, at + 1) >> 1 : head_u8(f, at + 6);
	if (f->scratch[THRIFT_STATUS] - 1 < 3)
		f->scratch[THRIFT_OUTCOME] = OUTCOME_CLIENT_ERROR;
	return at;
}

/* Without frames: whether these bytes go on with what has begun. */
static __always_inline bool thrift_goes_on(struct conn *conn, volatile struct framed *f, volatile struct follower *way)
{
	bool begins = f->place == conn->passed[f->sent & 1] - f->bytes;

	return way->state == THRIFT_BODY && (!begins || !thrift_lead(head_u8(f, 0)) || !in_flight(conn) != f->request);
}

/* How many bytes must be there: those of the head, and of an answer what tells how it ended. */
static __always_inline u32 thrift_needs(volatile struct framed *f, u32 start)
{
	f->settled = thrift_head(f, start);
	if (f->settled > f->have)
		return f->settled;
	f->scratch[THRIFT_STATUS] = f->scratch[THRIFT_OUTCOME] = 0;
	if (f->scratch[THRIFT_KIND] == THRIFT_REPLY)
		return thrift_result(f, head_u8(f, start) == THRIFT_COMPACT);
	if (f->scratch[THRIFT_KIND] == THRIFT_EXCEPTION)
		return thrift_exception(f, head_u8(f, start) == THRIFT_COMPACT);
	return f->settled;
}

static __always_inline u32 thrift_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = f->request ? &conn->ways[0] : &conn->ways[1];

	if (thrift_goes_on(conn, f, way)) {
		f->length = f->before + f->view.left;
		return FRAME_DONE;
	}
	way->state = THRIFT_START;
	f->scratch[THRIFT_AT] = thrift_lead(head_u8(f, 0)) ? 0 : THRIFT_FRAME;
	if (f->have <= f->scratch[THRIFT_AT])
		return THRIFT_FRAME + 1;
	f->settled = thrift_needs(f, f->scratch[THRIFT_AT]);
	if (f->settled > FRAME_HEAD_BYTES)
		return FRAME_WRONG;
	if (f->settled > f->have)
		return f->settled;
	if (thrift_lead(head_u8(f, 0))) {
		f->length = f->before + f->view.left;
		way->state = THRIFT_BODY;
	} else {
		f->length = head_be32(f, 0) + THRIFT_FRAME;
		if (f->length < f->settled || f->length > THRIFT_MAX_BYTES)
			return FRAME_WRONG;
	}
	thrift_endpoint(f);
	if (f->scratch[THRIFT_KIND] == THRIFT_CALL && f->request)
		framed_request(conn, sk, f, endpoint_of(f->scratch[THRIFT_HASH]));
	else if (f->scratch[THRIFT_KIND] == THRIFT_ONE_WAY && f->request)
		framed_one_way(conn, f, endpoint_of(f->scratch[THRIFT_HASH]), OUTCOME_OK, 0);
	else if (!f->request)
		framed_response(conn, sk, f, f->scratch[THRIFT_OUTCOME], f->scratch[THRIFT_STATUS]);
	return FRAME_DONE;
}

#endif
