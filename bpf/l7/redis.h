/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Redis, RESP2 and RESP3, with pipelining, subscriptions and transactions.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * A request is one command: an array of bulk strings, or words on a line. The endpoint is the command's name. Replies come in the order
 * of the commands, and have the number of their error's first word as status. A (un)subscription is answered once for each of its
 * channels. What a server says unasked is a message of its own: deliveries by their channel, with ids collapsed, other pushes by
 * their kind, and what MONITOR shows. Commands whose replies the client has turned off are counted when they are sent. How long a
 * command waits on purpose (BLPOP, XREAD BLOCK) is no part of its duration. The reply of EXEC fails with the first command that does.
 *
 * One call may bring three thousand commands or replies, those of one name; of different ones about a hundred.
 */
#ifndef MESHLENS_REDIS_H
#define MESHLENS_REDIS_H

#include "redis_run.h"

FRAMED_PROTOCOL(redis, PROTOCOL_REDIS, 1)

#define REDIS_HEADER 1
#define REDIS_TURNS 1
#define REDIS_ELEMENTS 8 /* of a message */
#define REDIS_AHEAD 128 /* bytes that are read ahead */

/* ---- replies ------------------------------------------------------------------------------------------------------- */

/* The outcome and the status of the error in the head, whose word has to be there. */
static __always_inline u32 redis_failed(volatile struct framed *f)
{
	u64 line = redis_line(f, 1), at = 1, word;

	if (line + 2 > f->have && f->have < 1 + REDIS_LINE)
		return f->have + 1;
	if (head_u8(f, 0) == '!') {
		at = line + 2;
		if (f->have < at + 9 && f->have < at + redis_digits(f, 1, line - 1))
			return f->have + 1;
	}
	word = redis_word(f, at);
	if (word != REDIS_WORD('E', 'R', 'R', ' ', 'm', 'a', 'x', ' '))
		word = redis_cut(word, redis_to_space(word));
	f->scratch[REDIS_STATUS] = redis_error(word);
	return FRAME_DONE;
}

/*
 * One (un)subscription is confirmed; *left* is how many there are now: of channels and patterns together, or of shards' channels. True
 * when none of the kind is left.
 */
static __always_inline bool redis_confirmed(struct conn *conn, volatile struct follower *way, volatile struct framed *f, u64 word, u64 left)
{
	u8 first = word & 0xff, second = word >> 8 & 0xff;
	u32 other, own;

	if (first == 's' && (second == 's' || second == 'u') && (word >> 16 & 0xff) != 'b') {
		conn->parsed = left;
		own = left;
	} else if (first == 'p') {
		other = conn->groups_opened;
		own = left > other ? left - other : 0;
		conn->groups_done = own;
	} else {
		other = conn->groups_done;
		own = left > other ? left - other : 0;
		conn->groups_opened = own;
	}
	way->flags &= ~REDIS_SUBSCRIBED;
	if (head_u8(f, 0) == '*' && (conn->groups_opened | conn->groups_done | conn->parsed))
		way->flags |= REDIS_SUBSCRIBED;
	return !own;
}

/* A confirmation whose number stands at *at*: the last one answers the command. */
static __always_inline u32 redis_confirmation(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
					      u64 word, u64 at)
{
	struct request *oldest;
	u64 line, left = 1;
	u32 kind, none;

	if (at < REDIS_SHOWN - REDIS_LINE) {
		line = redis_line(f, at + 1);
		if (at + 2 + line > f->have)
			return f->have + 1;
		left = redis_digits(f, at + 1, line - 1);
	}
	f->settled = redis_confirmed(conn, way, f, word, left);
	none = f->settled;
	kind = f->scratch[REDIS_KIND];
	f->scratch[REDIS_ACT] = REDIS_TELL;
	if (!(kind & REDIS_SUBSCRIBES)) {
		if (!conn->pushed)
			f->scratch[REDIS_ACT] = REDIS_ANSWER;
		return FRAME_DONE;
	}
	f->scratch[REDIS_ACT] = REDIS_ANSWER;
	if (kind & REDIS_ALL ? none || conn->midstream : (kind & REDIS_REPLIES) < 2)
		return FRAME_DONE;
	f->scratch[REDIS_ACT] = REDIS_OWE;
	oldest = redis_oldest(conn, sk);
	if (oldest && kind & REDIS_REPLIES)
		oldest->kind--;
	return FRAME_DONE;
}

