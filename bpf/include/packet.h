/* SPDX-License-Identifier: GPL-2.0 */
/*
 * To which connection does a packet on its way in belong, when no socket has been looked up for it yet?
 *
 * The connections that live longer than a tick are found by their four-tuple within their network namespace. It is
 * written down on the tick, so that short connections do not pay for it.
 */
#ifndef MESHLENS_PACKET_H
#define MESHLENS_PACKET_H

#include "socket.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IPV6_HEADER_BYTES 40

struct tcp_tuple {
	u32 netns;
	struct address local;
	struct address remote;
	u16 local_port;
	u16 remote_port;
};

BPF_TABLE("lru_hash", struct tcp_tuple, u64, tcp_tuples, 16384); /* to the socket */

static __always_inline void tuple_of_socket(struct tcp_tuple *tuple, void *sk)
{
	tuple->netns = socket_netns(sk);
	read_address(&tuple->local, sk, OFF_sock_common__skc_rcv_saddr, OFF_sock_common__skc_v6_rcv_saddr);
	remote_address(&tuple->remote, sk);
	tuple->local_port = bpf_ntohs(READ(u16, sk, OFF_inet_sock__inet_sport)); /* stays when the port is given back */
	tuple->remote_port = remote_port(sk);
}

static __always_inline void map_ipv4(struct address *into, void *from)
{
	into->bytes[10] = 0xff;
	into->bytes[11] = 0xff;
	bpf_probe_read_kernel(&into->bytes[12], 4, from);
}

/* Fills *tuple* as the receiver of *skb* would name it; false when it is no TCP packet. */
static __always_inline bool tuple_of_packet(struct tcp_tuple *tuple, void *skb)
{
	void *head = READ(void *, skb, OFF_sk_buff__head), *device = READ(void *, skb, OFF_sk_buff__dev);
	void *ip = head + READ(u16, skb, OFF_sk_buff__network_header), *tcp, *net;
	u16 kind = bpf_ntohs(READ(u16, skb, OFF_sk_buff__protocol));

	if (!device || (kind != ETHERTYPE_IPV4 && kind != ETHERTYPE_IPV6))
		return false;
	if (kind == ETHERTYPE_IPV4) {
		tcp = ip + 4 * (READ(u8, ip, 0) & 0xf);
		if (READ(u8, ip, 9) != PROTOCOL_TCP)
			return false;
		map_ipv4(&tuple->remote, ip + 12);
		map_ipv4(&tuple->local, ip + 16);
	} else {
		tcp = ip + IPV6_HEADER_BYTES;
		if (READ(u8, ip, 6) != PROTOCOL_TCP)
			return false;
		bpf_probe_read_kernel(&tuple->remote, sizeof(tuple->remote), ip + 8);
		bpf_probe_read_kernel(&tuple->local, sizeof(tuple->local), ip + 24);
	}
	tuple->remote_port = bpf_ntohs(READ(u16, tcp, 0));
	tuple->local_port = bpf_ntohs(READ(u16, tcp, 2));
	net = READ(void *, device, OFF_net_device__nd_net);
	tuple->netns = net ? READ(u32, net, OFF_net__ns + OFF_ns_common__inum) : 0;
	return true;
}

/* The socket that *skb* was meant for, NULL when it is not known. */
static __always_inline void *receiver_of(void *skb)
{
	struct tcp_tuple tuple = {}, held = {};
	u64 *found;

	if (!tuple_of_packet(&tuple, skb))
		return NULL;
	found = tcp_tuples.lookup(&tuple);
	if (!found)
		return NULL;
	tuple_of_socket(&held, (void *)*found); /* its memory may have become another's */
	if (held.netns != tuple.netns || held.local_port != tuple.local_port || held.remote_port != tuple.remote_port)
		return NULL;
	return (void *)*found;
}

#endif
