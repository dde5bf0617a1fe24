/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FastCGI: how web servers ask PHP and other applications.
 *
 * https://fastcgi-archives.github.io/FastCGI_Specification.html
 *
 * Requests have numbers. Their parameters are read one by one: the method with the path that was asked for names the endpoint. A
 * response begins with the first record of output, whose headers tell the status; a request that ends without output was
 * refused, or says so by its application's status.
 */
#ifndef MESHLENS_FASTCGI_H
#define MESHLENS_FASTCGI_H

#include "framed.h"
#include "text.h"

FRAMED_PROTOCOL(fastcgi, PROTOCOL_FASTCGI, 2)

#define FASTCGI_HEADER 1
#define FASTCGI_TURNS 2
#define FASTCGI_RECORD 8 /* bytes of a record's header */
#define FASTCGI_PATH_BYTES 160 /* of a path that are looked at; names are no longer */
#define FASTCGI_OUTPUT_BYTES 240 /* of the output that are searched for the status */

enum fastcgi_type {
	FASTCGI_BEGIN = 1, FASTCGI_ABORT, FASTCGI_END, FASTCGI_PARAMS, FASTCGI_STDIN, FASTCGI_STDOUT, FASTCGI_STDERR, FASTCGI_DATA,
	FASTCGI_GET_VALUES, FASTCGI_VALUES, FASTCGI_UNKNOWN,
};

enum fastcgi_state { FASTCGI_AT_RECORD, FASTCGI_AT_PAIR };
enum fastcgi_scratch { FASTCGI_OUTCOME, FASTCGI_STATUS, FASTCGI_NAME, FASTCGI_VALUE, FASTCGI_AT };

static __always_inline u64 fastcgi_word(volatile struct framed *f, u32 at)
{
	return *(volatile u64 *)&f->head[at & (FRAME_HEAD_BYTES - 1)];
}

/* The record with which a request begins: its role, and zeros where the specification says so. */
static __always_inline enum match fastcgi_match(struct conn *conn, volatile struct framed *f)
{
	if (!f->request || head_be16(f, 0) != 0x0101 || f->have < 4)
		return f->request && head_u8(f, 0) == 1 && f->have < 4 ? MATCH_MORE : MATCH_NO;
	if (!head_be16(f, 2))
		return MATCH_NO;
	if (f->have < 16)
		return MATCH_MORE;
	if (head_be16(f, 4) != 8 || head_u8(f, 7) || !head_be16(f, 8) || head_be16(f, 8) > 3 || head_u8(f, 10) > 1 ||
	    head_be32(f, 11) || head_u8(f, 15))
		return MATCH_NO;
	return MATCH_YES;
}

/* Reads one of a parameter's two lengths at STEP *at*; 0 bytes when it is not there yet. */
static __always_inline u32 fastcgi_length(volatile struct framed *f, u32 at, u64 *length)
{
	u32 first = head_u8(f, at);

	if (!(first & 0x80)) {
		*length = first;
		return at < f->have ? 1 : 0;
	}
	*length = head_be32(f, at) & 0x7fffffff;
	return at + 4 <= f->have ? 4 : 0;
}

/* Mixes the value from *at* on: a path up to its query, with its ids collapsed. */
static __always_inline u64 fastcgi_path(volatile struct framed *f, u32 at, u32 bytes)
{
	volatile struct text_state *text = text_start(PROTOCOL_FASTCGI);
	u8 c;

	if (!text)
		return 0;
	f->scratch[FASTCGI_VALUE] = bytes < FASTCGI_PATH_BYTES ? bytes : FASTCGI_PATH_BYTES;
	f->scratch[FASTCGI_AT] = at;
	for (u32 i = 0; i < FASTCGI_PATH_BYTES; i++) {
		if (i >= f->scratch[FASTCGI_VALUE])
			break;
		c = head_u8(f, f->scratch[FASTCGI_AT] + i);
		if (c == '?' || c == '#')
			break;
		if (c == '/')
			segment_end(text, c);
		else
			segment_byte(text, c);
	}
	segment_end(text, 0);
	return text->hash;
}