/* The endpoint of the channel is known from now on. */
static __always_inline void redis_remember(volatile struct framed *f, u64 word, u64 at, u64 bytes)
{
	u64 key = redis_raw(f, mix(HASH_START, word), at, bytes), endpoint = f->scratch[REDIS_HASH];

	if (at + bytes <= f->have)
		redis_channels.update(&key, &endpoint);
}

/* The channel that a push at *at* is about, and where it ends. */
static __always_inline u32 redis_of_channel(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
					    u64 word, u64 at)
{
	u64 line = redis_line(f, at + 1), bytes, end;

	if (at + 2 + line > f->have)
		return f->have + 1;
	bytes = redis_digits(f, at + 1, line - 1) + 2;
	bytes &= -(is_equal(redis_byte(f, at), '$') & (1 ^ is_equal(redis_byte(f, at + 1), '-')));
	at += 2 + line;
	end = at + bytes;
	if (f->have < end && f->have < REDIS_SHOWN)
		return f->have + 1;
	if (f->scratch[REDIS_NOTES] == REDIS_CONFIRMATION)
		return redis_confirmation(conn, sk, way, f, word, end);
	f->scratch[REDIS_HASH] = endpoint_of(redis_channel(f, mix(mix(HASH_START, PROTOCOL_REDIS), word), at, end - 2));
	f->scratch[REDIS_ACT] = REDIS_TELL;
	redis_remember(f, word, at, bytes - 2);
	way->flags |= is_equal(head_u8(f, 0), '*') * REDIS_SUBSCRIBED;
	run_keep(conn, f, end, f->scratch[REDIS_HASH]);
	conn->line_kind = head_u8(f, 1) - '0' - 2;
	return FRAME_DONE;
}

/* Looks at a push, or at an array that may be one in version 2 of the protocol. REDIS_ACT stays as it was when it is a reply. */
static __always_inline u32 redis_push(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	u64 at, bytes, word;

	if (f->have < 4)
		return f->have + 1;
	if (head_u8(f, 2) != '\r' || (u8)(head_u8(f, 1) - '2') > 7)
		return FRAME_DONE;
	if (f->have < 10)
		return 10;
	at = 9 - is_equal(head_u8(f, 6), '\r');
	bytes = redis_digits(f, 5, at - 7);
	if (head_u8(f, 4) != '$' || bytes > 40 || !is_digit(head_u8(f, 5)))
		return FRAME_DONE;
	if (f->have < at + bytes + 2)
		return f->have + 1;
	word = redis_cut(redis_word(f, at), bytes ^ ((bytes ^ 8) & -is_below(8, bytes)));
	f->scratch[REDIS_NOTES] = redis_said(word);
	at += bytes + 2;
	if (f->scratch[REDIS_NOTES])
		return redis_of_channel(conn, sk, way, f, word, at);
	if (head_u8(f, 0) == '*')
		return FRAME_DONE;
	f->scratch[REDIS_ACT] = REDIS_TELL;
	f->scratch[REDIS_HASH] = endpoint_of(mix(mix(HASH_START, PROTOCOL_REDIS), word));
	return FRAME_DONE;
}

/* Whether the head is what MONITOR shows: a line that begins with a time. */
static __always_inline bool redis_shown(volatile struct framed *f)
{
	return head_u8(f, 0) == '+' && is_digit(head_u8(f, 1)) && is_digit(head_u8(f, 10)) && head_u8(f, 11) == '.' &&
	       is_digit(head_u8(f, 17)) && head_u8(f, 19) == '[';
}

/* A line that may be one that MONITOR shows. */
static __always_inline u32 redis_monitor(volatile struct follower *way, volatile struct framed *f)
{
	if (f->have < 20 && redis_line(f, 1) + 1 >= f->have)
		return f->have + 1;
	if (!redis_shown(f))
		return FRAME_DONE;
	way->flags |= REDIS_MONITORED;
	f->scratch[REDIS_HASH] = endpoint_of(mix(mix(HASH_START, PROTOCOL_REDIS), '['));
	f->scratch[REDIS_ACT] = REDIS_TELL;
	return FRAME_DONE;
}

