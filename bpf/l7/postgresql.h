/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PostgreSQL, the simple and the extended query protocol, with pipelining.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 *
 * A request is one Query, one Execute or one FunctionCall. Parse, Bind and Describe only prepare one and are not counted
 * by themselves. The endpoint is the statement without its values. A Query ends with ReadyForQuery; an Execute with
 * its own completion, or, when an error made the server pass over the rest of a batch, with the batch's ReadyForQuery.
 * A CancelRequest and a notification are messages that nobody answers.
 */
#ifndef MESHLENS_POSTGRESQL_H
#define MESHLENS_POSTGRESQL_H

#include "postgresql_match.h"
#include "sql.h"

#define PG_CANCEL 1 /* what is counted besides statements */
#define PG_NOTIFICATION 2
#define PG_HEADER_BYTES 5
#define PG_TURNS 12 /* as many as the verifier follows */
#define PG_ROWS 8 /* of a result in one turn */
#define PG_TEXT_BYTES 4 /* of a statement in one turn */
#define PG_NAME_BYTES 16 /* of a name in one turn */
#define PG_MAX_MESSAGE (1 << 30)

enum pg_state { PG_HEADER, PG_AGAIN, PG_PUSHED, PG_PORTAL, PG_BIND_NAME, PG_PARSE_NAME, PG_SQL };
enum pg_flag { PG_FAILED = 1, PG_ENCRYPTION_ASKED = 2 };

struct statement_key {
	u64 connection;
	u64 name;
};

BPF_TABLE("lru_hash", struct statement_key, u64, l7_statements, 16384);

/* From the place back to where the message begins; 0 where that is in another piece. */
static __always_inline u32 pg_back(volatile struct follow *follow, u32 header)
{
	return follow->chunk_at >= header ? header : 0;
}

/* Those that open a connection have no type. */
static __always_inline u32 pg_header_bytes(volatile struct follower *way)
{
	return way->type ? PG_HEADER_BYTES : PG_HEADER_BYTES - 1;
}

/* Keeps the head of the message whose header is complete, for the request that comes next. */
static __always_inline void pg_head(struct conn *conn, volatile struct follow *follow, volatile struct follower *way)
{
	u32 reach = follow_reach(follow), back = pg_back(follow, pg_header_bytes(way));
	u64 take = back + (reach < way->skip ? reach : way->skip);

	if (take > REQUEST_HEAD_BYTES)
		take = REQUEST_HEAD_BYTES;
	conn->head_index = conn->pushed;
	conn->thread = bpf_get_current_pid_tgid();
	conn->head_bytes = 0;
	asm volatile("" : "+r"(take));
	if (take <= REQUEST_HEAD_BYTES && !read_user(conn->head, take, follow_address(follow) - back))
		conn->head_bytes = take;
}

static __always_inline void pg_push(struct conn *conn, void *sk, volatile struct follow *follow, volatile struct follower *way,
				    u64 endpoint)
{
	u32 sent = conn->role == ROLE_CLIENT, left = follow->view.left + follow->chunk_bytes - follow->chunk_at;
	struct request *request;

	if (!in_flight(conn))
		conn->answer_ns = 0;
	request = request_push(conn, sk, follow->now, endpoint, conn->passed[sent] - left - PG_HEADER_BYTES);
	if (!request)
		return;
	request->group = conn->groups_opened;
	request->kind = way->type;
	request->bytes = follow->bytes - follow->named; /* the first of a call has all its bytes */
	follow->named = follow->bytes;
}

/* Begins to read the text at the start of a body, byte after byte. */
static __always_inline void pg_read(struct conn *conn, volatile struct follower *way, u8 state)
{
	way->state = state;
	way->pending = way->skip < SQL_BYTES ? way->skip : SQL_BYTES;
	way->number = way->skip - way->pending;
	way->skip = 0;
	conn->name = HASH_START;
	sql_start(&conn->sql);
	conn->sql.type = way->type;
}

