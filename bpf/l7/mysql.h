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
 *
 * long file: a protocol is one header, and this one has a state for each kind of packet that an answer may consist of.
 */
#ifndef MESHLENS_MYSQL_H
#define MESHLENS_MYSQL_H

#include "framed.h"
#include "sql.h"

FRAMED_PROTOCOL(mysql, PROTOCOL_MYSQL, 2)

#define MYSQL_HEADER 4
#define MYSQL_TURNS 3
#define MYSQL_TEXT_BYTES 16 /* of a statement that are read in one turn */
#define MYSQL_FULL 0xffffff /* bytes of a packet that the next one goes on with */
#define MYSQL_ANSWER_BYTES 32 /* of a response's packet that are looked at */
#define MYSQL_PACKETS 8 /* short ones that are passed over in one turn */
#define MYSQL_LOGIN 0x100 /* a kind of request that is no command */
#define MYSQL_PREPARED 0x5052455041524544ULL /* tells the endpoint of a PREPARE from that of its statement */
#define MYSQL_LAST_STATEMENT 0xffffffff /* MariaDB: the id of what was prepared last */

enum mysql_command {
	MYSQL_QUIT = 0x01, MYSQL_QUERY = 0x03, MYSQL_FIELDS = 0x04, MYSQL_STATISTICS = 0x09, MYSQL_CHANGE_USER = 0x11,
	MYSQL_BINLOG = 0x12, MYSQL_PREPARE = 0x16, MYSQL_EXECUTE = 0x17, MYSQL_LONG_DATA = 0x18, MYSQL_CLOSE = 0x19,
	MYSQL_FETCH = 0x1c, MYSQL_BINLOG_GTID = 0x1e, MYSQL_RESET_CONNECTION = 0x1f, MYSQL_BULK = 0xfa, MYSQL_EVENT = 0x1000, MYSQL_COMPRESSION = 0x2000,
};

/* Of a way towards the server: whether a statement is being read, or data of a file come; of a way back: which packet comes next. */
enum mysql_state {
	MYSQL_START, MYSQL_TEXT, MYSQL_FILE, MYSQL_COLUMNS, MYSQL_FIRST_ROW, MYSQL_ROWS, MYSQL_TAIL, MYSQL_EVENTS, MYSQL_BLIND,
	MYSQL_COMPRESSED,
};
enum mysql_flag { MYSQL_GOES_ON = 1, MYSQL_BEGUN = 2, MYSQL_GREETED = 4 };
enum mysql_status { MYSQL_MORE_RESULTS = 8, MYSQL_CURSOR = 64 };
enum mysql_capability { MYSQL_PROTOCOL_41 = 0x200, MYSQL_TLS = 0x800, MYSQL_COMPRESS = 0x20, MYSQL_ZSTD = 1 << 26 };
enum mysql_action { MYSQL_PASS, MYSQL_AGAIN, MYSQL_ASK, MYSQL_ONE_WAY, MYSQL_END };

/* What has been decided about a message, in f->scratch. */
enum mysql_decided { DECIDED_ACTION, DECIDED_ENDPOINT, DECIDED_KIND, DECIDED_OUTCOME, DECIDED_STATUS, DECIDED_BEGAN };

struct mysql_statement {
	u64 connection;
	u64 id; /* the role in the upper half: each end of a connection keeps its own */
};

struct mysql_text {
	u8 head[FRAME_HEAD_BYTES];
};

BPF_TABLE("lru_hash", struct mysql_statement, u64, l7_mysql_statements, 16384);
BPF_TABLE("lru_hash", u64, struct mysql_text, l7_mysql_texts, 1024); /* by endpoint: PREPAREs, as heads of their executions */

static __always_inline u32 mysql_length(volatile struct framed *f, u32 at)
{
	return head_le32(f, at) & 0xffffff;
}

static __always_inline u64 mysql_named(u32 command)
{
	return endpoint_of(mix(mix(HASH_START, PROTOCOL_MYSQL), command << 8));
}