/* What begins in the head: its elements are still to be taken. */
static __always_inline u32 redis_told(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	struct request *oldest = redis_oldest(conn, sk);
	u64 pushes, error, held = way->flags & REDIS_HELD, line;

	f->scratch[REDIS_KIND] = oldest ? *(volatile u32 *)&oldest->kind | REDIS_THERE : 0;
	line = is_equal(head_u8(f, 0), '\n') | is_equal(head_u8(f, 0), '\r');
	error = is_equal(head_u8(f, 0), '-') | is_equal(head_u8(f, 0), '!');
	pushes = !f->scratch[REDIS_KIND] || way->flags & REDIS_SUBSCRIBED || f->scratch[REDIS_KIND] & (REDIS_SUBSCRIBES | REDIS_TALKS);
	f->settled = 0;
	f->scratch[REDIS_ACT] = REDIS_PASS;
	if (error)
		f->settled = redis_failed(f);
	else if (!held && (head_u8(f, 0) == '>' || (head_u8(f, 0) == '*' && pushes)))
		f->settled = redis_push(conn, sk, way, f);
	else if (!held && head_u8(f, 0) == '+' && (f->have < 2 || is_digit(head_u8(f, 1))))
		f->settled = redis_monitor(way, f);
	if (f->settled)
		return f->settled;
	if (line) {
		redis_from(f, 1, 0, 0);
		return FRAME_DONE;
	}
	if (f->scratch[REDIS_ACT] == REDIS_PASS && head_u8(f, 0) != '|')
		f->scratch[REDIS_ACT] = held ? REDIS_HOLD : REDIS_ANSWER;
	redis_from(f, 0, held ? way->pending : 1,
		   (held | is_equal(f->scratch[REDIS_KIND] & REDIS_EXEC, REDIS_EXEC)) & (1 ^ error) ? REDIS_STOPS : 0);
	return FRAME_DONE;
}

/* A reply is there, or its beginning: what does it change, and is it to be counted now? EXEC's is when the last of it is there. */
static __always_inline void redis_answered(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	struct request *oldest = redis_oldest(conn, sk);
	u32 kind = f->scratch[REDIS_KIND];
	u8 c = head_u8(f, 0);

	if (f->scratch[REDIS_ACT] == REDIS_HOLD) {
		f->began = conn->answer_ns;
		f->scratch[REDIS_ACT] = REDIS_ANSWER;
		way->flags &= ~REDIS_HELD;
	} else if (kind & REDIS_EXEC && f->scratch[REDIS_LEFT]) {
		conn->answer_ns = f->began;
	}
	if (kind & REDIS_EXEC && f->scratch[REDIS_LEFT] && !f->scratch[REDIS_STATUS]) {
		way->flags |= REDIS_HELD;
		f->scratch[REDIS_ACT] = REDIS_OWE;
	}
	if (oldest && kind & REDIS_WAITS)
		f->began = oldest->start_ns;
	if (kind & REDIS_MONITOR && c == '+')
		way->flags |= REDIS_MONITORED;
	if (kind & REDIS_RESET && c == '+') {
		way->flags = 0;
		conn->groups_opened = conn->groups_done = conn->parsed = 0;
	}
	if (kind & REDIS_LEAVES && c != '-')
		conn->ignored = IGNORED;
}

/* ---- both ---------------------------------------------------------------------------------------------------------- */

static __always_inline u32 redis_acted(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 act = f->scratch[REDIS_ACT], said = f->scratch[REDIS_STATUS];
	u64 recent;
	struct request *request;

	if (act == REDIS_ASK) {
		recent = conn->line_words++;
		asm volatile("%0 &= 3" : "+r"(recent));
		((volatile u64 *)conn->answer)[recent] = f->scratch[REDIS_HASH];
		request = framed_request(conn, sk, f, f->scratch[REDIS_HASH]);
		if (request)
			request->kind = f->scratch[REDIS_KIND];
	} else if (act == REDIS_ANSWER) {
		framed_response(conn, sk, f, said >> 16, said & 0xffff);
	} else if (act == REDIS_TELL) {
		framed_one_way(conn, f, f->scratch[REDIS_HASH], OUTCOME_OK, 0);
	} else if (act == REDIS_OWE) {
		conn->owed_back += f->length;
		f->credited = 1;
	}
	return FRAME_DONE;
}

/* Commands that were typed are recognised at the beginning of a connection only. */
static __always_inline enum match redis_match_typed(struct conn *conn, volatile struct framed *f)
{
	u64 word = redis_word(f, 0), bytes = redis_to_space(word), length = 0, live = 1, ends;

	if (!is_letter(word & 0xff) || conn->midstream || conn->passed[conn->role == ROLE_SERVER])
		return MATCH_NO;
	if (f->have <= bytes || bytes == 8)
		return bytes == 8 ? MATCH_NO : MATCH_MORE;
	f->settled = redis_typed(redis_cut(word, bytes));
	if (!f->settled || redis_byte(f, bytes + 1) == '/')
		return MATCH_NO;
	for (u64 i = 0; i < FRAME_HEAD_BYTES; i++) {
		live &= is_below(i, f->have);
		ends = is_equal(f->head[i], '\n') & live;
		length += (i + 1) * ends;
		live ^= ends;
	}
	if (!length)
		return f->have < FRAME_HEAD_BYTES ? MATCH_MORE : MATCH_NO;
	return redis_byte(f, length - 2) == '\r' ? MATCH_YES : MATCH_NO;
}

