/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of a header block, one after the other, and the path piece by piece.
 */
#ifndef MESHLENS_HPACK_FIELDS_H
#define MESHLENS_HPACK_FIELDS_H

#include "hpack.h"

/*
 * An integer at scratch[0], which goes on; one that is too large breaks the block. Like everything about a field it is put down in
 * memory, where the verifier forgets by which way it came about.
 */
static __always_inline u32 hpack_number(volatile struct hpack *side, volatile struct framed *f, u32 mask)
{
	u32 at = f->scratch[0], number = head_u8(f, at) & mask, more = 0;

	side->number = number;
	if (number == mask) {
		more = head_u8(f, ++at);
		side->number = number + (more & 0x7f);
	}
	if (more & 0x80) {
		more = head_u8(f, ++at);
		side->number += (more & 0x7f) << 7;
	}
	if (more & 0x80) {
		more = head_u8(f, ++at);
		side->number += (more & 0x7f) << 14;
	}
	side->broken |= more >> 7;
	f->scratch[0] = at + 1;
	return side->number;
}

/* Which header has the name of *named* bytes at scratch[0], in its usual spelling or Huffman-coded. */
static __always_inline void hpack_name(volatile struct hpack *side, volatile struct framed *f)
{
	u64 at = f->scratch[0], first, rest;
	u32 length = side->named;

	asm volatile("%0 &= 255" : "+r"(at));
	bpf_probe_read_kernel((void *)&f->scratch[6], 16, (void *)&f->head[at]);
	first = f->scratch[6];
	rest = f->scratch[7];
	side->kind = HPACK_OTHER;
	if (length == 8 && first == 0x8fda3412b2c8ca9a && side->huffman)
		side->kind = HPACK_GRPC_STATUS;
	if (length == 8 && first == 0x3fa9851d6b21834d && side->huffman)
		side->kind = HPACK_TRACE;
	if (length == 9 && first == 0x59f5c94a6a49ea21 && (u8)rest == 0x7f && side->huffman)
		side->kind = HPACK_TYPE;
	if (length == 4 && (u32)first == 0x3fd358b9 && side->huffman)
		side->kind = HPACK_PATH;
	if (length == 11 && first == 0x6174732d63707267 && (rest & 0xffffff) == 0x737574)
		side->kind = HPACK_GRPC_STATUS;
	if (length == 11 && first == 0x7261706563617274 && (rest & 0xffffff) == 0x746e65)
		side->kind = HPACK_TRACE;
	if (length == 12 && first == 0x2d746e65746e6f63 && (u32)rest == 0x65707974)
		side->kind = HPACK_TYPE;
	if (length == 5 && (first & 0xffffffffff) == 0x687461703a)
		side->kind = HPACK_PATH;
}

/* A number of up to three digits, the first bytes of *word*, or Huffman-coded. */
static __always_inline void hpack_digits(volatile struct hpack *side, u32 word)
{
	u32 length = side->number;

	word = __builtin_bswap32(word);
	if (length < 4)
		word |= ~0U >> (8 * (length & 3));
	side->digits = word;
	side->entry = 0;
	for (int i = 0; i < 3; i++) {
		word = side->digits;
		side->digit = 10;
		if (!side->huffman) {
			side->digit = (word >> 24) - '0';
			side->digits = word << 8 | 0xff;
		} else if (word >> 27 < 3) {
			side->digit = word >> 27;
			side->digits = word << 5 | 0x1f;
		} else if (word >> 26 > 0x18) {
			side->digit = (word >> 26) - 0x16;
			side->digits = word << 6 | 0x3f;
		}
		if (side->digit > 9)
			break;
		side->entry = side->entry * 10 + side->digit;
	}
	side->entry = side->entry << 4 | side->kind;
}

/* A method that is spelt out; its hash where it is neither GET nor POST. */
static __always_inline void hpack_method(volatile struct hpack *side, u64 first)
{
	u32 length = side->number;

	if (length < 8)
		first &= (1ULL << (8 * (length & 7))) - 1;
	side->entry = mix(mix(HASH_START, first), length << 1 | side->huffman) << 6 | METHOD_SPELT << 4 | HPACK_METHOD;
	if (length == 3 && first == 0x544547)
		side->entry = METHOD_GET << 4 | HPACK_METHOD;
	if (length == 4 && first == 0x54534f50)
		side->entry = METHOD_POST << 4 | HPACK_METHOD;
}

