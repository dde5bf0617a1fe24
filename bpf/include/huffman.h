/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HPACK's Huffman code, decoded without a table of states: the code is canonical, so the value of the next bits tells how long the
 * code is, and how far it lies behind the first one of that length tells the symbol.
 *
 * https://www.rfc-editor.org/rfc/rfc7541#appendix-B
 *
 * The symbols with codes of up to 15 bits, 95 of them, lie in a map in the order of their codes. The longer codes are of bytes that
 * no header field has in practice; where one comes, the text is given up.
 */
#ifndef MESHLENS_HUFFMAN_H
#define MESHLENS_HUFFMAN_H

#define HUFFMAN_NONE 0x100 /* there are too few bits for a symbol */
#define HUFFMAN_RARE 0x101 /* a symbol whose code is longer than 15 bits */

struct huffman_bits {
	u64 bits; /* the next ones, from the top */
	u32 count;
	u32 code; /* length << 8 | place of its symbol */
};

struct huffman_symbols {
	u64 words[16];
};

BPF_TABLE("array", u32, struct huffman_symbols, l7_huffman, 1);

/* The symbols in the order of their codes; whoever comes first puts them down. */
static __always_inline u8 *huffman_symbols(void)
{
	u32 zero = 0;
	volatile struct huffman_symbols *table = l7_huffman.lookup(&zero);

	if (!table)
		return NULL;
	if (!table->words[11]) {
		table->words[0] = 0x6f69656361323130;
		table->words[1] = 0x332f2e2d25207473;
		table->words[2] = 0x413d393837363534;
		table->words[3] = 0x6d6c68676664625f;
		table->words[4] = 0x4443423a7572706e;
		table->words[5] = 0x4c4b4a4948474645;
		table->words[6] = 0x54535251504f4e4d;
		table->words[7] = 0x76716b6a59575655;
		table->words[8] = 0x3b2c2a267a797877;
		table->words[9] = 0x273f292822215a58;
		table->words[10] = 0x5b4024003e237c2b;
		table->words[11] = 0x5c7b603c7d5e7e5d;
	}
	return (u8 *)table;
}

static __always_inline void huffman_add(volatile struct huffman_bits *left, u8 byte)
{
	u32 shift = 56 - left->count;

	asm volatile("%0 &= 63" : "+r"(shift));
	left->bits |= (u64)byte << shift;
	left->count += 8;
}

/* How long the code is with which the bits begin, and where its symbol lies; put down in memory, as in hpack.h. */
static __always_inline void huffman_look(volatile struct huffman_bits *left)
{
	u32 next = left->bits >> 32;

	if (next < 0x50000000)
		left->code = 5 << 8 | next >> 27;
	else if (next < 0xb8000000)
		left->code = 6 << 8 | ((next >> 26) - 20 + 10);
	else if (next < 0xf8000000)
		left->code = 7 << 8 | ((next >> 25) - 92 + 36);
	else if (next < 0xfe000000)
		left->code = 8 << 8 | ((next >> 24) - 248 + 68);
	else if (next < 0xff400000)
		left->code = 10 << 8 | ((next >> 22) - 1016 + 74);
	else if (next < 0xffa00000)
		left->code = 11 << 8 | ((next >> 21) - 2042 + 79);
	else if (next < 0xffc00000)
		left->code = 12 << 8 | ((next >> 20) - 4090 + 82);
	else if (next < 0xfff00000)
		left->code = 13 << 8 | ((next >> 19) - 8184 + 84);
	else if (next < 0xfff80000)
		left->code = 14 << 8 | ((next >> 18) - 16380 + 90);
	else if (next < 0xfffe0000)
		left->code = 15 << 8 | ((next >> 17) - 32764 + 92);
	else
		left->code = 19 << 8;
}

/* The next symbol. */
static __always_inline u32 huffman_take(volatile struct huffman_bits *left, u8 *symbols)
{
	u64 place;
	u32 length;

	huffman_look(left);
	place = left->code;
	length = place >> 8;
	if (length > left->count)
		return HUFFMAN_NONE;
	if (length > 15)
		return HUFFMAN_RARE;
	left->bits <<= length & 15;
	left->count -= length;
	asm volatile("%0 &= 127" : "+r"(place));
	return symbols[place];
}

#endif
