/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hash of a statement without its values: numbers, quoted literals, parameters and lists of them are one mark, letters
 * have no case, white space is one space, and comments are nothing.
 *
 * The dialect is a constant where this is called, so that each protocol pays for its own only. What kind a character is comes from
 * a table: so the verifier follows few ways through a byte.
 */
#ifndef MESHLENS_SQL_H
#define MESHLENS_SQL_H

#include "text.h"

#define SQL_BYTES 256

enum sql_dialect { SQL_STANDARD, SQL_MYSQL, SQL_CLICKHOUSE };

/* Quotes have the numbers of the modes that they open and close. */
enum sql_kind {
	KIND_OTHER, KIND_LETTER, KIND_DIGIT, KIND_SPACE, KIND_NEWLINE, KIND_QUOTE, KIND_DOUBLE, KIND_BACKQUOTE, KIND_BACKSLASH,
	KIND_SLASH, KIND_STAR, KIND_DASH, KIND_HASH, KIND_COMMA, KIND_DOLLAR, KIND_DOT,
};

enum sql_mode {
	SQL_PLAIN, SQL_WORD, SQL_NUMBER, SQL_DASH,
	SQL_DASHES, /* MySQL: a comment only where white space follows */
	SQL_QUOTED, SQL_DOUBLE, SQL_NAME, SQL_DOUBLE_NAME, /* in quotes of a kind */
	SQL_ESCAPED, SQL_DOUBLE_ESCAPED, /* behind a backslash in a literal */
	SQL_OPENED, SQL_COMMENT, SQL_STAR, SQL_LINE, /* a comment, and where in it */
	SQL_SLASH, /* that may begin one */
};

struct sql_kinds {
	u64 rows[8]; /* four bits for each character of ASCII */
};

BPF_TABLE("array", u32, struct sql_kinds, l7_sql_kinds, 1);

/* One digit for each character, from right to left; a row of them from white space to letters. */
static __always_inline void sql_fill(volatile struct sql_kinds *kinds)
{
	kinds->rows[0] = 0x0043343000000000ULL;
	kinds->rows[1] = 0x0000000000000000ULL;
	kinds->rows[2] = 0x9fbd0a00500ec603ULL;
	kinds->rows[3] = 0x0000002222222222ULL;
	kinds->rows[4] = 0x1111111111111110ULL;
	kinds->rows[5] = 0x1008011111111111ULL;
	kinds->rows[6] = 0x1111111111111117ULL;
	kinds->rows[7] = 0x0000011111111111ULL;
}

static __always_inline u32 sql_kind(volatile struct sql_kinds *kinds, u8 c)
{
	u64 row = c >> 4 & 7;

	if (c >= 0x80)
		return KIND_LETTER;
	asm volatile("%0 &= 7" : "+r"(row));
	return kinds->rows[row] >> (c & 15) * 4 & 15;
}

static __always_inline void sql_start_of(volatile struct sql_text *text, u32 protocol)
{
	u32 zero = 0;
	volatile struct sql_kinds *kinds = l7_sql_kinds.lookup(&zero);

	text->hash = mix(HASH_START, protocol);
	text->mode = SQL_PLAIN;
	text->after_value = 0;
	text->separator = 0;
	if (kinds && !kinds->rows[2])
		sql_fill(kinds);
}

static __always_inline void sql_start(volatile struct sql_text *text)
{
	sql_start_of(text, PROTOCOL_POSTGRESQL);
}

/* A value after a value and a comma is one more of a list. */
static __always_inline void sql_value(volatile struct sql_text *text)
{
	if (!text->after_value)
		text->hash = mix(text->hash, MARK_ID);
	text->after_value = 1;
	text->separator = 0;
}

/* Letters have no case; those beyond ASCII stay as they are. */
static __always_inline void sql_mix(volatile struct sql_text *text, u8 c, u32 kind)
{
	text->hash = mix(text->hash, kind == KIND_LETTER ? c | (0x20 & ~(c >> 2)) : c);
}

static __always_inline void sql_separate(volatile struct sql_text *text)
{
	if (text->separator)
		text->hash = mix(text->hash, text->separator);
	text->separator = 0;
	text->after_value = 0;
}

static __always_inline void sql_comment(volatile struct sql_text *text, u8 c, u32 kind, u32 mode, const u32 dialect)
{
	u32 next = SQL_COMMENT;

	if (mode == SQL_LINE)
		next = kind == KIND_NEWLINE ? SQL_PLAIN : SQL_LINE;
	else if (kind == KIND_STAR)
		next = SQL_STAR;
	else if (mode == SQL_STAR && kind == KIND_SLASH)
		next = SQL_PLAIN;
	else if (dialect == SQL_MYSQL && mode == SQL_OPENED && c == '!')
		next = SQL_PLAIN; /* what it holds is executed */
	text->mode = next;
}

