/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MongoDB: OP_MSG, the operations before it, and compressed messages.
 *
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 *
 * A reply carries the number of its request. The endpoint is the command with its collection; a request that the server is to
 * hold back until there is something to tell has an endpoint of its own. Of a compressed message only the outside is seen. Writes
 * that want no answer are one-way; so are the replies that a server goes on sending without being asked again.
 */
#ifndef MESHLENS_MONGODB_H
#define MESHLENS_MONGODB_H

#include "framed.h"

FRAMED_PROTOCOL(mongodb, PROTOCOL_MONGODB, 2)

#define MONGODB_HEADER 16
#define MONGODB_TURNS 2
#define MONGODB_LEAST 27 /* up to the first letter of a command */
#define MONGODB_LIMIT 48016384
#define MONGODB_ELEMENTS 9 /* of a document that are looked at */
#define MONGODB_KEY_BYTES 32
#define MONGODB_VERB_BYTES 32
#define MONGODB_NAME_BYTES 64

#define MONGODB_MORE_TO_COME 2
#define MONGODB_PUSHED (1ULL << 32) /* conn->name: the reply with this number is followed by another */

enum mongodb_operation {
	MONGODB_REPLY = 1, MONGODB_UPDATE = 2001, MONGODB_INSERT, MONGODB_QUERY = 2004, MONGODB_GET_MORE, MONGODB_DELETE,
	MONGODB_KILL_CURSORS, MONGODB_COMPRESSED = 2012, MONGODB_MSG,
};

/* The first eight bytes of keys. */
#define MONGODB_KEY_CODE 0x65646f63ULL
#define MONGODB_KEY_WRITE_ERRORS 0x7272456574697277ULL
#define MONGODB_KEY_WRITE_CONCERN 0x6e6f436574697277ULL
#define MONGODB_KEY_MAX_AWAIT 0x746961774178616dULL
#define MONGODB_KEY_MAX_TIME 0x4d656d695478616dULL
#define MONGODB_KEY_COLLECTION 0x697463656c6c6f63ULL

/* Places of f->scratch. */
enum mongodb_scratch {
	MONGODB_AT, MONGODB_ENDPOINT, MONGODB_SIZE, MONGODB_END, MONGODB_CODE, MONGODB_FOUND, MONGODB_DOCUMENT, MONGODB_DO,
};
enum mongodb_do { MONGODB_ONE_WAY, MONGODB_ASK, MONGODB_ANSWER };
enum mongodb_found { MONGODB_FAILED = 1, MONGODB_AWAITS = 2, MONGODB_INSIDE = 4 };

/* Codes below 320 of what the caller should not have asked, 64 in a word; a test works them out again. */
static __always_inline u64 mongodb_caller_codes(u32 word)
{
	switch (word) {
	case 0:
		return 0x2b7109109c57ea04ULL;
	case 1:
		return 0x020800010060033cULL;
	case 2:
		return 0x000001e180000000ULL;
	case 3:
		return 0x0800400200000020ULL;
	case 4:
		return 0x0000800000000080ULL;
	}
	return 0;
}

static __always_inline u32 mongodb_outcome(volatile struct framed *f)
{
	u32 code = f->scratch[MONGODB_CODE];

	if (!(f->scratch[MONGODB_FOUND] & MONGODB_FAILED))
		return OUTCOME_OK;
	if (code < 320)
		return mongodb_caller_codes(code >> 6) >> (code & 63) & 1 ? OUTCOME_CLIENT_ERROR : OUTCOME_SERVER_ERROR;
	if (code < 10003 || code >= 60000 || code == 10058 || code == 10107 || code == 11600 || code == 11602 ||
	    code == 13388 || code == 13435 || code == 13436)
		return OUTCOME_SERVER_ERROR;
	return OUTCOME_CLIENT_ERROR;
}

/* Types whose value begins with its length; what to add to that, or the length itself, in half bytes and in bytes. */
#define MONGODB_COUNTED 0xe03cU
#define MONGODB_SIZES 0x04400081c0500480ULL
#define MONGODB_SIZES_16 0x10080804U

