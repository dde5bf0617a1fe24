/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commands: their name, and whether there is a reply to come.
 */
#ifndef MESHLENS_REDIS_REQUESTS_H
#define MESHLENS_REDIS_REQUESTS_H

#include "redis_commands.h"
#include "run.h"

/* What is decided about a message, in its scratch beside the elements: the run is over by then. */
#define REDIS_KIND REDIS_RUN_COUNT
#define REDIS_STATUS REDIS_RUN_ASKED /* and above it the outcome */
#define REDIS_BLOCKS REDIS_RUN_BYTES

enum redis_act { REDIS_PASS, REDIS_ASK, REDIS_ANSWER, REDIS_TELL, REDIS_OWE, REDIS_HOLD };

static __always_inline volatile struct follower *redis_way(struct conn *conn, volatile struct framed *f)
{
	u64 back = f->request & 1;

	asm volatile("%0 ^= 1" : "+r"(back));
	return &conn->ways[back];
}

static __always_inline u64 redis_capitals(u64 word)
{
	return word & ~((word & 64 * REDIS_ONES) >> 1);
}

/* A command that was typed: words on a line. */
static __always_inline u32 redis_inline(volatile struct framed *f)
{
	u64 words = 0, inside = 0, length = 0, live = 1, word, ends, bytes, first = 0, second = 0;

	if (!is_letter(head_u8(f, 0)))
		return FRAME_WRONG;
	for (u64 i = 0; i < FRAME_HEAD_BYTES; i++) {
		u8 c = f->head[i];

		live &= is_below(i, f->have);
		ends = is_equal(c, '\n') & live;
		word = is_below(' ', c);
		words += word & (1 ^ inside) & live;
		inside = word;
		length += (i + 1) * ends;
		live ^= ends;
	}
	if (!length && f->have < FRAME_HEAD_BYTES)
		return f->have + 1;
	bytes = redis_to_space(redis_word(f, 0));
	bytes += redis_to_space(redis_word(f, 8)) & -is_equal(bytes, 8);
	f->scratch[REDIS_HASH] = endpoint_of(redis_name(f, 0, bytes, &first, &second));
	f->scratch[REDIS_ACT] = REDIS_ASK;
	f->scratch[REDIS_KIND] = redis_kind(first, second, words);
	f->scratch[REDIS_KIND] &= ~REDIS_LOOKS;
	redis_from(f, length ? length : FRAME_HEAD_BYTES, 0, length ? 0 : REDIS_OPEN);
	return FRAME_DONE;
}

/* Reads the name of the command that begins in the head; its arguments are still to be taken. */
static __always_inline u32 redis_asked(volatile struct follower *way, volatile struct framed *f)
{
	u64 line = redis_line(f, 1), at = line + 2, words, bytes, shown, first = 0, second = 0;

	if (line >= 12 && f->have > 12)
		return FRAME_WRONG;
	if (at > f->have)
		return f->have + 1;
	words = redis_digits(f, 1, line - 1) & -(1 ^ is_equal(head_u8(f, 1), '-'));
	redis_from(f, at, 0, REDIS_STRINGS);
	if (!words)
		return FRAME_DONE;
	line = redis_line(f, at + 1);
	if (f->have > at && (redis_byte(f, at) != '$' || (line >= 12 && f->have > at + 13)))
		return FRAME_WRONG;
	if (at + 2 + line > f->have)
		return f->have + 1;
	bytes = redis_digits(f, at + 1, line - 1);
	at += 2 + line;
	shown = bytes ^ ((bytes ^ 8 * REDIS_NAME_WORDS) & -is_below(8 * REDIS_NAME_WORDS, bytes));
	if (at + shown > f->have)
		return f->have + 1;
	f->scratch[REDIS_ACT] = REDIS_ASK;
	f->scratch[REDIS_HASH] = endpoint_of(redis_name(f, at, shown, &first, &second));
	redis_from(f, at + bytes + 2, words - 1, REDIS_STRINGS);
	way->number = at + bytes + 2;
	f->scratch[REDIS_KIND] = redis_kind(first, second, words);
	return FRAME_DONE;
}

/* CLIENT REPLY turns replies off and on. */
static __always_inline void redis_reply_mode(volatile struct follower *way, volatile struct framed *f)
{
	u64 mode = redis_capitals(redis_word(f, way->number + 11)) & 0xffffffffffffULL;

	f->scratch[REDIS_ACT] = REDIS_TELL;
	if (mode == REDIS_WORD('$', '2', '\r', '\n', 'O', 'N', 0, 0)) {
		f->scratch[REDIS_ACT] = REDIS_ASK;
		way->flags = 0;
	} else if (mode == REDIS_WORD('$', '3', '\r', '\n', 'O', 'F', 0, 0)) {
		way->flags = REDIS_SILENT;
	} else if (!(way->flags & REDIS_SILENT)) {
		way->flags |= REDIS_SKIP_NEXT;
	}
}

/* The arguments that are there are taken: is there a reply to come? */
static __always_inline u32 redis_ask(struct conn *conn, volatile struct follower *way, volatile struct framed *f)
{
	u64 looks = f->scratch[REDIS_KIND] & REDIS_LOOKS;

	if (looks && (f->scratch[REDIS_LEFT] || f->scratch[REDIS_AT] > f->have) && f->have < REDIS_SHOWN)
		return f->have + 1;
	if (f->scratch[REDIS_KIND] & REDIS_RESET)
		way->flags = 0;
	if (way->flags)
		f->scratch[REDIS_ACT] = REDIS_TELL;
	way->flags &= ~REDIS_SKIP_NEXT;
	if (looks && redis_capitals(redis_word(f, way->number)) == REDIS_WORD('$', '5', '\r', '\n', 'R', 'E', 'P', 'L'))
		redis_reply_mode(way, f);
	else if (looks && f->scratch[REDIS_BLOCKS])
		f->scratch[REDIS_KIND] |= REDIS_WAITS;
	conn->line_total = 0;
	if (!(f->scratch[REDIS_KIND] & ~REDIS_USUAL) && !(way->flags & REDIS_SKIP_NEXT) && f->head[0] == '*') {
		run_keep(conn, f, way->number, f->scratch[REDIS_HASH]);
		conn->line_kind = redis_digits(f, 1, redis_line(f, 1) - 1) - 1;
		conn->line_kind |= f->scratch[REDIS_KIND];
	}
	return FRAME_DONE;
}

#endif
