/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How values of Redis' protocol lie on the wire: a type, a number or a text up to the line's end, and what the number announces.
 *
 * Nothing here branches where it need not, so that the verifier has one way through an element and not ten.
 */
#ifndef MESHLENS_REDIS_WIRE_H
#define MESHLENS_REDIS_WIRE_H

#include "dotted.h"
#include "framed.h"

#define REDIS_LINE 24 /* bytes of a line that are looked at in one piece; those with a length are shorter */
#define REDIS_NAME_WORDS 4 /* of eight bytes: what lies beyond does not tell commands apart */
#define REDIS_SHOWN 250 /* bytes of a head that are waited for */

/* Where what is read of the head is kept, in the scratch of its message. */
enum redis_place { REDIS_AT, REDIS_LEFT, REDIS_NOTES, REDIS_RUN_COUNT, REDIS_RUN_ASKED, REDIS_RUN_BYTES, REDIS_ACT, REDIS_HASH };

enum redis_note {
	REDIS_STRANGE = 1, /* a byte that no value begins with */
	REDIS_OPEN = 2, /* the last element is a line whose end is not there */
	REDIS_STOPS = 4, /* at an error */
	REDIS_STRINGS = 8, /* nothing else is allowed */
	REDIS_WHOLE = 16, /* all of it is wanted, or nothing */
};

/* Types by their bytes, less 32: a length and so many bytes; values; pairs of values; a line. '~' falls on '>', and '|' on '<'. */
#define REDIS_BLOBS (1ULL << 1 | 1ULL << 4 | 1ULL << 29) /* ! $ = */
#define REDIS_MANY (1ULL << 10 | 1ULL << 30) /* * > ~ */
#define REDIS_PAIRS (1ULL << 5 | 1ULL << 28) /* % | */
#define REDIS_LINES (1ULL << 3 | 1ULL << 8 | 1ULL << 11 | 1ULL << 12 | 1ULL << 13 | 1ULL << 26 | 1ULL << 63) /* # ( + , - : _ */
#define REDIS_IS(c, set) ((set) >> (((c) - 32) & 63) & 1)

#define REDIS_ONES 0x0101010101010101ULL
#define REDIS_TOPS 0x8080808080808080ULL

#define REDIS_WORD(a, b, c, d, e, f, g, h)                                                                             \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 | (u64)(f) << 40 | (u64)(g) << 48 | \
	 (u64)(h) << 56)

/* Eight bytes of the head, the first one lowest. */
static __always_inline u64 redis_word(volatile struct framed *f, u64 at)
{
	asm volatile("%0 &= 255" : "+r"(at));
	return *(volatile u64 *)(f->head + at);
}

/* One byte. The compiler leaves a mask out where it has compared *at*, which 6.1's verifier forgets of what lies on the stack. */
static __always_inline u8 redis_byte(volatile struct framed *f, u64 at)
{
	asm volatile("%0 &= 255" : "+r"(at));
	return f->head[at];
}

/* Which of eight bytes is the first whose top bit is set in *tops*; 8 when none is. */
static __always_inline u64 redis_first(u64 tops)
{
	u64 low = tops >> 7;

	return ((((low & -low) - 1) & REDIS_ONES) * REDIS_ONES) >> 56;
}

/* How many of eight bytes come before a line's end; 8 when it is not among them. */
static __always_inline u64 redis_to_end(u64 word)
{
	word ^= 10 * REDIS_ONES;
	return redis_first((word - REDIS_ONES) & ~word & REDIS_TOPS);
}

/* How many of eight bytes come before the first one that is no letter, digit or sign. */
static __always_inline u64 redis_to_space(u64 word)
{
	return redis_first((word - 33 * REDIS_ONES) & ~word & REDIS_TOPS);
}

/* The first *bytes*, at most 8, of eight; all others are 0. */
static __always_inline u64 redis_cut(u64 word, u64 bytes)
{
	u64 shift = (8 - bytes) * 8;

	asm volatile("%0 &= 63" : "+r"(shift));
	return ((word << shift) >> shift) & -is_below(0, bytes);
}

/* Bytes before the line's end, REDIS_LINE when it does not come so soon. */
static __always_inline u64 redis_line(volatile struct framed *f, u64 at)
{
	u64 one = redis_to_end(redis_word(f, at)), two = redis_to_end(redis_word(f, at + 8)), three = redis_to_end(redis_word(f, at + 16));

	return one + (two & -is_equal(one, 8)) + (three & -is_equal(one + two, 16));
}

/* The number of *digits*, at most nine, at *at*. */
static __always_inline u64 redis_digits(volatile struct framed *f, u64 at, u64 digits)
{
	u64 ninth = is_below(8, digits), rest = digits - ninth, shift = (8 - rest) * 8, first = redis_byte(f, at) & 15, value;

	value = redis_word(f, at + ninth);
	asm volatile("%0 &= 63" : "+r"(shift));
	value = (value << shift) & -is_below(0, rest) & (15 * REDIS_ONES);
	value = (value * 2561) >> 8 & 0x00ff00ff00ff00ffULL;
	value = (value * 6553601) >> 16 & 0x0000ffff0000ffffULL;
	value = (value * 42949672960001ULL) >> 32;
	return value + first * 100000000 * ninth;
}

/*
 * Takes the element at REDIS_AT, of which there are REDIS_LEFT: they go on to the next, which may lie beyond the head. False when it is
 * not whole, or is none.
 */
