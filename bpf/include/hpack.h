/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HPACK, of which only a few headers matter.
 *
 * https://www.rfc-editor.org/rfc/rfc7541
 *
 * The dynamic table is addressed from its newest entry backwards. So what its entries say is kept by the number of their insertion,
 * and nothing has to be known of those that were pushed out. An entry from before the connection was watched, or from before a
 * place where the count became uncertain (*floor*), resolves to nothing: never to a wrong one.
 */
#ifndef MESHLENS_HPACK_H
#define MESHLENS_HPACK_H

#include "framing.h"
#include "huffman.h"
#include "text.h"

#define HPACK_ENTRIES 128
#define HPACK_STATIC 61
#define HPACK_KNOWN 64
#define HPACK_TABLE_BYTES 4096
#define HPACK_ENTRY_BYTES 32
#define HPACK_LOOK 16 /* bytes of a field that are wanted before it is looked at */
#define HPACK_VALUE_BYTES 64 /* no longer value matters, but for that of a path */
#define HPACK_NAME_BYTES 128 /* no name is longer */
#define HPACK_PATH_BYTES 118 /* of a path as it was sent */
#define HPACK_PIECE_BYTES 12 /* of a path in one turn */

/* What an entry is, in its low four bits; what it says stands above them. */
enum hpack_kind {
	HPACK_NOTHING, /* not known */
	HPACK_OTHER, HPACK_PATH, HPACK_METHOD, HPACK_STATUS, HPACK_TYPE, HPACK_GRPC_STATUS, HPACK_TRACE,
};

enum hpack_method { METHOD_UNKNOWN, METHOD_GET, METHOD_POST, METHOD_SPELT };
enum hpack_type { TYPE_UNKNOWN, TYPE_GRPC, TYPE_OTHER };

/* One direction of a connection. */
struct hpack {
	u64 entries[HPACK_KNOWN + HPACK_ENTRIES]; /* the static ones, then the dynamic ones in a ring */
	u64 said[8]; /* by the block that is read, by kind */
	u64 path; /* hash of the block's path, the low four bits clear; 0: not known */
	u64 spelt; /* hash of a method that is neither GET nor POST */
	struct huffman_bits left; /* of the text that is being read */
	struct text_state text;
	u32 inserted;
	u32 floor;
	u32 limit; /* bytes of the table */
	u32 block_left; /* bytes of the block in this frame */
	u32 text_left; /* bytes of the path */
	u32 path_bytes; /* of them, in all */
	u64 entry; /* what it says */
	u32 start, end; /* of the field that is read, of the block: places in the head */
	u32 digits, digit; /* that are still to be read, and the one that is */
	u32 first, number, named, kind; /* its first byte, its last integer, the bytes of its name, enum hpack_kind */
	u8 reading_path;
	u8 huffman; /* the field's text is Huffman-coded */
	u8 path_huffman; /* so is the path */
	u8 enters; /* and will be an entry */
	u8 broken; /* a field lies across two frames */
	u8 method;
	u8 type;
	u8 path_said; /* there is a path as it was sent */
	u8 head_bytes; /* of *head* */
	u16 status; /* 0: not known */
	u16 grpc_status; /* plus one; 0: not known */
	u8 path_sent[160];
	u8 head[128]; /* method and trace context as they were sent */
};

/* Forgets what the last block said. */
static __always_inline void hpack_begin(volatile struct hpack *side)
{
	side->said[HPACK_PATH] = side->said[HPACK_METHOD] = side->said[HPACK_STATUS] = side->said[HPACK_TYPE] = 0;
	side->said[HPACK_GRPC_STATUS] = 0;
	side->path_bytes = side->text_left = 0;
	side->reading_path = side->broken = side->path_said = side->head_bytes = 0;
}

/* A new connection. The two paths that everybody knows are told by their numbers. */
static __always_inline void hpack_reset(volatile struct hpack *side)
{
	for (int i = 0; i < HPACK_KNOWN; i++)
		side->entries[i] = HPACK_OTHER;
	side->entries[2] = METHOD_GET << 4 | HPACK_METHOD;
	side->entries[3] = METHOD_POST << 4 | HPACK_METHOD;
	side->entries[4] = 4 << 4 | HPACK_PATH;
	side->entries[5] = 5 << 4 | HPACK_PATH;
	side->entries[8] = 200 << 4 | HPACK_STATUS;
	side->entries[9] = 204 << 4 | HPACK_STATUS;
	side->entries[10] = 206 << 4 | HPACK_STATUS;
	side->entries[11] = 304 << 4 | HPACK_STATUS;
	side->entries[12] = 400 << 4 | HPACK_STATUS;
	side->entries[13] = 404 << 4 | HPACK_STATUS;
	side->entries[14] = 500 << 4 | HPACK_STATUS;
	side->entries[31] = TYPE_OTHER << 4 | HPACK_TYPE;
	side->inserted = side->floor = 0;
	side->limit = HPACK_TABLE_BYTES;
	side->block_left = 0;
	hpack_begin(side);
}

