/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hash of a statement without its values: numbers, quoted literals, parameters and lists of them are one mark, letters
 * have no case, white space is one space, and comments between slash and star are nothing.
 */
#ifndef MESHLENS_SQL_H
#define MESHLENS_SQL_H

#include "text.h"

#define SQL_BYTES 256

enum sql_mode { SQL_PLAIN, SQL_WORD, SQL_NUMBER, SQL_QUOTED, SQL_SLASH, SQL_COMMENT, SQL_STAR };

static __always_inline void sql_start(volatile struct sql_text *text)
{
	text->hash = mix(HASH_START, PROTOCOL_POSTGRESQL);
	text->mode = SQL_PLAIN;
	text->after_value = 0;
	text->separator = 0;
}

/* A value after a value and a comma is one more of a list. */
static __always_inline void sql_value(volatile struct sql_text *text)
{
	if (!text->after_value)
		text->hash = mix(text->hash, MARK_ID);
	text->after_value = 1;
	text->separator = 0;
}

/* Inside a comment, or behind a slash that may begin one. True when the byte is used up. */
static __always_inline bool sql_comment(volatile struct sql_text *text, u8 c)
{
	u8 mode = text->mode;

	if (mode == SQL_SLASH && c != '*') {
		text->hash = mix(text->hash, '/');
		text->mode = SQL_PLAIN;
		return false;
	}
	if (c == '*')
		text->mode = mode == SQL_SLASH ? SQL_COMMENT : SQL_STAR;
	else
		text->mode = mode == SQL_STAR && c == '/' ? SQL_PLAIN : SQL_COMMENT;
	return true;
}

static __always_inline void sql_byte(volatile struct sql_text *text, u8 c)
{
	if (text->mode >= SQL_SLASH && sql_comment(text, c))
		return;
	if (c == '/' && text->mode != SQL_QUOTED) {
		text->mode = SQL_SLASH;
		return;
	}
	if (text->mode == SQL_QUOTED) {
		if (c == '\'')
			text->mode = SQL_PLAIN;
		return;
	}
	if (is_digit(c) && text->mode != SQL_WORD) {
		if (text->mode != SQL_NUMBER)
			sql_value(text);
		text->mode = SQL_NUMBER;
		return;
	}
	if (text->mode == SQL_NUMBER && (c == '.' || is_letter(c)))
		return;
	if (c == '\'') {
		sql_value(text);
		text->mode = SQL_QUOTED;
		return;
	}
	if (c == '$' || c == '-' || c == ' ' || c == ',' || (u8)(c - '\t') < 5) {
		text->mode = SQL_PLAIN;
		if (c == ',' || !text->separator)
			text->separator = c == ',' ? ',' : ' ';
		return;
	}
	if (text->separator)
		text->hash = mix(text->hash, text->separator);
	text->separator = 0;
	text->after_value = 0;
	text->mode = is_letter(c) || c == '_' || is_digit(c) ? SQL_WORD : SQL_PLAIN;
	text->hash = mix(text->hash, is_letter(c) ? c | 0x20 : c);
}

#endif