/* Puts down how long the value at MONGODB_AT is. No branches: the verifier would follow each way. */
static __always_inline void mongodb_size(volatile struct framed *f, u32 type)
{
	u32 low = MONGODB_SIZES >> ((type & 15) * 4) & 15, high = MONGODB_SIZES_16 >> ((type & 3) * 8) & 255;
	u32 wide = type >> 4 & 15, known = !(type >> 5), counted = MONGODB_COUNTED >> (type & 31) & 1;

	asm volatile("" : "+r"(wide), "+r"(known), "+r"(counted));
	f->scratch[MONGODB_SIZE] = (low * (1 - wide) + high * wide + head_le32(f, f->scratch[MONGODB_AT]) * counted) * known;
}

/* The element of this *type* whose key begins at *key* and whose value at MONGODB_AT. */
static __always_inline void mongodb_element(volatile struct framed *f, u32 type, u32 key)
{
	u32 value = f->scratch[MONGODB_AT], size;
	u64 first = head_le64(f, key);

	mongodb_size(f, type);
	size = f->scratch[MONGODB_SIZE];
	f->scratch[MONGODB_AT] = size < FRAME_HEAD_BYTES ? value + size : FRAME_HEAD_BYTES;
	if (f->request) {
		if (first == MONGODB_KEY_MAX_AWAIT || first == MONGODB_KEY_MAX_TIME)
			f->scratch[MONGODB_FOUND] |= MONGODB_AWAITS;
		return;
	}
	if (first == MONGODB_KEY_WRITE_ERRORS || first == MONGODB_KEY_WRITE_CONCERN)
		f->scratch[MONGODB_FOUND] |= MONGODB_FAILED | MONGODB_INSIDE;
	if (f->scratch[MONGODB_FOUND] & MONGODB_INSIDE && (type == 0x03 || type == 0x04)) {
		f->scratch[MONGODB_AT] = value + 4;
		return;
	}
	if (size > 8 || value + size > f->scratch[MONGODB_END])
		return;
	if ((u32)(first & 0xffffff) == 0x6b6f) { /* ok */
		if (!(size == 8 ? head_le64(f, value) : size == 4 ? head_le32(f, value) : head_u8(f, value)))
			f->scratch[MONGODB_FOUND] |= MONGODB_FAILED;
	} else if ((first & 0xffffffffffULL) == MONGODB_KEY_CODE && type == 0x10 && !f->scratch[MONGODB_CODE]) {
		f->scratch[MONGODB_CODE] = head_le32(f, value);
	}
}

/* Looks at the elements from MONGODB_AT on. */
static __always_inline void mongodb_elements(volatile struct framed *f)
{
	u32 at;

	for (int i = 0; i < MONGODB_ELEMENTS; i++) {
		at = f->scratch[MONGODB_AT];
		if (at >= f->scratch[MONGODB_END] || !head_u8(f, at))
			break;
		f->scratch[MONGODB_AT] = at + 1;
		for (int j = 0; j < MONGODB_KEY_BYTES; j++) {
			if (!head_u8(f, f->scratch[MONGODB_AT]))
				break;
			f->scratch[MONGODB_AT]++;
		}
		f->scratch[MONGODB_AT]++;
		mongodb_element(f, head_u8(f, at), at + 1);
	}
}

/* Mixes in the text at text->at, up to its end: the names of a collection. */
static __always_inline void mongodb_text(volatile struct text_state *text, volatile struct framed *f)
{
	u32 at;
	u8 c;

	for (u32 i = 0; i < MONGODB_NAME_BYTES; i++) {
		at = text->at;
		c = head_u8(f, at);
		if (!c || at >= f->scratch[MONGODB_END])
			break;
		text->at = at + 1;
		if (c == '.')
			segment_end(text, c);
		else
			segment_byte(text, c);
	}
	segment_end(text, 0);
}

/* Whether a command with this name may ask the server to hold its answer back: hello, isMaster, ismaster, getMore. */
static __always_inline bool mongodb_may_wait(u64 first)
{
	return first == 0x65726f4d746567ULL || (first & 0xffffffffffffULL) == 0x6f6c6c6568ULL || first == 0x72657473614d7369ULL ||
	       first == 0x72657473616d7369ULL;
}

