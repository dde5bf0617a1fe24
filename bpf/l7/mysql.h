/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MySQL and MariaDB, text and prepared statements, with pipelining.
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 *
 * A request is one command, or the log-in. The endpoint of a statement is its text without the values, whether it is sent as text
 * or executed by the id that the answer to its PREPARE gave; an id from before the connection was watched is only `EXECUTE`.
 * A response is read to its end, packet by packet, because an error may come behind rows and another result behind a result.
 * Where that takes too long the request is counted as answered, and what is left is passed over until the next command.
 */
#ifndef MESHLENS_MYSQL_H
#define MESHLENS_MYSQL_H

#include "mysql_answer.h"
#include "sql.h"

FRAMED_PROTOCOL(mysql, PROTOCOL_MYSQL, 2)

#define MYSQL_HEADER 4
#define MYSQL_TURNS 3

/* ---- towards the server -------------------------------------------------------------------------------------- */

/* Takes the message once more, from its beginning. */
static __always_inline u32 mysql_again(volatile struct framed *f)
{
	f->length = 0;
	f->credited = 1;
	return FRAME_DONE;
}

/* Reads on in the statement that lies in the head. It stands before everything else: so the verifier comes here by one way. */
static __always_inline u32 mysql_text(struct conn *conn, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	volatile struct sql_text *text = &conn->sql;

	if (f->have < way->pending)
		return way->pending;
	for (u32 i = 0; i < MYSQL_TEXT_BYTES; i++) {
		if (way->number >= way->pending)
			break;
		sql_byte_of(text, head_u8(f, way->number), SQL_MYSQL);
		way->number++;
	}
	return mysql_again(f);
}

/* Keeps the text of a PREPARE for the samples of its executions. */
static __always_inline void mysql_keep_text(volatile struct framed *f, u64 endpoint)
{
	if (l7_mysql_texts.lookup(&endpoint))
		return;
	f->head[4] = MYSQL_EXECUTE;
	l7_mysql_texts.update(&endpoint, (struct mysql_text *)f->head);
	f->head[4] = MYSQL_PREPARE;
}

/* The statement is through: its endpoint; of a PREPARE it is kept for the executions. */
static __always_inline u64 mysql_told(struct conn *conn, volatile struct framed *f, u32 command)
{
	u64 endpoint = endpoint_of(((volatile struct sql_text *)&conn->sql)->hash);

	if (command == MYSQL_QUERY)
		return endpoint;
	conn->bound_endpoint = endpoint;
	mysql_keep_text(f, endpoint);
	return endpoint ^ MYSQL_PREPARED;
}

/* Where the statement of a command begins; 0 where it cannot be told. */
static __always_inline u32 mysql_text_at(volatile struct framed *f, u32 command)
{
	u8 first = head_u8(f, 5);

	if (command != MYSQL_QUERY && command != MYSQL_PREPARE)
		return 0;
	if (command == MYSQL_QUERY && first == 0 && head_u8(f, 6) == 1)
		return 7; /* no attributes stand before it */
	return first < '\t' ? 0 : 5;
}

static __always_inline u64 mysql_executed(struct conn *conn, volatile struct framed *f, u32 command)
{
	u32 id = head_le32(f, 5);
	struct mysql_statement key;
	u64 *known;

	if (id == MYSQL_LAST_STATEMENT && conn->bound_endpoint)
		return conn->bound_endpoint;
	mysql_key(&key, conn, id);
	known = l7_mysql_statements.lookup(&key);
	return known ? *known : mysql_named(command);
}

static __always_inline void mysql_forget(struct conn *conn, volatile struct framed *f)
{
	struct mysql_statement key;

	mysql_key(&key, conn, head_le32(f, 5));
	l7_mysql_statements.delete(&key);
}

