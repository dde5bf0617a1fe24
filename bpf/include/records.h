/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What crosses from the kernel to probe-manager about requests: the layouts that services/probe_manager/decode.py reads.
 *
 * Addresses are 16 bytes, IPv4 mapped. Ports and numbers are in the machine's byte order. Times are nanoseconds of the
 * monotonic clock.
 */
#ifndef MESHLENS_RECORDS_H
#define MESHLENS_RECORDS_H

#define BUCKETS 200
#define REQUEST_HEAD_BYTES 256
#define RESPONSE_HEAD_BYTES 128
#define RESPONSE_REST_BYTES 3840 /* beyond the 256 of a message's head, of the few answers that tell more */
#define OVERFLOW_ENDPOINT 1

enum role { ROLE_CLIENT, ROLE_SERVER };

/* shared/messages/kernel.py has the same numbers. */
enum protocol {
	PROTOCOL_UNKNOWN, PROTOCOL_HTTP1, PROTOCOL_POSTGRESQL, PROTOCOL_REDIS, PROTOCOL_DNS, PROTOCOL_MYSQL, PROTOCOL_HTTP2,
	PROTOCOL_GRPC, PROTOCOL_WEBSOCKET, PROTOCOL_MONGODB, PROTOCOL_MEMCACHED, PROTOCOL_CASSANDRA, PROTOCOL_CLICKHOUSE,
	PROTOCOL_KAFKA, PROTOCOL_AMQP, PROTOCOL_MQTT, PROTOCOL_NATS, PROTOCOL_ROCKETMQ, PROTOCOL_PULSAR, PROTOCOL_DUBBO,
	PROTOCOL_THRIFT, PROTOCOL_FASTCGI, PROTOCOL_LDAP, PROTOCOL_ZOOKEEPER, PROTOCOL_TLS,
};

enum outcome { OUTCOME_OK, OUTCOME_CLIENT_ERROR, OUTCOME_SERVER_ERROR, OUTCOME_NO_RESPONSE };

enum why { WHY_FIRST = 1, WHY_FAILED, WHY_SLOW, WHY_RESERVOIR, WHY_UNKNOWN };

/* Below 32: requests and samples. lost.h has the rest, decode.py the words. */
enum lost_request_cause {
	LOST_SERIES_FULL, /* requests that found no room, not even under ~other */
	LOST_PIPELINE_FULL, /* requests beyond those that one connection may have in flight */
	LOST_UNPAIRED_RESPONSE, /* responses without a request */
	LOST_ATTACHED_MIDSTREAM, /* responses to requests from before the connection was watched */
	LOST_CONTENT_NOT_SEEN, /* requests whose bytes had no user buffer (sendfile, splice, io_uring) */
	LOST_STREAM_NOT_FOLLOWED, /* requests in flight when the messages of a connection could not be told apart */
	LOST_CONNECTION_STATE_FULL, /* connections that found no room for their state */
	LOST_SAMPLE_RATE, /* samples left out by the rate limit */
	LOST_SAMPLE_RING_FULL, /* samples left out because the ring was full */
	LOST_ENDPOINT_NAMES, /* requests counted under ~other because their instance has too many endpoints */
	LOST_DATAGRAM_UNRECOGNISED, /* datagrams of protocols that nobody recognised */
	LOST_DNS_TABLE_FULL, /* DNS queries beyond those that one socket may have in flight */
	LOST_PROGRAM_BUSY, /* events that came while the same program ran on that processor; the kernel counts them */
};

struct series_key {
	u32 instance;
	u32 peer;
	u8 role;
	u8 protocol;
	u8 outcome;
	u8 encrypted; /* on the wire: what was counted is the plain text */
	u16 status;
	u16 port;
	u64 endpoint;
	u8 remote[16];
};

struct series_value {
	u64 requests;
	u64 duration_sum_ns;
	u64 request_bytes;
	u64 response_bytes;
	u32 duration[BUCKETS];
};

struct sample {
	u64 observed_ns;
	u64 endpoint;
	u64 duration_ns;
	u64 request_bytes;
	u64 response_bytes;
	u64 connection;
	u32 instance;
	u32 peer;
	u32 offset;
	u32 thread;
	u16 status;
	u16 port;
	u8 role;
	u8 protocol;
	u8 outcome;
	u8 why;
	u16 request_head_bytes;
	u16 response_head_bytes;
	u32 unused;
	u8 remote[16];
	u8 request_head[REQUEST_HEAD_BYTES];
	u8 response_head[]; /* RESPONSE_HEAD_BYTES; of the few answers that tell more as many as there are */
};

/* One for the node; user space writes it, and finds it again after a restart. */
struct control {
	u64 unused[3];
	u32 active; /* which of the two buffers the programs fill */
	u32 reserved;
};

_Static_assert(sizeof(struct series_key) == 40, "decode.py reads 40 bytes");
_Static_assert(sizeof(struct series_value) == 832, "decode.py reads 832 bytes");
_Static_assert(sizeof(struct sample) == 352, "decode.py reads 352 bytes, and the response's head behind them");
_Static_assert(sizeof(struct control) == 32, "decode.py reads 32 bytes");

#endif
