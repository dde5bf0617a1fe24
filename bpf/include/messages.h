/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes on a stream: gather the head of a message, find out whose protocol it is, hand it on.
 */
#ifndef MESHLENS_MESSAGES_H
#define MESHLENS_MESSAGES_H

#include "dns.h"
#include "framed.h"
#include "http.h"
#include "postgresql.h"

FRAMED_HEADERS

#define GATHERED_PIECES 2 /* of an iovec, in which nearly every head lies */

/* Appends what comes next to the head. */
static __always_inline void head_gather(struct conn *conn, struct view *view)
{
	u64 have, take;

	for (int piece = 0; piece < GATHERED_PIECES; piece++) {
		have = conn->head_bytes;
		if (have >= REQUEST_HEAD_BYTES || !view->left)
			return;
		if (!view_ready(view))
			continue;
		take = REQUEST_HEAD_BYTES - have;
		if (take > view->here)
			take = view->here;
		asm volatile("%0 &= 255" : "+r"(have));
		asm volatile("" : "+r"(take));
		if (take > REQUEST_HEAD_BYTES)
			return;
		if (bpf_probe_read_user(&conn->head[have], take, (void *)view->at))
			return;
		conn->head_bytes = have + take;
		view_skip(view, take);
	}
}

/* A request that goes on, or the rest of one that is answered already. */
static __always_inline void request_more(volatile struct pending *pending, struct conn *conn, void *sk, u32 bytes)
{
	struct request *newest = newest_request(conn, sk);

	if (newest)
		newest->bytes += bytes;
	else
		late_bytes(pending, conn, bytes, 0);
}

static __always_inline void request_or_late(volatile struct pending *pending, struct conn *conn, void *sk, bool request, u32 bytes)
{
	if (request)
		request_more(pending, conn, sk, bytes);
	else
		late_bytes(pending, conn, 0, bytes);
}

/* What conn->gathering says: whose head is not complete. */
enum gathers { GATHERS_NOTHING, GATHERS_REQUEST, GATHERS_GREETING };

static __always_inline void head_begin(struct conn *conn, void *sk, u64 now, u32 thread, bool sent, u32 bytes)
{
	conn->head_bytes = 0;
	conn->head_index = conn->pushed;
	conn->thread = thread;
	conn->gathering = request_push(conn, sk, now, 0, conn->passed[sent] - bytes) != NULL;
}

/* Whose the head is: sets the connection's protocol. MORE when only further bytes can tell. */
static __always_inline enum match head_judge(struct conn *conn)
{
	u64 first = *(u64 *)conn->head;
	u32 bytes = conn->head_bytes;
	enum match match = http_line_match(conn);

	if (match == MATCH_YES)
		conn->protocol = PROTOCOL_HTTP1;
	if (match != MATCH_NO)
		return match;
	match = pg_match(first, bytes);
	if (match == MATCH_YES)
		conn->protocol = PROTOCOL_POSTGRESQL;
	return match;
}

static __always_inline bool is_followed(struct conn *conn)
{
	return FOLLOWED >> (conn->protocol & 63) & 1;
}

/* Bytes back that no request asked for, of a protocol that is not known. */
static __always_inline void answer_unknown(volatile struct pending *pending, struct conn *conn, u32 bytes)
{
	if (conn->midstream && !conn->pushed)
		lost_count(LOST_ATTACHED_MIDSTREAM);
	conn->midstream = 0;
	late_bytes(pending, conn, 0, bytes);
}

/*
 * Bytes of requests of a protocol that is not followed. Returns the program that goes on with them: the one of a protocol
 * that was just recognised.
 */
static __always_inline u32 stream_request(volatile struct pending *pending, struct conn *conn, void *sk, struct view *view,
					  u32 thread, bool sent, u32 bytes)
{
	struct request *newest;

	if (conn->gathering != GATHERS_REQUEST && !in_flight(conn))
		head_begin(conn, sk, pending->now, thread, sent, bytes);
	if (!conn->gathering) {
		request_more(pending, conn, sk, bytes);
		return 0;
	}
	newest = newest_request(conn, sk);
	if (!newest)
		return 0;
	newest->bytes += bytes;
	pending->earlier = conn->head_bytes;
	head_gather(conn, view);
	pending->settled = conn->infer_tries < INFER_TRIES ? head_judge(conn) : MATCH_NO;
	if (pending->settled == MATCH_MORE && view->left && conn->head_bytes < REQUEST_HEAD_BYTES)
		pending->settled = MATCH_NO; /* it lies in more pieces */
	conn->gathering = pending->settled == MATCH_MORE;
	if (pending->settled != MATCH_NO)
		return pending->settled == MATCH_YES ? conn->protocol : 0;
	if (conn->protocol == PROTOCOL_UNKNOWN && conn->infer_tries < INFER_TRIES)
		return RECOGNISE;
	return 0;
}

/*
 * What nobody recognised: the first bytes out are a request, the first bytes back its response. Bytes that no request asked for may
 * be a greeting, or answer what was asked before the connection was watched: returns the program that looks at them.
 */
