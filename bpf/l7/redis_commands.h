/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Redis' commands and errors mean for those who count them. shared/protocols/redis.py has the same numbers; a test holds the two
 * together.
 */
#ifndef MESHLENS_REDIS_COMMANDS_H
#define MESHLENS_REDIS_COMMANDS_H

#include "redis_wire.h"

enum redis_state { REDIS_VALUES, REDIS_IN_LINE };

/* Of the direction of requests: whether replies are turned off. */
enum redis_asking { REDIS_SILENT = 1, REDIS_SKIP_NEXT = 2 };

/* Of that of replies: EXEC's is being read; deliveries look like replies; what MONITOR shows does. */
enum redis_telling { REDIS_HELD = 1, REDIS_SUBSCRIBED = 2, REDIS_MONITORED = 4 };

/* Of a request: how it is answered. 0 is the usual way. */
#define REDIS_REPLIES 0xffffffU /* how many times */
#define REDIS_SUBSCRIBES (1U << 24) /* once for each channel */
#define REDIS_TALKS (1U << 25) /* also among deliveries */
#define REDIS_ALL (1U << 26) /* as often as there are subscriptions */
#define REDIS_WAITS (1U << 27)
#define REDIS_EXEC (1U << 28)
#define REDIS_MONITOR (1U << 29)
#define REDIS_RESET (1U << 30)
#define REDIS_LEAVES (1U << 31) /* what follows is replication */

#define REDIS_USUAL ((u64)(REDIS_TALKS | REDIS_EXEC | REDIS_WAITS)) /* needs no second look when it is sent */

/* Beyond what is kept of a request: its arguments have to be looked at. */
#define REDIS_LOOKS (1ULL << 32)
#define REDIS_THERE (1ULL << 33) /* there is such a request */

/* The elements are taken: sets the message's length and what is left of it. */
static __always_inline void redis_taken(volatile struct follower *way, volatile struct framed *f)
{
	f->length = f->scratch[REDIS_AT];
	way->pending = f->scratch[REDIS_LEFT];
	way->state = f->scratch[REDIS_NOTES] & REDIS_OPEN ? REDIS_IN_LINE : REDIS_VALUES;
}

/* The next piece of a long line. */
static __always_inline bool redis_line_goes_on(volatile struct follower *way, volatile struct framed *f)
{
	u64 line = redis_line(f, 0);

	if (line < REDIS_LINE && line < f->have) {
		f->length = line + 1;
		way->state = REDIS_VALUES;
	} else {
		f->length = f->have < REDIS_LINE ? f->have : REDIS_LINE;
	}
	return true;
}

static __always_inline struct request *redis_oldest(struct conn *conn, void *sk)
{
	return in_flight(conn) ? request_at(conn, sk, conn->popped, false) : NULL;
}

/* How a command is answered, from the first sixteen bytes of its name, in capitals. */
static __always_inline u64 redis_kind(u64 first, u64 second, u64 words)
{
	u64 replies = words - 1 < REDIS_REPLIES >> 1 ? words - 1 : 1;

	switch (first) {
	case REDIS_WORD('S', 'U', 'B', 'S', 'C', 'R', 'I', 'B'):
	case REDIS_WORD('P', 'S', 'U', 'B', 'S', 'C', 'R', 'I'):
	case REDIS_WORD('S', 'S', 'U', 'B', 'S', 'C', 'R', 'I'):
		return replies | REDIS_SUBSCRIBES;
	case REDIS_WORD('U', 'N', 'S', 'U', 'B', 'S', 'C', 'R'):
	case REDIS_WORD('P', 'U', 'N', 'S', 'U', 'B', 'S', 'C'):
	case REDIS_WORD('S', 'U', 'N', 'S', 'U', 'B', 'S', 'C'):
		return replies ? replies | REDIS_SUBSCRIBES : REDIS_SUBSCRIBES | REDIS_ALL;
	case REDIS_WORD('P', 'I', 'N', 'G', 0, 0, 0, 0):
	case REDIS_WORD('Q', 'U', 'I', 'T', 0, 0, 0, 0):
		return REDIS_TALKS;
	case REDIS_WORD('R', 'E', 'S', 'E', 'T', 0, 0, 0):
		return REDIS_TALKS | REDIS_RESET;
	case REDIS_WORD('M', 'O', 'N', 'I', 'T', 'O', 'R', 0):
		return REDIS_MONITOR;
	case REDIS_WORD('E', 'X', 'E', 'C', 0, 0, 0, 0):
		return REDIS_EXEC;
	case REDIS_WORD('P', 'S', 'Y', 'N', 'C', 0, 0, 0):
	case REDIS_WORD('S', 'Y', 'N', 'C', 0, 0, 0, 0):
		return REDIS_LEAVES;
	case REDIS_WORD('C', 'L', 'I', 'E', 'N', 'T', 0, 0):
	case REDIS_WORD('X', 'R', 'E', 'A', 'D', 0, 0, 0):
	case REDIS_WORD('X', 'R', 'E', 'A', 'D', 'G', 'R', 'O'):
		return REDIS_LOOKS;
	case REDIS_WORD('B', 'L', 'P', 'O', 'P', 0, 0, 0):
	case REDIS_WORD('B', 'R', 'P', 'O', 'P', 0, 0, 0):
	case REDIS_WORD('B', 'L', 'M', 'O', 'V', 'E', 0, 0):
	case REDIS_WORD('B', 'L', 'M', 'P', 'O', 'P', 0, 0):
	case REDIS_WORD('B', 'R', 'P', 'O', 'P', 'L', 'P', 'U'):
	case REDIS_WORD('B', 'Z', 'P', 'O', 'P', 'M', 'I', 'N'):
	case REDIS_WORD('B', 'Z', 'P', 'O', 'P', 'M', 'A', 'X'):
	case REDIS_WORD('B', 'Z', 'M', 'P', 'O', 'P', 0, 0):
	case REDIS_WORD('W', 'A', 'I', 'T', 0, 0, 0, 0):
	case REDIS_WORD('W', 'A', 'I', 'T', 'A', 'O', 'F', 0):
		return REDIS_WAITS;
	}
	return 0;
}