/* The statement is through: it names its Query, or is remembered for the executions of its Parse. */
static __always_inline void pg_statement(struct conn *conn, void *sk)
{
	struct statement_key key = {.connection = conn->id, .name = conn->name};
	u64 endpoint = endpoint_of(conn->sql.hash);
	struct request *newest;

	conn->parsed = conn->name;
	if (conn->sql.type == 'Q') {
		newest = newest_request(conn, sk);
		if (newest)
			newest->endpoint = endpoint;
	} else if (conn->name == HASH_START) {
		conn->unnamed_endpoint = endpoint;
	} else {
		l7_statements.update(&key, &endpoint);
	}
}

static __always_inline void pg_bound(struct conn *conn)
{
	struct statement_key key = {.connection = conn->id, .name = conn->name};
	u64 *known;

	if (conn->name != conn->parsed && conn->head_index == conn->pushed)
		conn->head_bytes = 0; /* the Parse that it holds is another's */
	conn->bound_endpoint = conn->unnamed_endpoint;
	if (conn->name == HASH_START)
		return;
	known = l7_statements.lookup(&key);
	conn->bound_endpoint = known ? *known : 0;
}

/* Reads on in a statement or in a name; returns the last byte. */
static __always_inline u8 pg_text_bytes(struct conn *conn, volatile struct follower *way, volatile struct follow *follow)
{
	u8 c = 1;

	if (way->state == PG_SQL) {
		for (int i = 0; i < PG_TEXT_BYTES && c && way->pending && follow->chunk_at < follow->chunk_bytes; i++) {
			way->pending--;
			c = follow_byte(follow);
			sql_byte(&conn->sql, c);
		}
		return c;
	}
	for (int i = 0; i < PG_NAME_BYTES && c && way->pending && follow->chunk_at < follow->chunk_bytes; i++) {
		way->pending--;
		c = follow_byte(follow);
		if (c)
			conn->name = mix(conn->name, c);
	}
	return c;
}

/* Some bytes of a text. When it is through, what follows it in the body is passed over. */
static __always_inline void pg_text(struct conn *conn, void *sk, volatile struct follower *way, volatile struct follow *follow)
{
	u8 c, state;

	c = settle(follow, pg_text_bytes(conn, way, follow));
	state = way->state;
	if (c && way->pending)
		return;
	if (state == PG_SQL)
		pg_statement(conn, sk);
	else if (state == PG_BIND_NAME)
		pg_bound(conn);
	if (way->pending && (state == PG_PORTAL || state == PG_PARSE_NAME)) {
		way->state = state == PG_PORTAL ? PG_BIND_NAME : PG_SQL;
		if (state == PG_PORTAL)
			conn->name = HASH_START;
		return;
	}
	way->state = PG_HEADER;
	way->skip = way->number + way->pending;
	way->pending = 0;
}

/* A message that nobody answers: counted at once, with no duration. */
static __always_inline void pg_one_way(struct conn *conn, volatile struct follow *follow, volatile struct follower *way)
{
	u64 kind = follow->request ? PG_CANCEL : PG_NOTIFICATION;
	volatile struct pending *pending = pending_here();
	u32 left = follow->view.left + follow->chunk_bytes - follow->chunk_at, bytes = way->skip + pg_header_bytes(way);

	if (!pending)
		return;
	way->state = PG_HEADER;
	if (!in_flight(conn))
		pg_head(conn, follow, way);
	pending_begin(pending, follow->now, follow->request ? 0 : bytes, 0, 0);
	pending->index = conn->pushed;
	pending->request.start_ns = follow->now;
	pending->request.endpoint = endpoint_of(mix(mix(HASH_START, PROTOCOL_POSTGRESQL), kind << 8));
	pending->request.bytes = follow->request ? bytes : 0;
	pending->request.offset = conn->passed[follow->sent & 1] - left - bytes + way->skip;
	pending->duration_ns = 0;
	follow->named += bytes;
	conn_peer_again(conn);
	pending_end(pending, conn);
	conn->head_bytes = 0; /* it is not the head of the statement that comes next */
}