/* Nothing that was inserted before can be found any more. */
static __always_inline void hpack_forget(volatile struct hpack *side)
{
	side->floor = side->inserted;
}

static __always_inline void hpack_insert(volatile struct hpack *side, u64 entry, u32 bytes)
{
	u32 place = side->inserted;

	asm volatile("%0 &= 127" : "+r"(place));
	side->entries[HPACK_KNOWN + place] = entry;
	side->inserted++;
	/* Up to 8/5 of it when unpacked. What does not fit may or may not be an entry: then older ones cannot be counted back to. */
	if (HPACK_ENTRY_BYTES + bytes + (bytes >> 1) + (bytes >> 3) > side->limit)
		hpack_forget(side);
}

static __always_inline void text_reset(volatile struct text_state *text, u64 seed)
{
	text->hash = text->segment_hash = mix(HASH_START, seed);
	text->length = text->digits = text->hexadecimal = text->other = text->mode = text->at = 0;
}

/* The hash of a path, with room for what goes with it. */
static __always_inline u64 hpack_path_of(volatile struct text_state *text)
{
	u64 hash = endpoint_of(text->hash) & ~15ULL;

	return hash > 1024 ? hash : hash + 1024;
}

/* The two paths that everybody knows: `/` and `/index.html`. */
static __always_inline u64 hpack_known_path(volatile struct hpack *side, bool index)
{
	u64 word = 0x74682e7865646e69, rest = 0x6c6d; /* "index.ht", "ml" */

	text_reset(&side->text, PROTOCOL_HTTP2);
	segment_end(&side->text, '/');
	for (int i = 0; i < 10 && index; i++) {
		segment_byte(&side->text, word);
		word = word >> 8 | rest << 56;
		rest >>= 8;
	}
	segment_end(&side->text, 0);
	side->path_bytes = index ? 11 : 1;
	side->path_said = 1;
	side->path_huffman = 0;
	*(volatile u64 *)&side->path_sent[0] = 0x682e7865646e692f; /* "/index.h" */
	*(volatile u32 *)&side->path_sent[8] = 0x6c6d74; /* "tml" */
	return hpack_path_of(&side->text);
}

/* What the indexed field *index* says, into *entry*. */
static __always_inline void hpack_look_up(volatile struct hpack *side, u64 index)
{
	u32 back = index - HPACK_STATIC;

	side->entry = HPACK_NOTHING;
	if (index > HPACK_STATIC) {
		if (back > HPACK_ENTRIES || back > side->inserted - side->floor)
			return;
		index = ((side->inserted - back) & (HPACK_ENTRIES - 1)) + HPACK_KNOWN;
	}
	asm volatile("%0 &= 255" : "+r"(index));
	if (index < HPACK_KNOWN + HPACK_ENTRIES)
		side->entry = side->entries[index];
}

/* Takes what the field says into the block. */
static __always_inline void hpack_say(volatile struct hpack *side)
{
	u64 kind = side->entry;

	asm volatile("%0 &= 7" : "+r"(kind));
	side->said[kind] = side->entry;
}

/* The block is complete: what it said. */
static __always_inline void hpack_settle(volatile struct hpack *side)
{
	u64 path = side->said[HPACK_PATH], method = side->said[HPACK_METHOD] >> 4;

	side->path = path & ~15ULL;
	if (path && path >> 4 < 8)
		side->path = hpack_known_path(side, path >> 4 == 5);
	side->method = method & 3;
	side->spelt = method >> 2;
	side->status = side->said[HPACK_STATUS] >> 4;
	side->type = side->said[HPACK_TYPE] >> 4;
	side->grpc_status = side->said[HPACK_GRPC_STATUS] ? (side->said[HPACK_GRPC_STATUS] >> 4) + 1 : 0;
}

#endif
