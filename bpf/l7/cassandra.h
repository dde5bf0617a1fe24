/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cassandra's native protocol, versions 3 to 5.
 *
 * https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec
 *
 * A response carries the stream of its request. The endpoint is the statement without its values, or what else is asked; a prepared
 * statement is told by its id, which is the same on every connection. Events are one-way. Of version 5, frames travel in segments
 * once the start is answered; compressed ones are not followed. Frames that are compressed are paired, without a name.
 */
#ifndef MESHLENS_CASSANDRA_H
#define MESHLENS_CASSANDRA_H

#include "framed.h"

FRAMED_PROTOCOL(cassandra, PROTOCOL_CASSANDRA, 2)

#define CASSANDRA_HEADER 9
#define CASSANDRA_TURNS 4
#define CASSANDRA_LIMIT (256U << 20)
#define CASSANDRA_TEXT_BYTES 24 /* of a statement that are read in one turn */
#define CASSANDRA_SEGMENT 6 /* bytes of its header */
#define CASSANDRA_CHECKSUM 4 /* bytes behind it */

enum cassandra_opcode {
	CASSANDRA_ERROR, CASSANDRA_STARTUP, CASSANDRA_READY, CASSANDRA_AUTHENTICATE, CASSANDRA_OPTIONS = 5, CASSANDRA_QUERY = 7,
	CASSANDRA_RESULT, CASSANDRA_PREPARE, CASSANDRA_EXECUTE, CASSANDRA_REGISTER, CASSANDRA_EVENT, CASSANDRA_BATCH,
	CASSANDRA_AUTH_RESPONSE = 15,
};
#define CASSANDRA_REQUESTS 0xaea2 /* bits of the opcodes that ask */
#define CASSANDRA_RESPONSES 0x1514d

enum cassandra_flag { CASSANDRA_COMPRESSED = 1, CASSANDRA_TRACING = 2, CASSANDRA_PAYLOAD = 4, CASSANDRA_WARNING = 8 };

/* Of a way, in ways[].type: whether the statement in the head is being read, or is through. */
enum cassandra_text { CASSANDRA_NOTHING, CASSANDRA_TEXT, CASSANDRA_TOLD };

/* Of a way: frames, or segments. ways[].pending: bytes of the segment to come; ways[].number: of a frame that it goes on with. */
enum cassandra_state { CASSANDRA_FRAMES, CASSANDRA_SEGMENTS };

/* Places of f->scratch: where the frame begins and its body, its opcode, what is counted. */
enum cassandra_scratch { CASSANDRA_AT, CASSANDRA_BODY, CASSANDRA_ENDPOINT, CASSANDRA_CODE, CASSANDRA_DO, CASSANDRA_END, CASSANDRA_TAKE, CASSANDRA_BEGAN };
enum cassandra_do { CASSANDRA_PASS, CASSANDRA_ASK, CASSANDRA_ANSWER, CASSANDRA_PUSH };

struct cassandra_id {
	u64 half[2];
};

BPF_TABLE("lru_hash", struct cassandra_id, u64, l7_cassandra_prepared, 16384);

/* Whether the six bytes at the start are the header of a segment: three bytes and their checksum. */
static __always_inline bool cassandra_is_segment(volatile struct framed *f)
{
	u32 crc = 0x875060, byte, carry;

	for (u32 i = 0; i < 3; i++) {
		byte = head_u8(f, i);
		crc ^= byte << 16;
		for (int bit = 0; bit < 8; bit++) {
			crc <<= 1;
			carry = crc >> 24 & 1;
			asm volatile("" : "+r"(carry)); /* no branch, and no mask, which the verifier takes for one */
			crc ^= 0x1974f0b * carry;
		}
	}
	return crc == (head_le32(f, 3) & 0xffffff);
}

static __always_inline bool cassandra_is_frame(volatile struct framed *f, u32 at, bool request)
{
	u32 version = head_u8(f, at) & 0x7f, flags = head_u8(f, at + 1), opcode = head_u8(f, at + 4);

	if (version < 3 || version > 5 || !(head_u8(f, at) >> 7) != request || flags & (request ? 0xe8 : 0xe0) || opcode > 16)
		return false;
	if (!((request ? CASSANDRA_REQUESTS : CASSANDRA_RESPONSES) >> opcode & 1) || head_be32(f, at + 5) > CASSANDRA_LIMIT)
		return false;
	return (head_be16(f, at + 2) >> 15) == (opcode == CASSANDRA_EVENT);
}