/* A command, or what a server sends unasked to a connection that was joined in the middle. */
static __always_inline enum match redis_match(struct conn *conn, volatile struct framed *f)
{
	u64 line = redis_line(f, 1), word;
	u8 c = head_u8(f, 0);

	if (f->request && c != '*')
		return redis_match_typed(conn, f);
	if (c != '*' && c != '>' && c != '+')
		return MATCH_NO;
	if (f->have > 1 && !is_digit(head_u8(f, 1)))
		return MATCH_NO;
	if (c == '+') {
		if (f->have >= 20)
			return redis_shown(f) ? MATCH_YES : MATCH_NO;
		return line + 1 < f->have ? MATCH_NO : MATCH_MORE;
	}
	if (line > 8 && f->have > 9)
		return MATCH_NO;
	if (f->have < line + 3)
		return MATCH_MORE;
	if (redis_byte(f, line) != '\r' || redis_byte(f, line + 2) != '$' || line < 2)
		return MATCH_NO;
	if (f->request)
		return MATCH_YES;
	if (f->have < 10)
		return MATCH_MORE;
	if (c == '>' && line == 2)
		return MATCH_YES;
	if (f->have < 17)
		return MATCH_MORE;
	word = redis_word(f, 8);
	if (word == REDIS_WORD('m', 'e', 's', 's', 'a', 'g', 'e', '\r') || word == REDIS_WORD('p', 'm', 'e', 's', 's', 'a', 'g', 'e') ||
	    word == REDIS_WORD('s', 'm', 'e', 's', 's', 'a', 'g', 'e'))
		return MATCH_YES;
	return MATCH_NO;
}

/* Decides what begins in the head, or goes on. */
static __always_inline u32 redis_decided(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	f->scratch[REDIS_ACT] = REDIS_PASS;
	f->scratch[REDIS_STATUS] = f->scratch[REDIS_BLOCKS] = f->scratch[REDIS_KIND] = 0;
	redis_from(f, 0, way->pending, f->request ? REDIS_STRINGS : 0);
	if (way->pending && !(way->flags & REDIS_HELD && !f->request))
		return FRAME_DONE;
	if (!f->request)
		return redis_told(conn, sk, way, f);
	if (head_u8(f, 0) == '*')
		return redis_asked(way, f);
	if (head_u8(f, 0) != '\r' && head_u8(f, 0) != '\n')
		return redis_inline(f);
	redis_from(f, 1, 0, 0); /* an empty line is no command */
	return FRAME_DONE;
}

/* Takes what elements there are; asks for more when there is none. */
static __always_inline u32 redis_elements(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	for (u32 i = 0; i < REDIS_ELEMENTS; i++) {
		f->scratch[REDIS_BLOCKS] |= is_equal(redis_capitals(redis_word(f, f->scratch[REDIS_AT])),
						     REDIS_WORD('$', '5', '\r', '\n', 'B', 'L', 'O', 'C'));
		if (!redis_element(f))
			break;
	}
	if (f->scratch[REDIS_NOTES] & REDIS_STRANGE)
		return FRAME_WRONG;
	if (!f->scratch[REDIS_AT])
		return f->have + 1;
	if (f->scratch[REDIS_ACT] == REDIS_ASK)
		return redis_ask(conn, way, f);
	if (f->scratch[REDIS_ACT] == REDIS_ANSWER || f->scratch[REDIS_ACT] == REDIS_HOLD)
		redis_answered(conn, sk, way, f);
	return FRAME_DONE;
}

static __always_inline u32 redis_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = redis_way(conn, f);

	if (f->have < REDIS_AHEAD)
		framed_fill(f);
	if (redis_run(conn, sk, way, f))
		return REDIS_HEADER;
	if (way->state == REDIS_IN_LINE) {
		redis_line_goes_on(way, f);
		return FRAME_DONE;
	}
	f->settled = redis_decided(conn, sk, way, f);
	if (!f->settled)
		f->settled = redis_elements(conn, sk, way, f);
	if (f->settled)
		return f->settled;
	redis_taken(way, f);
	return redis_acted(conn, sk, f);
}

#endif