/* Whether it is `application/grpc`, with or without what it carries. */
static __always_inline void hpack_type(volatile struct hpack *side, u64 first, u64 rest)
{
	side->entry = TYPE_OTHER << 4 | HPACK_TYPE;
	if (side->number >= 11 && first == 0x4c3d260d62d0751d && (rest & 0xffffff) == 0x64654d)
		side->entry = TYPE_GRPC << 4 | HPACK_TYPE;
	if (side->number >= 16 && first == 0x746163696c707061 && rest == 0x637072672f6e6f69)
		side->entry = TYPE_GRPC << 4 | HPACK_TYPE;
}

/* What the value of *number* bytes at scratch[0] says, as that of a header of this *kind*. */
static __always_inline void hpack_value(volatile struct hpack *side, volatile struct framed *f)
{
	u64 at = f->scratch[0];

	asm volatile("%0 &= 255" : "+r"(at));
	bpf_probe_read_kernel((void *)&f->scratch[6], 16, (void *)&f->head[at]);
	side->entry = side->kind;
	if (side->kind == HPACK_METHOD)
		hpack_method(side, f->scratch[6]);
	else if (side->kind == HPACK_TYPE)
		hpack_type(side, f->scratch[6], f->scratch[7]);
	else if (side->kind == HPACK_STATUS || side->kind == HPACK_GRPC_STATUS)
		hpack_digits(side, f->scratch[6]);
}

/* Puts *length* bytes at scratch[0] behind the block's head, as the trace context or as the method. */
static __always_inline void hpack_keep(volatile struct hpack *side, volatile struct framed *f, u32 length, bool huffman, bool trace)
{
	u64 at = f->scratch[0], to = side->head_bytes, size = length;

	if (to > 31 || size > (trace ? HPACK_VALUE_BYTES - 1 : 16))
		return;
	asm volatile("%0 &= 31" : "+r"(to));
	side->head[to] = trace ? 0 : 2; /* a literal whose name is spelt out, or is :method */
	to++;
	if (trace) {
		side->head[to] = 11;
		*(volatile u64 *)&side->head[to + 1] = 0x7261706563617274;
		*(volatile u32 *)&side->head[to + 9] = 0x746e65;
		to += 12;
	}
	side->head[to] = size | (huffman ? 0x80 : 0);
	to++;
	asm volatile("%0 &= 255" : "+r"(at));
	asm volatile("%0 &= 63" : "+r"(size));
	bpf_probe_read_kernel((void *)&side->head[to], size, (void *)&f->head[at]);
	side->head_bytes = to + size;
}

enum hpack_step { HPACK_ON, HPACK_WANTS, HPACK_PATH_COMES, HPACK_BROKEN };

static __always_inline u32 hpack_taken(volatile struct hpack *side, volatile struct framed *f)
{
	if (side->broken || f->scratch[0] > side->end)
		return HPACK_BROKEN;
	side->block_left = side->end - f->scratch[0];
	return HPACK_ON;
}

/* Takes a field at scratch[0] that is a single byte, the number of an entry; false when it is not one. */
static __always_inline bool hpack_indexed(volatile struct hpack *side, volatile struct framed *f)
{
	u32 at = f->scratch[0];

	side->first = head_u8(f, at);
	if (!side->block_left || side->broken || at >= f->have || side->first < 0x81 || side->first == 0xff)
		return false;
	hpack_look_up(side, side->first & 0x7f);
	hpack_say(side);
	f->scratch[0] = at + 1;
	side->block_left--;
	return true;
}

/*
 * Takes the field at scratch[0], which goes on behind it, perhaps beyond the head. WANTS: scratch[1] bytes of the head are needed;
 * nothing was taken. The value of a path is left to be read piece by piece.
 */
