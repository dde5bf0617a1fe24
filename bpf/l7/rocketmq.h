/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RocketMQ's remoting protocol, with headers in JSON and in its own binary form.
 *
 * https://github.com/apache/rocketmq/blob/develop/remoting/src/main/java/org/apache/rocketmq/remoting/protocol/RemotingCommand.java
 *
 * Requests are paired by their opaque number. The endpoint is the request's code with the topic, when that lies in the first bytes. In
 * JSON the number stands near the header's end: a header that is longer than the head is read in two parts, and counted as
 * one. A pull may be suspended for as long as it says, which is no part of its duration. What the server asks of clients is a push.
 */
#ifndef MESHLENS_ROCKETMQ_H
#define MESHLENS_ROCKETMQ_H

#include "dotted.h"
#include "framed.h"

FRAMED_PROTOCOL(rocketmq, PROTOCOL_ROCKETMQ, 2)

#define ROCKETMQ_HEADER 16
#define ROCKETMQ_TURNS 2
#define ROCKETMQ_START 8 /* of the header */
#define ROCKETMQ_MAX_BYTES (16 << 20)
#define ROCKETMQ_MAX_HEADER (64 << 10)
#define ROCKETMQ_FIXED 21 /* bytes of a binary header without its texts */
#define ROCKETMQ_NAME_BYTES 64
#define ROCKETMQ_DIGITS 10
#define ROCKETMQ_PUSH 0x50000000
#define ROCKETMQ_NS_PER_MS 1000000ULL
#define ROCKETMQ_SEND_V2 310
#define ROCKETMQ_SEND_BATCH 320

/* The last bytes before what is looked for. */
#define ROCKETMQ_TOPIC 0x6f706963223a22ULL /* opic":" */
#define ROCKETMQ_B 0x2262223a22ULL /* "b":" */
#define ROCKETMQ_OPAQUE 0x7061717565223aULL /* paque": */
#define ROCKETMQ_FLAG 0x22666c6167223aULL /* "flag": */
#define ROCKETMQ_SUSPEND 0x6c6c6973223a22ULL /* llis":" */
#define ROCKETMQ_WINDOW 0xffffffffffffffULL
#define ROCKETMQ_WINDOW_OF_B 0xffffffffffULL

enum rocketmq_action { ROCKETMQ_NOTHING, ROCKETMQ_REQUEST, ROCKETMQ_RESPONSE, ROCKETMQ_ONE_WAY };

/* The first part of a header that comes in two, in each direction, and room for the second. */
struct rocketmq_parts {
	u64 endpoint[2];
	u64 began[2];
	u32 code[2];
	u32 wait[2];
	u32 passed[2];
	u32 total[2];
	u32 opaque[2];
	u32 flag[2];
	u8 first[2][FRAME_HEAD_BYTES];
	u8 second[FRAME_HEAD_BYTES];
};

CONN_STORE(l7_rocketmq, struct rocketmq_parts)

static __always_inline u32 rocketmq_header_bytes(volatile struct framed *f)
{
	return head_be32(f, 4) & 0xffffff;
}

/* Both lengths fit, and the header begins as every client writes it. */
static __always_inline bool rocketmq_plausible(volatile struct framed *f)
{
	u32 length = head_be32(f, 0), header = rocketmq_header_bytes(f);

	if (length > ROCKETMQ_MAX_BYTES || header + 4 > length || header > ROCKETMQ_MAX_HEADER || header < ROCKETMQ_FIXED)
		return false;
	if (!head_u8(f, 4))
		return head_be64(f, ROCKETMQ_START) == 0x7b22636f6465223aULL; /* {"code": */
	return head_u8(f, 4) == 1 && head_u8(f, ROCKETMQ_START + 2) < 16 && head_u8(f, ROCKETMQ_START + 3) < 16;
}

static __always_inline enum match rocketmq_match(struct conn *conn, volatile struct framed *f)
{
	if (!f->request || head_u8(f, 0) || (f->have > 4 && head_u8(f, 4) > 1))
		return MATCH_NO;
	if (f->have < ROCKETMQ_HEADER)
		return MATCH_MORE;
	return rocketmq_plausible(f) ? MATCH_YES : MATCH_NO;
}

/* The number in digits at this place. */
static __always_inline u32 rocketmq_digits(volatile struct framed *f, u32 at)
{
	f->scratch[7] = 0;
	for (u32 i = 0; i < ROCKETMQ_DIGITS; i++) {
		u8 digit = head_u8(f, at + i) - '0';

		if (digit > 9)
			break;
		f->scratch[7] = f->scratch[7] * 10 + digit;
	}
	return f->scratch[7];
}