/* Errors by the first eight bytes of their word; the number is the status. Redirections are no failure of anybody. */
#define REDIS_NOBODY(number) ((u32)OUTCOME_OK << 16 | (number))
#define REDIS_CALLER(number) ((u32)OUTCOME_CLIENT_ERROR << 16 | (number))
#define REDIS_SERVER(number) ((u32)OUTCOME_SERVER_ERROR << 16 | (number))

static __always_inline u32 redis_error(u64 word)
{
	switch (word) {
	case REDIS_WORD('E', 'R', 'R', 0, 0, 0, 0, 0): return REDIS_CALLER(1);
	case REDIS_WORD('M', 'O', 'V', 'E', 'D', 0, 0, 0): return REDIS_NOBODY(2);
	case REDIS_WORD('A', 'S', 'K', 0, 0, 0, 0, 0): return REDIS_NOBODY(3);
	case REDIS_WORD('W', 'R', 'O', 'N', 'G', 'T', 'Y', 'P'): return REDIS_CALLER(4);
	case REDIS_WORD('N', 'O', 'A', 'U', 'T', 'H', 0, 0): return REDIS_CALLER(5);
	case REDIS_WORD('W', 'R', 'O', 'N', 'G', 'P', 'A', 'S'): return REDIS_CALLER(6);
	case REDIS_WORD('N', 'O', 'P', 'E', 'R', 'M', 0, 0): return REDIS_CALLER(7);
	case REDIS_WORD('N', 'O', 'S', 'C', 'R', 'I', 'P', 'T'): return REDIS_CALLER(8);
	case REDIS_WORD('E', 'X', 'E', 'C', 'A', 'B', 'O', 'R'): return REDIS_CALLER(9);
	case REDIS_WORD('C', 'R', 'O', 'S', 'S', 'S', 'L', 'O'): return REDIS_CALLER(10);
	case REDIS_WORD('B', 'U', 'S', 'Y', 'G', 'R', 'O', 'U'): return REDIS_CALLER(11);
	case REDIS_WORD('B', 'U', 'S', 'Y', 'K', 'E', 'Y', 0): return REDIS_CALLER(12);
	case REDIS_WORD('N', 'O', 'G', 'R', 'O', 'U', 'P', 0): return REDIS_CALLER(13);
	case REDIS_WORD('N', 'O', 'P', 'R', 'O', 'T', 'O', 0): return REDIS_CALLER(14);
	case REDIS_WORD('N', 'O', 'T', 'B', 'U', 'S', 'Y', 0): return REDIS_CALLER(15);
	case REDIS_WORD('U', 'N', 'K', 'I', 'L', 'L', 'A', 'B'): return REDIS_CALLER(16);
	case REDIS_WORD('O', 'O', 'M', 0, 0, 0, 0, 0): return REDIS_SERVER(17);
	case REDIS_WORD('L', 'O', 'A', 'D', 'I', 'N', 'G', 0): return REDIS_SERVER(18);
	case REDIS_WORD('R', 'E', 'A', 'D', 'O', 'N', 'L', 'Y'): return REDIS_SERVER(19);
	case REDIS_WORD('B', 'U', 'S', 'Y', 0, 0, 0, 0): return REDIS_SERVER(20);
	case REDIS_WORD('C', 'L', 'U', 'S', 'T', 'E', 'R', 'D'): return REDIS_SERVER(21);
	case REDIS_WORD('T', 'R', 'Y', 'A', 'G', 'A', 'I', 'N'): return REDIS_SERVER(22);
	case REDIS_WORD('M', 'I', 'S', 'C', 'O', 'N', 'F', 0): return REDIS_SERVER(23);
	case REDIS_WORD('M', 'A', 'S', 'T', 'E', 'R', 'D', 'O'): return REDIS_SERVER(24);
	case REDIS_WORD('N', 'O', 'R', 'E', 'P', 'L', 'I', 'C'): return REDIS_SERVER(25);
	case REDIS_WORD('U', 'N', 'B', 'L', 'O', 'C', 'K', 'E'): return REDIS_SERVER(26);
	case REDIS_WORD('I', 'O', 'E', 'R', 'R', 0, 0, 0): return REDIS_SERVER(28);
	case REDIS_WORD('E', 'R', 'R', ' ', 'm', 'a', 'x', ' '): return REDIS_SERVER(27); /* number of clients reached */
	}
	return REDIS_SERVER(99);
}

