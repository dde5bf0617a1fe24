/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hashes of subjects, topics and routing keys: words between separators, of which those that are ids are mixed as one mark. The rule
 * is that of dotted.h; here nothing branches, so that a name of a hundred bytes costs the verifier one way through. (It follows
 * two ways also where a constant meets a mask that is 0 or -1 in an AND: there the bit is multiplied instead.)
 */
#ifndef MESHLENS_SUBJECT_H
#define MESHLENS_SUBJECT_H

#include "dotted.h"
#include "framing.h"

#define SUBJECT_BYTES 96 /* of a name, that tell it from others */

struct subject {
	u64 hash;
	u64 marked; /* what the hash would be if the word that is being read is an id */
	u64 length; /* of the word */
	u64 digits;
	u64 hexadecimal;
};

/* What the hash is when the word ends here. */
static __always_inline u64 subject_word(struct subject *subject)
{
	u64 length = subject->length, digits = subject->digits, id;

	id = is_below(0, digits) & (is_equal(digits, length) | (is_equal(digits + subject->hexadecimal, length) & is_below(7, length)) |
				    (is_below(15, length) & is_below(3, digits)));
	return subject->hash ^ ((subject->hash ^ subject->marked) & -id);
}

/* The hash of the bytes of the head from *start* to *end*, added to *seed*. */
static __always_inline u64 subject_hash(volatile struct framed *f, u64 seed, u32 start, u32 end, u8 separator)
{
	struct subject subject = {.hash = seed, .marked = mix(seed, MARK_ID)};
	u64 live, inside, ends, hash;

	for (u32 i = 0; i < SUBJECT_BYTES; i++) {
		u8 c = head_u8(f, start + i), digit = c - '0', letter = (c | 0x20) - 'a';

		inside = is_below(start + i, end);
		live = -inside;
		ends = -is_equal(c, separator) & live;
		hash = mix((subject_word(&subject) & ends) | (subject.hash & ~ends), c);
		subject.hash = (hash & live) | (subject.hash & ~live);
		subject.marked = (mix(hash, MARK_ID) & ends) | (subject.marked & ~ends);
		subject.length = (subject.length + inside) & ~ends;
		subject.digits = (subject.digits + (is_below(digit, 10) & inside)) & ~ends;
		subject.hexadecimal = (subject.hexadecimal + (is_below(letter, 6) & inside)) & ~ends;
	}
	return subject_word(&subject);
}

#endif