/* Everything that is left of this call, from the message on. */
static __always_inline u32 mysql_rest(volatile struct framed *f)
{
	return f->before + f->view.left;
}

/* ---- recognition --------------------------------------------------------------------------------------------- */

/* Capabilities, packet limit, character set, and zeros. */
static __always_inline bool mysql_is_login(volatile struct framed *f, u32 length)
{
	u32 sequence = head_u8(f, 3);

	return (sequence == 1 || sequence == 2) && length >= 32 && length < 4096 && f->have >= 36 &&
	       head_le32(f, 4) & MYSQL_PROTOCOL_41 && !head_le64(f, 13) && !head_le64(f, 21) && !head_le16(f, 29);
}

static __always_inline enum match mysql_match_server(volatile struct framed *f, u32 length)
{
	u32 at = 5;

	if (head_u8(f, 3) || length < 8 || length > 600)
		return MATCH_NO;
	if (f->have < 10)
		return MATCH_MORE;
	if (head_u8(f, 4) == 0xff)
		return (u16)(head_le16(f, 5) - 1000) < 1000 && head_u8(f, 7) > ' ' && head_u8(f, 7) < 0x7f ? MATCH_YES : MATCH_NO;
	if (head_u8(f, 4) != 10 || !is_digit(head_u8(f, at)))
		return MATCH_NO;
	at += is_digit(head_u8(f, at + 1)) ? 2 : 1;
	return head_u8(f, at) == '.' && is_digit(head_u8(f, at + 1)) ? MATCH_YES : MATCH_NO;
}

/* A text of letters and white space, as statements begin. */
static __always_inline bool mysql_is_text(volatile struct framed *f, u32 at)
{
	u8 c;

	for (u32 i = 0; i < 4; i++) {
		c = head_u8(f, at + i);
		if (!is_letter(c) && !(c == ' ' || (u8)(c - 9) < 5) && c != '(' && c != '/' && c != '*' && c != '-' && c != '#' && c != '!')
			return false;
	}
	return true;
}

static __always_inline enum match mysql_match_command(volatile struct framed *f, u32 length)
{
	u32 command = head_u8(f, 4);

	if (f->have < 5)
		return MATCH_MORE;
	if (command == MYSQL_QUERY || command == MYSQL_PREPARE) {
		if (length < 6)
			return MATCH_NO;
		if (f->have < 11)
			return MATCH_MORE;
		return mysql_is_text(f, head_u8(f, 5) ? 5 : 7) ? MATCH_YES : MATCH_NO;
	}
	if (command == MYSQL_EXECUTE) {
		if (length < 10)
			return MATCH_NO;
		if (f->have < 14)
			return MATCH_MORE;
		return head_u8(f, 9) < 16 && head_le32(f, 10) == 1 ? MATCH_YES : MATCH_NO;
	}
	/* PING, RESET CONNECTION: such a call has nothing else. */
	return (command == 0x0e || command == MYSQL_RESET_CONNECTION) && length == 1 && f->have == 5 ? MATCH_YES : MATCH_NO;
}

static __always_inline enum match mysql_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = mysql_length(f, 0);

	if (f->have < 4)
		return f->request && f->have == 3 && !length ? MATCH_NO : MATCH_MORE;
	if (!length)
		return MATCH_NO;
	if (!f->request)
		return mysql_match_server(f, length);
	if (!head_u8(f, 3))
		return mysql_match_command(f, length);
	if (length < 32 || length >= 4096 || head_u8(f, 3) > 2)
		return MATCH_NO;
	if (f->have < 36)
		return MATCH_MORE;
	return mysql_is_login(f, length) ? MATCH_YES : MATCH_NO;
}

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

static __always_inline void mysql_key(struct mysql_statement *key, struct conn *conn, u32 id)
{
	key->connection = conn->id;
	key->id = (u64)conn->role << 32 | id;
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

/* ---- back ---------------------------------------------------------------------------------------------------- */

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
