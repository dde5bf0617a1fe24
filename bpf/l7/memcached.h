/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memcached: text, meta and binary protocol.
 *
 * https://github.com/memcached/memcached/blob/master/doc/protocol.txt
 *
 * Replies come in the order of the commands. The endpoint is the command. A text reply has the number that the binary protocol
 * gives to the same fact, so a miss is status 1. Commands that forbid a reply, or only want one of a certain kind (`noreply`, the
 * flag q, the binary protocol's quiet ones), are counted when they are sent; what is said to them all the same is no reply.
 */
#ifndef MESHLENS_MEMCACHED_H
#define MESHLENS_MEMCACHED_H

#include "framed.h"

FRAMED_PROTOCOL(memcached, PROTOCOL_MEMCACHED, 3)

#define MEMCACHED_HEADER 1
#define MEMCACHED_TURNS 6
#define MEMCACHED_PACKET 24
#define MEMCACHED_MAX_BYTES (1 << 30)
#define MEMCACHED_WORDS 5 /* of a line whose places are kept */
#define MEMCACHED_NO_REPLY 0xff /* in the place of an outcome */
#define MEMCACHED_DIGITS 10 /* of a number of bytes */

/* The last eight letters of a word, as a number. */
#pragma clang diagnostic ignored "-Wmultichar"
#pragma clang diagnostic ignored "-Wfour-char-constants"
#define WORD(first, last) ((u64)(first) << 32 | (last))

enum memcached_state {
	MEMCACHED_START,
	MEMCACHED_IN_LINE, /* of a line that was counted: what comes before its end says nothing more */
	MEMCACHED_TAIL, /* the words behind the key of a line whose verb is in bound_endpoint, or behind VALUE's key */
};
enum memcached_type { MEMCACHED_SINGLE, MEMCACHED_MULTI }; /* of a reply: whether more lines belong to it */
enum memcached_action { MEMCACHED_PASS, MEMCACHED_CALL, MEMCACHED_ONE_WAY, MEMCACHED_REPLY, MEMCACHED_MORE, MEMCACHED_WRONG };
enum memcached_mode { MEMCACHED_NOREPLY = 1, MEMCACHED_QUIET = 2, MEMCACHED_STRANGE = 4 };

/* In f->scratch: where a line's first five words end, and what was decided about the message. */
enum memcached_decided { MEMCACHED_ENDS, MEMCACHED_VERB = MEMCACHED_WORDS, MEMCACHED_OUTCOME, MEMCACHED_STATUS };

/* ---- lines ---------------------------------------------------------------------------------------------------- */

/*
 * Reads the line in the head, from its word number *first* on. Afterwards: length is how many words there are, scratch where the
 * first of them end, at where the line ends (0: not in the head), mode what was found, segment_hash the first word. Words stand
 * one space apart, as clients write them.
 */
static __always_inline void memcached_line(volatile struct framed *f, volatile struct text_state *text, u32 first)
{
	text->length = first;
	f->scratch[0] = f->scratch[1] = 0;
	for (u32 i = 0; i < FRAME_HEAD_BYTES; i++) {
		if (i >= f->have)
			break;
		text->other = f->head[i];
		if (text->other > ' ')
			continue;
		text->digits = text->length < MEMCACHED_WORDS ? text->length : MEMCACHED_WORDS;
		f->scratch[text->digits & 7] = i;
		text->length++;
		if (head_be16(f, i - 2) == ' q' && text->length > 2)
			text->mode |= MEMCACHED_QUIET;
		if (text->other == ' ')
			continue;
		if (text->other == '\r' && head_u8(f, i + 1) == '\n' && i + 1 < f->have)
			text->at = i + 2;
		else if (text->other == '\n')
			text->at = i + 1;
		else if (text->other != '\r' || i + 1 < f->have)
			text->mode |= MEMCACHED_STRANGE;
		break;
	}
	text->segment_hash = f->scratch[0] < 8 ? head_be64(f, 0) >> (64 - 8 * (f->scratch[0] & 7)) : head_be64(f, f->scratch[0] - 8);
	if (!f->scratch[0])
		text->segment_hash = 0;
	if (text->at > 10 && head_be64(f, text->at - 10) == WORD(' nor', 'eply'))
		text->mode |= MEMCACHED_NOREPLY;
}

/* The number that is word *word* of the line. */
static __always_inline u64 memcached_digits(volatile struct framed *f, volatile struct text_state *text, u32 word)
{
	text->digits = f->scratch[(word - 1) & 7] + 1;
	text->other = f->scratch[word & 7];
	text->hash = 0;
	for (u32 i = 0; i < MEMCACHED_DIGITS; i++) {
		if (text->digits >= text->other)
			break;
		text->hash = text->hash * 10 + head_u8(f, text->digits) - '0';
		text->digits++;
	}
	return text->hash;
}

enum memcached_kind { MEMCACHED_UNKNOWN, MEMCACHED_KEYS, MEMCACHED_STORE, MEMCACHED_META_STORE, MEMCACHED_META, MEMCACHED_PLAIN,
		      MEMCACHED_BARE };

/* What words belong to a verb. */
static __always_inline u32 memcached_kind(u64 verb)
{
	switch (verb) {
	case 'get': case 'gets': case 'gat': case 'gats':
		return MEMCACHED_KEYS;
	case 'set': case 'add': case 'cas': case WORD('rep', 'lace'): case WORD('ap', 'pend'): case WORD('pre', 'pend'):
		return MEMCACHED_STORE;
	case 'ms':
		return MEMCACHED_META_STORE;
	case 'mg': case 'md': case 'ma': case 'me':
		return MEMCACHED_META;
	case 'incr': case 'decr': case WORD('t', 'ouch'): case WORD('de', 'lete'):
		return MEMCACHED_PLAIN;
	case 'mn': case 'quit': case WORD('s', 'tats'): case WORD('ver', 'sion'): case WORD('lush', '_all'): case WORD('erbo', 'sity'):
	case WORD('s', 'labs'): case 'lru': case WORD('_cra', 'wler'): case WORD('w', 'atch'):
		return MEMCACHED_BARE;
	}
	return MEMCACHED_UNKNOWN;
}

/* ---- packets -------------------------------------------------------------------------------------------------- */

static __always_inline bool memcached_quiet(u32 opcode)
{
	return opcode == 0x09 || opcode == 0x0d || (opcode >= 0x11 && opcode <= 0x1a) || opcode == 0x1e || opcode == 0x24;
}

/* The bytes of extras that a request has. */
static __always_inline u32 memcached_extras(u32 opcode)
{
	switch (opcode) {
	case 0x01: case 0x02: case 0x03: case 0x11: case 0x12: case 0x13:
		return 8;
	case 0x05: case 0x06: case 0x15: case 0x16:
		return 20;
	case 0x1b: case 0x1c: case 0x1d: case 0x1e: case 0x23: case 0x24:
		return 4;
	}
	return 0;
}

/* The numbers of a header agree with each other. */
static __always_inline bool memcached_packet(volatile struct framed *f, u32 magic)
{
	u32 opcode = head_u8(f, 1), key = head_be16(f, 2), extras = head_u8(f, 4), body = head_be32(f, 8);

	if (head_u8(f, 0) != magic || opcode > 0x24 || opcode == 0x1f || head_u8(f, 5) || key > 250 || body < key + extras ||
	    body > MEMCACHED_MAX_BYTES)
		return false;
	return magic == 0x81 || extras == memcached_extras(opcode) || ((opcode == 0x08 || opcode == 0x18) && extras == 4);
}

/* ---- recognition ---------------------------------------------------------------------------------------------- */

/* A command whose words are as many as it needs; or a request's packet. */
static __always_inline enum match memcached_match(struct conn *conn, volatile struct framed *f)
{
	volatile struct text_state *text = text_start(0);
	u32 kind;

	if (!f->request || !text)
		return MATCH_NO;
	if (head_u8(f, 0) == 0x80) {
		if (f->have < MEMCACHED_PACKET)
			return f->have > 1 && head_u8(f, 1) > 0x24 ? MATCH_NO : MATCH_MORE;
		return memcached_packet(f, 0x80) && !head_be16(f, 6) ? MATCH_YES : MATCH_NO;
	}
	if ((u8)(head_u8(f, 0) - 'a') >= 26)
		return MATCH_NO;
	memcached_line(f, text, 0);
	if (text->mode & MEMCACHED_STRANGE)
		return MATCH_NO;
	if (!text->segment_hash) /* not even the verb is there */
		return f->have < 16 ? MATCH_MORE : MATCH_NO;
	kind = memcached_kind(text->segment_hash);
	if (kind == MEMCACHED_UNKNOWN)
		return MATCH_NO;
	if (!text->at)
		return f->have < FRAME_HEAD_BYTES ? MATCH_MORE : kind == MEMCACHED_KEYS ? MATCH_YES : MATCH_NO;
	if (text->at < 2 || head_u8(f, text->at - 2) != '\r')
		return MATCH_NO;
	if (kind == MEMCACHED_BARE) /* words that people type to others too */
		return text->length <= 3 && text->segment_hash != 'quit' ? MATCH_YES : MATCH_NO;
	return text->length > (kind == MEMCACHED_STORE ? 4 : kind == MEMCACHED_META_STORE ? 2 : 1) ? MATCH_YES : MATCH_NO;
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

/* Decides about a line of words towards the server, which memcached_line has read; hexadecimal is what words its verb has. */
static __always_inline u32 memcached_asks(struct conn *conn, volatile struct framed *f, volatile struct text_state *text)
{
	volatile struct follower *way = &conn->ways[0];

	if (way->state == MEMCACHED_TAIL)
		text->segment_hash = conn->bound_endpoint;
	text->hexadecimal = memcached_kind(text->segment_hash);
	f->scratch[MEMCACHED_VERB] = text->hexadecimal ? text->segment_hash : 0;
	if (!text->at) {
		if (way->state == MEMCACHED_TAIL)
			return MEMCACHED_WRONG;
		if (text->hexadecimal > MEMCACHED_KEYS && text->hexadecimal < MEMCACHED_BARE && f->scratch[1]) {
			f->length = f->scratch[1];
			conn->bound_endpoint = text->segment_hash;
			way->state = MEMCACHED_TAIL;
			return MEMCACHED_PASS;
		}
		way->state = MEMCACHED_IN_LINE;
		return MEMCACHED_CALL;
	}
	way->state = MEMCACHED_START;
	f->settled = text->hexadecimal == MEMCACHED_STORE ? 4 : text->hexadecimal == MEMCACHED_META_STORE ? 2 : MEMCACHED_WORDS;
	if (f->settled < MEMCACHED_WORDS && text->length > f->settled) {
		f->length += memcached_digits(f, text, f->settled) + 2;
		if (text->hash > MEMCACHED_MAX_BYTES)
			return MEMCACHED_WRONG;
	}
	if (text->hexadecimal == MEMCACHED_META || text->hexadecimal == MEMCACHED_META_STORE)
		return text->mode & MEMCACHED_QUIET ? MEMCACHED_ONE_WAY : MEMCACHED_CALL;
	if (text->hexadecimal == MEMCACHED_KEYS || (!(text->mode & MEMCACHED_NOREPLY) && text->segment_hash != 'quit'))
		return MEMCACHED_CALL;
	return MEMCACHED_ONE_WAY;
}

/* ---- replies -------------------------------------------------------------------------------------------------- */

/* The outcome, and above it the binary protocol's number, of what a reply's first word says. */
static __always_inline u32 memcached_said(volatile struct framed *f, u64 word)
{
	switch (word) {
	case WORD('ST', 'ORED'): case WORD('DEL', 'ETED'): case WORD('TOU', 'CHED'): case 'OK': case 'HD': case 'VA':
	case WORD('V', 'ALUE'): case 'STAT': case WORD('VER', 'SION'): case 'MN': case 'ME': case WORD('R', 'ESET'): case 'BUSY':
	case WORD('BADC', 'LASS'):
		return OUTCOME_OK;
	case 'END': case 'EN': case 'NF': case WORD('OT_F', 'OUND'):
		return 1 << 8 | OUTCOME_OK;
	case 'EX': case WORD('EX', 'ISTS'):
		return 2 << 8 | OUTCOME_OK;
	case 'NS': case WORD('T_ST', 'ORED'):
		return 5 << 8 | OUTCOME_OK;
	case WORD('E', 'RROR'):
		return 0x81 << 8 | OUTCOME_CLIENT_ERROR;
	case WORD('NT_E', 'RROR'):
		return 4 << 8 | OUTCOME_CLIENT_ERROR;
	case WORD('ER_E', 'RROR'):
		return (head_be32(f, 13) == 'out ' ? 0x82 : 0x84) << 8 | OUTCOME_SERVER_ERROR;
	}
	return is_digit(head_u8(f, 0)) ? OUTCOME_OK : MEMCACHED_NO_REPLY;
}

/* Decides about a line back; hexadecimal is whether it goes on with a reply. */
static __always_inline u32 memcached_says(struct conn *conn, volatile struct framed *f, volatile struct text_state *text)
{
	volatile struct follower *way = &conn->ways[1];

	text->hexadecimal = way->type == MEMCACHED_MULTI;
	if (way->state == MEMCACHED_TAIL)
		text->segment_hash = WORD('V', 'ALUE');
	f->scratch[MEMCACHED_VERB] = text->segment_hash;
	f->scratch[MEMCACHED_OUTCOME] = memcached_said(f, text->segment_hash);
	f->scratch[MEMCACHED_STATUS] = f->scratch[MEMCACHED_OUTCOME] >> 8;
	f->scratch[MEMCACHED_OUTCOME] &= 0xff;
	if (f->scratch[MEMCACHED_OUTCOME] == MEMCACHED_NO_REPLY || (way->state == MEMCACHED_TAIL && !text->at) ||
	    (way->state != MEMCACHED_TAIL && is_digit(head_u8(f, 0)) && text->length != 1))
		return MEMCACHED_WRONG;
	way->state = text->at ? MEMCACHED_START : MEMCACHED_IN_LINE;
	way->type = text->segment_hash == WORD('V', 'ALUE') || text->segment_hash == 'STAT';
	if (text->segment_hash == WORD('V', 'ALUE') && !text->at) {
		f->length = f->scratch[1] ? f->scratch[1] : FRAME_HEAD_BYTES;
		way->state = MEMCACHED_TAIL;
	} else if (text->segment_hash == WORD('V', 'ALUE') || text->segment_hash == 'VA') {
		f->length += memcached_digits(f, text, text->segment_hash == 'VA' ? 1 : 3) + 2;
	}
	return text->hexadecimal && (way->type || text->segment_hash == 'END') ? MEMCACHED_PASS : MEMCACHED_REPLY;
}

/* ---- both ----------------------------------------------------------------------------------------------------- */

static __always_inline u32 memcached_binary(struct conn *conn, volatile struct framed *f)
{
	u32 opcode = head_u8(f, 1), status = head_be16(f, 6);
	bool goes_on = conn->ways[1].type == MEMCACHED_MULTI;

	if (!memcached_packet(f, f->request ? 0x80 : 0x81))
		return MEMCACHED_WRONG;
	f->length = head_be32(f, 8) + MEMCACHED_PACKET;
	f->scratch[MEMCACHED_VERB] = 0x10000 + opcode;
	if (f->request)
		return memcached_quiet(opcode) ? MEMCACHED_ONE_WAY : MEMCACHED_CALL;
	f->scratch[MEMCACHED_STATUS] = status;
	f->scratch[MEMCACHED_OUTCOME] = OUTCOME_CLIENT_ERROR;
	if (status <= 2 || status == 5 || status == 0x21)
		f->scratch[MEMCACHED_OUTCOME] = OUTCOME_OK;
	else if (status == 7 || status >= 0x82)
		f->scratch[MEMCACHED_OUTCOME] = OUTCOME_SERVER_ERROR;
	if (memcached_quiet(opcode))
		return MEMCACHED_PASS;
	conn->ways[1].type = opcode == 0x10 && head_be16(f, 2);
	return goes_on && opcode == 0x10 ? MEMCACHED_PASS : MEMCACHED_REPLY;
}

/* What is said to a command that wanted no reply: nothing else waits for one, or only `mn`, whose reply is another. */
static __always_inline bool memcached_unasked(struct conn *conn, void *sk, volatile struct framed *f)
{
	struct request *oldest;

	if (!conn->ways[0].pending)
		return false;
	if (!in_flight(conn))
		return true;
	oldest = request_at(conn, sk, conn->popped, false);
	return oldest && oldest->kind == 'mn' && f->scratch[MEMCACHED_VERB] != 'MN';
}

static __always_inline u32 memcached_text(struct conn *conn, volatile struct framed *f, volatile struct text_state *text)
{
	volatile struct follower *way = f->request ? &conn->ways[0] : &conn->ways[1];

	memcached_line(f, text, way->state == MEMCACHED_TAIL);
	f->length = text->at ? text->at : f->have;
	if (way->state == MEMCACHED_IN_LINE) {
		way->state = text->at ? MEMCACHED_START : MEMCACHED_IN_LINE;
		return MEMCACHED_PASS;
	}
	if (text->mode & MEMCACHED_STRANGE)
		return MEMCACHED_WRONG;
	if (!text->at && f->have < FRAME_HEAD_BYTES)
		return MEMCACHED_MORE;
	return f->request ? memcached_asks(conn, f, text) : memcached_says(conn, f, text);
}

static __always_inline u32 memcached_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	volatile struct text_state *text = text_start(0);
	struct request *request;
	u64 endpoint;

	if (!text)
		return FRAME_WRONG;
	if (head_u8(f, 0) & 0x80) {
		if (f->have < MEMCACHED_PACKET)
			return MEMCACHED_PACKET;
		f->settled = memcached_binary(conn, f);
	} else {
		f->settled = memcached_text(conn, f, text);
	}
	if (f->settled == MEMCACHED_REPLY && memcached_unasked(conn, sk, f))
		f->settled = MEMCACHED_PASS;
	endpoint = f->scratch[MEMCACHED_VERB];
	endpoint = endpoint ? endpoint_of(mix(mix(HASH_START, PROTOCOL_MEMCACHED), endpoint)) : 0;
	switch (f->settled) {
	case MEMCACHED_MORE:
		return f->have + 1;
	case MEMCACHED_WRONG:
		return FRAME_WRONG;
	case MEMCACHED_CALL:
		request = framed_request(conn, sk, f, endpoint);
		if (request)
			request->kind = f->scratch[MEMCACHED_VERB];
		break;
	case MEMCACHED_ONE_WAY:
		conn->ways[0].pending = 1;
		framed_one_way(conn, f, endpoint, OUTCOME_OK, 0);
		break;
	case MEMCACHED_REPLY:
		framed_response(conn, sk, f, f->scratch[MEMCACHED_OUTCOME], f->scratch[MEMCACHED_STATUS]);
	}
	return FRAME_DONE;
}

#endif
