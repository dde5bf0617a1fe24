/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ClickHouse's native protocol.
 *
 * https://clickhouse.com/docs/native-protocol/basics
 *
 * A connection runs one query at a time, and its packets say not how long they are: so a call is read from its beginning only.
 * The text of a query is searched for behind fields that differ from revision to revision; the head of a sample begins with the
 * stage that stands right before it (shared/protocols/_clickhouse_packets.py searches alike). A query is answered when the server
 * says so in the last byte of a call, or by an exception among the first bytes of one.
 */
#ifndef MESHLENS_CLICKHOUSE_H
#define MESHLENS_CLICKHOUSE_H

#include "framed.h"
#include "sql.h"

FRAMED_PROTOCOL(clickhouse, PROTOCOL_CLICKHOUSE, 2)

#define CLICKHOUSE_HEADER 1
#define CLICKHOUSE_TURNS 2
#define CH_TEXT_BYTES 16 /* of a statement that are read in one turn */
#define CH_SEARCHED 64 /* bytes in which a statement is searched for in one turn */
#define CH_WINDOW 8 /* bytes that tell where a statement begins */
#define CH_SEARCH_END 4096 /* bytes after which a query is called only that */
#define CH_EXCEPTION_BYTES 200 /* of a call in which an exception may begin */

enum ch_packet { CH_HELLO, CH_QUERY, CH_DATA, CH_CANCEL, CH_PING, CH_TABLES };
enum ch_answer { CH_BLOCK = 1, CH_EXCEPTION, CH_PROGRESS, CH_PONG, CH_END_OF_STREAM };
enum ch_state { CH_IDLE, CH_SEARCH, CH_TEXT };
enum ch_action { CH_PASS, CH_AGAIN, CH_ASK, CH_END };
enum ch_decided { CH_ACTION, CH_ENDPOINT, CH_KIND, CH_OUTCOME, CH_STATUS, CH_BEGAN, CH_AT };

static __always_inline u64 ch_named(u32 kind)
{
	return endpoint_of(mix(mix(HASH_START, PROTOCOL_CLICKHOUSE), kind << 8));
}

static __always_inline u32 ch_rest(volatile struct framed *f)
{
	return f->before + f->view.left;
}

/* ---- recognition --------------------------------------------------------------------------------------------- */

/* The id of a query, and whether it is the first or one that a server sends on. */
static __always_inline bool ch_is_query(volatile struct framed *f)
{
	u32 id = head_u8(f, 1), kind = head_u8(f, id + 2);

	return head_u8(f, 0) == CH_QUERY && id <= 64 && f->have >= id + 4 && (kind == 1 || kind == 2) && head_u8(f, id + 3) < 128 &&
	       (id == 0 || (head_u8(f, 2) > ' ' && head_u8(f, 2) < 0x7f));
}

/* The name of a product, its version and a revision, in numbers of one, one and three bytes. */
static __always_inline bool ch_is_hello(volatile struct framed *f)
{
	u32 at = head_u8(f, 1) + 2, revision;

	revision = (head_u8(f, at + 2) & 0x7f) | (head_u8(f, at + 3) & 0x7f) << 7 | head_u8(f, at + 4) << 14;
	return !head_u8(f, 0) && at >= 5 && at < 130 && f->have >= at + 6 && is_letter(head_u8(f, 2)) && is_letter(head_u8(f, 3)) &&
	       revision >= 50000 && revision < 70000;
}

static __always_inline enum match clickhouse_match(struct conn *conn, volatile struct framed *f)
{
	u32 kind = head_u8(f, 0), name = head_u8(f, 1);

	if (!f->request || kind > CH_QUERY)
		return MATCH_NO;
	if (f->have < 2)
		return MATCH_MORE;
	if (kind == CH_QUERY)
		return name > 64 ? MATCH_NO : f->have < name + 24 ? MATCH_MORE : ch_is_query(f) && name != 1 ? MATCH_YES : MATCH_NO;
	if (name < 3 || name > 127)
		return MATCH_NO;
	return f->have < name + 8 ? MATCH_MORE : ch_is_hello(f) ? MATCH_YES : MATCH_NO;
}

/* ---- towards the server -------------------------------------------------------------------------------------- */

