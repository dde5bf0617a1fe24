/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hashes of what names an endpoint. Bytes are mixed one after the other; what varies from request to request (numbers,
 * hexadecimal ids, UUIDs, quoted literals) is mixed as one mark.
 *
 * The state lies in a map and is volatile, not in registers: so the verifier sees one loop body with unknown values, and not
 * every way through all its turns.
 */
#ifndef MESHLENS_TEXT_H
#define MESHLENS_TEXT_H

#include "records.h"

#define HASH_START 0xcbf29ce484222325ULL
#define HASH_PRIME 0x100000001b3ULL
#define MARK_ID 0x7b7d

struct text_state {
	u64 hash;
	u64 segment_hash; /* as it was where the segment began */
	u32 length; /* of the segment */
	u32 digits;
	u32 hexadecimal; /* letters a to f, and dashes */
	u32 other;
	u32 mode;
	u32 at;
};

SCRATCH(l7_text, struct text_state)

static __always_inline u64 mix(u64 hash, u64 more)
{
	return (hash ^ more) * HASH_PRIME;
}

/* Spreads what mixing left in the low bits; never one of the two numbers that mean something else. */
static __always_inline u64 endpoint_of(u64 hash)
{
	hash ^= hash >> 32;
	return hash > OVERFLOW_ENDPOINT ? hash : hash + 2;
}

static __always_inline volatile struct text_state *text_start(u64 seed)
{
	volatile struct text_state *text = l7_text_here();

	if (text) {
		text->hash = text->segment_hash = mix(HASH_START, seed);
		text->length = text->digits = text->hexadecimal = text->other = text->mode = text->at = 0;
	}
	return text;
}

static __always_inline bool is_digit(u8 c)
{
	return (u8)(c - '0') < 10;
}

static __always_inline bool is_letter(u8 c)
{
	return (u8)((c | 0x20) - 'a') < 26;
}

/*
 * Ends a segment of a path or a label of a name. It is an id when it is a number, when it is long and hexadecimal with a
 * digit in it, or when it is long and has many digits.
 */
static __always_inline void segment_end(volatile struct text_state *text, u8 separator)
{
	u32 plain = text->digits + text->hexadecimal;

	if (text->digits && (text->digits == text->length || (plain == text->length && plain >= 8) ||
			     (text->length >= 16 && text->digits >= 4)))
		text->hash = mix(text->segment_hash, MARK_ID);
	text->hash = text->segment_hash = mix(text->hash, separator);
	text->length = text->digits = text->hexadecimal = 0;
}

static __always_inline void segment_byte(volatile struct text_state *text, u8 c)
{
	text->hash = mix(text->hash, c);
	text->length++;
	if (is_digit(c))
		text->digits++;
	else if ((u8)((c | 0x20) - 'a') < 6 || c == '-')
		text->hexadecimal++;
}

#endif