/* What a push, or an array that may be one, is about. */
enum redis_said { REDIS_NOTHING, REDIS_DELIVERY, REDIS_CONFIRMATION };

static __always_inline u32 redis_said(u64 word)
{
	switch (word) {
	case REDIS_WORD('m', 'e', 's', 's', 'a', 'g', 'e', 0):
	case REDIS_WORD('p', 'm', 'e', 's', 's', 'a', 'g', 'e'):
	case REDIS_WORD('s', 'm', 'e', 's', 's', 'a', 'g', 'e'):
		return REDIS_DELIVERY;
	case REDIS_WORD('s', 'u', 'b', 's', 'c', 'r', 'i', 'b'):
	case REDIS_WORD('p', 's', 'u', 'b', 's', 'c', 'r', 'i'):
	case REDIS_WORD('s', 's', 'u', 'b', 's', 'c', 'r', 'i'):
	case REDIS_WORD('u', 'n', 's', 'u', 'b', 's', 'c', 'r'):
	case REDIS_WORD('p', 'u', 'n', 's', 'u', 'b', 's', 'c'):
	case REDIS_WORD('s', 'u', 'n', 's', 'u', 'b', 's', 'c'):
		return REDIS_CONFIRMATION;
	}
	return REDIS_NOTHING;
}

/* Commands that people type, and nobody else begins with; in capitals, as other servers' lines are not. */
static __always_inline bool redis_typed(u64 word)
{
	switch (word) {
	case REDIS_WORD('p', 'i', 'n', 'g', 0, 0, 0, 0):
	case REDIS_WORD('P', 'I', 'N', 'G', 0, 0, 0, 0):
	case REDIS_WORD('E', 'C', 'H', 'O', 0, 0, 0, 0):
	case REDIS_WORD('I', 'N', 'F', 'O', 0, 0, 0, 0):
	case REDIS_WORD('G', 'E', 'T', 0, 0, 0, 0, 0):
	case REDIS_WORD('S', 'E', 'T', 0, 0, 0, 0, 0):
	case REDIS_WORD('D', 'E', 'L', 0, 0, 0, 0, 0):
	case REDIS_WORD('I', 'N', 'C', 'R', 0, 0, 0, 0):
	case REDIS_WORD('K', 'E', 'Y', 'S', 0, 0, 0, 0):
	case REDIS_WORD('E', 'X', 'I', 'S', 'T', 'S', 0, 0):
	case REDIS_WORD('H', 'G', 'E', 'T', 'A', 'L', 'L', 0):
	case REDIS_WORD('L', 'R', 'A', 'N', 'G', 'E', 0, 0):
	case REDIS_WORD('D', 'B', 'S', 'I', 'Z', 'E', 0, 0):
	case REDIS_WORD('C', 'O', 'N', 'F', 'I', 'G', 0, 0):
	case REDIS_WORD('C', 'L', 'I', 'E', 'N', 'T', 0, 0):
	case REDIS_WORD('M', 'O', 'N', 'I', 'T', 'O', 'R', 0):
		return true;
	}
	return false;
}

#endif