static __always_inline bool redis_element(volatile struct framed *f)
{
	u64 at = f->scratch[REDIS_AT], left = f->scratch[REDIS_LEFT], notes = f->scratch[REDIS_NOTES];
	u64 line, digits, number, blob, many, pairs, some, end;
	u8 c = redis_byte(f, at);

	if (!left || at >= f->have)
		return false;
	blob = REDIS_IS(c, REDIS_BLOBS);
	many = REDIS_IS(c, REDIS_MANY);
	pairs = REDIS_IS(c, REDIS_PAIRS);
	if (!(blob | many | pairs | REDIS_IS(c, REDIS_LINES)) || (c >= 96 && c != '|' && c != '~') ||
	    (notes & REDIS_STRINGS && c != '$')) {
		f->scratch[REDIS_NOTES] = notes | REDIS_STRANGE;
		return false;
	}
	if (notes & REDIS_STOPS && (c == '-' || c == '!'))
		return false;
	line = redis_line(f, at + 1);
	if (at + 1 + line >= f->have || line >= REDIS_LINE) {
		if (line < REDIS_LINE || at + 1 + REDIS_LINE > f->have)
			return false;
		f->scratch[REDIS_NOTES] = notes | (blob | many | pairs ? REDIS_STRANGE : REDIS_OPEN);
		f->scratch[REDIS_AT] = at + 1 + REDIS_LINE;
		f->scratch[REDIS_LEFT] = left - 1;
		return false;
	}
	end = at + 2 + line;
	digits = line - is_below(0, line);
	some = 1 ^ is_equal(redis_byte(f, at + 1), '-');
	if (blob | many | pairs && (digits - 1 > 8 || redis_byte(f, end - 2) != '\r')) {
		f->scratch[REDIS_NOTES] = notes | REDIS_STRANGE;
		return false;
	}
	number = redis_digits(f, at + 1, digits) * some;
	f->scratch[REDIS_AT] = end + (number + 2) * blob * some;
	f->scratch[REDIS_LEFT] = left - 1 + number * many + 2 * number * pairs;
	return true;
}

/* Begins to take elements. */
static __always_inline void redis_from(volatile struct framed *f, u64 at, u64 left, u64 notes)
{
	f->scratch[REDIS_AT] = at;
	f->scratch[REDIS_LEFT] = left;
	f->scratch[REDIS_NOTES] = notes;
}

/* The hash of a command's name, whose case does not matter: letters are capitals without the bit of 32. */
static __always_inline u64 redis_name(volatile struct framed *f, u64 at, u64 bytes, u64 *first, u64 *second)
{
	u64 hash = mix(HASH_START, PROTOCOL_REDIS), word, here;

	for (u64 i = 0; i < REDIS_NAME_WORDS; i++) {
		here = bytes - 8 * i;
		here = (here & -is_below(8 * i, bytes));
		here = 8 ^ ((8 ^ here) & -is_below(here, 8));
		word = redis_cut(redis_word(f, at + 8 * i), here);
		word &= ~((word & 64 * REDIS_ONES) >> 1);
		hash = mix(hash, word);
		if (i == 0)
			*first = word;
		if (i == 1)
			*second = word;
	}
	return hash;
}

#define REDIS_CHANNEL_WORDS 12 /* of a channel's name, that tell it from others */

/* Endpoints of deliveries by the hash of their channel's bytes. */
BPF_TABLE("lru_hash", u64, u64, redis_channels, 8192);

static __always_inline u64 redis_raw(volatile struct framed *f, u64 hash, u64 at, u64 bytes)
{
	u64 here;

	for (u64 i = 0; i < REDIS_CHANNEL_WORDS; i++) {
		here = (bytes - 8 * i) & -is_below(8 * i, bytes);
		here = 8 ^ ((8 ^ here) & -is_below(here, 8));
		hash = mix(hash, redis_cut(redis_word(f, at + 8 * i), here));
		hash ^= hash >> 32;
	}
	return mix(hash, bytes);
}

/* The hash of a channel's name: what lies between signs is an id or not. */
static __always_inline u64 redis_channel(volatile struct framed *f, u64 seed, u64 start, u64 end)
{
	u64 hash = seed, marked = mix(seed, MARK_ID), length = 0, digits = 0, hexadecimal = 0, live, inside, ends, id, next;

	for (u32 i = 0; i < 8 * REDIS_CHANNEL_WORDS; i++) {
		u8 c = head_u8(f, start + i), digit = c - '0', letter = (c | 0x20) - 'a';

		inside = is_below(start + i, end);
		live = -inside;
		ends = -((1 ^ (is_below(digit, 10) | is_below(letter, 26) | is_equal(c, '-') | is_equal(c, '_'))) & inside);
		id = is_below(0, digits) & (is_equal(digits, length) | (is_equal(digits + hexadecimal, length) & is_below(7, length)) |
					    (is_below(15, length) & is_below(3, digits)));
		next = mix(hash ^ ((hash ^ marked) & -id & ends), c);
		hash = (next & live) | (hash & ~live);
		marked = (mix(next, MARK_ID) & ends) | (marked & ~ends);
		length = (length + inside) & ~ends;
		digits = (digits + (is_below(digit, 10) & inside)) & ~ends;
		hexadecimal = (hexadecimal + ((is_below(letter, 6) | is_equal(c, '-')) & inside)) & ~ends;
	}
	id = is_below(0, digits) & (is_equal(digits, length) | (is_equal(digits + hexadecimal, length) & is_below(7, length)) |
				    (is_below(15, length) & is_below(3, digits)));
	return hash ^ ((hash ^ marked) & -id);
}

#endif
