/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dubbo 2.
 *
 * https://dubbo.apache.org/en/overview/reference/protocols/tcp/
 *
 * Calls are paired by request id, and may be made by the server too (callbacks). The endpoint is service and method, which begin
 * the body as strings of Hessian or of JSON; of other serialisations all calls are one endpoint. Events (heartbeats) are no
 * requests. A response that holds an exception has status 20 all the same, and is a failure.
 */
#ifndef MESHLENS_DUBBO_H
#define MESHLENS_DUBBO_H

#include "framed.h"

FRAMED_PROTOCOL(dubbo, PROTOCOL_DUBBO, 1)

#define DUBBO_HEADER 16
#define DUBBO_TURNS 4
#define DUBBO_MAX_BYTES (256 << 20)
#define DUBBO_SERVERS_CALL 0x80000000 /* in the ids of calls that the server makes */
#define DUBBO_OK 20
#define DUBBO_STRINGS 4 /* version, service, version of the service, method */
#define DUBBO_NOWHERE 4096

enum dubbo_flag { DUBBO_REQUEST = 0x80, DUBBO_TWO_WAY = 0x40, DUBBO_EVENT = 0x20, DUBBO_SERIALISATION = 0x1f };
enum dubbo_serialisation { DUBBO_HESSIAN = 2, DUBBO_FASTJSON = 6 };

static __always_inline bool dubbo_plausible(volatile struct framed *f)
{
	u32 flags = head_u8(f, 2), kind = flags & DUBBO_SERIALISATION;

	return head_be16(f, 0) == 0xdabb && head_be32(f, 12) <= DUBBO_MAX_BYTES && kind >= DUBBO_HESSIAN && kind <= 27;
}

static __always_inline u32 dubbo_kind(volatile struct framed *f)
{
	return head_u8(f, 2) & DUBBO_SERIALISATION;
}

/* A header of a request, and a body that begins as its serialisation has it. */
static __always_inline enum match dubbo_match(struct conn *conn, volatile struct framed *f)
{
	u32 flags = head_u8(f, 2), first = head_u8(f, 16), length = head_be32(f, 12);

	if (!f->request || head_u8(f, 0) != 0xda || (f->have > 1 && head_u8(f, 1) != 0xbb))
		return MATCH_NO;
	if (f->have < DUBBO_HEADER)
		return MATCH_MORE;
	if (!dubbo_plausible(f) || !(flags & DUBBO_REQUEST) || head_u8(f, 3))
		return MATCH_NO;
	if (flags & DUBBO_EVENT)
		return length < 1024 ? MATCH_YES : MATCH_NO;
	if (f->have < DUBBO_HEADER + 2 && f->have < DUBBO_HEADER + length)
		return MATCH_MORE;
	if ((flags & DUBBO_SERIALISATION) == DUBBO_HESSIAN)
		return first >= 3 && first < 32 && is_digit(head_u8(f, 17)) ? MATCH_YES : MATCH_NO;
	return length > 4 ? MATCH_YES : MATCH_NO;
}

/* Where the Hessian string at *at* ends; far beyond the head when there is none. */
static __always_inline u32 dubbo_string_end(volatile struct framed *f, u32 at)
{
	u32 lead = head_u8(f, at);

	if (at >= FRAME_HEAD_BYTES)
		return DUBBO_NOWHERE;
	if (lead < 0x20)
		return at + 1 + lead;
	if (lead >= 0x30 && lead <= 0x33)
		return at + 2 + ((lead & 3) << 8 | head_u8(f, at + 1));
	return DUBBO_NOWHERE;
}

/*
 * Works out the endpoint of a call from what stands before the types of its arguments: two versions, service, and method. One
 * endpoint stands for all calls whose method is not to be seen.
 */
static __always_inline void dubbo_endpoint(volatile struct framed *f)
{
	volatile struct text_state *text = text_start(PROTOCOL_DUBBO);

	f->scratch[0] = 0;
	if (!text)
		return;
	f->scratch[0] = text->hash;
	text->at = DUBBO_HEADER;
	for (int i = 0; i < DUBBO_STRINGS; i++)
		text->at = dubbo_string_end(f, text->at);
	if (dubbo_kind(f) != DUBBO_HESSIAN || text->at > f->have)
		text->at = 0;
	if (dubbo_kind(f) == DUBBO_FASTJSON)
		text->at = f->have;
	for (u32 i = DUBBO_HEADER; i < FRAME_HEAD_BYTES; i++) {
		if (i >= text->at)
			break;
		text->mode = f->head[i];
		text->hash = mix(text->hash, text->mode);
		if (text->mode != '"')
			continue;
		text->digits++;
		if (text->digits == 2 * DUBBO_STRINGS && dubbo_kind(f) == DUBBO_FASTJSON)
			break;
	}
	if (text->at && (text->digits == 2 * DUBBO_STRINGS || dubbo_kind(f) == DUBBO_HESSIAN))
		f->scratch[0] = text->hash;
}

static __always_inline u32 dubbo_outcome(u32 status, u32 kind, u32 first)
{
	if (status == 40 || status == 60 || status == 90)
		return OUTCOME_CLIENT_ERROR;
	if (status != DUBBO_OK || (kind == DUBBO_HESSIAN && (first == 0x90 || first == 0x93)) ||
	    (kind == DUBBO_FASTJSON && (first == '0' || first == '3')))
		return OUTCOME_SERVER_ERROR;
	return OUTCOME_OK;
}

static __always_inline u32 dubbo_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	if (!dubbo_plausible(f))
		return FRAME_WRONG;
	f->length = head_be32(f, 12) + DUBBO_HEADER;
	if (head_u8(f, 2) & DUBBO_EVENT)
		return FRAME_DONE;
	f->scratch[1] = head_u8(f, 2) & DUBBO_REQUEST ? FRAME_HEAD_BYTES : DUBBO_HEADER + 1;
	if (f->scratch[1] > f->length)
		f->scratch[1] = f->length;
	if (f->have < f->scratch[1])
		return f->scratch[1];
	f->scratch[1] = head_be32(f, 8);
	if (!(head_u8(f, 2) & DUBBO_REQUEST) == f->request)
		f->scratch[1] ^= DUBBO_SERVERS_CALL;
	if (!(head_u8(f, 2) & DUBBO_REQUEST)) {
		f->scratch[2] = dubbo_outcome(head_u8(f, 3), dubbo_kind(f), head_u8(f, 16));
		framed_response_id(conn, sk, f, f->scratch[1], f->scratch[2], head_u8(f, 3));
		return FRAME_DONE;
	}
	dubbo_endpoint(f);
	if (head_u8(f, 2) & DUBBO_TWO_WAY)
		framed_request_id(conn, sk, f, f->scratch[1], endpoint_of(f->scratch[0]));
	else
		framed_one_way(conn, f, endpoint_of(f->scratch[0]), OUTCOME_OK, 0);
	return FRAME_DONE;
}

#endif