/* Untyped messages open a connection; true for the one that cancels what another does. */
static __always_inline bool pg_untyped(struct conn *conn, volatile struct follow *follow, u64 address, u32 length)
{
	u32 code = 0;

	if (length == 4 || length == 12)
		bpf_probe_read_user(&code, 4, (void *)address);
	code = __builtin_bswap32(code);
	if (code == PG_CANCEL_REQUEST)
		return true;
	if (code == PG_SSL_REQUEST || code == PG_GSS_REQUEST)
		conn->ways[1].flags |= PG_ENCRYPTION_ASKED;
	else
		conn->groups_opened++; /* the ReadyForQuery after the log-in */
	return false;
}

/* The header of a message from the client is complete; its body begins at the place. */
static __always_inline void pg_request_header(struct conn *conn, void *sk, volatile struct follower *way,
					      volatile struct follow *follow)
{
	u8 type = way->type;

	/* The head of an Execute is that of its Parse, where that stands right before it. */
	if (!in_flight(conn) && (type == 'Q' || type == 'P' || type == 'F' ||
				 (type == 'E' && (conn->head_index != conn->pushed || !conn->head_bytes))))
		pg_head(conn, follow, way);
	if (type == 'Q' || type == 'E' || type == 'F')
		pg_push(conn, sk, follow, way, type == 'E' ? conn->bound_endpoint : 0);
	if (type == 'Q' || type == 'F' || type == 'S')
		conn->groups_opened++;
	if (type == 0 && pg_untyped(conn, follow, follow_address(follow), way->skip))
		way->state = PG_PUSHED;
	if (way->skip && (type == 'Q' || type == 'P' || type == 'B'))
		pg_read(conn, way, type == 'Q' ? PG_SQL : type == 'P' ? PG_PARSE_NAME : PG_PORTAL);
}

static __always_inline void pg_end(struct conn *conn, void *sk, volatile struct follow *follow, u8 outcome)
{
	volatile struct pending *pending = pending_here();
	u32 back = pg_back(follow, PG_HEADER_BYTES);

	if (!pending)
		return;
	pending_begin(pending, conn->answer_ns, follow->bytes - follow->named, follow_address(follow) - back,
		      follow_reach(follow) + back);
	if (!conn->answer_ns)
		pending->now = follow->now;
	pending->outcome = outcome;
	follow->named = follow->bytes;
	request_pop(pending, conn, sk);
	conn->answer_ns = 0;
}

static __always_inline void pg_ready(struct conn *conn)
{
	if (conn->groups_done != conn->groups_opened)
		conn->groups_done++;
	conn->ways[1].flags &= ~PG_FAILED;
	if (!in_flight(conn))
		conn->overflowed = 0;
}

/* The type of the oldest request in flight, 0 when it belongs to a batch that the server has not come to. */
static __always_inline u32 pg_oldest(struct conn *conn, void *sk)
{
	struct request *oldest = in_flight(conn) ? request_at(conn, sk, conn->popped, false) : NULL;

	return oldest && oldest->group == conn->groups_done ? oldest->kind : 0;
}

/*
 * The header of a message from the server is complete. Returns true when it has to be looked at once more: ReadyForQuery ends
 * all requests of its batch that were passed over, one each time.
 */
static __always_inline bool pg_response_header(struct conn *conn, void *sk, volatile struct follower *way,
					       volatile struct follow *follow)
{
	u32 oldest = settle(follow, pg_oldest(conn, sk));
	u8 type = way->type;

	if (type == 'A') {
		way->state = PG_PUSHED;
		return false;
	}
	if (type == 'E')
		way->flags |= PG_FAILED;
	if ((oldest == 'Q' && type == 'W') || (oldest && (type == 'Z' || type == 'E')) || (oldest == 'E' && (type == 'C' || type == 'I' || type == 's'))) {
		pg_end(conn, sk, follow, way->flags & PG_FAILED ? OUTCOME_SERVER_ERROR : OUTCOME_OK);
		return way->type == 'Z';
	}
	if (type == 'Z')
		pg_ready(conn);
	else if (oldest && !conn->answer_ns && type != 'N' && type != 'S' && type != 'A')
		conn->answer_ns = follow->now;
	return false;
}