/* Letters, white space, brackets and what begins a comment. */
static __always_inline bool ch_begins_text(volatile struct sql_kinds *kinds, u8 c)
{
	u32 may = 1 << KIND_LETTER | 1 << KIND_SPACE | 1 << KIND_NEWLINE | 1 << KIND_SLASH | 1 << KIND_STAR | 1 << KIND_DASH |
		  1 << KIND_HASH;

	return (may >> sql_kind(kinds, c) & 1) || c == '(';
}

/* The length of the statement whose stage lies at *at*; where it begins lies in CH_AT. */
static __always_inline u32 ch_length(volatile struct framed *f, u32 at)
{
	u32 first = head_u8(f, at + 2), second = head_u8(f, at + 3), third = head_u8(f, at + 4);

	f->scratch[CH_AT] = at + (first < 0x80 ? 3 : second < 0x80 ? 4 : 5);
	return first < 0x80 ? first : second < 0x80 ? (first & 0x7f) | second << 7 : (first & 0x7f) | (second & 0x7f) << 7 | third << 14;
}

/* Whether the stage of a statement lies at *at*: the stage, the compression, the length, four bytes of text, what follows it. */
static __always_inline bool ch_is_stage(volatile struct framed *f, u32 at)
{
	volatile struct sql_kinds *kinds;
	u32 length, text, end, zero = 0;

	if ((u8)(head_u8(f, at) - 1) > 1 || head_u8(f, at + 1) > 1 || head_u8(f, at + 2) < 4)
		return false;
	length = ch_length(f, at);
	text = f->scratch[CH_AT];
	kinds = l7_sql_kinds.lookup(&zero);
	if (!kinds || length < 5 || !ch_begins_text(kinds, head_u8(f, text)) || !ch_begins_text(kinds, head_u8(f, text + 1)) ||
	    !ch_begins_text(kinds, head_u8(f, text + 2)))
		return false;
	end = text + length;
	return end >= f->have || head_u8(f, end) == 0 || head_u8(f, end) == CH_DATA;
}

/* Takes the bytes up to what may be a statement, or the first of those that are none. */
static __always_inline u32 ch_search(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];

	if (f->have < CH_WINDOW + 1)
		return CH_WINDOW + 1;
	f->scratch[7] = 0;
	for (u32 i = 0; i < CH_SEARCHED; i++) {
		if (f->scratch[7] + CH_WINDOW >= f->have)
			break;
		if ((u8)(head_u8(f, f->scratch[7]) - 1) < 2 && head_u8(f, f->scratch[7] + 1) < 2 && head_u8(f, f->scratch[7] + 2) > 3)
			break;
		f->scratch[7]++;
	}
	f->length = f->scratch[7];
	if (!f->length && ch_is_stage(f, 0)) {
		way->state = CH_TEXT;
		way->number = 0;
	} else if (!f->length) {
		f->length = 1;
	}
	way->pending += f->length;
	f->credited = 1;
	return FRAME_DONE;
}

/* Reads on in the statement. */
static __always_inline u32 ch_text(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	volatile struct sql_text *text = &conn->sql;

	for (u32 i = 0; i < CH_TEXT_BYTES; i++) {
		if (way->number >= f->scratch[7])
			break;
		sql_byte_of(text, head_u8(f, way->number), SQL_CLICKHOUSE);
		way->number++;
	}
	f->length = 0;
	f->credited = 1;
	return FRAME_DONE;
}

/* Where the part of the statement ends that can be read. */
static __always_inline u32 ch_text_end(volatile struct framed *f)
{
	u32 end = ch_length(f, 0);

	end += f->scratch[CH_AT];
	return end < FRAME_HEAD_BYTES ? end : FRAME_HEAD_BYTES;
}

static __always_inline void ch_decide(volatile struct framed *f, u32 kind, u64 endpoint)
{
	f->scratch[CH_ACTION] = CH_ASK;
	f->scratch[CH_ENDPOINT] = endpoint;
	f->scratch[CH_KIND] = kind;
}

