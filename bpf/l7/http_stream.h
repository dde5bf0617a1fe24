/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The messages of HTTP/1, found in any cut of the bytes.
 *
 * Heads are read line by line: a line that is not whole stays in the head that the framework gathers. What a head announces (a
 * length, chunks) is passed over. Requests are always followed so. Responses are only where requests are pipelined: else the
 * first bytes back are the response, whatever its length, and the way is LOOSE: bytes may come that belong to the response
 * before, so the next one is looked for.
 *
 * A step takes one byte of a name or of a number, or sixteen of a line. What a run of steps does not finish goes on in the next turn.
 */
#ifndef MESHLENS_HTTP_STREAM_H
#define MESHLENS_HTTP_STREAM_H

#include "framed.h"
#include "text.h"

#define HTTP_STEPS 20 /* in one turn, as many as the verifier follows */
#define HTTP_STATUS_BYTES 13 /* "HTTP/1.1 200 " */
#define HTTP_WORD 0x2e312f50545448ULL /* "HTTP/1." */
#define HTTP_WORD_MASK 0xffffffffffffffULL
#define LOWER 0x2020202020202020ULL
#define FRAME_TAKEN (~1U) /* the message is taken without steps */

/* Where a way stands between two calls. The first two may be left by the quick programs. */
enum http_state { HTTP_START, HTTP_LOOSE, HTTP_HEAD, HTTP_LONG, HTTP_SIZE, HTTP_BODY, HTTP_DATA };

enum http_flag {
	HTTP_CHUNKED = 1,
	HTTP_LENGTH = 2,
	HTTP_EXPECT = 4, /* the body waits for 100 */
	HTTP_TRAILERS = 8,
	HTTP_UNTOUCHED = 16, /* of a body that may never come nothing has come yet */
	HTTP_EXACT = 128, /* on the way back: requests are pipelined */
};

/* What of a request its response depends on. */
enum http_kind { HTTP_IS_HEAD = 1, HTTP_IS_CONNECT = 2, HTTP_WEBSOCKET = 4, HTTP_H2C = 8 };

enum http_mode { MODE_NAME, MODE_LINES, MODE_NUMBER, MODE_SIZE, MODE_SIZE_END, MODE_SEARCH, MODE_END, MODE_WRONG };

/* In f->scratch, for one message. */
enum http_scratch { STEP_AT, STEP_LINE, STEP_MODE, STEP_NUMBER, STEP_NOW, STEP_SEARCH, STEP_FRESH, STEP_OVER };

static __always_inline u64 http_word(volatile struct framed *f, u32 at)
{
	return *(volatile u64 *)&f->head[at & (FRAME_HEAD_BYTES - 1)];
}

/* Which of conn->ways these bytes go: a number, where a choice would make the verifier follow both ways apart. */
static __always_inline u32 http_back(volatile struct framed *f)
{
	u32 back = f->request;

	asm volatile("%0 ^= 1" : "+r"(back));
	asm volatile("%0 &= 1" : "+r"(back));
	return back;
}

/* Bytes of the call from where the head begins. */
static __always_inline u32 http_remaining(volatile struct framed *f)
{
	return f->before + f->view.left;
}

/* The place of the first byte *c* among eight, 8 when there is none. */
static __always_inline u32 http_find(u64 word, u8 c)
{
	u64 other = word ^ (0x0101010101010101ULL * c);
	u64 found = (other - 0x0101010101010101ULL) & ~other & 0x8080808080808080ULL;

	return found ? (((found & -found) >> 7) * 0x0001020304050607ULL) >> 56 : 8;
}

/* Where a way stands, with all that is known of its message: 0 between two messages. */
static __always_inline u32 http_place(volatile struct follower *way)
{
	return *(volatile u32 *)&way->state;
}

static __always_inline volatile struct text_state *http_text(void)
{
	return l7_text_here();
}

static __always_inline bool is_capital(u8 c)
{
	return (u8)(c - 'A') < 26;
}

/* A byte of the request's line, up to where its path ends. */
static __always_inline void http_step_name(volatile struct framed *f, volatile struct text_state *text)
{
	u8 c = head_u8(f, f->scratch[STEP_AT]);

	text->at = f->scratch[STEP_AT];
	if (!text->mode && !is_capital(c) && c != '-' && c != ' ') {
		f->scratch[STEP_MODE] = MODE_WRONG;
		return;
	}
	if (c == '?' || c == '#' || c == '\r' || c == '\n' || (c == ' ' && text->mode)) {
		f->scratch[STEP_MODE] = MODE_LINES;
		return;
	}
	f->scratch[STEP_AT]++;
	if (c == ' ' || c == '/')
		segment_end(text, c);
	else
		segment_byte(text, c);
	if (c == ' ')
		text->mode = 1;
}