/* Takes a byte of a header; -1 when this is not PostgreSQL, 1 when the header is complete. */
static __always_inline int pg_header_byte(struct conn *conn, volatile struct follower *way, bool request, u8 c)
{
	if (way->count == 0) {
		way->type = c;
		way->number = 0;
		way->count = 1;
		if (!request && way->flags & PG_ENCRYPTION_ASKED) {
			way->flags &= ~PG_ENCRYPTION_ASKED;
			way->count = 0;
			if (c == 'S')
				conn->protocol = PROTOCOL_TLS;
			else if (c != 'N')
				conn->ignored = IGNORED;
		} else if (request && c == 0) {
			way->count = 2; /* these have no type: this is the first byte of the length */
		} else if (!is_letter(c) && (request || (c != '1' && c != '2' && c != '3'))) {
			return -1;
		}
		return 0;
	}
	way->number = way->number << 8 | c;
	if (++way->count < PG_HEADER_BYTES)
		return 0;
	way->count = 0;
	if (way->number < 4 || way->number > PG_MAX_MESSAGE)
		return -1;
	way->skip = way->number - 4;
	return 1;
}

/* A row of a result or of a copy, or a Describe, is passed over at once, when its header is in the chunk; so are those behind. */
static __always_inline bool pg_rows(volatile struct follower *way, volatile struct follow *follow)
{
	u32 at, length;
	bool any = false;

	for (int i = 0; i < PG_ROWS; i++) {
		at = follow->chunk_at;
		if (at + PG_HEADER_BYTES > follow->chunk_bytes || (follow->chunk[at & (CHUNK_BYTES - 1)] | 0x20) != 'd')
			return any;
		at = (at + 1) & (CHUNK_BYTES - 1);
		length = follow->chunk[at] << 24 | follow->chunk[at + 1] << 16 | follow->chunk[at + 2] << 8 | follow->chunk[at + 3];
		if (length < 4 || length > PG_MAX_MESSAGE)
			return any;
		follow->chunk_at += PG_HEADER_BYTES;
		way->skip = length - 4;
		follow_skip(way, follow);
		any = true;
		if (way->skip)
			return true;
	}
	return any;
}

/* A header, or what there is of one; false when this is not PostgreSQL. */
static __always_inline bool pg_header(struct conn *conn, void *sk, volatile struct follower *way, volatile struct follow *follow)
{
	int complete = way->state == PG_AGAIN;

	if ((follow->request || conn->answer_ns) && !complete && !way->count && pg_rows(way, follow))
		return true;
	for (int i = 0; i < PG_HEADER_BYTES && !complete && follow->chunk_at < follow->chunk_bytes; i++)
		complete = settle(follow, pg_header_byte(conn, way, follow->request, follow_byte(follow)));
	if (complete < 0)
		return false;
	if (!complete)
		return true;
	way->state = PG_HEADER;
	if (follow->request)
		pg_request_header(conn, sk, way, follow);
	else if (pg_response_header(conn, sk, way, follow))
		way->state = PG_AGAIN;
	if (way->state == PG_PUSHED)
		pg_one_way(conn, follow, way);
	return true;
}

/* One turn: a header and the beginning of its text, or more of a text; false when this is not PostgreSQL. */
static __always_inline bool pg_turn(struct conn *conn, void *sk, volatile struct follower *way, volatile struct follow *follow)
{
	bool right = way->state >= PG_PORTAL || pg_header(conn, sk, way, follow);

	if (!settle(follow, right))
		return false;
	if (way->state >= PG_PORTAL)
		pg_text(conn, sk, way, follow);
	return true;
}

#endif