/* Whether the body, of which twelve bytes are there if it has them, fits the opcode. */
static __always_inline bool cassandra_fits(volatile struct framed *f, u32 at)
{
	u32 opcode = head_u8(f, at + 4), length = head_be32(f, at + 5), first = head_be32(f, at + 9);

	if (head_u8(f, at + 1) & (CASSANDRA_COMPRESSED | CASSANDRA_PAYLOAD))
		return length > 4;
	if (opcode == CASSANDRA_OPTIONS)
		return !length;
	if (opcode == CASSANDRA_QUERY || opcode == CASSANDRA_PREPARE)
		return first && first <= length - 4 && length > 4 && head_u8(f, at + 13) < 0x7f && head_u8(f, at + 13) >= '\t';
	if (opcode == CASSANDRA_AUTH_RESPONSE)
		return first == length - 4 || first == ~0U;
	if (opcode == CASSANDRA_BATCH)
		return length >= 7 && first >> 24 <= 2 && head_u8(f, at + 12) <= 1;
	if (opcode == CASSANDRA_STARTUP) /* a map of one to eight, whose first key begins with letters */
		return length > 8 && first >> 16 && first >> 16 <= 8 && !(first >> 8 & 0xff) && is_letter(head_u8(f, at + 13));
	return length > 2 && first >> 16 && first >> 16 <= 64;
}

static __always_inline enum match cassandra_match(struct conn *conn, volatile struct framed *f)
{
	u32 at = 0, length;

	if (!f->request)
		return MATCH_NO;
	if (f->have < CASSANDRA_HEADER)
		return MATCH_MORE;
	if (cassandra_is_segment(f))
		at = CASSANDRA_SEGMENT;
	if (f->have < at + CASSANDRA_HEADER)
		return MATCH_MORE;
	if (!cassandra_is_frame(f, at, true))
		return MATCH_NO;
	length = head_be32(f, at + 5);
	if (f->have < at + CASSANDRA_HEADER + (length < 6 ? length : 6))
		return MATCH_MORE;
	if (!cassandra_fits(f, at))
		return MATCH_NO;
	conn->ways[0].state = conn->ways[1].state = at ? CASSANDRA_SEGMENTS : CASSANDRA_FRAMES;
	return MATCH_YES;
}

/* The endpoint of the prepared statement whose id lies at *at*, 0 when it is not known. */
static __always_inline u64 cassandra_prepared(volatile struct framed *f, u32 at)
{
	struct cassandra_id id = {{head_be64(f, at), head_be64(f, at + 8)}};
	u64 *known = l7_cassandra_prepared.lookup(&id);

	return known ? *known : 0;
}

static __always_inline volatile struct text_state *cassandra_words(void)
{
	return l7_text_here();
}

/*
 * One byte of a statement: text in quotes, and a number, are one mark, and so are several with nothing but commas between them; white
 * space is nothing, letters have no case. text->mode: in quotes; text->length: a word goes on; text->digits: a value was the last.
 */
static __always_inline void cassandra_byte(volatile struct text_state *text, u8 c)
{
	if (text->mode) {
		text->mode = c != '\'';
		return;
	}
	if (c <= ' ' || c == ',') {
		text->length = 0;
		return;
	}
	if (c == '\'' || (!text->length && is_digit(c))) {
		text->mode = c == '\'';
		if (!text->digits)
			text->hash = mix(text->hash, MARK_ID);
		text->digits = 1;
		return;
	}
	if (text->digits && (is_digit(c) || c == '.' || c == '-'))
		return;
	text->digits = 0;
	text->length = c >= '0' || c == '"';
	text->hash = mix(text->hash, c | (c > '@') << 5);
}

/* Takes the message once more, from its beginning. */
static __always_inline u32 cassandra_again(volatile struct framed *f)
{
	f->length = 0;
	f->credited = 1;
	return FRAME_DONE;
}

/* Reads on in the statement at CASSANDRA_BODY, as far as it is in the head. */
static __always_inline u32 cassandra_text(volatile struct follower *way, volatile struct framed *f)
{
	volatile struct text_state *text = cassandra_words();
	u32 at;

	if (!text)
		return FRAME_WRONG;
	for (u32 i = 0; i < CASSANDRA_TEXT_BYTES; i++) {
		at = f->scratch[CASSANDRA_BODY];
		if (at >= f->scratch[CASSANDRA_END]) {
			way->type = CASSANDRA_TOLD;
			break;
		}
		cassandra_byte(text, head_u8(f, at));
		f->scratch[CASSANDRA_BODY] = at + 1;
	}
	return cassandra_again(f);
}

