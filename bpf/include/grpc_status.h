/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The status codes of gRPC; shared/protocols/_grpc_status.py has the same.
 */
#ifndef MESHLENS_GRPC_STATUS_H
#define MESHLENS_GRPC_STATUS_H

#include "records.h"

/* gRPC's status for one of HTTP, where the trailers are missing. */
static __always_inline u32 grpc_of_http(u32 status)
{
	switch (status) {
	case 0:
	case 200:
		return 0;
	case 400:
		return 13;
	case 401:
		return 16;
	case 403:
		return 7;
	case 404:
		return 12;
	case 429:
	case 502:
	case 503:
	case 504:
		return 14;
	}
	return 2;
}

/* gRPC's status for a stream that was reset. */
static __always_inline u32 grpc_of_reset(u32 code)
{
	return code == 7 ? 14 : code == 8 ? 1 : code == 11 ? 8 : code == 12 ? 7 : 13;
}

/* Whose fault it is: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS are the server's. */
static __always_inline u32 grpc_outcome(u32 status)
{
	if (!status)
		return OUTCOME_OK;
	return status > 16 || 0xf014 >> status & 1 ? OUTCOME_SERVER_ERROR : OUTCOME_CLIENT_ERROR;
}

#endif
