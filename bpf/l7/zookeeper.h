/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ZooKeeper's client protocol.
 *
 * https://github.com/apache/zookeeper/blob/master/zookeeper-jute/src/main/resources/zookeeper.jute
 *
 * A length stands before each record. A request has a number, which its reply repeats; connecting has none. The endpoint is the
 * operation with its path, ids in it collapsed. A watch that fires is one-way.
 */
#ifndef MESHLENS_ZOOKEEPER_H
#define MESHLENS_ZOOKEEPER_H

#include "framed.h"

FRAMED_PROTOCOL(zookeeper, PROTOCOL_ZOOKEEPER, 3)

#define ZOOKEEPER_HEADER 12
#define ZOOKEEPER_TURNS 3
#define ZOOKEEPER_LIMIT (4U << 20)
#define ZOOKEEPER_PATH_BYTES 100
#define ZOOKEEPER_RESULTS 12 /* of a transaction that are looked at */
#define ZOOKEEPER_CONNECT 0x400000f0U /* in the place of the number that connecting lacks */
#define ZOOKEEPER_SPECIAL(number) (0x40000000U | ((number) & 15) << 4) /* pings and others: away from the numbers that are counted up */
#define ZOOKEEPER_WATCH (~0U)
#define ZOOKEEPER_PING (~1U)
#define ZOOKEEPER_PASSWORD 16 /* bytes, of a session */
#define ZOOKEEPER_EXPIRED 112

enum zookeeper_type { ZOOKEEPER_IS_PING = 11, ZOOKEEPER_MULTI = 14 };
#define ZOOKEEPER_PATHS 0x3eb3feU /* bits of the operations below 32 that begin with a path */

/* Places of f->scratch. */
enum zookeeper_scratch { ZOOKEEPER_ID, ZOOKEEPER_PATH, ZOOKEEPER_END, ZOOKEEPER_CODE, ZOOKEEPER_DO, ZOOKEEPER_KIND, ZOOKEEPER_OUTCOME };
enum zookeeper_do { ZOOKEEPER_ASK, ZOOKEEPER_ANSWER, ZOOKEEPER_PUSH };

static __always_inline bool zookeeper_has_path(u32 type)
{
	return type < 32 ? ZOOKEEPER_PATHS >> (type & 31) & 1 : type == 103 || type == 104 || type == 106;
}

static __always_inline bool zookeeper_is_type(u32 type)
{
	return type - 1 < 22 || type - 100 < 8 || type == -10U || type == -11U;
}

static __always_inline bool zookeeper_connects(volatile struct framed *f)
{
	u32 length = head_be32(f, 0);

	return (length == 44 || length == 45) && !head_be32(f, 4) && head_be32(f, 28) == ZOOKEEPER_PASSWORD;
}

static __always_inline enum match zookeeper_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = head_be32(f, 0), number = head_be32(f, 4), type = head_be32(f, 8);

	if (!f->request || head_u8(f, 0))
		return MATCH_NO;
	if (f->have < ZOOKEEPER_HEADER)
		return f->have >= 4 && (length < 8 || length > ZOOKEEPER_LIMIT) ? MATCH_NO : MATCH_MORE;
	if (length == 8)
		return number == ZOOKEEPER_PING && type == ZOOKEEPER_IS_PING ? MATCH_YES : MATCH_NO;
	if (length == 44 || length == 45) {
		if (f->have < 32)
			return number ? MATCH_NO : MATCH_MORE;
		if (zookeeper_connects(f))
			return MATCH_YES;
	}
	if (length < 14 || length > ZOOKEEPER_LIMIT || !zookeeper_has_path(type) || number >> 31)
		return MATCH_NO;
	if (f->have < 17)
		return MATCH_MORE;
	return head_be32(f, 12) && head_be32(f, 12) <= length - 12 && head_u8(f, 16) == '/' ? MATCH_YES : MATCH_NO;
}

/* Mixes in the path at ZOOKEEPER_PATH, as far as it is there. */
static __always_inline u64 zookeeper_endpoint(volatile struct framed *f)
{
	volatile struct text_state *text = text_start(PROTOCOL_ZOOKEEPER);
	u32 at = f->scratch[ZOOKEEPER_PATH], bytes = head_be32(f, at);
	u8 c;

	if (!text)
		return 0;
	text->hash = text->segment_hash = mix(text->hash, f->scratch[ZOOKEEPER_KIND]);
	text->at = at + 4;
	if (bytes < f->scratch[ZOOKEEPER_END] - at)
		f->scratch[ZOOKEEPER_END] = at + 4 + bytes;
	for (u32 i = 0; i < ZOOKEEPER_PATH_BYTES; i++) {
		at = text->at;
		if (at >= f->scratch[ZOOKEEPER_END])
			break;
		c = head_u8(f, at);
		text->at = at + 1;
		if (c == '/')
			segment_end(text, c);
		else
			segment_byte(text, c);
	}
	segment_end(text, 0);
	return endpoint_of(text->hash);
}