/* Looks for a statement in what is asked: false when there is none to be read. */
static __always_inline bool cassandra_statement(volatile struct follower *way, volatile struct framed *f, u32 end)
{
	u32 at = f->scratch[CASSANDRA_AT], opcode = head_u8(f, at + 4), text = at + CASSANDRA_HEADER, bytes;

	if (head_u8(f, at + 1) & (CASSANDRA_COMPRESSED | CASSANDRA_PAYLOAD))
		return false;
	if (opcode == CASSANDRA_BATCH && !head_u8(f, text + 3))
		text += 4;
	else if (opcode != CASSANDRA_QUERY && opcode != CASSANDRA_PREPARE)
		return false;
	bytes = head_be32(f, text);
	text += 4;
	if (text > end || !text_start(PROTOCOL_CASSANDRA))
		return false;
	f->scratch[CASSANDRA_BODY] = text;
	f->scratch[CASSANDRA_END] = bytes < end - text ? text + bytes : end;
	f->scratch[CASSANDRA_BEGAN] = f->began;
	way->type = CASSANDRA_TEXT;
	return true;
}

/* What is asked: a statement that was read, one that was prepared, or what the opcode says. */
static __always_inline void cassandra_asked(volatile struct follower *way, volatile struct framed *f)
{
	u32 at = f->scratch[CASSANDRA_AT], opcode = head_u8(f, at + 4);
	bool packed = head_u8(f, at + 1) & (CASSANDRA_COMPRESSED | CASSANDRA_PAYLOAD);
	volatile struct text_state *text = cassandra_words();
	u64 endpoint = 0;

	if (way->type == CASSANDRA_TOLD && text) {
		endpoint = endpoint_of(text->hash);
		f->began = f->scratch[CASSANDRA_BEGAN];
	} else if (!packed && (opcode == CASSANDRA_EXECUTE || opcode == CASSANDRA_BATCH)) {
		endpoint = cassandra_prepared(f, at + CASSANDRA_HEADER + (opcode == CASSANDRA_EXECUTE ? 2 : 6));
	}
	way->type = CASSANDRA_NOTHING;
	if (!endpoint)
		endpoint = endpoint_of(mix(mix(HASH_START, PROTOCOL_CASSANDRA), opcode + 1));
	else if (opcode == CASSANDRA_BATCH)
		endpoint = endpoint_of(mix(endpoint, CASSANDRA_BATCH));
	f->scratch[CASSANDRA_ENDPOINT] = endpoint;
}

/* Remembers what was prepared, or begins with segments, as the response says. */
static __always_inline void cassandra_effect(struct conn *conn, volatile struct framed *f, struct request *request)
{
	u32 at = f->scratch[CASSANDRA_AT], opcode = head_u8(f, at + 4), body = f->scratch[CASSANDRA_BODY];
	struct cassandra_id id;
	u64 endpoint = request->endpoint;

	if (request->kind == CASSANDRA_STARTUP && (head_u8(f, at) & 0x7f) == 5 &&
	    (opcode == CASSANDRA_READY || opcode == CASSANDRA_AUTHENTICATE)) {
		conn->ways[0].state = conn->ways[1].state = CASSANDRA_SEGMENTS;
		return;
	}
	if (request->kind != CASSANDRA_PREPARE || opcode != CASSANDRA_RESULT || !body || head_be32(f, body) != 4 ||
	    head_be16(f, body + 4) != 16)
		return;
	id.half[0] = head_be64(f, body + 6);
	id.half[1] = head_be64(f, body + 14);
	l7_cassandra_prepared.update(&id, &endpoint);
}

static __always_inline u32 cassandra_outcome(volatile struct framed *f)
{
	u32 code = f->scratch[CASSANDRA_CODE];

	if (head_u8(f, f->scratch[CASSANDRA_AT] + 4) != CASSANDRA_ERROR)
		return OUTCOME_OK;
	return (code >= 0x2000 && code <= 0x2500) || code == 0x0a || code == 0x100 ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR;
}

/* Where the body of a response begins behind what the flags put there; 0 when that cannot be told. */
static __always_inline void cassandra_answered(volatile struct framed *f)
{
	u32 at = f->scratch[CASSANDRA_AT], flags = head_u8(f, at + 1), body = at + CASSANDRA_HEADER;

	if (flags & CASSANDRA_TRACING)
		body += 16;
	if (flags & (CASSANDRA_COMPRESSED | CASSANDRA_PAYLOAD | CASSANDRA_WARNING))
		body = 0;
	f->scratch[CASSANDRA_BODY] = body;
	if (body && head_u8(f, at + 4) == CASSANDRA_ERROR)
		f->scratch[CASSANDRA_CODE] = head_be32(f, body) & 0xffff;
	if (head_u8(f, at + 4) == CASSANDRA_EVENT) { /* the second letter tells the kinds apart */
		f->scratch[CASSANDRA_DO] = CASSANDRA_PUSH;
		f->scratch[CASSANDRA_ENDPOINT] =
			endpoint_of(mix(mix(HASH_START, PROTOCOL_CASSANDRA), head_u8(f, at + CASSANDRA_HEADER + 3)));
	}
}

