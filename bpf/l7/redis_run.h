/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of like commands, of like replies, and of deliveries on one channel: one call may bring a thousand of them, more than there are
 * turns. What begins like the last one is only counted; replies of one call to commands of one call took equally long.
 */
#ifndef MESHLENS_REDIS_RUN_H
#define MESHLENS_REDIS_RUN_H

#include "redis_requests.h"

#define REDIS_RUN_TURNS 6
#define REDIS_RUN_SAME 5 /* behind each: the same command, or the same reply */
#define REDIS_RUN_ELEMENTS 4

enum redis_like {
	REDIS_UNLIKE, REDIS_MORE_OF_IT, REDIS_LIKE_ASKED, REDIS_LIKE_ANSWERED, REDIS_LIKE_TOLD, REDIS_LIKE_OVER, REDIS_LIKE_OTHERS,
	REDIS_LIKE_TELLS,
};

/* Adds *count* requests to the series. */
static __always_inline void redis_add(volatile struct pending *pending, struct series_value *value, u64 count, u64 elapsed, u64 asked,
				      u64 told)
{
	u32 bucket;

	__sync_fetch_and_add(&value->requests, count);
	__sync_fetch_and_add(&value->duration_sum_ns, count * elapsed);
	__sync_fetch_and_add(&value->request_bytes, asked);
	__sync_fetch_and_add(&value->response_bytes, told);
	pending->settled = bucket_of(elapsed);
	bucket = pending->settled;
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&value->duration[bucket], count);
}

static __always_inline void redis_counted(struct conn *conn, u64 endpoint)
{
	conn->last_endpoint = endpoint;
	conn->last_outcome = OUTCOME_OK;
	conn->last_status = 0;
}

/* Counts the run: replies, or deliveries. */
static __always_inline void redis_run_end(struct conn *conn, volatile struct framed *f, u64 endpoint, u64 elapsed)
{
	volatile struct pending *pending = pending_here();
	struct series_value *value;

	if (!pending || !f->scratch[REDIS_RUN_COUNT])
		return;
	pending->spoken = 0;
	key_of(pending, conn, endpoint, OUTCOME_OK, 0);
	redis_counted(conn, endpoint);
	value = series_of((struct series_key *)&pending->key, (u32 *)&pending->first);
	if (value)
		redis_add(pending, value, f->scratch[REDIS_RUN_COUNT], elapsed, f->scratch[REDIS_RUN_ASKED],
			  f->scratch[REDIS_RUN_BYTES]);
	else
		lost_add(LOST_SERIES_FULL, f->scratch[REDIS_RUN_COUNT]);
}

/* Counts a reply to another command than the run's, or a delivery on another channel; false when its series has just gone. */
static __always_inline bool redis_run_other(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();
	struct series_value *value;
	struct request *oldest;

	if (!pending)
		return false;
	value = series_lookup(series_active(), (struct series_key *)&pending->key);
	if (!value)
		return false;
	f->credited = 1;
	if (f->scratch[REDIS_ACT] == REDIS_LIKE_TELLS) {
		redis_add(pending, value, 1, 0, 0, f->scratch[REDIS_AT]);
		return true;
	}
	oldest = redis_oldest(conn, sk);
	if (!oldest)
		return false;
	redis_add(pending, value, 1, f->now - oldest->start_ns, oldest->bytes, f->scratch[REDIS_AT]);
	conn->popped++;
	return true;
}

/* A command like the last one: its head needs not be looked at again. */
static __always_inline void redis_run_ask(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *request;

	if (!in_flight(conn)) {
		conn->head_index = conn->pushed;
		conn->head_bytes = f->have < f->length ? f->have : f->length;
		conn->thread = f->thread;
		bpf_probe_read_kernel(conn->head, REQUEST_HEAD_BYTES, (void *)f->head);
	}
	request = request_push(conn, sk, f->began, conn->line_endpoint, f->place);
	f->credited = 1;
	if (!request)
		return;
	request->bytes = f->length;
	request->kind = conn->line_kind & ~REDIS_REPLIES;
}