/* What the word behind `upgrade:` asks for. */
static __always_inline u32 http_upgrade(u64 value)
{
	if ((value & 0xff) == ' ')
		value >>= 8;
	if ((value & 0xffffffULL) == 0x633268) /* h2c */
		return HTTP_H2C;
	return (value & 0xffffffffffULL) == 0x6f73626577ULL ? HTTP_WEBSOCKET : 0; /* webso */
}

/* A line is whole, from STEP_LINE to *end* where its line feed is: what does it say? */
static __always_inline void http_line(volatile struct follower *way, volatile struct framed *f, u32 end)
{
	u32 start = f->scratch[STEP_LINE], text_end = end;
	u64 first = http_word(f, start) | LOWER;

	if (end > start && head_u8(f, end - 1) == '\r')
		text_end--;
	f->scratch[STEP_AT] = f->scratch[STEP_LINE] = end + 1;
	if (!start && way->state == HTTP_LONG) {
		way->state = HTTP_HEAD; /* what was too long is through */
	} else if (text_end == start) {
		f->scratch[STEP_MODE] = MODE_END;
	} else if (!start && f->request && way->state == HTTP_START) {
		if (text_end < 14 || (http_word(f, text_end - 8) & HTTP_WORD_MASK) != HTTP_WORD)
			f->scratch[STEP_MODE] = MODE_WRONG;
	} else if (first == 0x2d746e65746e6f63ULL &&
		   ((http_word(f, start + 8) | LOWER) & HTTP_WORD_MASK) == 0x3a6874676e656cULL) { /* content-length: */
		way->flags |= HTTP_LENGTH;
		f->scratch[STEP_AT] = start + 15;
		f->scratch[STEP_NUMBER] = 0;
		f->scratch[STEP_MODE] = MODE_NUMBER;
	} else if (first == 0x726566736e617274ULL) { /* transfer-encoding: ... chunked */
		if (((http_word(f, text_end - 7) | LOWER) & HTTP_WORD_MASK) == 0x64656b6e756863ULL)
			way->flags |= HTTP_CHUNKED;
	} else if (first == 0x3a65646172677075ULL) { /* upgrade: */
		way->type |= http_upgrade(http_word(f, start + 8) | LOWER);
	} else if ((first & HTTP_WORD_MASK) == 0x3a746365707865ULL) { /* expect: */
		way->flags |= HTTP_EXPECT;
	}
}

/* A byte of a number: of a length, in decimal, or of a chunk, in hexadecimal. */
static __always_inline void http_step_number(struct conn *conn, volatile struct follower *way, volatile struct framed *f)
{
	u32 at = f->scratch[STEP_AT], mode = f->scratch[STEP_MODE];
	u8 c = head_u8(f, at);

	f->scratch[STEP_AT] = at + 1;
	if (c == '\n') {
		f->scratch[STEP_LINE] = at + 1;
		f->scratch[STEP_MODE] = mode == MODE_NUMBER ? MODE_LINES : MODE_END;
		if (f->request)
			conn->bound_endpoint = f->scratch[STEP_NUMBER];
		else
			conn->unnamed_endpoint = f->scratch[STEP_NUMBER];
	} else if (mode == MODE_NUMBER && is_digit(c)) {
		f->scratch[STEP_NUMBER] = f->scratch[STEP_NUMBER] * 10 + (c - '0');
	} else if (mode == MODE_SIZE && is_digit(c)) {
		f->scratch[STEP_NUMBER] = f->scratch[STEP_NUMBER] << 4 | (c - '0');
	} else if (mode == MODE_SIZE && is_letter(c)) {
		f->scratch[STEP_NUMBER] = f->scratch[STEP_NUMBER] << 4 | ((c & 0xf) + 9);
	} else if (mode == MODE_SIZE) {
		f->scratch[STEP_MODE] = MODE_SIZE_END; /* extensions */
	}
}

/* Sixteen bytes of a line, or of what a response is looked for in. */
static __always_inline void http_step_word(volatile struct follower *way, volatile struct framed *f, u32 left)
{
	u32 at = f->scratch[STEP_AT], place;
	bool search = f->scratch[STEP_MODE] == MODE_SEARCH;

	place = http_find(http_word(f, at), search ? 'H' : '\n');
	if (place == 8)
		place += http_find(http_word(f, at + 8), search ? 'H' : '\n');
	if (place >= left || place == 16) {
		f->scratch[STEP_AT] = at + (left < 16 ? left : 16);
		return;
	}
	at += place;
	if (!search) {
		http_line(way, f, at);
	} else if (left - place < 7 || (http_word(f, at) & HTTP_WORD_MASK) == HTTP_WORD) {
		f->scratch[STEP_LINE] = at;
		f->scratch[STEP_MODE] = MODE_END;
	} else {
		f->scratch[STEP_AT] = at + 1;
	}
}

