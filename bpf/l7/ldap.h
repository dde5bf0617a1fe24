/* SPDX-License-Identifier: GPL-2.0 */
/*
 * LDAP, version 3.
 *
 * https://www.rfc-editor.org/rfc/rfc4511
 *
 * Every message is a BER sequence with a number, which all answers repeat; entries and references come before the result that ends a
 * search. The endpoint is the operation, of a search with its scope. After a successful StartTLS the connection is TLS.
 */
#ifndef MESHLENS_LDAP_H
#define MESHLENS_LDAP_H

#include "framed.h"

FRAMED_PROTOCOL(ldap, PROTOCOL_LDAP, 3)

#define LDAP_HEADER 7
#define LDAP_TURNS 4
#define LDAP_LIMIT (16U << 20)
#define LDAP_SEQUENCE 0x30
#define LDAP_INTEGER 0x02
#define LDAP_OCTETS 0x04
#define LDAP_ENUMERATED 0x0a
#define LDAP_TLS_NAME 0x37333030322e3636ULL /* the last eight of the 22 bytes that name StartTLS */
#define LDAP_START_TLS 1 /* request->kind */

enum ldap_tag {
	LDAP_BIND = 0x60, LDAP_UNBIND = 0x42, LDAP_SEARCH = 0x63, LDAP_MODIFY = 0x66, LDAP_ADD = 0x68, LDAP_DELETE = 0x4a,
	LDAP_RENAME = 0x6c, LDAP_COMPARE = 0x6e, LDAP_ABANDON = 0x50, LDAP_EXTENDED = 0x77, LDAP_RESULT_EXTENDED = 0x78,
	LDAP_ENTRY = 0x64, LDAP_REFERENCE = 0x73, LDAP_INTERMEDIATE = 0x79,
};

/* Places of f->scratch: where content begins and how long it is, the number, the operation's tag, what is counted. */
enum ldap_scratch { LDAP_START, LDAP_LENGTH, LDAP_ID, LDAP_TAG, LDAP_DETAIL, LDAP_TOTAL, LDAP_KIND };

static __always_inline bool ldap_asks(u32 tag)
{
	return tag == LDAP_BIND || tag == LDAP_UNBIND || tag == LDAP_SEARCH || tag == LDAP_MODIFY || tag == LDAP_ADD ||
	       tag == LDAP_DELETE || tag == LDAP_RENAME || tag == LDAP_COMPARE || tag == LDAP_ABANDON || tag == LDAP_EXTENDED;
}

static __always_inline bool ldap_ends(u32 tag)
{
	return tag == 0x61 || tag == 0x65 || tag == 0x67 || tag == 0x69 || tag == 0x6b || tag == 0x6d || tag == 0x6f ||
	       tag == LDAP_RESULT_EXTENDED;
}

/* Reads the length at *at* into LDAP_LENGTH, and what lies behind it into LDAP_START. */
static __always_inline void ldap_length(volatile struct framed *f, u32 at)
{
	u32 first = head_u8(f, at), size = first & 0x7f, length = first;

	if (first & 0x80) {
		length = head_be32(f, at + 1);
		if (!size || size > 4)
			length = LDAP_LIMIT + 1;
		else
			length >>= 32 - 8 * (size & 7);
	} else {
		size = 0;
	}
	f->scratch[LDAP_LENGTH] = length;
	f->scratch[LDAP_START] = at + 1 + size;
}

/* Reads the outside of a message: its whole length, its number, and its operation; false when it is none. */
static __always_inline bool ldap_outside(volatile struct framed *f)
{
	u32 at, size;

	if (head_u8(f, 0) != LDAP_SEQUENCE)
		return false;
	ldap_length(f, 1);
	at = f->scratch[LDAP_START];
	if (f->scratch[LDAP_LENGTH] > LDAP_LIMIT || f->scratch[LDAP_LENGTH] < 5)
		return false;
	f->scratch[LDAP_TOTAL] = f->scratch[LDAP_LENGTH] + at;
	size = head_u8(f, at + 1);
	if (head_u8(f, at) != LDAP_INTEGER || !size || size > 4)
		return false;
	f->scratch[LDAP_ID] = head_be32(f, at + 2) >> (32 - 8 * (size & 7));
	f->scratch[LDAP_TAG] = head_u8(f, at + 2 + size);
	ldap_length(f, at + 3 + size);
	return f->scratch[LDAP_LENGTH] + f->scratch[LDAP_START] <= f->scratch[LDAP_TOTAL];
}

/* How much of a message must be there: its head, but not more than there is of it. */
static __always_inline u32 ldap_want(volatile struct framed *f)
{
	u32 total = f->scratch[LDAP_TOTAL];

	return total < FRAME_HEAD_BYTES ? total : FRAME_HEAD_BYTES;
}

