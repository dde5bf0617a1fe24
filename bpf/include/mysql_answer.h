/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a MySQL server says: packet by packet, with a state for each kind of packet that an answer may consist of.
 */
#ifndef MESHLENS_MYSQL_ANSWER_H
#define MESHLENS_MYSQL_ANSWER_H

#include "mysql_match.h"

static __always_inline void mysql_decide_end(volatile struct framed *f, u32 outcome, u32 status)
{
	f->scratch[DECIDED_ACTION] = MYSQL_END;
	f->scratch[DECIDED_OUTCOME] = outcome;
	f->scratch[DECIDED_STATUS] = status;
}

/* Who is at fault, by the number of the error and the class of its SQLSTATE; shared/protocols/_mysql_errors.py decides alike. */
static __always_inline u32 mysql_blame(volatile struct framed *f, u32 length, u32 number)
{
	u32 class = (u32)head_u8(f, 8) << 8 | head_u8(f, 9);

	if (number == 1203 || number == 1226)
		return OUTCOME_SERVER_ERROR;
	if (number == 1193 || number == 1210 || number == 1243 || number == 1364 || number == 1366 || number == 1411 ||
	    number == 3819)
		return OUTCOME_CLIENT_ERROR;
	if (length < 9 || head_u8(f, 7) != '#')
		return OUTCOME_SERVER_ERROR;
	if (class == 0x3037 || class == 0x3041 || (class >= 0x3231 && class <= 0x3233) || class == 0x3235 || class == 0x3238 ||
	    class == 0x3344 || class == 0x3432 || class == 0x3434 || class == 0x3435)
		return OUTCOME_CLIENT_ERROR;
	return OUTCOME_SERVER_ERROR;
}

/* The place behind a number of variable length. */
static __always_inline u32 mysql_behind(volatile struct framed *f, u32 at)
{
	u8 first = head_u8(f, at);

	return at + (first < 0xfb ? 1 : first == 0xfc ? 3 : first == 0xfd ? 4 : 9);
}

/* The flags of an OK or of an end of rows. */
static __always_inline u32 mysql_flags(volatile struct framed *f, u32 length)
{
	return head_le16(f, length == 5 ? 7 : mysql_behind(f, mysql_behind(f, 5)));
}

/* A result is through: is it the last? */
static __always_inline void mysql_result_end(volatile struct follower *way, volatile struct framed *f, u32 length)
{
	way->state = MYSQL_START;
	if (!(mysql_flags(f, length) & MYSQL_MORE_RESULTS))
		mysql_decide_end(f, OUTCOME_OK, 0);
}

static __always_inline void mysql_failed(volatile struct follower *way, volatile struct framed *f, u32 length)
{
	u32 number = head_le16(f, 5);

	if (number == 0xffff)
		return; /* MariaDB tells how far it has come */
	way->state = MYSQL_START;
	mysql_decide_end(f, mysql_blame(f, length, number), number);
}

static __always_inline void mysql_prepared(struct conn *conn, volatile struct follower *way, volatile struct framed *f, u64 asked)
{
	u64 endpoint = asked ^ MYSQL_PREPARED;
	struct mysql_statement key;

	mysql_key(&key, conn, head_le32(f, 5));
	l7_mysql_statements.update(&key, &endpoint);
	way->number = head_le16(f, 9) + head_le16(f, 11);
	way->state = MYSQL_TAIL;
	mysql_decide_end(f, OUTCOME_OK, 0);
}

/* How many columns follow; MariaDB may say that they do not. */
static __always_inline void mysql_columns(volatile struct follower *way, volatile struct framed *f, u32 length)
{
	u32 first = head_u8(f, 4), size = first == 0xfc ? 3 : 1;

	way->number = first == 0xfc ? head_le16(f, 5) : first;
	way->state = MYSQL_COLUMNS;
	if (length > size && !head_u8(f, 4 + size))
		way->number = 0;
	if (!way->number)
		way->state = MYSQL_FIRST_ROW;
}

/* The first packet of a result. */
static __always_inline void mysql_first(struct conn *conn, volatile struct follower *way, volatile struct framed *f, u32 length,
					u32 kind, u64 endpoint)
{
	u8 first = head_u8(f, 4);

	if (first == 0xff) {
		mysql_failed(way, f, length);
	} else if (kind == MYSQL_STATISTICS) {
		mysql_decide_end(f, OUTCOME_OK, 0);
	} else if (kind == MYSQL_BINLOG || kind == MYSQL_BINLOG_GTID) {
		way->state = MYSQL_EVENTS;
		mysql_decide_end(f, OUTCOME_OK, 0);
	} else if (kind & MYSQL_LOGIN || kind == MYSQL_CHANGE_USER) {
		if (first == 0)
			mysql_decide_end(f, OUTCOME_OK, 0);
		if (first == 0 && kind & MYSQL_COMPRESS && kind & MYSQL_LOGIN)
			conn->ways[0].state = way->state = MYSQL_COMPRESSED;
	} else if (kind == MYSQL_FIELDS || kind == MYSQL_FETCH) {
		way->state = MYSQL_ROWS;
		if (first == 0xfe && length < 9)
			mysql_result_end(way, f, length);
	} else if (first == 0 && kind == MYSQL_PREPARE) {
		mysql_prepared(conn, way, f, endpoint);
	} else if (first == 0 || first == 0xfe) {
		mysql_result_end(way, f, length);
	} else if (first == 0xfb) {
		conn->ways[0].state = MYSQL_FILE;
	} else {
		mysql_columns(way, f, length);
	}
}