static __always_inline u32 stream_response(volatile struct pending *pending, struct conn *conn, void *sk,
						 struct view *view, u32 bytes)
{
	if (in_flight(conn) && conn->midstream && !conn->popped && http_begins_answer(view)) {
		/* What was taken for a request is the rest of one that began before. */
		conn->popped = conn->pushed = 0;
		conn->protocol = PROTOCOL_HTTP1;
		conn->gathering = 0;
		return PROTOCOL_HTTP1;
	}
	if (in_flight(conn) && conn->gathering == GATHERS_REQUEST && conn->protocol == PROTOCOL_UNKNOWN) {
		pending->earlier = 0;
		return RECOGNISE;
	}
	if (in_flight(conn)) {
		pending_begin(pending, pending->now, bytes, view->at, view_ready(view) ? view->here : 0);
		pending->answer_address = view->at;
		conn->gathering = 0;
		request_pop(pending, conn, sk);
		return 0;
	}
	if (conn->protocol == PROTOCOL_UNKNOWN && conn->infer_tries < INFER_TRIES) {
		if (conn->gathering != GATHERS_GREETING)
			conn->head_bytes = 0;
		pending->earlier = conn->head_bytes;
		head_gather(conn, view);
		return RECOGNISE;
	}
	answer_unknown(pending, conn, bytes);
	return 0;
}

/*
 * The usual HTTP request, without a detour: nothing else is in flight, and it begins like the last one. False leaves everything as
 * it was, but for the head's bytes.
 */
static __always_inline bool quick_request(volatile struct pending *pending, struct conn *conn, struct call_registers *call,
					  bool sent, u32 bytes)
{
	u64 take = bytes;

	if (in_flight(conn) || bytes != conn->line_total || http_place(&conn->ways[0]) || conn->overflowed ||
	    !call_is_plain(call->number))
		return false;
	if (take > REQUEST_HEAD_BYTES)
		take = REQUEST_HEAD_BYTES;
	asm volatile("" : "+r"(take));
	if (take > REQUEST_HEAD_BYTES || read_user(conn->head, take, call->buffer))
		return false;
	conn->head_bytes = take;
	if (!http_same_line(conn))
		return false;
	conn->head_index = conn->one_index = conn->pushed;
	conn->thread = call->thread;
	conn->one.start_ns = pending->now;
	conn->one.endpoint = conn->line_endpoint;
	conn->one.bytes = bytes;
	conn->one.offset = conn->passed[sent] - bytes;
	conn->one.kind = conn->line_kind;
	conn->pushed++;
	return true;
}

/* The first piece of the bytes of a call; false when it cannot be had quickly. */
static __always_inline bool quick_piece(struct call_registers *call, struct user_piece *piece)
{
	struct user_message message;
	u64 pieces = call->buffer;

	if (call_is_plain(call->number)) {
		piece->base = call->buffer;
		return true;
	}
	if (call->number == CALL_SENDMSG || call->number == CALL_RECVMSG) {
		if (bpf_probe_read_user(&message, sizeof(message), (void *)call->buffer))
			return false;
		pieces = message.pieces;
	} else if (call->number != CALL_WRITEV && call->number != CALL_READV) {
		return false;
	}
	return !bpf_probe_read_user(piece, sizeof(*piece), (void *)pieces);
}

/*
 * The usual HTTP response, without a detour: its status is in the first piece. So is the rest of a response's body. False leaves
 * everything as it was.
 */
static __always_inline bool quick_response(volatile struct pending *pending, struct conn *conn, void *sk,
					   struct call_registers *call, u32 bytes)
{
	struct user_piece piece = {.length = bytes};

	if (http_place(&conn->ways[1]) > HTTP_LOOSE || !quick_piece(call, &piece))
		return false;
	if (piece.length > bytes)
		piece.length = bytes;
	if (piece.length < ANSWER_BYTES || bpf_probe_read_user(conn->answer, ANSWER_BYTES, (void *)piece.base))
		return false;
	pending->settled = http_status(conn->answer);
	if (!in_flight(conn) && !pending->settled && conn->ways[1].state == HTTP_LOOSE) {
		late_bytes(pending, conn, 0, bytes);
		return true;
	}
	if (!in_flight(conn) || pending->settled < 200)
		return false;
	pending_begin(pending, pending->now, bytes, piece.base, piece.length);
	pending->outcome = http_outcome(pending->settled);
	pending->status = pending->settled;
	conn->ways[1].state = HTTP_LOOSE;
	request_pop(pending, conn, sk);
	return true;
}

/* Bytes without a user buffer: they are counted, what they say is not guessed. */
static __always_inline void stream_unseen(volatile struct pending *pending, struct conn *conn, void *sk, bool request, u32 bytes)
{
	volatile struct follower *way = request ? &conn->ways[0] : &conn->ways[1];

	if (conn->protocol == PROTOCOL_HTTP1) {
		if (http_unseen(conn, way, request, bytes)) {
			lost_count(LOST_CONTENT_NOT_SEEN);
		} else if (!request && way->state == HTTP_LOOSE && conn->pushed - conn->popped == 1) {
			/* The only answer that is awaited. Among several, the next head that is seen tells whose it was. */
			lost_count(LOST_CONTENT_NOT_SEEN);
			conn->popped++;
			return;
		}
		request_or_late(pending, conn, sk, request, bytes);
		return;
	}
	if (is_followed(conn)) {
		if (way->skip < bytes)
			follow_lost(conn);
		else
			way->skip -= bytes;
		return;
	}
	if (request) {
		if (!in_flight(conn) && conn->protocol == PROTOCOL_UNKNOWN)
			lost_count(LOST_CONTENT_NOT_SEEN);
		else
			request_more(pending, conn, sk, bytes);
		return;
	}
	if (in_flight(conn)) {
		lost_count(LOST_CONTENT_NOT_SEEN);
		conn->popped++;
		conn->gathering = 0;
		return;
	}
	late_bytes(pending, conn, 0, bytes);
}

#endif