/* The log-in; with it the connection may turn into one that is encrypted. */
static __always_inline void mysql_login(struct conn *conn, volatile struct framed *f, u32 length)
{
	u32 wants = head_le32(f, 4);

	if (wants & MYSQL_TLS && length == 32) {
		conn->ways[1].state = conn->ways[1].flags = 0;
		conn->protocol = PROTOCOL_TLS;
		return;
	}
	f->scratch[DECIDED_ACTION] = MYSQL_ASK;
	f->scratch[DECIDED_ENDPOINT] = mysql_named(MYSQL_LOGIN);
	f->scratch[DECIDED_KIND] = MYSQL_LOGIN | (wants & (MYSQL_COMPRESS | MYSQL_ZSTD) ? MYSQL_COMPRESS : 0);
}

static __always_inline void mysql_command(struct conn *conn, volatile struct framed *f, u32 command)
{
	bool one_way = command == MYSQL_QUIT || command == MYSQL_LONG_DATA || command == MYSQL_CLOSE;

	f->scratch[DECIDED_KIND] = command;
	f->scratch[DECIDED_ACTION] = one_way ? MYSQL_ONE_WAY : MYSQL_ASK;
	if (conn->ways[0].state == MYSQL_TEXT)
		f->scratch[DECIDED_ENDPOINT] = mysql_told(conn, f, command);
	else if (command == MYSQL_EXECUTE || command == MYSQL_BULK)
		f->scratch[DECIDED_ENDPOINT] = mysql_executed(conn, f, command);
	else
		f->scratch[DECIDED_ENDPOINT] = mysql_named(command);
	if (command == MYSQL_CLOSE)
		mysql_forget(conn, f);
}

/*
 * Packets within packets that are compressed: what begins an exchange is a request, what it says is not known. Short ones are
 * sent as they are: so a farewell is told from a request.
 */
static __always_inline u32 mysql_compressed(struct conn *conn, volatile struct framed *f)
{
	u32 inner = head_u8(f, 11);

	f->length = mysql_length(f, 0) + 7;
	if (f->have < 7)
		return 7;
	if (f->request && !head_u8(f, 3) && !in_flight(conn)) {
		f->scratch[DECIDED_ACTION] = MYSQL_ASK;
		f->scratch[DECIDED_ENDPOINT] = mysql_named(MYSQL_COMPRESSION);
		f->scratch[DECIDED_KIND] = MYSQL_COMPRESSION;
		if (mysql_length(f, 4) || f->length < 12)
			return FRAME_DONE;
		if (f->have < 12)
			return 12;
		if (inner == MYSQL_QUIT || inner == MYSQL_CLOSE || inner == MYSQL_LONG_DATA)
			f->scratch[DECIDED_ACTION] = MYSQL_ONE_WAY;
	} else if (!f->request && in_flight(conn)) {
		conn->answer_ns = f->began;
		conn->ways[1].pending = 0;
		f->scratch[DECIDED_ACTION] = MYSQL_END;
	}
	return FRAME_DONE;
}

