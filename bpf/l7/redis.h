/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Redis, RESP2 and RESP3, with pipelining.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * A request is one command: an array of bulk strings (commands typed as a line are not recognised). The endpoint is the command's name. Replies come in
 * the order of the commands; a push is none.
 */
#ifndef MESHLENS_REDIS_H
#define MESHLENS_REDIS_H

#include "follow.h"

enum redis_state { REDIS_HEADER, REDIS_NAME };
enum redis_flag { REDIS_NEGATIVE = 1, REDIS_NAME_NEXT = 4 };

#define REDIS_TURNS 16 /* as many as the verifier follows */
#define REDIS_STEP_BYTES 4 /* in one turn */
#define REDIS_NAME_BYTES 12 /* of a name that is read in one turn */
#define REDIS_ELEMENTS 4 /* in one turn */

/* Hashes of the commands after which replies come without requests; a test works them out again. */
#define REDIS_SUBSCRIBE 0x745a44884192ee8eULL
#define REDIS_PSUBSCRIBE 0x15fe736d0c92babaULL
#define REDIS_SSUBSCRIBE 0x87fb03ee60cd562dULL
#define REDIS_MONITOR 0xe67e7e7c8f8c8a94ULL

/* A command as clients send it: *<count>CRLF$ */
static __always_inline enum match redis_match(u64 first, u32 bytes)
{
	u64 rest = first >> 16;

	if ((first & 0xff) != '*' || (bytes > 1 && !is_digit(first >> 8)))
		return MATCH_NO;
	if (bytes < 5)
		return MATCH_MORE;
	if (is_digit(rest))
		rest >>= 8;
	if (is_digit(rest))
		rest >>= 8;
	if ((rest & 0xffffff) == 0x240a0d)
		return MATCH_YES;
	return bytes < 7 && (rest & 0xff) == '\r' ? MATCH_MORE : MATCH_NO;
}

/* The command's name is through: *hash* names the endpoint of the newest request. */
static __always_inline void redis_named(struct conn *conn, void *sk)
{
	struct request *newest = newest_request(conn, sk);

	u64 hash = conn->bound_endpoint;

	if (newest)
		newest->endpoint = endpoint_of(hash);
	if (hash == REDIS_SUBSCRIBE || hash == REDIS_PSUBSCRIBE || hash == REDIS_SSUBSCRIBE || hash == REDIS_MONITOR)
		conn->ignored = IGNORED_AFTER_ANSWER;
}

static __always_inline void redis_push(struct conn *conn, void *sk, volatile struct follow *follow)
{
	u32 left = follow_reach(follow), bytes = left < REQUEST_HEAD_BYTES ? left : REQUEST_HEAD_BYTES;
	u32 passed = conn->passed[conn->role == ROLE_CLIENT] - follow->view.left -
		     (follow->chunk_bytes - follow->chunk_at) - 1;
	struct request *request;

	/* Keep the head of the oldest request in flight: of the others only the endpoint is known. */
	if (!in_flight(conn)) {
		u64 take = bytes + 1;

		conn->head_index = conn->pushed;
		conn->thread = bpf_get_current_pid_tgid();
		conn->head_bytes = 0;
		asm volatile("" : "+r"(take));
		if (take <= REQUEST_HEAD_BYTES &&
		    !read_user(conn->head, take, follow_address(follow) - 1))
			conn->head_bytes = take;
	}
	request = request_push(conn, sk, follow->now, 0, passed);
	conn->bound_endpoint = mix(HASH_START, PROTOCOL_REDIS);
	if (request)
		request->bytes = 0;
}

static __always_inline void redis_bytes(struct conn *conn, void *sk, volatile struct follow *follow, u32 bytes)
{
	struct request *newest = newest_request(conn, sk);

	follow->named += bytes;
	if (newest)
		newest->bytes += bytes;
}

/* A header of a request is complete. */
static __always_inline void redis_request_header(struct conn *conn, void *sk, volatile struct follower *way,
						 volatile struct follow *follow)
{
	u32 bytes = way->count;

	if (way->type == '*') {
		way->pending = way->number;
		way->state = REDIS_HEADER;
		way->flags = way->pending ? REDIS_NAME_NEXT : 0; /* the next argument is the name */
	} else {
		way->skip = way->number + 2;
		bytes += way->skip;
		if (way->pending)
			way->pending--;
		if (way->flags & REDIS_NAME_NEXT) {
			way->flags &= ~REDIS_NAME_NEXT;
			way->state = REDIS_NAME;
			way->number = way->skip;
			way->skip = 0;
		}
	}
	way->count = 0;
	redis_bytes(conn, sk, follow, bytes);
}