/* A call of the client, from its beginning. */
static __always_inline u32 ch_asked(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	u32 kind = head_u8(f, 0), id = head_u8(f, 1);
	bool busy = in_flight(conn) && !conn->answer_ns;

	if (kind == CH_PING && !busy && f->have == 1 && ch_rest(f) == 1) {
		f->length = 1;
		ch_decide(f, CH_PING, ch_named(CH_PING));
		return FRAME_DONE;
	}
	f->length = ch_rest(f);
	if (busy || kind > CH_QUERY || (kind == CH_QUERY && f->have >= 2 && id > 64))
		return FRAME_DONE;
	if (kind == CH_HELLO && !conn->pushed) {
		if (f->have < 2 || f->have < id + 8)
			return f->have < 2 ? 2 : id + 8;
		if (ch_is_hello(f))
			ch_decide(f, CH_HELLO, ch_named(0x100));
		return FRAME_DONE;
	}
	if (kind == CH_HELLO) {
		/* What newer clients send behind the greeting: an empty key of a quota, perhaps with a query behind it. */
		f->length = f->have > 1 && head_u8(f, 1) == CH_QUERY ? 1 : ch_rest(f);
		return FRAME_DONE;
	}
	if (f->have < 2 || f->have < id + 4)
		return f->have < 2 ? 2 : id + 4;
	if (!ch_is_query(f))
		return FRAME_DONE;
	f->length = id + 3;
	f->credited = 1;
	way->pending = f->length;
	way->state = CH_SEARCH;
	conn->name = f->began;
	sql_start_of(&conn->sql, PROTOCOL_CLICKHOUSE);
	return FRAME_DONE;
}

/* The statement lies in the head, from its stage on. */
static __always_inline u32 ch_query(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	u32 length = ch_length(f, 0);

	f->began = conn->name;
	f->length = length + f->scratch[CH_AT];
	ch_decide(f, CH_QUERY, endpoint_of(((volatile struct sql_text *)&conn->sql)->hash));
	way->state = CH_IDLE;
	return FRAME_DONE;
}

/* ---- back ---------------------------------------------------------------------------------------------------- */

/* Whether an exception begins at *at*: its code, the length of its name, and the name. */
static __always_inline bool ch_is_exception(volatile struct framed *f, u32 at)
{
	u32 name = head_le32(f, at + 6);

	return head_u8(f, at) == CH_EXCEPTION && (u8)(head_u8(f, at + 5) - 5) < 36 && !(head_le32(f, at + 1) >> 17) &&
	       (name == 0x3a3a4244 || name == 0x3a647473);
}

/* Whose fault; shared/protocols/clickhouse.py has the same codes. */
static __always_inline u32 ch_blame(u32 code)
{
	u64 low = 1ULL << 6 | 1ULL << 10 | 1ULL << 15 | 1ULL << 16 | 1ULL << 17 | 1ULL << 20 | 1ULL << 26 | 1ULL << 27 | 1ULL << 34 |
		  1ULL << 35 | 1ULL << 36 | 1ULL << 38 | 1ULL << 41 | 1ULL << 42 | 1ULL << 43 | 1ULL << 44 | 1ULL << 46 |
		  1ULL << 47 | 1ULL << 48 | 1ULL << 50 | 1ULL << 52 | 1ULL << 53 | 1ULL << 57 | 1ULL << 60 | 1ULL << 62 | 1ULL << 63;
	u64 next = 1ULL << (69 - 64) | 1ULL << (70 - 64) | 1ULL << (72 - 64) | 1ULL << (73 - 64) | 1ULL << (78 - 64) |
		   1ULL << (80 - 64) | 1ULL << (81 - 64) | 1ULL << (82 - 64) | 1ULL << (115 - 64);
	bool caller = code < 64 ? low >> code & 1 : code < 128 ? next >> (code - 64) & 1 : (code >= 192 && code <= 195) ||
		code == 153 || code == 164 || code == 179 || code == 184 || code == 206 || code == 215 || code == 350 ||
		code == 352 || code == 386 || code == 395 || code == 497 || code == 516;

	return caller ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR;
}

/* Searches for an exception among the first bytes of a call; CH_STATUS is its code. */
static __always_inline bool ch_failed(volatile struct framed *f)
{
	f->scratch[7] = 0;
	for (u32 i = 0; i < CH_EXCEPTION_BYTES; i++) {
		if (f->scratch[7] + 10 > f->have)
			break;
		if (head_u8(f, f->scratch[7]) == CH_EXCEPTION && head_u8(f, f->scratch[7] + 8) == ':')
			break;
		f->scratch[7]++;
	}
	if (f->scratch[7] + 10 > f->have || !ch_is_exception(f, f->scratch[7]))
		return false;
	f->scratch[CH_STATUS] = head_le32(f, f->scratch[7] + 1);
	return true;
}

