/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DNS over TCP.
 *
 * https://www.rfc-editor.org/rfc/rfc7766
 *
 * Two bytes of length stand before each message. Queries may be pipelined, responses come in any order: the transaction id pairs
 * them. The endpoint is that of the same query over UDP.
 */
#ifndef MESHLENS_DNS_TCP_H
#define MESHLENS_DNS_TCP_H

#include "dns.h"
#include "framed.h"

FRAMED_PROTOCOL(dns_tcp, PROTOCOL_DNS, 3)

#define DNS_TCP_HEADER 14
#define DNS_TCP_TURNS 4
#define DNS_TCP_PREFIX 2

/* A query whose length fits, with one question and a label that may be one. */
static __always_inline enum match dns_tcp_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = head_be16(f, 0);

	if (!f->request || length < 17 || length > 512)
		return MATCH_NO;
	if (f->have < DNS_TCP_HEADER + 1)
		return MATCH_MORE;
	if (head_u8(f, 4) & 0xf8 || head_u8(f, 5) & 0x4f || head_be16(f, 6) != 1 || head_be16(f, 8) || head_be16(f, 10) ||
	    head_be16(f, 12) > 2 || head_u8(f, 14) > 63)
		return MATCH_NO;
	if (f->have < length + DNS_TCP_PREFIX && f->have < FRAME_HEAD_BYTES)
		return MATCH_MORE;
	return dns_question(f->head, DNS_TCP_HEADER, f->have) ? MATCH_YES : MATCH_NO;
}

static __always_inline u32 dns_tcp_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 length = head_be16(f, 0) + DNS_TCP_PREFIX, code = head_u8(f, 5) & 15;
	bool answer = head_u8(f, 4) & 0x80;

	if (length < DNS_TCP_HEADER || answer == f->request)
		return FRAME_WRONG;
	if (f->request && f->have < length && f->have < FRAME_HEAD_BYTES)
		return length < FRAME_HEAD_BYTES ? length : FRAME_HEAD_BYTES;
	f->length = length;
	if (f->request)
		framed_request_id(conn, sk, f, head_be16(f, 2), dns_question(f->head, DNS_TCP_HEADER, f->have));
	else
		framed_response_id(conn, sk, f, head_be16(f, 2),
				   !code ? OUTCOME_OK : code == 1 || code == 3 ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR, code);
	return FRAME_DONE;
}

#endif