/* A packet behind the columns. */
static __always_inline void mysql_row(volatile struct follower *way, volatile struct framed *f, u32 length)
{
	u8 first = head_u8(f, 4), state = way->state;

	way->state = MYSQL_ROWS;
	if (first == 0xff)
		mysql_failed(way, f, length);
	else if (first == 0xfe && length == 5 && state == MYSQL_FIRST_ROW && !(head_le16(f, 7) & MYSQL_CURSOR))
		return; /* the end of the columns, as servers of old mark it */
	else if (first == 0xfe && length < MYSQL_FULL)
		mysql_result_end(way, f, length);
}

/* Columns and rows that lie in the head one behind the other are passed over together. False when the first is none of them. */
static __always_inline bool mysql_pass(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[1];
	u32 length;
	u8 first;

	f->scratch[7] = 0;
	for (u32 i = 0; i < MYSQL_PACKETS; i++) {
		if (f->scratch[7] + 5 > f->have)
			break;
		length = mysql_length(f, f->scratch[7]);
		first = head_u8(f, f->scratch[7] + 4);
		if (!length || length == MYSQL_FULL || (way->state == MYSQL_ROWS && first >= 0xfe))
			break;
		f->scratch[7] += 4 + length;
		if (way->state == MYSQL_COLUMNS && --way->number == 0)
			way->state = MYSQL_FIRST_ROW;
		if (way->state == MYSQL_FIRST_ROW)
			break;
	}
	f->length = f->scratch[7];
	if (!f->length)
		return false;
	way->pending += f->length;
	f->credited = 1;
	return true;
}

/* Whether columns or rows come next, and there are turns left to read them. */
static __always_inline bool mysql_passes(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[1];

	return !f->request && (way->state == MYSQL_ROWS || way->state == MYSQL_COLUMNS) && !(way->flags & MYSQL_GOES_ON) &&
	       way->flags & MYSQL_BEGUN && f->turns + 2 < MAX_TAIL_CALLS;
}

/* What follows the answer to a PREPARE; false when this packet does not. */
static __always_inline bool mysql_tail(volatile struct follower *way, volatile struct framed *f, u32 length)
{
	bool mark = length == 5 && head_u8(f, 4) == 0xfe;

	if (way->number) {
		way->number -= !mark;
		return true;
	}
	return mark && head_u8(f, 3) > 2;
}

/* Rows without end: the request is counted as answered, and the rest is not read. */
static __always_inline void mysql_give_up(volatile struct follower *way, volatile struct framed *f)
{
	f->length = mysql_rest(f);
	way->state = MYSQL_BLIND;
	mysql_decide_end(f, OUTCOME_OK, 0);
}

/* A message of the server while nothing is in flight: a greeting, a refusal, a farewell. */
static __always_inline void mysql_unasked(struct conn *conn, volatile struct follower *way, volatile struct framed *f, u32 length)
{
	u8 first = head_u8(f, 4);

	if (way->state == MYSQL_EVENTS && first != 0xfe) {
		f->scratch[DECIDED_ACTION] = MYSQL_ONE_WAY;
		f->scratch[DECIDED_ENDPOINT] = mysql_named(MYSQL_EVENT);
	} else if (first == 10 && !head_u8(f, 3) && !conn->pushed) {
		way->flags |= MYSQL_GREETED;
	} else if (first == 0xff && !head_u8(f, 3) && !conn->pushed && !(way->flags & MYSQL_GREETED)) {
		f->scratch[DECIDED_ACTION] = MYSQL_ONE_WAY;
		f->scratch[DECIDED_ENDPOINT] = mysql_named(MYSQL_LOGIN);
		f->scratch[DECIDED_OUTCOME] = mysql_blame(f, length, head_le16(f, 5));
		f->scratch[DECIDED_STATUS] = head_le16(f, 5);
	} else {
		way->state = MYSQL_BLIND;
	}
}

static __always_inline u32 mysql_answered(struct conn *conn, void *sk, volatile struct framed *f, u32 length)
{
	u32 wanted = length + 4 < MYSQL_ANSWER_BYTES ? length + 4 : MYSQL_ANSWER_BYTES;
	volatile struct follower *way = &conn->ways[1];
	struct request *oldest;

	if (way->state == MYSQL_BLIND) {
		f->length = mysql_rest(f);
		return FRAME_DONE;
	}
	if (way->flags & MYSQL_GOES_ON)
		return FRAME_DONE;
	if (f->have < wanted)
		return wanted;
	if (way->state == MYSQL_TAIL && mysql_tail(way, f, length))
		return FRAME_DONE;
	if (way->state == MYSQL_TAIL)
		way->state = MYSQL_START;
	oldest = in_flight(conn) ? request_at(conn, sk, conn->popped, false) : NULL;
	if (!oldest) {
		mysql_unasked(conn, way, f, length);
		return FRAME_DONE;
	}
	if (way->state == MYSQL_EVENTS)
		way->state = MYSQL_START;
	if (!(way->flags & MYSQL_BEGUN)) {
		conn->answer_ns = f->began;
		way->pending = 0;
		way->flags |= MYSQL_BEGUN;
	}
	if ((way->state == MYSQL_ROWS || way->state == MYSQL_COLUMNS) && f->turns + 2 >= MAX_TAIL_CALLS && in_flight(conn) == 1)
		mysql_give_up(way, f);
	else if (way->state == MYSQL_START)
		mysql_first(conn, way, f, length, oldest->kind, oldest->endpoint);
	else
		mysql_row(way, f, length);
	return FRAME_DONE;
}

#endif
