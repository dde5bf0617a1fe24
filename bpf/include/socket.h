/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a socket says about itself: protocol, ends, namespace. Addresses are 16 bytes, IPv4 mapped (::ffff:a.b.c.d).
 */
#ifndef MESHLENS_SOCKET_H
#define MESHLENS_SOCKET_H

#include "kernel_read.h"

#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

enum tcp_state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_SENT = 2,
	STATE_SYN_RECV = 3,
	STATE_CLOSE = 7,
	STATE_LISTEN = 10,
	STATE_NEW_SYN_RECV = 12,
};

struct address {
	u8 bytes[16];
};

static __always_inline u16 socket_family(void *sk)
{
	return READ(u16, sk, OFF_sock_common__skc_family);
}

static __always_inline u16 socket_protocol(void *sk)
{
	return READ(u16, sk, OFF_sock__sk_protocol);
}

static __always_inline bool is_inet(void *sk)
{
	u16 family = socket_family(sk);

	return family == FAMILY_IPV4 || family == FAMILY_IPV6;
}

static __always_inline bool is_tcp(void *sk)
{
	return is_inet(sk) && socket_protocol(sk) == PROTOCOL_TCP;
}

static __always_inline u16 local_port(void *sk)
{
	return READ(u16, sk, OFF_sock_common__skc_num);
}

static __always_inline u16 remote_port(void *sk)
{
	return bpf_ntohs(READ(u16, sk, OFF_sock_common__skc_dport));
}

static __always_inline void read_address(struct address *into, void *sk, u32 offset_v4, u32 offset_v6)
{
	if (socket_family(sk) == FAMILY_IPV6) {
		bpf_probe_read_kernel(into, sizeof(*into), sk + offset_v6);
		return;
	}
	__builtin_memset(into, 0, sizeof(*into));
	into->bytes[10] = 0xff;
	into->bytes[11] = 0xff;
	bpf_probe_read_kernel(&into->bytes[12], 4, sk + offset_v4);
}

static __always_inline void remote_address(struct address *into, void *sk)
{
	read_address(into, sk, OFF_sock_common__skc_daddr, OFF_sock_common__skc_v6_daddr);
}

/* The address that the socket is bound to; all zero when it is any. */
static __always_inline void local_address(struct address *into, void *sk)
{
	u32 *words = (u32 *)into;

	read_address(into, sk, OFF_sock_common__skc_rcv_saddr, OFF_sock_common__skc_v6_rcv_saddr);
	if (!words[0] && !words[1] && !words[3]) /* :: and ::ffff:0.0.0.0 */
		__builtin_memset(into, 0, sizeof(*into));
}

static __always_inline u32 socket_netns(void *sk)
{
	void *net = READ(void *, sk, OFF_sock_common__skc_net);

	return net ? READ(u32, net, OFF_net__ns + OFF_ns_common__inum) : 0;
}

/* The socket behind an open file, NULL when it is none. */
static __always_inline void *socket_of_file(void *file)
{
	void *inode = file ? READ(void *, file, OFF_file__f_inode) : NULL;
	void *socket;

	if (!inode || (READ(u16, inode, OFF_inode__i_mode) & 0170000) != 0140000)
		return NULL;
	socket = READ(void *, file, OFF_file__private_data);
	return socket ? READ(void *, socket, OFF_socket__sk) : NULL;
}

#endif
