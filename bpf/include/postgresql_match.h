/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Are these bytes PostgreSQL's?
 */
#ifndef MESHLENS_POSTGRESQL_MATCH_H
#define MESHLENS_POSTGRESQL_MATCH_H

#include "follow.h"

#define PG_SSL_REQUEST 80877103
#define PG_GSS_REQUEST 80877104
#define PG_CANCEL_REQUEST 80877102

/* A StartupMessage or a request for encryption; else one of the first messages of a client. */
static __always_inline enum match pg_match(u64 first, u32 bytes)
{
	u32 length = __builtin_bswap32(first >> 8), code = __builtin_bswap32(first >> 32);
	u8 type = first;

	if (type == 0) {
		if (bytes < 8)
			return MATCH_MORE;
		length = __builtin_bswap32(first);
		return length >= 8 && length < 10000 &&
				       (code == 196608 || code == PG_SSL_REQUEST || code == PG_GSS_REQUEST || code == PG_CANCEL_REQUEST) ?
			       MATCH_YES :
			       MATCH_NO;
	}
	if (type != 'Q' && type != 'P' && type != 'B')
		return MATCH_NO;
	if (bytes < 6)
		return (first >> 8 & 0xff) && bytes > 1 ? MATCH_NO : MATCH_MORE;
	return length >= 5 && length < 1 << 24 ? MATCH_YES : MATCH_NO;
}

#endif
