/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hash of a statement without its values: numbers, quoted literals, parameters and lists of them are one mark, letters
 * have no case, white space is one space, and comments are nothing.
 *
 * The dialect is a constant where this is called, so that each protocol pays for its own only.
 */
#ifndef MESHLENS_SQL_H
#define MESHLENS_SQL_H

#include "text.h"

#define SQL_BYTES 256

enum sql_dialect { SQL_STANDARD, SQL_MYSQL, SQL_CLICKHOUSE };

enum sql_mode {
	SQL_PLAIN, SQL_WORD, SQL_NUMBER, SQL_DASH,
	SQL_DASHES, /* MySQL: a comment only where white space follows */
	SQL_QUOTED, SQL_DOUBLE, SQL_NAME, SQL_DOUBLE_NAME, /* in quotes of a kind */
	SQL_ESCAPED, SQL_DOUBLE_ESCAPED, /* behind a backslash in a literal */
	SQL_SLASH, SQL_OPENED, SQL_COMMENT, SQL_STAR, SQL_LINE,
};

static __always_inline void sql_start_of(volatile struct sql_text *text, u32 protocol)
{
	text->hash = mix(HASH_START, protocol);
	text->mode = SQL_PLAIN;
	text->after_value = 0;
	text->separator = 0;
}

static __always_inline void sql_start(volatile struct sql_text *text)
{
	sql_start_of(text, PROTOCOL_POSTGRESQL);
}

static __always_inline bool sql_is_space(u8 c)
{
	return c == ' ' || (u8)(c - '\t') < 5;
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
static __always_inline bool sql_comment(volatile struct sql_text *text, u8 c, const u32 dialect)
{
	u8 mode = text->mode;

	if (mode == SQL_LINE) {
		if (c == '\n' || c == '\r')
			text->mode = SQL_PLAIN;
		return true;
	}
	if (mode == SQL_SLASH && c != '*') {
		text->hash = mix(text->hash, '/');
		text->mode = SQL_PLAIN;
		return false;
	}
	if (dialect == SQL_MYSQL && mode == SQL_OPENED && c == '!')
		text->mode = SQL_PLAIN; /* what it holds is executed */
	else if (c == '*')
		text->mode = mode == SQL_SLASH ? SQL_OPENED : SQL_STAR;
	else
		text->mode = mode == SQL_STAR && c == '/' ? SQL_PLAIN : SQL_COMMENT;
	return true;
}

/* Inside quotes: literals are marked where they begin, names are mixed. */
static __always_inline void sql_quoted(volatile struct sql_text *text, u8 c, const u32 dialect)
{
	u8 mode = text->mode;

	if (mode == SQL_ESCAPED || mode == SQL_DOUBLE_ESCAPED) {
		text->mode = mode == SQL_ESCAPED ? SQL_QUOTED : SQL_DOUBLE;
		return;
	}
	if (dialect != SQL_STANDARD && c == '\\' && mode <= SQL_DOUBLE) {
		text->mode = mode == SQL_QUOTED ? SQL_ESCAPED : SQL_DOUBLE_ESCAPED;
		return;
	}
	if (mode >= SQL_NAME)
		text->hash = mix(text->hash, is_letter(c) ? c | 0x20 : c);
	if (c == (mode == SQL_QUOTED ? '\'' : mode == SQL_NAME ? '`' : '"'))
		text->mode = SQL_PLAIN;
}

/* Begins a comment, a literal or a quoted name. True when the byte is used up. */
static __always_inline bool sql_opens(volatile struct sql_text *text, u8 c, const u32 dialect)
{
	u8 mode = text->mode;

	if (c == '/') {
		text->mode = SQL_SLASH;
		return true;
	}
	if (c == '\'' || (dialect == SQL_MYSQL && c == '"')) {
		sql_value(text);
		text->mode = c == '"' ? SQL_DOUBLE : SQL_QUOTED;
		return true;
	}
	if (dialect != SQL_STANDARD && c == '#') {
		text->mode = SQL_LINE;
		return true;
	}
	if (c == '-' && mode == SQL_DASH) {
		text->mode = dialect == SQL_MYSQL ? SQL_DASHES : SQL_LINE;
		return true;
	}
	if (dialect == SQL_MYSQL && mode == SQL_DASHES && sql_is_space(c)) {
		text->mode = c == '\n' || c == '\r' ? SQL_PLAIN : SQL_LINE;
		return true;
	}
	return false;
}

static __always_inline void sql_byte_of(volatile struct sql_text *text, u8 c, const u32 dialect)
{
	if (text->mode >= SQL_SLASH && sql_comment(text, c, dialect))
		return;
	if (text->mode >= SQL_QUOTED) {
		sql_quoted(text, c, dialect);
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
	if (sql_opens(text, c, dialect))
		return;
	if (c == '$' || c == '-' || c == ',' || sql_is_space(c)) {
		text->mode = c == '-' ? SQL_DASH : SQL_PLAIN;
		if (c == ',' || !text->separator)
			text->separator = c == ',' ? ',' : ' ';
		return;
	}
	if (text->separator)
		text->hash = mix(text->hash, text->separator);
	text->separator = 0;
	text->after_value = 0;
	text->mode = is_letter(c) || c == '_' || is_digit(c) || c >= 0x80 ? SQL_WORD : SQL_PLAIN;
	if (dialect != SQL_STANDARD && c == '`')
		text->mode = SQL_NAME;
	if (dialect == SQL_CLICKHOUSE && c == '"')
		text->mode = SQL_DOUBLE_NAME;
	text->hash = mix(text->hash, is_letter(c) ? c | 0x20 : c);
}

static __always_inline void sql_byte(volatile struct sql_text *text, u8 c)
{
	sql_byte_of(text, c, SQL_STANDARD);
}

#endif