/*
 * Looks through the bytes of the head that scratch 0 counts. Sets scratch 1: behind the opaque number's word, 2: the flag's, 3: the topic's, 4: the short
 * word for it, 5: the suspension's; 0 where there is none. Without branches: each would double the ways through the loop.
 */
static __always_inline void rocketmq_scan(volatile struct framed *f)
{
	u64 window = 0, at;

	f->scratch[1] = f->scratch[2] = f->scratch[3] = f->scratch[4] = f->scratch[5] = f->scratch[6] = 0;
	for (u32 i = 0; i < FRAME_HEAD_BYTES - 1; i++) {
		if (i >= f->scratch[0])
			break;
		window = (f->scratch[6] << 8 | head_u8(f, i)) & ROCKETMQ_WINDOW;
		f->scratch[6] = window;
		at = i + 1;
		f->scratch[1] |= -is_equal(window, ROCKETMQ_OPAQUE) & at;
		f->scratch[2] |= -is_equal(window, ROCKETMQ_FLAG) & at;
		f->scratch[3] |= -(is_equal(window, ROCKETMQ_TOPIC) & is_below(f->scratch[3], 1)) & at;
		f->scratch[4] |= -(is_equal(window & ROCKETMQ_WINDOW_OF_B, ROCKETMQ_B) & is_below(f->scratch[4], 1)) & at;
		f->scratch[5] |= -is_equal(window, ROCKETMQ_SUSPEND) & at;
	}
}

/* Mixes the text from the place in scratch 0 up to the quote, or to the end that is known, into the endpoint. */
static __always_inline void rocketmq_name(volatile struct framed *f, volatile struct text_state *text)
{
	u8 c = 0;

	f->scratch[6] = text->hash;
	for (u32 i = 0; i < ROCKETMQ_NAME_BYTES + 1; i++) {
		if (f->scratch[0] >= f->have)
			break;
		c = head_u8(f, f->scratch[0]);
		if (c == '"')
			break;
		f->scratch[0]++;
		dotted_byte(text, c);
	}
	if (c == '"')
		dotted_end(text, 0);
	else
		text->hash = f->scratch[6]; /* cut off, or too long */
}

static __always_inline u64 rocketmq_endpoint(volatile struct framed *f, u32 code)
{
	volatile struct text_state *text = text_start(PROTOCOL_ROCKETMQ | (u64)code << 8);

	if (!text)
		return 0;
	f->scratch[0] = code == ROCKETMQ_SEND_V2 || code == ROCKETMQ_SEND_BATCH ? f->scratch[4] : f->scratch[3];
	if (f->scratch[0])
		rocketmq_name(f, text);
	return endpoint_of(text->hash);
}

/* Codes of responses by which a broker says that it failed; those below 0 would be no codes. shared/protocols/rocketmq.py. */
#define ROCKETMQ_BROKERS 0x5c16ULL /* 1, 2, 4, 10, 11, 12, 14 */