/* Whether a request of this kind may be counted as it is: its series is there, and nobody wants to see it. */
static __always_inline bool redis_plain(struct conn *conn, volatile struct framed *f, u64 endpoint, u64 start, u32 offset)
{
	volatile struct pending *pending = pending_here();
	u64 mixed = (conn->id ^ offset) * 0x9e3779b97f4a7c15ULL;

	if (!pending || conn->owed || conn->owed_back)
		return false;
	conn_peer_again(conn);
	if (f->now - start >= SLOW_NS || !((mixed >> 40) & RESERVOIR_MASK))
		return false;
	pending->spoken = 0;
	key_of(pending, conn, endpoint, OUTCOME_OK, 0);
	return series_lookup(series_active(), (struct series_key *)&pending->key);
}

/* Whether the reply in the head is a short one, without an error, to a usual command. A run is of one command, of one call. */
static __always_inline u32 redis_like_reply(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f,
					    bool same)
{
	struct request *oldest;
	u64 endpoint, start;
	u32 offset;

	if (way->flags || head_u8(f, 0) == '-' || head_u8(f, 0) == '!' || head_u8(f, 0) == '|' || head_u8(f, 0) < ' ')
		return REDIS_UNLIKE;
	if (!in_flight(conn))
		return conn->overflowed ? REDIS_LIKE_OVER : REDIS_UNLIKE;
	oldest = redis_oldest(conn, sk);
	if (!oldest || oldest->kind & ~(REDIS_TALKS | REDIS_EXEC) || (oldest->kind & REDIS_TALKS && head_u8(f, 0) == '*'))
		return REDIS_UNLIKE;
	if (oldest->kind & REDIS_EXEC)
		f->scratch[REDIS_NOTES] = REDIS_STOPS | REDIS_WHOLE;
	endpoint = oldest->endpoint;
	start = oldest->start_ns;
	offset = oldest->offset;
	if (endpoint == conn->unnamed_endpoint && start == conn->name && f->scratch[REDIS_RUN_COUNT])
		return REDIS_LIKE_ANSWERED;
	if (same || !redis_plain(conn, f, endpoint, start, offset))
		return REDIS_UNLIKE;
	if (f->scratch[REDIS_RUN_COUNT])
		return REDIS_LIKE_OTHERS;
	conn->unnamed_endpoint = endpoint;
	conn->name = start;
	return REDIS_LIKE_ANSWERED;
}

/* Whether a delivery on a channel that is known begins in the head. */
static __always_inline u32 redis_like_delivery(struct conn *conn, volatile struct framed *f)
{
	volatile struct pending *pending = pending_here();
	u64 at = 9 - is_equal(head_u8(f, 6), '\r'), bytes = redis_digits(f, 5, at - 7), word, line, *known;

	if (head_u8(f, 2) != '\r' || head_u8(f, 4) != '$' || bytes > 8 || !pending || conn->owed_back)
		return REDIS_UNLIKE;
	word = redis_cut(redis_word(f, at), bytes);
	f->settled = redis_said(word);
	if (f->settled != REDIS_DELIVERY)
		return REDIS_UNLIKE;
	at += bytes + 2;
	line = redis_line(f, at + 1);
	bytes = redis_digits(f, at + 1, line - 1);
	if (redis_byte(f, at) != '$' || line > 3 || at + 4 + line + bytes > f->have)
		return REDIS_UNLIKE;
	at += 2 + line;
	f->scratch[REDIS_ACT] = redis_raw(f, mix(HASH_START, word), at, bytes);
	known = redis_channels.lookup((u64 *)&f->scratch[REDIS_ACT]);
	if (!known)
		return REDIS_UNLIKE;
	redis_from(f, at + bytes + 2, head_u8(f, 1) - '0' - 2, 0);
	pending->spoken = 0;
	key_of(pending, conn, *known, OUTCOME_OK, 0);
	return series_lookup(series_active(), (struct series_key *)&pending->key) ? REDIS_LIKE_TELLS : REDIS_UNLIKE;
}