static __always_inline enum match ldap_match(struct conn *conn, volatile struct framed *f)
{
	u32 tag, first, length;

	if (!f->request || head_u8(f, 0) != LDAP_SEQUENCE)
		return MATCH_NO;
	if (f->have < LDAP_HEADER)
		return MATCH_MORE;
	if (!ldap_outside(f))
		return f->have < 16 && head_u8(f, 1) & 0x80 ? MATCH_MORE : MATCH_NO;
	if (f->have < ldap_want(f) && f->have < 24)
		return MATCH_MORE;
	tag = f->scratch[LDAP_TAG];
	length = f->scratch[LDAP_LENGTH];
	first = head_u8(f, f->scratch[LDAP_START]);
	if (tag == LDAP_UNBIND)
		return !length && f->scratch[LDAP_TOTAL] == 7 ? MATCH_YES : MATCH_NO;
	if (tag == LDAP_BIND)
		return head_be16(f, f->scratch[LDAP_START]) == 0x0201 && head_u8(f, f->scratch[LDAP_START] + 3) == LDAP_OCTETS ? MATCH_YES : MATCH_NO;
	if (tag == LDAP_EXTENDED)
		return first == 0x80 ? MATCH_YES : MATCH_NO;
	if (tag == LDAP_DELETE || tag == LDAP_ABANDON || !ldap_asks(tag) || length < 4)
		return MATCH_NO;
	return first == LDAP_OCTETS ? MATCH_YES : MATCH_NO;
}

/* What tells operations of a kind apart: the scope of a search, how a bind proves who asks, the beginning of TLS. */
static __always_inline void ldap_asked(volatile struct framed *f)
{
	u32 at = f->scratch[LDAP_START], tag = f->scratch[LDAP_TAG], end = ldap_want(f);

	f->scratch[LDAP_DETAIL] = f->scratch[LDAP_KIND] = 0;
	if (tag == LDAP_EXTENDED) {
		if (head_u8(f, at + 1) == 22 && head_le64(f, at + 16) == LDAP_TLS_NAME)
			f->scratch[LDAP_KIND] = f->scratch[LDAP_DETAIL] = LDAP_START_TLS;
		return;
	}
	if (tag != LDAP_SEARCH && tag != LDAP_BIND)
		return;
	ldap_length(f, tag == LDAP_BIND ? at + 4 : at + 1);
	at = f->scratch[LDAP_START] + f->scratch[LDAP_LENGTH];
	if (f->scratch[LDAP_LENGTH] >= FRAME_HEAD_BYTES || at + 3 > end)
		return;
	f->scratch[LDAP_DETAIL] = 1 + (f->scratch[LDAP_TAG] == LDAP_SEARCH ? head_u8(f, at + 2) : head_u8(f, at));
}

static __always_inline u32 ldap_outcome(u32 code)
{
	if (!code || code == 5 || code == 6 || code == 10 || code == 14)
		return OUTCOME_OK;
	return code == 1 || code == 3 || code == 11 || code - 51 < 4 || code == 80 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

static __always_inline void ldap_count(struct conn *conn, void *sk, volatile struct framed *f, u32 tag)
{
	u32 code = 0, at = f->scratch[LDAP_START];
	u64 endpoint = endpoint_of(mix(mix(mix(HASH_START, PROTOCOL_LDAP), tag), f->scratch[LDAP_DETAIL]));
	struct request *request;

	if (f->request ? tag == LDAP_UNBIND || tag == LDAP_ABANDON : !f->scratch[LDAP_ID]) {
		framed_one_way(conn, f, endpoint, OUTCOME_OK, 0);
	} else if (f->request) {
		request = framed_request_id(conn, sk, f, f->scratch[LDAP_ID], endpoint);
		if (request)
			request->kind = f->scratch[LDAP_KIND];
	} else {
		if (head_be16(f, at) == 0x0a01)
			code = head_u8(f, at + 2);
		request = framed_find(conn, sk, f->scratch[LDAP_ID]);
		if (!request) {
			response_unexpected(conn);
			return;
		}
		f->scratch[LDAP_KIND] = request->kind == LDAP_START_TLS && !code;
		f->scratch[LDAP_DETAIL] = ldap_outcome(code);
		framed_finish(conn, f, request, f->scratch[LDAP_DETAIL], code);
		if (f->scratch[LDAP_KIND])
			conn->protocol = PROTOCOL_TLS;
	}
}

static __always_inline u32 ldap_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 tag, want;

	if (head_u8(f, 0) != LDAP_SEQUENCE)
		return FRAME_WRONG;
	ldap_length(f, 1);
	f->scratch[LDAP_TOTAL] = f->scratch[LDAP_LENGTH] + f->scratch[LDAP_START];
	if (f->scratch[LDAP_LENGTH] > LDAP_LIMIT)
		return FRAME_WRONG;
	want = ldap_want(f);
	if (f->have < want)
		return want;
	if (!ldap_outside(f))
		return FRAME_WRONG;
	tag = f->scratch[LDAP_TAG];
	f->length = f->scratch[LDAP_TOTAL];
	if (f->request ? !ldap_asks(tag) : !ldap_ends(tag)) {
		/* an entry, a reference, or an intermediate answer: it belongs to what is counted when the result comes */
		return !f->request && (tag == LDAP_ENTRY || tag == LDAP_REFERENCE || tag == LDAP_INTERMEDIATE) ? FRAME_DONE : FRAME_WRONG;
	}
	f->scratch[LDAP_DETAIL] = f->scratch[LDAP_KIND] = 0;
	if (f->request)
		ldap_asked(f);
	f->scratch[LDAP_TAG] = tag;
	ldap_count(conn, sk, f, f->scratch[LDAP_TAG]);
	return FRAME_DONE;
}

#endif