static __always_inline u32 rocketmq_outcome(u32 code)
{
	if (!code || code == 19 || code == 20 || code == 210) /* nothing was there to pull */
		return OUTCOME_OK;
	return code < 64 && ROCKETMQ_BROKERS >> code & 1 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

/* What both parts, or the only one, have told of the message lies in *parts*; returns what is to be done. */
static __always_inline u32 rocketmq_action(volatile struct framed *f, u32 flag)
{
	if (flag & 1)
		return f->request ? ROCKETMQ_NOTHING : ROCKETMQ_RESPONSE; /* clients answer what is counted as a push */
	return flag & 2 || !f->request ? ROCKETMQ_ONE_WAY : ROCKETMQ_REQUEST;
}

static __always_inline void rocketmq_count(struct conn *conn, void *sk, volatile struct framed *f,
					   volatile struct rocketmq_parts *parts, u32 way)
{
	struct request *request;
	u64 wait, elapsed;

	f->scratch[0] = rocketmq_action(f, parts->flag[way]);
	if (f->scratch[0] == ROCKETMQ_ONE_WAY) {
		framed_one_way(conn, f, parts->endpoint[way], OUTCOME_OK, 0);
	} else if (f->scratch[0] == ROCKETMQ_REQUEST) {
		request = framed_request_id(conn, sk, f, parts->opaque[way], parts->endpoint[way]);
		if (request)
			request->kind = parts->wait[way];
	} else if (f->scratch[0] == ROCKETMQ_RESPONSE) {
		request = framed_find(conn, sk, parts->opaque[way]);
		if (!request) {
			response_unexpected(conn);
			return;
		}
		wait = request->kind * ROCKETMQ_NS_PER_MS;
		elapsed = f->began - request->start_ns;
		f->began -= wait < elapsed ? wait : elapsed;
		f->scratch[1] = rocketmq_outcome(parts->code[way]);
		framed_finish(conn, f, request, f->scratch[1], parts->code[way]);
	}
}

/* Reads a header that is not in JSON. */
static __always_inline void rocketmq_binary(volatile struct framed *f, volatile struct rocketmq_parts *parts, u32 way)
{
	parts->code[way] = head_be16(f, ROCKETMQ_START);
	parts->opaque[way] = head_be32(f, ROCKETMQ_START + 5);
	parts->flag[way] = head_be32(f, ROCKETMQ_START + 9);
	parts->wait[way] = 0;
	f->scratch[3] = f->scratch[4] = 0;
}

/* Puts the first part of the header, which tells the name, in place of the second, until the message is counted. */
static __always_inline void rocketmq_swap(volatile struct framed *f, volatile struct rocketmq_parts *parts, u32 side)
{
	f->place -= parts->passed[side];
	f->began = parts->began[side];
	f->length = parts->total[side];
	bpf_probe_read_kernel((void *)parts->second, FRAME_HEAD_BYTES, (void *)f->head);
	bpf_probe_read_kernel((void *)f->head, FRAME_HEAD_BYTES, (void *)parts->first[side]);
}

static __always_inline void rocketmq_swap_back(volatile struct framed *f, volatile struct rocketmq_parts *parts, u32 side)
{
	bpf_probe_read_kernel((void *)f->head, FRAME_HEAD_BYTES, (void *)parts->second);
	f->place += parts->passed[side];
	f->length = parts->total[side] - parts->passed[side];
}

/* Begins a message; true when its header ends beyond the head. */
static __always_inline bool rocketmq_begin(volatile struct framed *f, volatile struct rocketmq_parts *parts, u32 side)
{
	if (head_u8(f, 4)) {
		rocketmq_binary(f, parts, side);
	} else {
		parts->code[side] = rocketmq_digits(f, ROCKETMQ_START + 8);
		parts->wait[side] = f->scratch[5] ? rocketmq_digits(f, f->scratch[5]) : 0;
	}
	parts->endpoint[side] = rocketmq_endpoint(f, parts->code[side] | (f->request ? 0 : ROCKETMQ_PUSH));
	f->length = head_be32(f, 0) + 4;
	if (head_u8(f, 4) || rocketmq_header_bytes(f) + ROCKETMQ_START <= FRAME_HEAD_BYTES)
		return false;
	bpf_probe_read_kernel((void *)parts->first[side], FRAME_HEAD_BYTES, (void *)f->head);
	parts->total[side] = f->length;
	parts->passed[side] = f->length = rocketmq_header_bytes(f) + ROCKETMQ_START - FRAME_HEAD_BYTES;
	parts->began[side] = f->began;
	return true;
}

static __always_inline u32 rocketmq_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = f->request ? &conn->ways[0] : &conn->ways[1];
	volatile struct rocketmq_parts *parts = l7_rocketmq_of(sk, true);
	u32 side, header;

	if (!parts)
		return FRAME_WRONG;
	f->scratch[1] = way->state || rocketmq_plausible(f);
	if (!f->scratch[1])
		return FRAME_WRONG;
	f->scratch[0] = FRAME_HEAD_BYTES;
	header = rocketmq_header_bytes(f) + ROCKETMQ_START;
	if (!way->state && header < FRAME_HEAD_BYTES)
		f->scratch[0] = header;
	if (f->have < f->scratch[0])
		return f->scratch[0];
	f->settled = !f->request;
	side = f->settled;
	asm volatile("%0 &= 1" : "+r"(side));
	rocketmq_scan(f);
	if (!way->state)
		parts->opaque[side] = parts->flag[side] = 0;
	if (f->scratch[1])
		parts->opaque[side] = rocketmq_digits(f, f->scratch[1]);
	if (f->scratch[2])
		parts->flag[side] = rocketmq_digits(f, f->scratch[2]);
	f->credited = 1;
	if (way->state) {
		rocketmq_swap(f, parts, side);
	} else if (rocketmq_begin(f, parts, side)) {
		way->state = 1;
		return FRAME_DONE;
	}
	rocketmq_count(conn, sk, f, parts, side);
	if (way->state)
		rocketmq_swap_back(f, parts, side);
	way->state = 0;
	return FRAME_DONE;
}

#endif