/* Whether the name of this endpoint was sent up: its series is there, or this connection has just done it. */
static __always_inline bool redis_known(struct conn *conn, u64 endpoint)
{
	struct endpoint_key name = {.instance = conn->instance, .protocol = PROTOCOL_REDIS, .endpoint = endpoint};
	volatile u64 *recent = (volatile u64 *)conn->answer;

	if (!((recent[0] ^ endpoint) && (recent[1] ^ endpoint) && (recent[2] ^ endpoint) && (recent[3] ^ endpoint)))
		return true;
	return l7_endpoints.lookup(&name);
}

/* Whether a usual command begins in the head, whose name is known already. */
static __always_inline u32 redis_like_command(struct conn *conn, volatile struct follower *way, volatile struct framed *f)
{
	f->scratch[REDIS_KIND] = 0;
	f->scratch[REDIS_ACT] = REDIS_PASS;
	f->settled = redis_asked(way, f);
	if (f->settled || f->scratch[REDIS_ACT] != REDIS_ASK || f->scratch[REDIS_KIND] & ~REDIS_USUAL)
		return REDIS_UNLIKE;
	if (!redis_known(conn, f->scratch[REDIS_HASH]))
		return REDIS_UNLIKE;
	f->run_endpoint = f->scratch[REDIS_HASH];
	conn->line_endpoint = f->run_endpoint;
	conn->line_kind = f->scratch[REDIS_LEFT] | f->scratch[REDIS_KIND];
	run_keep(conn, f, way->number, f->run_endpoint);
	return REDIS_LIKE_ASKED;
}

/* The same of a short command that was typed. */
static __always_inline u32 redis_like_line(struct conn *conn, volatile struct follower *way, volatile struct framed *f, bool same)
{
	u64 line = redis_line(f, 0), bytes = redis_to_space(redis_word(f, 0)), first = 0, second = 0;

	if (way->flags || line >= REDIS_LINE || line >= f->have || bytes == 8 || !is_letter(head_u8(f, 0)))
		return REDIS_UNLIKE;
	f->scratch[REDIS_HASH] = endpoint_of(redis_name(f, 0, bytes, &first, &second));
	redis_from(f, line + 1, 0, 0);
	if (same)
		return f->scratch[REDIS_HASH] == conn->line_endpoint ? REDIS_LIKE_ASKED : REDIS_UNLIKE;
	f->scratch[REDIS_KIND] = redis_kind(first, second, 1);
	if (f->scratch[REDIS_KIND] & ~REDIS_USUAL || !redis_known(conn, f->scratch[REDIS_HASH]))
		return REDIS_UNLIKE;
	conn->line_total = 0;
	conn->line_kind = f->scratch[REDIS_KIND];
	conn->line_endpoint = f->scratch[REDIS_HASH];
	return REDIS_LIKE_ASKED;
}

/* What the head begins with, if that needs no second look; begins to take its elements. */
static __always_inline u32 redis_like(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f, bool same)
{
	u64 strings = f->request ? REDIS_STRINGS : 0;

	if (way->pending) {
		redis_from(f, 0, way->pending, strings | (way->flags & REDIS_HELD && !f->request ? REDIS_STOPS : 0));
		return REDIS_MORE_OF_IT;
	}
	if (f->request && head_u8(f, 0) != '*')
		return redis_like_line(conn, way, f, same);
	if (f->request || way->flags & REDIS_SUBSCRIBED || head_u8(f, 0) == '>') {
		redis_from(f, conn->line_total, conn->line_kind & REDIS_REPLIES, strings);
		if (f->request && way->flags)
			return way->flags == REDIS_SILENT && run_begins(conn, f) ? REDIS_LIKE_TOLD : REDIS_UNLIKE;
		if (run_begins(conn, f))
			return f->request ? REDIS_LIKE_ASKED : REDIS_LIKE_TOLD;
		if (same)
			return REDIS_UNLIKE;
		return f->request ? redis_like_command(conn, way, f) : redis_like_delivery(conn, f);
	}
	redis_from(f, 0, 1, 0);
	return redis_like_reply(conn, sk, way, f, same);
}