/* Mixes in the name of the command whose document begins at MONGODB_DOCUMENT, and finds its collection. */
static __always_inline void mongodb_command(volatile struct framed *f, volatile struct text_state *text)
{
	u32 at;

	text->at = f->scratch[MONGODB_DOCUMENT] + 5;
	if (mongodb_may_wait(head_le64(f, text->at)))
		f->scratch[MONGODB_AT] = f->scratch[MONGODB_DOCUMENT] + 4;
	for (int i = 0; i < MONGODB_VERB_BYTES; i++) {
		at = text->at;
		if (at >= f->scratch[MONGODB_END] || !head_u8(f, at))
			break;
		text->hash = mix(text->hash, head_u8(f, at));
		text->at = at + 1;
	}
	at = text->at + 1;
	text->at = FRAME_HEAD_BYTES;
	if (head_u8(f, f->scratch[MONGODB_DOCUMENT] + 4) == 0x02)
		text->at = at + 4;
	else if (head_u8(f, f->scratch[MONGODB_DOCUMENT] + 4) == 0x12 && head_le64(f, at + 9) == MONGODB_KEY_COLLECTION)
		text->at = at + 24;
}

/* Finds the body of an OP_MSG, before which other sections may lie. */
static __always_inline void mongodb_body(volatile struct framed *f)
{
	u32 at, size;

	f->scratch[MONGODB_SIZE] = 20;
	for (int i = 0; i < 3; i++) {
		at = f->scratch[MONGODB_SIZE];
		if (at + 10 > f->scratch[MONGODB_END])
			return;
		if (!head_u8(f, at)) {
			f->scratch[MONGODB_DOCUMENT] = at + 1;
			return;
		}
		size = head_le32(f, at + 1);
		f->scratch[MONGODB_SIZE] = size < FRAME_HEAD_BYTES ? at + 1 + size : FRAME_HEAD_BYTES;
	}
}

/* The collection of an operation before OP_MSG, or the command that it carries. */
static __always_inline void mongodb_namespace(volatile struct framed *f, volatile struct text_state *text)
{
	u32 operation = head_le32(f, 12);

	text->at = FRAME_HEAD_BYTES;
	if (operation >= MONGODB_COMPRESSED || operation == MONGODB_KILL_CURSORS)
		return;
	text->at = 20;
	if (operation != MONGODB_QUERY)
		return;
	f->scratch[MONGODB_SIZE] = 20;
	for (int i = 0; i < MONGODB_NAME_BYTES; i++) {
		if (!head_u8(f, f->scratch[MONGODB_SIZE]))
			break;
		f->scratch[MONGODB_SIZE]++;
	}
	if (head_le32(f, f->scratch[MONGODB_SIZE] - 4) == 0x646d6324) /* $cmd */
		f->scratch[MONGODB_DOCUMENT] = f->scratch[MONGODB_SIZE] + 9;
}

/* Works out what is asked. */
static __always_inline void mongodb_name(volatile struct framed *f, volatile struct text_state *text)
{
	text->hash = mix(text->hash, head_le32(f, 12));
	if (!f->scratch[MONGODB_DOCUMENT])
		mongodb_namespace(f, text);
	if (f->scratch[MONGODB_DOCUMENT])
		mongodb_command(f, text);
	text->segment_hash = text->hash;
	mongodb_text(text, f);
}

static __always_inline bool mongodb_is_operation(u32 operation, bool request)
{
	if (operation == MONGODB_MSG || operation == MONGODB_COMPRESSED)
		return true;
	return request ? operation - MONGODB_UPDATE <= MONGODB_KILL_CURSORS - MONGODB_UPDATE : operation == MONGODB_REPLY;
}

static __always_inline bool mongodb_is_word(u8 c)
{
	return is_letter(c) || c == '$' || c == '_';
}

static __always_inline enum match mongodb_match(struct conn *conn, volatile struct framed *f)
{
	u32 length = head_le32(f, 0), operation = head_le32(f, 12), size, kind;

	if (!f->request)
		return MATCH_NO;
	if (f->have < MONGODB_HEADER)
		return f->have >= 4 && (length <= MONGODB_HEADER || length > MONGODB_LIMIT) ? MATCH_NO : MATCH_MORE;
	if (length < MONGODB_LEAST || length > MONGODB_LIMIT || !mongodb_is_operation(operation, true) || head_le32(f, 8))
		return MATCH_NO;
	if (f->have < MONGODB_LEAST)
		return MATCH_MORE;
	size = head_le32(f, 21);
	kind = head_u8(f, 20);
	if (operation == MONGODB_MSG)
		return !(head_le32(f, 16) & 0xfffefffc) && kind <= 1 && size >= 5 && size <= length - 21 &&
				       (kind || mongodb_is_word(head_u8(f, 26))) ?
			       MATCH_YES :
			       MATCH_NO;
	if (operation == MONGODB_COMPRESSED)
		return mongodb_is_operation(head_le32(f, 16), true) && head_le32(f, 20) <= MONGODB_LIMIT && head_u8(f, 24) <= 3 ?
			       MATCH_YES :
			       MATCH_NO;
	return head_le32(f, 16) < 256 && mongodb_is_word(head_u8(f, 20)) ? MATCH_YES : MATCH_NO;
}

