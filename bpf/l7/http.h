/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HTTP/1.0 and HTTP/1.1.
 *
 * https://www.rfc-editor.org/rfc/rfc9112
 *
 * The endpoint is the method with the path: no query, ids collapsed. A response begins with the first bytes after a request; 1xx
 * is none. 101 hands the connection to the protocol that the request asked for, an answered CONNECT to whatever comes.
 *
 * Most requests on a connection begin like the one before and have its length, and their responses are whole in one piece as far
 * as their status goes: quick_request and quick_response (messages.h) take these. All others come here.
 */
#ifndef MESHLENS_HTTP_H
#define MESHLENS_HTTP_H

#include "http_stream.h"
#include "pairing.h"

FRAMED_PROTOCOL(http, PROTOCOL_HTTP1, 1)

#define HTTP_HEADER 1
#define HTTP_TURNS 6
#define HTTP_SEARCH_TURNS 96 /* in one call, in which a response is looked for */
#define ANSWER_BYTES 12 /* "HTTP/1.1 200" */

/* Are the first bytes, of which there are *bytes*, the word of *length*, or may they become it? */
static __always_inline enum match word_match(u64 first, u32 bytes, u64 word, u32 length)
{
	u32 compared = bytes < length ? bytes : length;
	u64 mask = compared >= 8 ? ~0ULL : (1ULL << (8 * (compared & 7))) - 1;

	if ((first ^ word) & mask)
		return MATCH_NO;
	return bytes < length ? MATCH_MORE : MATCH_YES;
}

/* The words in the byte order in which they arrive. */
static __always_inline enum match http_request_match(u64 first, u32 bytes)
{
	switch (first & 0xff) {
	case 'G':
		return word_match(first, bytes, 0x20544547, 4); /* "GET " */
	case 'H':
		return word_match(first, bytes, 0x2044414548, 5); /* "HEAD " */
	case 'D':
		return word_match(first, bytes, 0x204554454c4544, 7); /* "DELETE " */
	case 'O':
		return word_match(first, bytes, 0x20534e4f4954504f, 8); /* "OPTIONS " */
	case 'C':
		return word_match(first, bytes, 0x205443454e4e4f43, 8); /* "CONNECT " */
	case 'T':
		return word_match(first, bytes, 0x204543415254, 6); /* "TRACE " */
	case 'P':
		break;
	default:
		return MATCH_NO;
	}
	if (bytes < 2)
		return MATCH_MORE;
	switch (first >> 8 & 0xff) {
	case 'O':
		return word_match(first, bytes, 0x2054534f50, 5); /* "POST " */
	case 'U':
		return (first >> 16 & 0xff) == 'R' ? word_match(first, bytes, 0x204547525550, 6) : /* "PURGE " */
						     word_match(first, bytes, 0x20545550, 4); /* "PUT " */
	case 'R':
		return word_match(first, bytes, 0x444e4946504f5250, 8); /* "PROPFIND" */
	}
	return word_match(first, bytes, 0x204843544150, 6); /* "PATCH " */
}

/* A request's whole line, in the connection's head. */
static __always_inline enum match http_line_match(struct conn *conn)
{
	enum match match = http_request_match(*(u64 *)conn->head, conn->head_bytes);
	u32 end = 0;

	if (match != MATCH_YES)
		return match;
	for (u32 i = 0; i < REQUEST_HEAD_BYTES; i++) {
		if (i >= *(volatile u32 *)&conn->head_bytes)
			return conn->head_bytes < REQUEST_HEAD_BYTES ? MATCH_MORE : MATCH_YES;
		end = i;
		if (conn->head[i] == '\n')
			break;
	}
	asm volatile("%0 &= 255" : "+r"(end));
	if (conn->head[end] != '\n' || end < 14)
		return conn->head[end] == '\n' ? MATCH_NO : MATCH_YES;
	if (conn->head[end - 1] == '\r')
		end--;
	return (*(u64 *)&conn->head[end - 8] & HTTP_WORD_MASK) == HTTP_WORD ? MATCH_YES : MATCH_NO;
}

/* Requests are recognised before the framed protocols are asked (head_judge); here, responses to what was asked unseen. */
static __always_inline enum match http_match(struct conn *conn, volatile struct framed *f)
{
	enum match match;

	if (f->request)
		return MATCH_NO;
	match = word_match(http_word(f, 0), f->have, HTTP_WORD, 7);
	return match == MATCH_YES && f->have < HTTP_STATUS_BYTES ? MATCH_MORE : match;
}