/* A byte of a name: its case does not matter. */
static __always_inline void redis_name_byte(struct conn *conn, u8 c)
{
	conn->bound_endpoint = mix(conn->bound_endpoint, is_letter(c) ? c & 0xdf : c);
}

/* The first byte of a header. */
static __always_inline void redis_request_type(struct conn *conn, void *sk, volatile struct follower *way,
					       volatile struct follow *follow, u8 c)
{
	way->type = c;
	way->number = 0;
	way->count = 1;
	if (way->pending)
		return;
	if (c == '\r' || c == '\n') { /* an empty line is no command */
		way->count = 0;
		return;
	}
	redis_push(conn, sk, follow);
}

/* Reads on in what has begun; true when it is complete. */
static __always_inline bool redis_request_more(struct conn *conn, volatile struct follower *way, volatile struct follow *follow)
{
	u8 c;

	for (int i = 0; i < REDIS_STEP_BYTES; i++) {
		if (follow->chunk_at >= follow->chunk_bytes)
			return false;
		c = follow_byte(follow);
		if (way->state == REDIS_NAME) {
			/* number: bytes of the name still to come, with the line's end */
			if (way->number > 2)
				redis_name_byte(conn, c);
			way->number--;
			if (!way->number)
				return true;
			continue;
		}
		way->count++;
		if (c == '\n')
			return true;
		if (is_digit(c))
			way->number = way->number * 10 + (c - '0');
	}
	return false;
}

/* Short bulk strings inside a message are passed over at once, as many as the chunk holds whole; returns their bytes. */
static __always_inline u32 redis_elements(volatile struct follower *way, volatile struct follow *follow)
{
	u32 start = follow->chunk_at, at, number, digits;

	for (int i = 0; i < REDIS_ELEMENTS; i++) {
		at = follow->chunk_at & (CHUNK_BYTES - 1);
		number = follow->chunk[at + 1] - '0';
		digits = 1;
		if (is_digit(follow->chunk[at + 2])) {
			number = number * 10 + follow->chunk[at + 2] - '0';
			digits = 2;
		}
		if (way->pending < 2 || way->state || follow->chunk[at] != '$' || number > 99 ||
		    follow->chunk[at + digits + 1] != '\r' || at + digits + 5 + number > follow->chunk_bytes)
			break;
		way->pending--;
		follow->chunk_at += digits + 5 + number;
	}
	return follow->chunk_at - start;
}

/* The number of one or two digits at *at*, which CR LF must follow; sets *next* to what comes behind, 0 when it is not so. */
static __always_inline u32 redis_short(volatile struct follow *follow, u32 at, u32 *next)
{
	u32 number = follow->chunk[at] - '0', digits = 1;

	if (is_digit(follow->chunk[at + 1])) {
		number = number * 10 + follow->chunk[at + 1] - '0';
		digits = 2;
	}
	*next = number < 100 && follow->chunk[at + digits] == '\r' ? at + digits + 2 : 0;
	return number;
}

/* The start of a command up to its name, when the chunk holds it whole and it is of the usual size: in one turn. */
static __always_inline bool redis_command(struct conn *conn, void *sk, volatile struct follower *way,
					  volatile struct follow *follow)
{
	u32 start = follow->chunk_at & (CHUNK_BYTES - 1), words, length, at;

	if (follow->chunk[start] != '*')
		return false;
	words = redis_short(follow, start + 1, &at);
	if (!words || !at || follow->chunk[at & (CHUNK_BYTES - 1)] != '$')
		return false;
	length = redis_short(follow, (at & (CHUNK_BYTES - 1)) + 1, &at);
	if (!at || length > REDIS_NAME_BYTES || at + length + 2 > follow->chunk_bytes)
		return false;
	way->pending = words - 1;
	way->number = length;
	way->skip = at - start; /* until it is done: the bytes before the name */
	follow->chunk_at++;
	redis_push(conn, sk, follow);
	follow->chunk_at += way->skip - 1;
	for (int i = 0; i < REDIS_NAME_BYTES; i++) {
		if (i >= way->number)
			break;
		redis_name_byte(conn, follow_byte(follow));
	}
	follow->chunk_at += 2;
	redis_bytes(conn, sk, follow, way->skip + way->number + 2);
	way->skip = 0;
	redis_named(conn, sk);
	return true;
}