/* Names that the endpoint is made of. */
enum fastcgi_name { FASTCGI_OTHER, FASTCGI_METHOD, FASTCGI_URI, FASTCGI_SCRIPT };

static __always_inline u32 fastcgi_name(volatile struct framed *f, u32 at, u32 bytes)
{
	u64 first = fastcgi_word(f, at), rest = fastcgi_word(f, at + 8);

	if (bytes == 14 && first == 0x5f54534555514552ULL && (rest & 0xffffffffffffULL) == 0x444f4854454dULL)
		return FASTCGI_METHOD; /* REQUEST_METHOD */
	if (bytes == 11 && first == 0x5f54534555514552ULL && (rest & 0xffffffULL) == 0x495255ULL)
		return FASTCGI_URI; /* REQUEST_URI */
	if (bytes == 11 && first == 0x4e5f545049524353ULL && (rest & 0xffffffULL) == 0x454d41ULL)
		return FASTCGI_SCRIPT; /* SCRIPT_NAME */
	return FASTCGI_OTHER;
}

/* The bytes in f->length belong to the request with this number. */
static __always_inline void fastcgi_more(struct conn *conn, void *sk, volatile struct framed *f, u32 id, bool name)
{
	struct request *request = framed_find(conn, sk, id);

	if (!request)
		return;
	request->bytes += f->length;
	f->credited = 1;
	if (name && conn->bound_endpoint)
		request->endpoint = endpoint_of(mix(conn->bound_endpoint, conn->unnamed_endpoint));
}

/* One parameter. Returns the bytes to ask for, 0 when it is taken. */
static __always_inline u32 fastcgi_pair(struct conn *conn, volatile struct follower *way, volatile struct framed *f)
{
	u64 name = 0, value = 0, bytes;
	u32 at, more, known;

	at = fastcgi_length(f, 0, &name);
	more = at ? fastcgi_length(f, at, &value) : 0;
	if (!more && f->have < 8 && f->have < way->pending)
		return f->have + 1;
	at += more;
	bytes = at + name + value;
	if (!more || bytes > way->pending) { /* goes on in another record */
		f->length = way->pending;
		return 0;
	}
	f->length = bytes;
	if (name != 14 && name != 11)
		return 0;
	f->settled = bytes < FRAME_HEAD_BYTES ? bytes : FRAME_HEAD_BYTES;
	if (f->have < f->settled)
		return f->settled;
	known = fastcgi_name(f, at, name);
	f->scratch[FASTCGI_NAME] = known;
	if (known == FASTCGI_OTHER || (known == FASTCGI_SCRIPT && way->type == FASTCGI_URI))
		return 0;
	at += name;
	bytes = fastcgi_path(f, at, value < FRAME_HEAD_BYTES - 32 ? value : FRAME_HEAD_BYTES - 32);
	if (f->scratch[FASTCGI_NAME] == FASTCGI_METHOD) {
		conn->unnamed_endpoint = bytes;
		return 0;
	}
	conn->bound_endpoint = bytes;
	way->type = f->scratch[FASTCGI_NAME];
	return 0;
}

/* A record begins. Returns the bytes to ask for, 0 when f->length is set. */
static __always_inline u32 fastcgi_record(volatile struct follower *way, volatile struct framed *f, u32 type)
{
	u32 content = head_be16(f, 4), needed = 0;

	f->length = FASTCGI_RECORD + content + head_u8(f, 6);
	if (type == FASTCGI_BEGIN) {
		/* With what follows it, as far as the head goes: the parameters are its name. */
		needed = 2 * FASTCGI_RECORD + FASTCGI_RECORD;
		if (f->have >= needed && head_u8(f, 17) == FASTCGI_PARAMS)
			needed += head_be16(f, 20);
	} else if (type == FASTCGI_STDOUT || type == FASTCGI_END) {
		needed = f->length;
	} else if (type == FASTCGI_PARAMS && content) {
		way->state = FASTCGI_AT_PAIR;
		way->pending = content;
		way->number = head_be16(f, 2);
		way->flags = head_u8(f, 6);
		f->length = FASTCGI_RECORD;
	}
	if (needed > FRAME_HEAD_BYTES)
		needed = FRAME_HEAD_BYTES;
	return f->have < needed ? needed : 0;
}

