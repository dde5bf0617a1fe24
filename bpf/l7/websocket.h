/* SPDX-License-Identifier: GPL-2.0 */
/*
 * WebSocket, behind an HTTP connection that was handed over, or joined in the middle.
 *
 * https://www.rfc-editor.org/rfc/rfc6455
 *
 * Each message is counted by itself, with no duration: its endpoint is who sent it and its kind. Frames that continue a message only
 * add their bytes. A close tells its code: from 1002 on somebody failed.
 */
#ifndef MESHLENS_WEBSOCKET_H
#define MESHLENS_WEBSOCKET_H

#include "framed.h"
#include "text.h"

FRAMED_PROTOCOL(websocket, PROTOCOL_WEBSOCKET, 3)

#define WEBSOCKET_HEADER 2
#define WEBSOCKET_TURNS 8
#define WEBSOCKET_SURE 4 /* bytes of text that tell a frame from noise */

enum websocket_opcode {
	WEBSOCKET_MORE = 0, WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2, WEBSOCKET_CLOSE = 8, WEBSOCKET_PING = 9, WEBSOCKET_PONG = 10,
};

enum websocket_code {
	WEBSOCKET_PROTOCOL_ERROR = 1002, WEBSOCKET_NO_CODE = 1005, WEBSOCKET_INTERNAL = 1011,
	WEBSOCKET_LAST_CODE = 1014,
};

/* Bytes before the payload. */
static __always_inline u32 websocket_header(volatile struct framed *f)
{
	u32 second = head_u8(f, 1), length = second & 0x7f;

	return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + (second & 0x80 ? 4 : 0);
}

static __always_inline u64 websocket_payload(volatile struct framed *f)
{
	u32 length = head_u8(f, 1) & 0x7f;

	return length == 127 ? head_be64(f, 2) : length == 126 ? head_be16(f, 2) : length;
}

/* A client's message of text that is there whole, or longer than the head. */
static __always_inline enum match websocket_match(struct conn *conn, volatile struct framed *f)
{
	u32 header = websocket_header(f);
	u64 bytes = header + websocket_payload(f);
	u8 c;

	if (!f->request || head_u8(f, 0) != 0x81 || (f->have > 1 && !(head_u8(f, 1) & 0x80)))
		return MATCH_NO;
	if (f->have < header + WEBSOCKET_SURE)
		return f->have < header || bytes > f->have ? MATCH_MORE : MATCH_NO;
	if (bytes < header + WEBSOCKET_SURE || bytes >> 31 || (bytes != f->have && f->have < FRAME_HEAD_BYTES))
		return bytes > f->have && !(bytes >> 20) ? MATCH_MORE : MATCH_NO;
	for (u32 i = 0; i < WEBSOCKET_SURE; i++) {
		c = head_u8(f, header + i) ^ head_u8(f, header - 4 + i);
		if (c < '\t' || c == 0x7f || (c > '\r' && c < ' ') || c >= 0xf8)
			return MATCH_NO;
	}
	return MATCH_YES;
}

static __always_inline u64 websocket_endpoint(volatile struct framed *f, u32 opcode)
{
	return endpoint_of(mix(mix(mix(HASH_START, PROTOCOL_WEBSOCKET), f->request), opcode));
}

/* Whose fault a close is: of who sends it, when that is what failed, else of the other end. */
static __always_inline u32 websocket_outcome(volatile struct framed *f, u32 code)
{
	bool server;

	if (code < WEBSOCKET_PROTOCOL_ERROR || code > WEBSOCKET_LAST_CODE || code == WEBSOCKET_NO_CODE)
		return OUTCOME_OK;
	server = code >= WEBSOCKET_INTERNAL ? !f->request : f->request;
	return server ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

static __always_inline bool websocket_fits(volatile struct framed *f, u32 opcode)
{
	u32 first = head_u8(f, 0), second = head_u8(f, 1);

	if (first & 0x30 || !!(second & 0x80) != f->request)
		return false;
	if (opcode <= WEBSOCKET_BINARY)
		return true;
	return opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG && (first & 0xc0) == 0x80 && (second & 0x7f) < 126;
}

/* The code of a close whose two bytes are there, 0 where it has none. */
static __always_inline u32 websocket_code(volatile struct framed *f, u32 header)
{
	u32 code = head_be16(f, header);

	return f->request ? code ^ head_be16(f, header - 4) : code;
}

static __always_inline u32 websocket_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 opcode = head_u8(f, 0) & 0xf, header = websocket_header(f), needed = header, code = 0;
	u64 payload;

	if (!websocket_fits(f, opcode))
		return FRAME_WRONG;
	if (opcode == WEBSOCKET_CLOSE && (head_u8(f, 1) & 0x7f) >= 2)
		needed += 2;
	if (f->have < needed)
		return needed;
	payload = websocket_payload(f);
	if (payload >> 31)
		return FRAME_WRONG;
	f->length = header + payload;
	if (opcode == WEBSOCKET_MORE) {
		conn->last_endpoint = f->request ? conn->bound_endpoint : conn->unnamed_endpoint;
		conn->last_outcome = conn->last_status = 0;
		return FRAME_DONE;
	}
	if (needed > header)
		code = websocket_code(f, header);
	f->scratch[0] = websocket_endpoint(f, opcode);
	if (f->request)
		conn->bound_endpoint = opcode <= WEBSOCKET_BINARY ? f->scratch[0] : conn->bound_endpoint;
	else
		conn->unnamed_endpoint = opcode <= WEBSOCKET_BINARY ? f->scratch[0] : conn->unnamed_endpoint;
	f->scratch[1] = websocket_outcome(f, code);
	framed_one_way(conn, f, f->scratch[0], f->scratch[1], code);
	return FRAME_DONE;
}

#endif