static __always_inline void cassandra_count(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 stream = head_be16(f, f->scratch[CASSANDRA_AT] + 2), outcome = cassandra_outcome(f);
	struct request *request;

	f->scratch[CASSANDRA_END] = outcome;
	outcome = f->scratch[CASSANDRA_END];
	if (f->scratch[CASSANDRA_DO] == CASSANDRA_PUSH) {
		framed_one_way(conn, f, f->scratch[CASSANDRA_ENDPOINT], OUTCOME_OK, 0);
	} else if (f->scratch[CASSANDRA_DO] == CASSANDRA_ASK) {
		request = framed_request_id(conn, sk, f, stream, f->scratch[CASSANDRA_ENDPOINT]);
		if (request)
			request->kind = head_u8(f, f->scratch[CASSANDRA_AT] + 4);
	} else {
		request = framed_find(conn, sk, stream);
		if (!request) {
			response_unexpected(conn);
			return;
		}
		cassandra_effect(conn, f, request);
		framed_finish(conn, f, request, outcome, f->scratch[CASSANDRA_CODE]);
	}
}

/*
 * How far to take: a frame, in a segment up to the segment's end, its checksum included. Where no frame begins, CASSANDRA_AT is
 * NO_FRAME. False when these bytes are not of the protocol.
 */
#define CASSANDRA_NO_FRAME FRAME_HEAD_BYTES

static __always_inline bool cassandra_extent(volatile struct follower *way, volatile struct framed *f)
{
	u32 at = 0, left = ~0U, take;

	if (way->state == CASSANDRA_SEGMENTS) {
		left = way->pending;
		if (!left) {
			if (!cassandra_is_segment(f))
				return false;
			left = head_le32(f, 0) & 0x1ffff;
			at = CASSANDRA_SEGMENT;
		}
	}
	f->scratch[CASSANDRA_AT] = at;
	take = way->number;
	if (!take) {
		if (f->have < at + CASSANDRA_HEADER) {
			f->length = at + CASSANDRA_HEADER;
			return true;
		}
		if (!cassandra_is_frame(f, at, f->request))
			return false;
		take = CASSANDRA_HEADER + head_be32(f, at + 5);
	} else {
		f->scratch[CASSANDRA_AT] = CASSANDRA_NO_FRAME;
	}
	f->scratch[CASSANDRA_BODY] = take > left ? take - left : 0;
	f->scratch[CASSANDRA_TAKE] = way->state != CASSANDRA_SEGMENTS || take > left ? 0 : left - take;
	f->length = at + (take < left ? take : left);
	if (way->state == CASSANDRA_SEGMENTS && take >= left)
		f->length += CASSANDRA_CHECKSUM;
	return true;
}

static __always_inline u32 cassandra_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = f->request ? &conn->ways[0] : &conn->ways[1];
	u32 want;

	if (way->type == CASSANDRA_TEXT)
		return cassandra_text(way, f);
	if (!cassandra_extent(way, f))
		return FRAME_WRONG;
	want = f->length < FRAME_HEAD_BYTES ? f->length : FRAME_HEAD_BYTES;
	if (f->have < want)
		return want;
	if (f->scratch[CASSANDRA_AT] != CASSANDRA_NO_FRAME && f->request && way->type == CASSANDRA_NOTHING &&
	    cassandra_statement(way, f, want))
		return cassandra_again(f);
	way->number = f->scratch[CASSANDRA_BODY];
	way->pending = f->scratch[CASSANDRA_TAKE];
	if (f->scratch[CASSANDRA_AT] == CASSANDRA_NO_FRAME)
		return FRAME_DONE;
	f->scratch[CASSANDRA_CODE] = 0;
	f->scratch[CASSANDRA_DO] = f->request ? CASSANDRA_ASK : CASSANDRA_ANSWER;
	if (f->request)
		cassandra_asked(way, f);
	else
		cassandra_answered(f);
	cassandra_count(conn, sk, f);
	return FRAME_DONE;
}

#endif