static __always_inline void ch_decide_end(volatile struct framed *f, u32 outcome)
{
	f->scratch[CH_ACTION] = CH_END;
	f->scratch[CH_OUTCOME] = outcome;
}

/* The last byte of the call, where it lies in one piece. */
static __always_inline u8 ch_last(volatile struct framed *f)
{
	u64 behind = f->view.at + f->view.here - 1;
	u8 last = 0;

	if (f->view.left == 0 || f->view.here != f->view.left)
		return f->have == ch_rest(f) ? head_u8(f, f->have - 1) : 0;
	bpf_probe_read_user(&last, 1, (void *)behind);
	return last;
}

/* A call of the server, from its beginning. */
static __always_inline u32 ch_answered(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *oldest = in_flight(conn) ? request_at(conn, sk, conn->popped, false) : NULL;
	u32 kind = head_u8(f, 0), last;

	f->length = ch_rest(f);
	if (!oldest)
		return FRAME_DONE;
	if (!conn->answer_ns) {
		conn->answer_ns = f->began;
		conn->ways[1].pending = 0;
	}
	conn->ways[1].pending += f->length;
	f->credited = 1;
	last = ch_last(f);
	f->scratch[CH_KIND] = oldest->kind;
	if (ch_failed(f))
		ch_decide_end(f, ch_blame(f->scratch[CH_STATUS]));
	else if (f->scratch[CH_KIND] != CH_QUERY || (last == CH_END_OF_STREAM && kind < 18))
		ch_decide_end(f, OUTCOME_OK);
	else if (f->length == 1 && kind == CH_END_OF_STREAM)
		ch_decide_end(f, OUTCOME_OK);
	return FRAME_DONE;
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

static __always_inline void ch_end(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();

	if (!pending)
		return;
	framed_answer(pending, f, f->scratch[CH_OUTCOME], f->scratch[CH_STATUS]);
	if (f->request)
		pending->framed_answer = ANSWER_ELSEWHERE;
	pending->now = conn->answer_ns;
	pending->response_bytes = conn->ways[1].pending;
	request_pop(pending, conn, sk);
	conn->answer_ns = 0;
}

static __always_inline void ch_ask(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *request;

	if (in_flight(conn) && conn->answer_ns)
		ch_end(conn, sk, f); /* the next query says that this one is through */
	if (!in_flight(conn))
		conn->answer_ns = 0;
	request = framed_request(conn, sk, f, f->scratch[CH_ENDPOINT]);
	if (!request)
		return;
	request->kind = f->scratch[CH_KIND];
	if (request->kind == CH_QUERY)
		request->bytes += conn->ways[0].pending;
}

static __always_inline u32 clickhouse_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	u32 asked;

	if (f->request && way->state == CH_SEARCH && way->pending < CH_SEARCH_END)
		return ch_search(conn, f);
	if (f->request && way->state == CH_TEXT) {
		f->scratch[7] = ch_text_end(f);
		if (f->have < f->scratch[7])
			return f->scratch[7];
		if (!way->number)
			way->number = f->scratch[CH_AT];
		if (way->number < f->scratch[7])
			return ch_text(conn, f);
	}
	f->scratch[CH_ACTION] = CH_PASS;
	f->scratch[CH_OUTCOME] = OUTCOME_OK;
	f->scratch[CH_STATUS] = 0;
	if (f->request && way->state == CH_SEARCH) {
		f->length = 1;
		ch_decide(f, CH_QUERY, ch_named(CH_QUERY));
		way->state = CH_IDLE;
		asked = FRAME_DONE;
	} else if (f->request) {
		asked = way->state == CH_TEXT ? ch_query(conn, f) : ch_asked(conn, f);
	} else {
		asked = ch_answered(conn, sk, f);
	}
	f->settled = asked;
	if (f->settled)
		return f->settled;
	if (f->scratch[CH_ACTION] == CH_ASK)
		ch_ask(conn, sk, f);
	else if (f->scratch[CH_ACTION] == CH_END)
		ch_end(conn, sk, f);
	return FRAME_DONE;
}

#endif