/* The status that the headers of the output tell: 200 when they have none. */
static __always_inline u32 fastcgi_status(volatile struct framed *f)
{
	bool start = true;
	u32 at;
	u8 c;

	f->scratch[FASTCGI_STATUS] = 200;
	f->scratch[FASTCGI_AT] = 0;
	for (u32 i = FASTCGI_RECORD; i < FASTCGI_OUTPUT_BYTES; i++) {
		if (i >= *(volatile u32 *)&f->have)
			break;
		c = f->head[i];
		start = f->scratch[FASTCGI_AT] == 0;
		f->scratch[FASTCGI_AT] = c != '\n';
		if (start && (c == '\r' || c == '\n') && i > FASTCGI_RECORD)
			break;
		if (!start || (fastcgi_word(f, i) | 0x2020202020202020ULL) != 0x203a737574617473ULL) /* status: */
			continue;
		at = i + 8;
		f->scratch[FASTCGI_STATUS] = (head_u8(f, at) - '0') * 100 + (head_u8(f, at + 1) - '0') * 10 + (head_u8(f, at + 2) - '0');
		break;
	}
	return f->scratch[FASTCGI_STATUS];
}

/* Output, or the end: how the request with this number ended, if it had not yet. */
static __always_inline void fastcgi_answer(struct conn *conn, void *sk, volatile struct framed *f, u32 type)
{
	struct request *request;
	u32 status;

	f->scratch[FASTCGI_OUTCOME] = OUTCOME_OK;
	if (type == FASTCGI_END) {
		f->scratch[FASTCGI_STATUS] = head_u8(f, 12);
		if (head_be32(f, 8) || head_u8(f, 12))
			f->scratch[FASTCGI_OUTCOME] = OUTCOME_SERVER_ERROR;
	} else {
		status = fastcgi_status(f);
		if (status >= 400)
			f->scratch[FASTCGI_OUTCOME] = status >= 500 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
	}
	request = framed_find(conn, sk, head_be16(f, 2));
	if (request)
		framed_finish(conn, f, request, f->scratch[FASTCGI_OUTCOME], f->scratch[FASTCGI_STATUS]);
}

static __always_inline void fastcgi_begin(struct conn *conn, void *sk, volatile struct framed *f)
{
	framed_request_id(conn, sk, f, head_be16(f, 2), 0);
	conn->bound_endpoint = conn->unnamed_endpoint = 0;
	conn->ways[0].type = FASTCGI_OTHER;
	if (in_flight(conn) == 1)
		conn->head_bytes = f->have; /* with the parameters behind it */
}

static __always_inline u32 fastcgi_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct follower *way = &conn->ways[0];
	u32 type, asked;

	if (f->request && way->state == FASTCGI_AT_PAIR) {
		f->settled = fastcgi_pair(conn, way, f);
		if (f->settled)
			return f->settled;
		way->pending -= f->length;
		if (!way->pending) {
			f->length += way->flags;
			way->state = FASTCGI_AT_RECORD;
		}
		fastcgi_more(conn, sk, f, way->number, true);
		return FRAME_DONE;
	}
	if (f->have < FASTCGI_RECORD)
		return FASTCGI_RECORD;
	type = head_u8(f, 1);
	if (head_u8(f, 0) != 1 || !type || type > FASTCGI_UNKNOWN)
		return FRAME_WRONG;
	f->settled = fastcgi_record(way, f, type);
	if (f->settled)
		return f->settled;
	if (type == FASTCGI_BEGIN)
		fastcgi_begin(conn, sk, f);
	else if (f->request)
		fastcgi_more(conn, sk, f, head_be16(f, 2), false);
	else if (type == FASTCGI_END || (type == FASTCGI_STDOUT && head_be16(f, 4)))
		fastcgi_answer(conn, sk, f, type);
	return FRAME_DONE;
}

#endif
