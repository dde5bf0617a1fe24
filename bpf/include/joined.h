/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections of which the plain text is seen (plaintext.h): what is on the wire is not counted a second time.
 */
#ifndef MESHLENS_JOINED_H
#define MESHLENS_JOINED_H

/* The 32 random bytes with which a client began a handshake, and the process that sent or received them. */
struct hello_key {
	u64 random[4];
	u32 tgid;
	u32 unused;
};

/* A socket, and which connection it was then. */
struct known_socket {
	u64 sock;
	u64 id;
};

BPF_TABLE("lru_hash", struct hello_key, struct known_socket, l7_hellos, 8192);
BPF_F_TABLE("hash", u64, u64, l7_joined, 65536, BPF_F_NO_PREALLOC); /* address of the socket to the connection's id */

static __always_inline bool is_joined(void *sk)
{
	u64 key = (u64)sk;

	return l7_joined.lookup(&key) != NULL;
}

#endif