/* The status of a response whose head begins so; 0 when it is none. */
static __always_inline u32 http_status(u8 *answer)
{
	if (*(u32 *)answer != 0x50545448 || answer[4] != '/' || !is_digit(answer[9]))
		return 0;
	return (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
}

static __always_inline bool http_begins_answer(struct view *view)
{
	u64 first = 0;

	if (view_ready(view) && view->here >= 8)
		bpf_probe_read_user(&first, 8, (void *)view->at);
	return (first & HTTP_WORD_MASK) == HTTP_WORD;
}

static __always_inline u32 http_outcome(u32 status)
{
	return status >= 500 ? OUTCOME_SERVER_ERROR : status >= 400 ? OUTCOME_CLIENT_ERROR : OUTCOME_OK;
}

/* Whether the head begins like the last one whose name was worked out. */
static __always_inline bool http_same_line(struct conn *conn)
{
	u64 *head = (u64 *)conn->head;

	if (!conn->line_words || conn->line_words * 8 > conn->head_bytes)
		return false;
	for (u32 i = 0; i < LINE_WORDS; i++) {
		if (i >= *(volatile u8 *)&conn->line_words)
			break;
		if (head[i] != conn->line[i])
			return false;
	}
	return true;
}

/* A request that one call brought, alone and whole: the next that begins like it needs no reading. */
static __always_inline void http_remember(struct conn *conn, volatile struct framed *f, u64 endpoint, u32 name_bytes, u32 kind)
{
	u32 words = (name_bytes + 8) >> 3;

	conn->line_words = words <= LINE_WORDS && words * 8 <= f->have ? words : 0;
	conn->line_endpoint = endpoint;
	conn->line_kind = kind;
	conn->line_total = f->bytes;
	bpf_probe_read_kernel(conn->line, sizeof(conn->line), (void *)f->head);
}

/* A part of a request is in f->length: of a new one, whose line is whole, or of the newest. */
static __always_inline void http_request_part(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
					      bool fresh)
{
	volatile struct text_state *text = http_text();
	struct request *newest;

	if (!text)
		return;
	if (!fresh) {
		newest = newest_request(conn, sk);
		if (!newest)
			return;
		newest->bytes += f->length;
		newest->kind = way->type;
		f->credited = 1;
		return;
	}
	segment_end(text, 0);
	text->hash = endpoint_of(text->hash);
	if (in_flight(conn) || conn->overflowed || way->type & HTTP_IS_CONNECT)
		conn->ways[1].flags |= HTTP_EXACT;
	newest = framed_request(conn, sk, f, text->hash);
	if (newest)
		newest->kind = way->type;
	conn->line_total = 0;
	if (way->state == HTTP_START && f->length == f->bytes && !f->before && way->type <= HTTP_IS_HEAD)
		http_remember(conn, f, text->hash, text->at, way->type);
}

/* The connection is another protocol's from here on. */
static __always_inline void http_hand_over(struct conn *conn, u32 status, u32 kind)
{
	conn->protocol = PROTOCOL_UNKNOWN;
	if (status == 101) {
		conn->protocol = kind & HTTP_WEBSOCKET ? PROTOCOL_WEBSOCKET : kind & HTTP_H2C ? PROTOCOL_HTTP2 : PROTOCOL_UNKNOWN;
		if (!(FOLLOWED_BY_FRAMES >> (conn->protocol & 63) & 1))
			conn->ignored = IGNORED;
	}
	conn->infer_tries = conn->gathering = 0;
	conn->overflowed = conn->protocol == PROTOCOL_HTTP2; /* the upgraded request is answered once more, on stream 1 */
	conn->line_total = 0;
	conn->bound_endpoint = conn->unnamed_endpoint = 0;
	__builtin_memset(conn->ways, 0, sizeof(conn->ways));
}

/* A part of a response is in f->length: the first, with the status, or more of it. */
static __always_inline void http_response_part(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
					       bool fresh)
{
	volatile struct pending *pending = pending_here();
	u32 status = way->number;

	if (!fresh || !pending)
		return;
	if (status < 200 && status != 101) {
		way->pending += f->length; /* these bytes belong to the response that will come */
		f->credited = 1;
		return;
	}
	if (f->late) {
		late_bytes(pending, conn, 0, f->late);
		f->late = 0;
	}
	framed_response(conn, sk, f, http_outcome(status), status);
	f->late += way->pending;
	way->pending = 0;
}

/* Whether a response begins here; MORE when there are too few bytes to say. */
static __always_inline enum match http_answers(volatile struct framed *f)
{
	enum match match = word_match(http_word(f, 0), f->have, HTTP_WORD, 7);

	if (match == MATCH_NO)
		return MATCH_NO;
	return f->have < HTTP_STATUS_BYTES ? MATCH_MORE : MATCH_YES;
}

/* What there is to do before the steps: more bytes to ask for, or all done. 0: nothing. */
static __always_inline u32 http_before(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
				       u64 *left)
{
	enum match answers;

	f->length = 0;
	if (way->state >= HTTP_BODY) {
		if (way->flags & HTTP_UNTOUCHED && !in_flight(conn) && http_request_match(http_word(f, 0), f->have) == MATCH_YES) {
			way->state = HTTP_START; /* refused before it was sent: this is the next request */
		} else {
			http_body(left, way, f);
			return FRAME_TAKEN;
		}
	}
	f->scratch[STEP_SEARCH] = 0;
	if (way->state > HTTP_LOOSE)
		return 0;
	f->scratch[STEP_FRESH] = 1;
	if (f->request) {
		f->length = head_u8(f, 0) == '\r' || head_u8(f, 0) == '\n';
		return f->length ? FRAME_TAKEN : 0;
	}
	answers = http_answers(f);
	if (answers == MATCH_MORE)
		return HTTP_STATUS_BYTES;
	if (answers == MATCH_YES)
		return 0;
	way->state = HTTP_LOOSE;
	f->scratch[STEP_FRESH] = 0;
	f->scratch[STEP_SEARCH] = 1;
	if (in_flight(conn) && f->taken < HTTP_SEARCH_TURNS)
		return 0;
	f->length = http_remaining(f);
	return FRAME_TAKEN;
}

/* The steps are through with what there is of the head. Returns the bytes to ask for, 0 when f->length is set. */
static __always_inline u32 http_after(volatile struct follower *way, volatile struct framed *f, u32 mode)
{
	f->length = f->scratch[STEP_LINE];
	if (mode == MODE_END)
		return 0;
	if (f->scratch[STEP_SEARCH] || way->state == HTTP_LONG) {
		f->length = f->have;
		return 0;
	}
	if (f->length)
		return 0;
	if (f->have < FRAME_HEAD_BYTES)
		return f->have + 1;
	f->length = f->have;
	return way->state == HTTP_SIZE ? FRAME_WRONG : 0;
}

/* What the steps have found out. Returns the bytes to ask for, 0 when f->length is set. */
static __always_inline u32 http_found(struct conn *conn, volatile struct follower *way, volatile struct framed *f, u64 *left)
{
	u32 mode = f->scratch[STEP_MODE], asked;

	if (mode == MODE_WRONG) {
		f->length = http_remaining(f);
		f->scratch[STEP_FRESH] = 0;
		return conn->pushed ? 0 : FRAME_WRONG;
	}
	asked = http_after(way, f, mode);
	if (asked || f->scratch[STEP_SEARCH])
		return asked;
	if (mode != MODE_END) {
		way->state = f->scratch[STEP_LINE] ? HTTP_HEAD : HTTP_LONG;
		return 0;
	}
	f->scratch[STEP_OVER] = !f->request && way->state != HTTP_SIZE && !(way->flags & HTTP_TRAILERS) &&
				(way->number == 101 || (way->type & HTTP_IS_CONNECT && way->number / 100 == 2));
	if (!f->scratch[STEP_OVER])
		http_head_end(left, way, f);
	return 0;
}

static __always_inline u32 http_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 back = http_back(f);
	volatile struct follower *way = &conn->ways[back];
	u64 *left = &conn->bound_endpoint + back;

	f->scratch[STEP_OVER] = f->scratch[STEP_FRESH] = 0;
	f->settled = http_before(conn, sk, way, f, left);
	if (f->settled && f->settled != FRAME_TAKEN)
		return f->settled;
	if (!f->settled) {
		if (!http_steps(conn, sk, way, f))
			return FRAME_DONE; /* of no length: the next turn goes on */
		f->settled = http_found(conn, way, f, left);
		if (f->settled)
			return f->settled;
	}
	if (f->request)
		http_request_part(conn, sk, way, f, f->scratch[STEP_FRESH]);
	else
		http_response_part(conn, sk, way, f, f->scratch[STEP_FRESH]);
	if (f->scratch[STEP_OVER])
		http_hand_over(conn, way->number, way->type);
	return FRAME_DONE;
}

#endif