/* A packet towards the server. */
static __always_inline u32 mysql_asked(struct conn *conn, volatile struct framed *f, u32 length)
{
	u32 whole = length + 4 < FRAME_HEAD_BYTES ? length + 4 : FRAME_HEAD_BYTES, command;
	volatile struct follower *way = &conn->ways[0];

	if (way->flags & MYSQL_GOES_ON || way->state == MYSQL_FILE) {
		if (way->state == MYSQL_FILE && !length)
			way->state = MYSQL_START;
		return FRAME_DONE;
	}
	if (f->have < whole)
		return whole;
	if (head_u8(f, 3)) {
		if (!in_flight(conn) && mysql_is_login(f, length))
			mysql_login(conn, f, length);
		return FRAME_DONE;
	}
	command = head_u8(f, 4);
	if (!length || (command > MYSQL_RESET_CONNECTION && command != MYSQL_BULK))
		return FRAME_WRONG;
	if (way->state != MYSQL_TEXT && mysql_text_at(f, command)) {
		way->state = MYSQL_TEXT;
		way->number = mysql_text_at(f, command);
		way->pending = whole;
		sql_start_of(&conn->sql, PROTOCOL_MYSQL);
		f->scratch[DECIDED_BEGAN] = f->began;
		f->scratch[DECIDED_ACTION] = MYSQL_AGAIN;
		return FRAME_DONE;
	}
	if (way->state == MYSQL_TEXT)
		f->began = f->scratch[DECIDED_BEGAN];
	mysql_command(conn, f, command);
	way->state = MYSQL_START;
	return FRAME_DONE;
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

/* The oldest request is answered, from its first packet on. */
static __always_inline void mysql_end(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();
	volatile struct follower *way = &conn->ways[1];

	way->flags &= ~MYSQL_BEGUN;
	if (!pending)
		return;
	framed_answer(pending, f, f->scratch[DECIDED_OUTCOME], f->scratch[DECIDED_STATUS]);
	pending->now = conn->answer_ns;
	pending->response_bytes = way->pending + f->length;
	request_pop(pending, conn, sk);
}

static __always_inline void mysql_ask(struct conn *conn, void *sk, volatile struct framed *f)
{
	u64 endpoint = f->scratch[DECIDED_ENDPOINT];
	struct request *request;
	struct mysql_text *text;

	if (!in_flight(conn)) {
		conn->overflowed = 0;
		if (conn->ways[1].state != MYSQL_TAIL && conn->ways[1].state != MYSQL_COMPRESSED)
			conn->ways[1].state = MYSQL_START;
		conn->ways[1].flags = 0;
	}
	request = framed_request(conn, sk, f, endpoint);
	if (!request)
		return;
	request->kind = f->scratch[DECIDED_KIND];
	if (request->kind != MYSQL_EXECUTE || conn->head_index + 1 != conn->pushed)
		return;
	text = l7_mysql_texts.lookup(&endpoint);
	if (!text)
		return;
	bpf_probe_read_kernel(conn->head, REQUEST_HEAD_BYTES, text->head);
	conn->head_bytes = (*(u32 *)text->head & 0xffffff) + 4;
	if (conn->head_bytes > REQUEST_HEAD_BYTES)
		conn->head_bytes = REQUEST_HEAD_BYTES;
}

static __always_inline u32 mysql_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = f->request ? &conn->ways[0] : &conn->ways[1];
	u32 length, asked;

	if (f->request && conn->ways[0].state == MYSQL_TEXT && conn->ways[0].number < conn->ways[0].pending)
		return mysql_text(conn, f);
	if (mysql_passes(conn, f) && mysql_pass(conn, f))
		return FRAME_DONE;
	length = mysql_length(f, 0);
	f->length = length + 4;
	f->scratch[DECIDED_ACTION] = MYSQL_PASS;
	f->scratch[DECIDED_OUTCOME] = OUTCOME_OK;
	f->scratch[DECIDED_STATUS] = 0;
	if (way->state == MYSQL_COMPRESSED)
		asked = mysql_compressed(conn, f);
	else
		asked = f->request ? mysql_asked(conn, f, length) : mysql_answered(conn, sk, f, length);
	f->settled = asked;
	if (f->settled)
		return f->settled;
	length = mysql_length(f, 0); /* read anew: the verifier forgets by which way it came here */
	if (f->scratch[DECIDED_ACTION] == MYSQL_AGAIN)
		return mysql_again(f);
	way->flags = length == MYSQL_FULL && way->state != MYSQL_COMPRESSED ? way->flags | MYSQL_GOES_ON : way->flags & ~MYSQL_GOES_ON;
	if (f->scratch[DECIDED_ACTION] == MYSQL_ASK) {
		mysql_ask(conn, sk, f);
	} else if (f->scratch[DECIDED_ACTION] == MYSQL_ONE_WAY) {
		framed_one_way(conn, f, f->scratch[DECIDED_ENDPOINT], f->scratch[DECIDED_OUTCOME], f->scratch[DECIDED_STATUS]);
	} else if (f->scratch[DECIDED_ACTION] == MYSQL_END) {
		mysql_end(conn, sk, f);
	} else if (!f->request && in_flight(conn) && way->flags & MYSQL_BEGUN) {
		way->pending += f->length;
		f->credited = 1;
	}
	return FRAME_DONE;
}

#endif