/* Inside quotes: literals are marked where they begin, names are mixed. */
static __always_inline void sql_quoted(volatile struct sql_text *text, u8 c, u32 kind, u32 mode, const u32 dialect)
{
	u32 next = mode;

	if (mode >= SQL_ESCAPED)
		next = mode == SQL_ESCAPED ? SQL_QUOTED : SQL_DOUBLE;
	else if (kind == mode || (dialect == SQL_CLICKHOUSE && mode == SQL_DOUBLE_NAME && kind == KIND_DOUBLE))
		next = SQL_PLAIN;
	else if (dialect != SQL_STANDARD && kind == KIND_BACKSLASH && mode <= SQL_DOUBLE)
		next = mode == SQL_QUOTED ? SQL_ESCAPED : SQL_DOUBLE_ESCAPED;
	text->mode = next;
	if (dialect != SQL_STANDARD && (mode == SQL_NAME || mode == SQL_DOUBLE_NAME))
		sql_mix(text, c, kind);
}

/* A character outside quotes and comments that belongs to a word or stands for itself. */
static __always_inline void sql_plain(volatile struct sql_text *text, u8 c, u32 kind, const u32 dialect)
{
	u32 next = kind == KIND_LETTER || kind == KIND_DIGIT ? SQL_WORD : SQL_PLAIN;

	if (dialect != SQL_STANDARD && kind == KIND_BACKQUOTE)
		next = SQL_NAME;
	if (dialect == SQL_CLICKHOUSE && kind == KIND_DOUBLE)
		next = SQL_DOUBLE_NAME;
	text->mode = next;
	sql_separate(text);
	sql_mix(text, c, kind);
}

/* A dash may begin a comment; else it is white space, as a dollar sign is. */
static __always_inline void sql_space(volatile struct sql_text *text, u32 kind, u32 mode, const u32 dialect)
{
	u32 next = kind == KIND_DASH ? SQL_DASH : SQL_PLAIN;

	if (kind == KIND_DASH && mode == SQL_DASH)
		next = dialect == SQL_MYSQL ? SQL_DASHES : SQL_LINE;
	if (dialect == SQL_MYSQL && kind == KIND_SPACE && mode == SQL_DASHES)
		next = SQL_LINE;
	text->mode = next;
	if (kind == KIND_COMMA || !text->separator)
		text->separator = kind == KIND_COMMA ? ',' : ' ';
}

static __always_inline void sql_byte_of(volatile struct sql_text *text, u8 c, const u32 dialect)
{
	u32 zero = 0, mode, kind;
	volatile struct sql_kinds *kinds = l7_sql_kinds.lookup(&zero);

	if (!kinds)
		return;
	text->unused = sql_kind(kinds, c);
	kind = text->unused; /* read back: the verifier forgets how it came about */
	if (text->mode == SQL_SLASH && kind != KIND_STAR) {
		sql_separate(text);
		text->hash = mix(text->hash, '/');
		text->mode = SQL_PLAIN;
	}
	mode = text->mode;
	if (mode == SQL_SLASH)
		text->mode = SQL_OPENED;
	else if (mode >= SQL_OPENED)
		sql_comment(text, c, kind, mode, dialect);
	else if (mode >= SQL_QUOTED)
		sql_quoted(text, c, kind, mode, dialect);
	else if (mode == SQL_NUMBER && (kind <= KIND_DIGIT || kind == KIND_DOT) && kind)
		return;
	else if (kind == KIND_DIGIT && mode != SQL_WORD)
		text->mode = SQL_NUMBER, sql_value(text);
	else if (kind == KIND_QUOTE || (dialect == SQL_MYSQL && kind == KIND_DOUBLE))
		text->mode = kind, sql_value(text);
	else if (kind == KIND_SLASH || (dialect != SQL_STANDARD && kind == KIND_HASH))
		text->mode = kind == KIND_SLASH ? SQL_SLASH : SQL_LINE;
	else if (kind == KIND_SPACE || kind == KIND_NEWLINE || kind >= KIND_COMMA ? kind != KIND_DOT : kind == KIND_DASH)
		sql_space(text, kind, mode, dialect);
	else
		sql_plain(text, c, kind, dialect);
}

static __always_inline void sql_byte(volatile struct sql_text *text, u8 c)
{
	sql_byte_of(text, c, SQL_STANDARD);
}

#endif