/* Puts down which number a request has, and where its path lies. */
static __always_inline void zookeeper_asked(struct conn *conn, volatile struct framed *f)
{
	f->scratch[ZOOKEEPER_DO] = ZOOKEEPER_ASK;
	f->scratch[ZOOKEEPER_KIND] = head_be32(f, 8);
	if (zookeeper_connects(f)) {
		conn->ways[1].state = 1;
		f->scratch[ZOOKEEPER_ID] = f->scratch[ZOOKEEPER_KIND] = ZOOKEEPER_CONNECT;
	} else if (zookeeper_has_path(head_be32(f, 8))) {
		f->scratch[ZOOKEEPER_PATH] = 12;
	}
}

/* Puts down whose answer a reply is, and how it ended; or which watch fired. */
static __always_inline void zookeeper_answered(struct conn *conn, volatile struct framed *f)
{
	f->scratch[ZOOKEEPER_DO] = ZOOKEEPER_ANSWER;
	f->scratch[ZOOKEEPER_CODE] = 0U - head_be32(f, 16);
	if (conn->ways[1].state) {
		conn->ways[1].state = 0;
		f->scratch[ZOOKEEPER_ID] = ZOOKEEPER_CONNECT;
		f->scratch[ZOOKEEPER_CODE] = head_be32(f, 8) ? 0 : ZOOKEEPER_EXPIRED;
	} else if (f->scratch[ZOOKEEPER_ID] == ZOOKEEPER_WATCH) {
		f->scratch[ZOOKEEPER_DO] = ZOOKEEPER_PUSH;
		f->scratch[ZOOKEEPER_KIND] = ZOOKEEPER_WATCH;
		f->scratch[ZOOKEEPER_PATH] = 28;
		f->scratch[ZOOKEEPER_CODE] = 0;
	}
	if (f->scratch[ZOOKEEPER_CODE] > 127)
		f->scratch[ZOOKEEPER_CODE] = 0;
}

/* The first code in the results of a transaction that failed. */
static __always_inline void zookeeper_results(volatile struct framed *f)
{
	u32 at;

	f->scratch[ZOOKEEPER_PATH] = 20;
	for (int i = 0; i < ZOOKEEPER_RESULTS; i++) {
		at = f->scratch[ZOOKEEPER_PATH];
		if (at + 13 > f->scratch[ZOOKEEPER_END] || f->scratch[ZOOKEEPER_CODE] || head_be32(f, at) != ~0U ||
		    head_be32(f, at + 5) != head_be32(f, at + 9))
			break;
		f->scratch[ZOOKEEPER_CODE] = (0U - head_be32(f, at + 5)) & 127;
		f->scratch[ZOOKEEPER_PATH] = at + 13;
	}
}

static __always_inline u32 zookeeper_outcome(u32 code)
{
	if (!code)
		return OUTCOME_OK;
	if (code == 5 || code == 6 || code == 8 || (code >= 101 && code <= 116))
		return OUTCOME_CLIENT_ERROR;
	return code == 119 || code == 120 || code == 121 || (code >= 123 && code <= 125) ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR;
}

static __always_inline void zookeeper_count(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *request;
	u64 endpoint;

	if (f->scratch[ZOOKEEPER_DO] == ZOOKEEPER_ANSWER) {
		request = framed_find(conn, sk, f->scratch[ZOOKEEPER_ID]);
		if (!request) {
			response_unexpected(conn);
			return;
		}
		if (request->kind == ZOOKEEPER_MULTI)
			zookeeper_results(f);
		f->scratch[ZOOKEEPER_OUTCOME] = zookeeper_outcome(f->scratch[ZOOKEEPER_CODE]);
		framed_finish(conn, f, request, f->scratch[ZOOKEEPER_OUTCOME], f->scratch[ZOOKEEPER_CODE]);
		return;
	}
	endpoint = zookeeper_endpoint(f);
	if (f->scratch[ZOOKEEPER_DO] == ZOOKEEPER_PUSH) {
		framed_one_way(conn, f, endpoint, OUTCOME_OK, 0);
		return;
	}
	request = framed_request_id(conn, sk, f, f->scratch[ZOOKEEPER_ID], endpoint);
	if (request)
		request->kind = f->scratch[ZOOKEEPER_KIND];
}

static __always_inline u32 zookeeper_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 length = head_be32(f, 0), want, number;

	if (length > ZOOKEEPER_LIMIT || length < (f->request ? 8 : 16))
		return FRAME_WRONG;
	want = length + 4 < FRAME_HEAD_BYTES ? length + 4 : FRAME_HEAD_BYTES;
	if (f->have < want)
		return want;
	f->length = length + 4;
	f->scratch[ZOOKEEPER_END] = f->scratch[ZOOKEEPER_PATH] = want;
	number = head_be32(f, 4);
	f->scratch[ZOOKEEPER_ID] = number >> 31 && number != ZOOKEEPER_WATCH ? ZOOKEEPER_SPECIAL(number) : number;
	f->scratch[ZOOKEEPER_CODE] = 0;
	if (f->request && !zookeeper_connects(f) && !zookeeper_is_type(head_be32(f, 8)))
		return FRAME_WRONG;
	if (f->request)
		zookeeper_asked(conn, f);
	else
		zookeeper_answered(conn, f);
	zookeeper_count(conn, sk, f);
	return FRAME_DONE;
}

#endif
