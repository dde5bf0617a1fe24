/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HTTP/1.0 and HTTP/1.1.
 *
 * https://www.rfc-editor.org/rfc/rfc9112
 *
 * A request begins where the connection is quiet and the bytes name a method; what follows until the response is its
 * rest. The endpoint is the method with the path: no query, ids collapsed. A response begins with the first bytes
 * after a request; 1xx is none (101 ends the requests of the connection).
 */
#ifndef MESHLENS_HTTP_H
#define MESHLENS_HTTP_H

#include "follow.h"
#include "pairing.h"
#include "text.h"

#define HTTP_TURNS 128 /* as many bytes in one program; up to 4 kB in all */
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
	if ((first >> 8 & 0xff) == 'O')
		return word_match(first, bytes, 0x2054534f50, 5); /* "POST " */
	if ((first >> 8 & 0xff) == 'U')
		return word_match(first, bytes, 0x20545550, 4); /* "PUT " */
	return word_match(first, bytes, 0x204843544150, 6); /* "PATCH " */
}

/*
 * Works out the endpoint of the newest request from the head; when its name is not whole yet, more of the head is gathered. Runs
 * in a program of its own, because most requests on a connection begin like the one before.
 */
static __always_inline void http_name(struct conn *conn, void *sk)
{
	volatile struct text_state *text = text_start(PROTOCOL_HTTP1);
	u32 bytes = conn->head_bytes, words;
	struct request *newest;
	u8 c = 0;

	if (!text)
		return;
	for (u32 i = 0; i < REQUEST_HEAD_BYTES; i++) {
		/* Volatile: else the compiler joins both bounds into one that verifiers before 6.8 do not understand. */
		if (i >= *(volatile u32 *)&conn->head_bytes)
			break;
		c = conn->head[i];
		text->at = i;
		if (c == '?' || c == '#' || c == '\r' || c == '\n' || (c == ' ' && text->mode))
			break;
		if (c == ' ' || c == '/')
			segment_end(text, c);
		else
			segment_byte(text, c);
		if (c == ' ')
			text->mode = 1;
	}
	conn->gathering = text->at + 1 >= bytes && bytes < REQUEST_HEAD_BYTES;
	newest = newest_request(conn, sk);
	if (conn->gathering || !newest)
		return;
	segment_end(text, 0);
	newest->endpoint = endpoint_of(text->hash);
	words = (text->at + 8) >> 3;
	conn->line_words = words <= LINE_WORDS && words * 8 <= bytes ? words : 0;
	conn->line_endpoint = newest->endpoint;
	for (u32 i = 0; i < LINE_WORDS; i++)
		conn->line[i] = ((u64 *)conn->head)[i];
}

/* The first four bytes of a method with what follows it. */
static __always_inline bool is_method(u32 word)
{
	return word == 0x20544547 || word == 0x54534f50 || word == 0x44414548 || word == 0x20545550 || word == 0x454c4544 ||
	       word == 0x4954504f || word == 0x43544150;
}

/*
 * Looks through a call that brought a new line for requests behind the first: an empty line with a method after it. They are lost,
 * and so stated; their responses are passed over. True when there is more to look through.
 */
static __always_inline bool http_more(struct conn *conn, volatile struct follow *follow)
{
	volatile struct follower *way = &conn->ways[0];
	u8 c;

	for (int i = 0; i < HTTP_TURNS; i++) {
		if (way->count > 4)
			break;
		if (follow->chunk_at >= follow->chunk_bytes && !follow_refill((struct follow *)follow))
			break;
		c = follow_byte(follow);
		if (way->state == 4) {
			way->number = way->number >> 8 | (u32)c << 24;
			way->count++;
			if (way->count == 4 && is_method(way->number)) {
				way->pending++;
				way->count = way->state = 0;
			} else if (way->count == 4) {
				way->count = 5; /* a body: what it holds is not looked at */
			}
		} else if (c == (way->state & 1 ? '\n' : '\r')) {
			way->state++;
		} else {
			way->state = c == '\r';
		}
	}
	if (way->count <= 4 && (follow->chunk_at < follow->chunk_bytes || follow->view.left) && ++follow->turns < MAX_TAIL_CALLS)
		return true;
	conn->line_total = follow->bytes;
	conn->line_more = way->pending;
	way->pending = way->count = way->state = way->number = 0;
	if (conn->line_more)
		lost_add(LOST_HTTP_PIPELINED, conn->line_more);
	conn->overflowed += conn->line_more;
	return false;
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

/* Gathers the first bytes of a response; true when there are enough, or when no more will come in this call. */
static __always_inline bool http_answer(struct conn *conn, struct view *view)
{
	u64 have, take;

	for (int piece = 0; piece < 3; piece++) {
		have = conn->answer_bytes;
		if (have >= ANSWER_BYTES)
			return true;
		if (!view_ready(view))
			continue;
		take = ANSWER_BYTES - have;
		if (take > view->here)
			take = view->here;
		asm volatile("%0 &= 15" : "+r"(take));
		asm volatile("%0 &= 15" : "+r"(have));
		if (bpf_probe_read_user(&conn->answer[have], take, (void *)view->at))
			return true;
		conn->answer_bytes = have + take;
		view_skip(view, take);
	}
	return conn->answer_bytes >= ANSWER_BYTES;
}

static __always_inline bool http_begins_answer(struct view *view)
{
	u64 first = 0;

	if (view_ready(view) && view->here >= 8)
		bpf_probe_read_user(&first, 8, (void *)view->at);
	return (first & 0xffffffffffffff) == 0x2e312f50545448; /* "HTTP/1." */
}

/* The status of a response whose head begins so; 0 when it is none. */
static __always_inline u32 http_status(u8 *answer)
{
	if (*(u32 *)answer != 0x50545448 || answer[4] != '/' || !is_digit(answer[9]))
		return 0;
	return (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
}

static __always_inline void http_ending(volatile struct pending *pending, u32 status)
{
	pending->status = status;
	if (status >= 500)
		pending->outcome = OUTCOME_SERVER_ERROR;
	else if (status >= 400)
		pending->outcome = OUTCOME_CLIENT_ERROR;
}

/* Whether these bytes begin the response of the oldest request; if so, how it ended. */
static __always_inline bool http_response(struct conn *conn, struct view *view, volatile struct pending *pending)
{
	u32 status;

	if (!http_answer(conn, view)) {
		if (!conn->answer_ns)
			conn->answer_ns = pending->now;
		return false;
	}
	conn->answer_bytes = 0;
	status = http_status(conn->answer);
	if (status >= 100 && status < 200 && status != 101) {
		conn->answer_ns = 0;
		return false;
	}
	if (status == 101)
		conn->ignored = IGNORED;
	http_ending(pending, status);
	return true;
}

#endif
