/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hashes of names of topics, groups and subscriptions, which consist of parts between - . / _ and %: parts that are ids are mixed as
 * one mark. shared/protocols/_dotted.py judges at least the same parts to be ids.
 */
#ifndef MESHLENS_DOTTED_H
#define MESHLENS_DOTTED_H

#include "text.h"

/*
 * 1 when *less* is below *more*, else 0, of numbers without a sign's bit: without a branch, each of which
 * would double the ways through a name.
 */
static __always_inline u64 is_below(u64 less, u64 more)
{
	u64 difference = less - more;

	asm volatile("%0 >>= 63" : "+r"(difference));
	return difference;
}

static __always_inline u64 is_equal(u64 one, u64 other)
{
	return is_below(one ^ other, 1);
}

/*
 * One part of a name ends. It is an id when it is a number, long and hexadecimal, or long with many digits; behind an id,
 * the groups of 4 and 12 of a UUID are ids too.
 */
static __always_inline void dotted_end(volatile struct text_state *text, u8 separator)
{
	u64 length = text->length, digits = text->digits, hash = text->hash, marked = mix(text->segment_hash, MARK_ID);
	u64 hexadecimal = is_equal(digits + text->hexadecimal, length), some = is_below(0, digits), id;

	id = some & (is_equal(digits, length) | (hexadecimal & is_below(7, length)) |
		     (is_below(15, length) & is_below(3, digits)));
	id |= text->mode & hexadecimal & (is_equal(length, 4) | is_equal(length, 12));
	hash ^= (hash ^ marked) & -id;
	text->hash = text->segment_hash = mix(hash, separator);
	text->length = text->digits = text->hexadecimal = 0;
	text->mode = id & is_equal(separator, '-');
}

static __always_inline void dotted_letter(volatile struct text_state *text, u8 c)
{
	u8 digit = c - '0', letter = (c | 0x20) - 'a';

	text->hash = mix(text->hash, c);
	text->length++;
	text->digits += is_below(digit, 10);
	text->hexadecimal += is_below(letter, 6);
}

static __always_inline void dotted_byte(volatile struct text_state *text, u8 c)
{
	if (is_below((u8)(c - '-'), 3) | is_equal(c, '_') | is_equal(c, '%'))
		dotted_end(text, c);
	else
		dotted_letter(text, c);
}

#endif
