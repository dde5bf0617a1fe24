/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of like one-way messages: one call may bring a thousand of them, more than a kernel without bpf_loop has turns. The beginning
 * of the last one-way message is kept; what follows it and begins alike is only counted, and put into its series at once, without
 * samples.
 *
 * The beginning lies in the connection's `line`, which only HTTP uses otherwise.
 */
#ifndef MESHLENS_RUN_H
#define MESHLENS_RUN_H

#include "dotted.h"
#include "framed.h"

#define RUN_HEAD 96 /* bytes of a message's head that are read ahead */
#define RUN_TURNS 16

/* How far the direction of this call is read. Not by a branch: the verifier would follow all that comes behind it for each of the two. */
static __always_inline volatile struct follower *run_way(struct conn *conn, volatile struct framed *f)
{
	u64 back = f->request & 1;

	asm volatile("%0 ^= 1" : "+r"(back));
	return &conn->ways[back];
}

/* Keeps the *bytes* (8 to 64) in which further messages must agree with this one; it was counted under *endpoint*. */
static __always_inline void run_keep(struct conn *conn, volatile struct framed *f, u32 bytes, u64 endpoint)
{
	conn->line_total = 0;
	if (bytes > LINE_WORDS * 8 || bytes > f->have)
		return;
	bpf_probe_read_kernel(conn->line, LINE_WORDS * 8, (void *)f->head);
	conn->line_total = bytes;
	conn->line_endpoint = endpoint;
	conn->line_more = f->request;
}

/* Whether the head begins with the bytes that were kept: words that are whole, then the last eight bytes. */
static __always_inline bool run_begins(struct conn *conn, volatile struct framed *f)
{
	volatile u64 *head = (volatile u64 *)f->head, *line = (volatile u64 *)conn->line;
	u64 at = conn->line_total, differ = 0;

	if (at < 8 || f->have < at || conn->line_more != f->request)
		return false;
	for (u32 i = 0; i < LINE_WORDS; i++)
		differ |= (head[i] ^ line[i]) & -is_below(8 * i + 7, at);
	differ |= *(volatile u64 *)&conn->line_endpoint ^ f->run_endpoint;
	at -= 8;
	asm volatile("%0 &= 63" : "+r"(at));
	differ |= *(volatile u64 *)((volatile u8 *)head + at) ^ *(volatile u64 *)((volatile u8 *)line + at);
	return !differ;
}

/* The number that stands at *at*, of at most eight digits; sets how many there are. Without branches: it is read in a loop. */
static __always_inline u32 run_number(volatile struct framed *f, u32 at, u32 *digits)
{
	u64 number = 0, count = 0, is_one = 1;

	for (u32 i = 0; i < 8; i++) {
		u8 digit = head_u8(f, at + i) - '0';

		is_one &= is_below(digit, 10);
		number += (9 * number + digit) & -is_one;
		count += is_one;
	}
	*digits = count;
	return number;
}

/* A message of the run is taken: f->length is set. */
static __always_inline void run_next(volatile struct follower *way, volatile struct framed *f)
{
	f->scratch[6]++;
	f->scratch[7] += f->length;
	f->credited = 1;
	framed_next(way, f);
	if (way->skip)
		framed_skip(way, f);
	if (!way->skip && f->have < RUN_HEAD)
		framed_fill(f);
}

/* Counts the run. */
static __always_inline void run_end(struct conn *conn, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();
	struct series_value *value;
	u64 bytes = f->scratch[7];

	if (!pending || !f->scratch[6])
		return;
	pending->spoken = 0;
	key_of(pending, conn, f->run_endpoint, OUTCOME_OK, 0);
	value = series_of((struct series_key *)&pending->key, (u32 *)&pending->first);
	if (!value) {
		lost_add(LOST_SERIES_FULL, f->scratch[6]);
		return;
	}
	__sync_fetch_and_add(&value->requests, f->scratch[6]);
	__sync_fetch_and_add(&value->duration[0], f->scratch[6]);
	if (f->request)
		__sync_fetch_and_add(&value->request_bytes, bytes);
	else
		__sync_fetch_and_add(&value->response_bytes, bytes);
}

/*
 * Takes as many messages as are like the last one; *again* (conn, f) says whether the head is one more, and sets f->length. True when
 * the program has to come back for the next message, because its head is not there.
 */
#define RUN(conn, way, f, header, again)                                                                               \
	({                                                                                                             \
		f->scratch[6] = f->scratch[7] = 0;                                                                     \
		f->run_endpoint = *(volatile u64 *)&(conn)->line_endpoint;                                             \
		for (int turn = 0; turn < RUN_TURNS; turn++) {                                                         \
			if (way->skip || f->have < header || !again(conn, f))                                          \
				break;                                                                                 \
			run_next(way, f);                                                                              \
		}                                                                                                      \
		run_end(conn, f);                                                                                      \
		way->skip || f->have < header;                                                                         \
	})

#endif