/* One more of the run; false when it has to be looked at, and nothing of it is taken. */
static __always_inline bool redis_again(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f, bool same)
{
	struct request *oldest;

	if (f->have < 1)
		return false;
	if (way->state == REDIS_IN_LINE)
		return f->have >= REDIS_LINE && redis_line_goes_on(way, f);
	f->settled = redis_like(conn, sk, way, f, same);
	f->scratch[REDIS_ACT] = f->settled;
	if (f->scratch[REDIS_ACT] == REDIS_UNLIKE)
		return false;
	if (!f->request && f->scratch[REDIS_RUN_COUNT] && f->scratch[REDIS_ACT] == (REDIS_LIKE_ANSWERED ^ REDIS_LIKE_TOLD ^ f->scratch[REDIS_HASH]))
		return false;
	for (u32 i = 0; i < REDIS_RUN_ELEMENTS; i++)
		if (!redis_element(f))
			break;
	if (!f->scratch[REDIS_AT] || f->scratch[REDIS_NOTES] & REDIS_STRANGE ||
	    (f->scratch[REDIS_NOTES] & REDIS_WHOLE && f->scratch[REDIS_LEFT]))
		return false;
	if (f->scratch[REDIS_ACT] == REDIS_MORE_OF_IT && way->flags & REDIS_HELD && !f->request) {
		if (!f->scratch[REDIS_LEFT])
			return false;
		conn->owed_back += f->scratch[REDIS_AT];
		f->credited = 1;
	}
	if (!same && f->scratch[REDIS_ACT] >= REDIS_LIKE_OTHERS && !redis_run_other(conn, sk, f))
		return false;
	redis_taken(way, f);
	switch (f->scratch[REDIS_ACT]) {
	case REDIS_LIKE_ASKED:
		redis_run_ask(conn, sk, f);
		break;
	case REDIS_LIKE_OVER:
		conn->overflowed--;
		break;
	case REDIS_LIKE_ANSWERED:
		oldest = redis_oldest(conn, sk);
		if (oldest)
			f->scratch[REDIS_RUN_ASKED] += oldest->bytes;
		conn->popped++;
	case REDIS_LIKE_TOLD: /* fall through */
		f->scratch[REDIS_HASH] = f->scratch[REDIS_ACT];
		f->scratch[REDIS_RUN_COUNT]++;
		f->scratch[f->request ? REDIS_RUN_ASKED : REDIS_RUN_BYTES] += f->length;
		f->credited = 1;
	}
	return true;
}

static __always_inline bool redis_run_step(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f, bool same)
{
	if (way->skip || !redis_again(conn, sk, way, f, same))
		return false;
	framed_next(way, f);
	if (way->skip)
		framed_skip(way, f);
	if (!way->skip && f->have < RUN_HEAD)
		framed_fill(f);
	return true;
}

/* Takes as many as are like the last one. True when the program has to come back for what is not in the head. */
static __always_inline bool redis_run(struct conn *conn, void *sk, volatile struct follower *way, volatile struct framed *f)
{
	f->scratch[REDIS_RUN_COUNT] = f->scratch[REDIS_RUN_ASKED] = f->scratch[REDIS_RUN_BYTES] = f->scratch[REDIS_HASH] = 0;
	f->run_endpoint = *(volatile u64 *)&conn->line_endpoint;
	for (int turn = 0; turn < REDIS_RUN_TURNS; turn++) {
		if (!redis_run_step(conn, sk, way, f, false))
			break;
		for (int more = 0; more < REDIS_RUN_SAME; more++)
			if (!redis_run_step(conn, sk, way, f, true))
				break;
	}
	if (f->request && !way->flags)
		return way->skip || !f->have;
	if (f->request || f->scratch[REDIS_HASH] == REDIS_LIKE_TOLD)
		redis_run_end(conn, f, f->run_endpoint, 0);
	else
		redis_run_end(conn, f, conn->unnamed_endpoint, f->now - conn->name);
	return way->skip || !f->have;
}

#endif