/* Where a message begins: how it is to be looked at. */
static __always_inline void http_open(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	struct request *oldest;
	u32 first = http_word(f, 0);

	f->scratch[STEP_AT] = f->scratch[STEP_LINE] = f->scratch[STEP_NUMBER] = 0;
	f->scratch[STEP_MODE] = way->state == HTTP_SIZE ? MODE_SIZE : MODE_LINES;
	f->scratch[STEP_NOW] = f->now;
	if (f->scratch[STEP_SEARCH]) {
		f->scratch[STEP_AT] = 1;
		f->scratch[STEP_MODE] = MODE_SEARCH;
	}
	if (way->state > HTTP_LOOSE || f->scratch[STEP_SEARCH])
		return;
	way->flags &= HTTP_EXACT;
	way->type = 0;
	if (f->request) {
		f->scratch[STEP_MODE] = MODE_NAME;
		text_start(PROTOCOL_HTTP1);
		way->type = first == 0x44414548 ? HTTP_IS_HEAD : first == 0x4e4e4f43 ? HTTP_IS_CONNECT : 0;
		return;
	}
	oldest = in_flight(conn) ? request_at(conn, sk, conn->popped, false) : NULL;
	if (oldest)
		way->type = oldest->kind;
	way->number = (head_u8(f, 9) - '0') * 100 + (head_u8(f, 10) - '0') * 10 + (head_u8(f, 11) - '0');
	f->scratch[STEP_AT] = HTTP_STATUS_BYTES;
}

/* Runs through the head as far as it is there; false when there are more steps to take. */
static __always_inline bool http_steps(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	volatile struct text_state *text = http_text();
	u32 mode;

	if (!text)
		return true;
	if (f->scratch[STEP_NOW] != f->now)
		http_open(conn, sk, way, f);
	for (int i = 0; i < HTTP_STEPS; i++) {
		mode = f->scratch[STEP_MODE];
		if (mode >= MODE_END || f->scratch[STEP_AT] >= f->have) {
			f->scratch[STEP_NOW] = 0;
			return true;
		}
		if (mode == MODE_NAME)
			http_step_name(f, text);
		else if (mode == MODE_LINES || mode == MODE_SEARCH)
			http_step_word(way, f, f->have - f->scratch[STEP_AT]);
		else
			http_step_number(conn, way, f);
	}
	return false;
}

/* Bytes that went by unseen: a body, as far as one was announced. True when they were more than that, so the place is lost. */
static __always_inline bool http_unseen(struct conn *conn, volatile struct follower *way, bool request, u32 bytes)
{
	u64 *left = request ? &conn->bound_endpoint : &conn->unnamed_endpoint;
	bool body = way->state >= HTTP_BODY;

	if (body && bytes < *left) {
		*left -= bytes;
		return false;
	}
	if (body && bytes == *left) {
		way->state = way->state == HTTP_DATA ? HTTP_SIZE : HTTP_START;
		return false;
	}
	way->state = request ? HTTP_START : HTTP_LOOSE;
	return request;
}

/* The bytes that the head announces, as far as they are in this call: taken with it. */
static __always_inline void http_body(u64 *left, volatile struct follower *way, volatile struct framed *f)
{
	u64 here = http_remaining(f) - f->length, take = *left < here ? *left : here;

	f->length += take;
	*left -= take;
	if (take)
		way->flags &= ~HTTP_UNTOUCHED;
	if (!*left)
		way->state = way->state == HTTP_DATA ? HTTP_SIZE : HTTP_START;
}

/* The head of a request, the line of a chunk or the trailers are through: what comes next? */
static __always_inline void http_head_end(u64 *left, volatile struct follower *way, volatile struct framed *f)
{
	if (way->state == HTTP_SIZE) {
		way->state = *left ? HTTP_DATA : HTTP_HEAD;
		if (*left)
			*left += 2;
		else
			way->flags |= HTTP_TRAILERS;
	} else if (way->flags & HTTP_TRAILERS) {
		way->state = HTTP_START;
	} else if (!f->request && (way->number < 200 || way->number == 204 || way->number == 304 || way->type & HTTP_IS_HEAD)) {
		way->state = HTTP_START;
	} else if (way->flags & HTTP_CHUNKED) {
		way->state = HTTP_SIZE;
	} else if (way->flags & HTTP_LENGTH) {
		way->state = HTTP_BODY;
		if (way->flags & HTTP_EXPECT)
			way->flags |= HTTP_UNTOUCHED;
		http_body(left, way, f);
	} else {
		way->state = f->request ? HTTP_START : HTTP_LOOSE;
	}
}

#endif