static __always_inline void mongodb_request(volatile struct framed *f)
{
	u32 operation = head_le32(f, 12);

	f->scratch[MONGODB_DO] = MONGODB_ASK;
	if (operation == MONGODB_MSG ? head_u8(f, 16) & MONGODB_MORE_TO_COME :
				       operation < MONGODB_QUERY || operation == MONGODB_DELETE || operation == MONGODB_KILL_CURSORS)
		f->scratch[MONGODB_DO] = MONGODB_ONE_WAY;
}

/* A reply: a server that was allowed to goes on sending them, each as the answer to the one before. */
static __always_inline void mongodb_reply(struct conn *conn, volatile struct framed *f)
{
	u32 operation = head_le32(f, 12);
	bool goes_on = operation == MONGODB_MSG && head_u8(f, 16) & MONGODB_MORE_TO_COME;

	f->scratch[MONGODB_DO] = MONGODB_ANSWER;
	if (conn->name && conn->name == (head_le32(f, 8) | MONGODB_PUSHED))
		f->scratch[MONGODB_DO] = MONGODB_ONE_WAY;
	conn->name = goes_on ? head_le32(f, 4) | MONGODB_PUSHED : 0;
	if (operation == MONGODB_REPLY) {
		f->scratch[MONGODB_FOUND] = head_u8(f, 16) & 3 ? MONGODB_FAILED : 0;
		f->scratch[MONGODB_CODE] = head_u8(f, 16) & 1 ? 43 : 0;
		f->scratch[MONGODB_AT] = 40;
	} else if (f->scratch[MONGODB_DOCUMENT]) {
		f->scratch[MONGODB_AT] = f->scratch[MONGODB_DOCUMENT] + 4;
	}
}

static __always_inline void mongodb_count(struct conn *conn, void *sk, volatile struct framed *f)
{
	u64 endpoint = f->scratch[MONGODB_ENDPOINT];
	u32 outcome, status;

	f->scratch[MONGODB_SIZE] = mongodb_outcome(f);
	outcome = f->scratch[MONGODB_SIZE];
	if (outcome == OUTCOME_OK)
		f->scratch[MONGODB_CODE] = 0;
	status = f->scratch[MONGODB_CODE];
	if (f->scratch[MONGODB_DO] == MONGODB_ONE_WAY)
		framed_one_way(conn, f, endpoint, outcome, status);
	else if (f->scratch[MONGODB_DO] == MONGODB_ASK)
		framed_request_id(conn, sk, f, head_le32(f, 4), endpoint);
	else
		framed_response_id(conn, sk, f, head_le32(f, 8), outcome, status);
}

static __always_inline u32 mongodb_message(struct conn *conn, void *sk, volatile struct framed *f)
{
	u32 length = head_le32(f, 0), want;
	volatile struct text_state *text;

	if (length <= MONGODB_HEADER || length > MONGODB_LIMIT)
		return FRAME_WRONG;
	if (!mongodb_is_operation(head_le32(f, 12), f->request))
		return FRAME_WRONG;
	want = length < FRAME_HEAD_BYTES ? length : FRAME_HEAD_BYTES;
	if (f->have < want)
		return want;
	text = text_start(PROTOCOL_MONGODB);
	if (!text)
		return FRAME_WRONG;
	f->length = length;
	f->scratch[MONGODB_END] = want;
	f->scratch[MONGODB_AT] = FRAME_HEAD_BYTES;
	f->scratch[MONGODB_CODE] = f->scratch[MONGODB_FOUND] = f->scratch[MONGODB_DOCUMENT] = 0;
	if (head_le32(f, 12) == MONGODB_MSG)
		mongodb_body(f);
	if (f->request) {
		mongodb_request(f);
		mongodb_name(f, text);
	} else {
		mongodb_reply(conn, f);
	}
	mongodb_elements(f);
	if (f->scratch[MONGODB_FOUND] & MONGODB_AWAITS)
		text->hash = mix(text->hash, MARK_ID);
	f->scratch[MONGODB_ENDPOINT] = endpoint_of(text->hash);
	mongodb_count(conn, sk, f);
	return FRAME_DONE;
}

#endif