static __always_inline u32 hpack_field(volatile struct hpack *side, volatile struct framed *f)
{
	side->start = f->scratch[0];
	side->end = side->start + side->block_left;
	f->scratch[1] = side->block_left < HPACK_LOOK ? side->end : side->start + HPACK_LOOK;
	if (f->have < f->scratch[1])
		return HPACK_WANTS;
	side->first = head_u8(f, side->start);
	if (side->first & 0x80 || (side->first & 0xe0) == 0x20) {
		hpack_number(side, f, side->first & 0x80 ? 0x7f : 0x1f);
		if (side->first & 0x80)
			hpack_look_up(side, side->number);
		else
			side->limit = side->number;
		if (side->first & 0x80)
			hpack_say(side);
		return hpack_taken(side, f);
	}
	hpack_number(side, f, side->first & 0x40 ? 0x3f : 0x0f);
	side->named = 0;
	if (side->number) {
		hpack_look_up(side, side->number);
		side->kind = side->entry & 15;
	} else {
		side->huffman = head_u8(f, f->scratch[0]) >> 7;
		side->named = hpack_number(side, f, 0x7f);
		f->scratch[1] = f->scratch[0] + side->named + 4;
		if (f->scratch[1] > side->end)
			f->scratch[1] = side->end;
		if (side->named > HPACK_NAME_BYTES || f->scratch[0] + side->named >= side->end)
			return HPACK_BROKEN;
		if (f->have < f->scratch[1])
			return HPACK_WANTS;
		hpack_name(side, f);
		f->scratch[0] += side->named;
	}
	side->huffman = head_u8(f, f->scratch[0]) >> 7;
	hpack_number(side, f, 0x7f);
	if (f->scratch[0] + side->number > side->end)
		return HPACK_BROKEN;
	if (side->kind == HPACK_PATH) {
		side->text_left = side->path_bytes = side->number;
		side->enters = side->first >> 6 & 1;
		side->path_huffman = side->huffman;
		side->block_left = side->end - f->scratch[0];
		return HPACK_PATH_COMES;
	}
	side->entry = side->kind;
	if (side->kind > HPACK_OTHER && side->number <= HPACK_VALUE_BYTES) {
		f->scratch[1] = f->scratch[0] + side->number;
		if (f->have < f->scratch[1])
			return HPACK_WANTS;
		hpack_value(side, f);
		if (side->kind == HPACK_TRACE || (side->entry & 0x3f) == (METHOD_SPELT << 4 | HPACK_METHOD))
			hpack_keep(side, f, side->number, side->huffman, side->kind == HPACK_TRACE);
		hpack_say(side);
	}
	f->scratch[0] += side->number;
	if (side->first & 0x40)
		hpack_insert(side, side->entry, side->number + (side->named ? side->named : HPACK_ENTRY_BYTES));
	return hpack_taken(side, f);
}

/* The path begins with the next byte. */
static __always_inline void hpack_path_begin(volatile struct hpack *side)
{
	side->left.bits = side->left.count = 0;
	side->reading_path = 1;
	side->path_said = 1;
	text_reset(&side->text, PROTOCOL_HTTP2);
}

/* A character of the path; what stands behind it does not name the endpoint. */
static __always_inline void hpack_path_byte(volatile struct hpack *side, u32 c)
{
	if (side->text.mode)
		return;
	if (c == '?' || c == '#' || c == HUFFMAN_RARE)
		side->text.mode = 1;
	else if (c == '/')
		segment_end(&side->text, c);
	else
		segment_byte(&side->text, c);
}

/* The path is through. Of one that is too long the last segment is not known. */
static __always_inline void hpack_path_end(volatile struct hpack *side)
{
	if (side->path_bytes > HPACK_PATH_BYTES && !side->text.mode)
		side->text.hash = mix(side->text.segment_hash, MARK_ID);
	segment_end(&side->text, 0);
	side->reading_path = 0;
	side->said[HPACK_PATH] = hpack_path_of(&side->text) | HPACK_PATH;
	if (side->enters)
		hpack_insert(side, side->said[HPACK_PATH], side->path_bytes + HPACK_ENTRY_BYTES);
}

/* Reads on in the path; returns how many bytes of the head it took. */
static __always_inline u32 hpack_path_piece(volatile struct hpack *side, volatile struct framed *f)
{
	u8 *symbols = huffman_symbols();
	u64 to = side->path_bytes - side->text_left;
	u32 taken = 0, symbol;

	if (!symbols)
		return 0;
	if (to >= HPACK_PATH_BYTES) {
		taken = side->text_left;
		side->text_left = 0;
		side->block_left -= taken;
		hpack_path_end(side);
		return taken;
	}
	asm volatile("%0 &= 127" : "+r"(to));
	bpf_probe_read_kernel((void *)&side->path_sent[to], HPACK_PIECE_BYTES, (void *)f->head);
	for (int i = 0; i < HPACK_PIECE_BYTES; i++) {
		if (i >= f->have || !side->text_left || to + i >= HPACK_PATH_BYTES)
			break;
		side->text_left--;
		taken = i + 1;
		if (!side->path_huffman) {
			hpack_path_byte(side, f->head[i]);
			continue;
		}
		huffman_add(&side->left, f->head[i]);
		for (int j = 0; j < 2; j++) {
			symbol = huffman_take(&side->left, symbols);
			if (symbol == HUFFMAN_NONE)
				break;
			hpack_path_byte(side, symbol);
		}
	}
	side->block_left -= taken;
	if (!side->text_left)
		hpack_path_end(side);
	return taken;
}

#endif
