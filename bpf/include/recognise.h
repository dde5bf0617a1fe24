/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose protocol is it? The program that asks all framed protocols about the head of a connection, wherever it was cut.
 */
#ifndef MESHLENS_RECOGNISE_H
#define MESHLENS_RECOGNISE_H

#include "messages.h"

#define RECOGNISED_PIECES 64 /* of an iovec, in which a head is looked for */

/* Which framed protocol the head speaks, 0 when none; f->settled: further bytes may tell. */
static __always_inline u32 framed_match(struct conn *conn, volatile struct framed *f)
{
	enum match match;

	f->settled = 0;
	FRAMED_MATCHERS
	return 0;
}

/* Reads what there is of the head, in whatever pieces; a head that goes on behind them is not waited for. */
static __always_inline void recognise_gather(volatile struct framed *f)
{
	for (int piece = 0; piece < RECOGNISED_PIECES; piece++)
		if (f->have >= FRAME_HEAD_BYTES || !framed_fill(f))
			break;
}

/* The head lay in so many pieces that the connection's does not hold all: whose is that of a request? */
static __always_inline void recognise_pieces(struct conn *conn, volatile struct framed *f)
{
	enum match match;

	bpf_probe_read_kernel(conn->head, REQUEST_HEAD_BYTES, (void *)f->head);
	conn->head_bytes = f->have;
	if (!f->request)
		return;
	match = head_judge(conn);
	f->next = match == MATCH_YES && FOLLOWED_BY_FRAMES >> (conn->protocol & 63) & 1 ? conn->protocol : 0;
	f->spoken = match == MATCH_MORE;
	conn->protocol = PROTOCOL_UNKNOWN;
}

/*
 * The server speaks before the head of the request is complete. In a protocol that is recognised by it, what came of the head is the
 * beginning of a message; else this is its answer.
 */
static __always_inline u32 recognise_early(volatile struct pending *pending, struct conn *conn, void *sk,
					   volatile struct framed *f, u32 number)
{
	struct kept *store = number ? l7_kept_of(sk, true) : NULL;

	conn->gathering = 0;
	if (store) {
		bpf_probe_read_kernel(store->head[0], FRAME_HEAD_BYTES, conn->head);
		conn->ways[0].count = conn->head_bytes;
		conn->began_ns[0] = conn->one.start_ns;
		request_unpush(conn);
		conn->protocol = number;
		return number;
	}
	f->length = f->have;
	pending_begin(pending, f->now, f->bytes, 0, 0);
	pending->framed_answer = ANSWER_FRAMED;
	request_pop(pending, conn, sk);
	return 0;
}

/*
 * Asks the framed protocols whose the head is. Returns the program that goes on. A request that was taken for one of a protocol
 * without a name is taken back: the protocol knows better where requests begin.
 */
static __always_inline u32 recognise(void *sk)
{
	volatile struct framed *f = framed_here();
	volatile struct pending *pending = pending_here();
	struct conn *conn;
	bool early;

	if (!f || !pending)
		return 0;
	sk = sk ? sk : (void *)f->sock;
	conn = conn_find(sk);
	if (!conn)
		return 0;
	early = !f->request && conn->gathering == GATHERS_REQUEST;
	recognise_gather(f);
	f->next = f->spoken = 0;
	if (!early && f->have > conn->head_bytes)
		recognise_pieces(conn, f);
	f->settled = 0;
	if (!f->next)
		f->next = framed_match(conn, f);
	f->settled |= f->spoken;
	f->spoken = 0;
	if (early)
		return recognise_early(pending, conn, sk, f, f->next);
	if (f->next) {
		if (f->request)
			request_unpush(conn);
		conn->gathering = 0;
		conn->protocol = f->next;
		return f->next;
	}
	conn->gathering = f->settled && !f->view.left ? f->request ? GATHERS_REQUEST : GATHERS_GREETING : 0;
	if (conn->gathering)
		return 0;
#ifndef BEGINNING /* of a probe whose other protocols are still to come: they are to be asked as well */
	conn->infer_tries++;
#endif
	if (!f->request)
		answer_unknown(pending, conn, f->bytes);
	return 0;
}

#endif