static __always_inline void redis_request_turn(struct conn *conn, void *sk, volatile struct follower *way,
					       volatile struct follow *follow)
{
	if (way->count == 0 && way->pending > 2 && !way->flags && !way->state) {
		redis_bytes(conn, sk, follow, redis_elements(way, follow));
		if (follow->chunk_at >= follow->chunk_bytes)
			return;
	}
	if (way->count == 0 && way->state == REDIS_HEADER && !way->pending && redis_command(conn, sk, way, follow))
		return;
	if (way->count == 0 && way->state == REDIS_HEADER) {
		redis_request_type(conn, sk, way, follow, follow_byte(follow));
		if (!way->count)
			return;
	}
	if (!redis_request_more(conn, way, follow))
		return;
	if (way->state == REDIS_HEADER) {
		redis_request_header(conn, sk, way, follow);
		return;
	}
	way->state = REDIS_HEADER;
	way->count = 0;
	redis_named(conn, sk);
}

/* The first byte of a reply tells how the command ended. */
static __always_inline void redis_reply(struct conn *conn, void *sk, volatile struct follower *way, volatile struct follow *follow,
					u8 c)
{
	volatile struct pending *pending = pending_here();

	if (!pending || c == '>' || c == '|' || !response_expected(conn))
		return;
	if (conn->ignored)
		conn->ignored = IGNORED;
	/* The first reply of a call has all its bytes. */
	pending_begin(pending, follow->now, follow->bytes - follow->named, follow_address(follow) - 1, follow_reach(follow) + 1);
	follow->named = follow->bytes;
	if (c == '-' || c == '!')
		pending->outcome = OUTCOME_SERVER_ERROR;
	request_pop(pending, conn, sk);
}

static __always_inline void redis_reply_header(volatile struct follower *way)
{
	bool nothing = way->flags & REDIS_NEGATIVE;
	u32 elements = 0;

	way->count = 0;
	way->flags = 0;
	if (way->pending)
		way->pending--;
	switch (way->type) {
	case '$':
	case '=':
	case '!':
		if (!nothing)
			way->skip = way->number + 2;
		return;
	case '*':
	case '~':
	case '>':
		elements = way->number;
		break;
	case '%':
		elements = 2 * way->number;
		break;
	case '|':
		elements = 2 * way->number + 1;
		break;
	}
	if (!nothing)
		way->pending += elements;
}

static __always_inline void redis_reply_turn(struct conn *conn, void *sk, volatile struct follower *way,
					     volatile struct follow *follow)
{
	u8 c;

	if (way->count == 0 && way->pending > 2)
		redis_elements(way, follow);
	if (follow->chunk_at >= follow->chunk_bytes)
		return;
	if (way->count == 0) {
		c = follow_byte(follow);
		way->type = c;
		way->number = 0;
		way->count = 1;
		way->flags = 0;
		/* An attribute stands before the reply that it belongs to: the reply is its last element. */
		if (!way->pending || (way->state && way->pending == 1)) {
			way->state = c == '|';
			redis_reply(conn, sk, way, follow, c);
		}
	}
	for (int i = 0; i < REDIS_STEP_BYTES; i++) {
		if (follow->chunk_at >= follow->chunk_bytes)
			return;
		c = follow_byte(follow);
		if (c == '\n') {
			redis_reply_header(way);
			return;
		}
		if (c == '-')
			way->flags |= REDIS_NEGATIVE;
		else if (is_digit(c))
			way->number = way->number * 10 + (c - '0');
	}
}

static __always_inline bool redis_begins(u8 c, bool request, bool inside)
{
	if (request)
		return inside ? c == '$' : c == '*' || c == '\r' || c == '\n';
	switch (c) {
	case '+': case '-': case ':': case '$': case '*': case '_': case ',': case '(': case '#':
	case '!': case '=': case '%': case '~': case '>': case '|':
		return true;
	}
	return false;
}

/* One turn; false when this is not Redis. */
static __always_inline bool redis_turn(struct conn *conn, void *sk, volatile struct follower *way, volatile struct follow *follow)
{
	u8 next = follow->chunk[follow->chunk_at & (CHUNK_BYTES - 1)];

	if (way->count == 0 && way->state != REDIS_NAME && !redis_begins(next, follow->request, way->pending))
		return false;
	if (follow->request)
		redis_request_turn(conn, sk, way, follow);
	else
		redis_reply_turn(conn, sk, way, follow);
	return true;
}

#endif
