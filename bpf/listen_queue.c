// SPDX-License-Identifier: GPL-2.0
/*
 * On which addresses do the instances accept connections and datagrams, and whose queue is too full?
 *
 * hooks:   raw tracepoint inet_sock_set_state; iterators task_file (at start, and after instances were started) and
 *          bpf_map_elem over the listeners (on each tick)
 * emits:   maps listeners, listening; listen_overflows in l4_series_*
 * kernel:  6.1 (iterators over maps and over the files of one process)
 * cost:    0.1 us for each change of a TCP state; 0.3 us for each listener on the tick
 * misses:  the kernel's sum of a listener's drops includes, beside full queues, the rare SYNs for which there was no
 *          memory or no route; a UDP socket is found when its process is looked at, and forgotten with its instance
 */
#include "iterators.h"
#include "listeners.h"

#define LOCKED_PORT 8 /* the port was chosen by bind(), not by the kernel */

#ifndef BIT_sock__sk_userlocks /* the first bit of a field that fills a part of its byte */
#define BIT_sock__sk_userlocks 0
#endif

RAW_TRACEPOINT_PROBE(inet_sock_set_state)
{
	void *sk = (void *)ctx->args[0];
	u32 before = ctx->args[1], after = ctx->args[2], tgid, instance;

	if (before == STATE_LISTEN && after == STATE_CLOSE)
		listener_remove(sk);
	if (after != STATE_LISTEN || !is_tcp(sk))
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	instance = scope_instance_of(tgid);
	if (!instance && scope_kinds_wanted() & SCOPE_PORT && marked(SCOPE_PORT, local_port(sk)))
		instance = family_adopt((void *)bpf_get_current_task(), tgid);
	if (instance)
		listener_add(sk, PROTOCOL_TCP, instance);
	return 0;
}

static __always_inline bool bound_datagrams(void *sk)
{
	return socket_protocol(sk) == PROTOCOL_UDP && remote_port(sk) == 0 &&
	       READ(u8, sk, OFF_sock__sk_userlocks) >> BIT_sock__sk_userlocks & LOCKED_PORT;
}

BPF_ITER(task_file)
{
	void *task = ctx->task, *sk;
	u32 tgid, instance;
	bool listens;

	if (!task)
		return 0;
	tgid = READ(u32, task, OFF_task_struct__tgid);
	instance = scope_instance_of(tgid);
	if (!instance && !(scope_kinds_wanted() & SCOPE_PORT))
		return 0;
	sk = socket_of_file(ctx->file);
	if (!sk || !is_inet(sk))
		return 0;
	listens = is_tcp(sk) && READ(u8, sk, OFF_sock_common__skc_state) == STATE_LISTEN;
	if (!instance && listens && marked(SCOPE_PORT, local_port(sk)))
		instance = family_adopt(task, tgid);
	if (instance && listens)
		listener_add(sk, PROTOCOL_TCP, instance);
	else if (instance && bound_datagrams(sk))
		listener_add(sk, PROTOCOL_UDP, instance);
	return 0;
}

int bpf_iter__bpf_map_elem__listeners(struct visited_socket *ctx)
{
	struct listener *listener;
	u64 key;

	if (!ctx->key)
		return 0;
	key = *ctx->key;
	listener = listeners.lookup(&key);
	if (listener && listener->transport == PROTOCOL_TCP)
		listener_count((void *)key, listener);
	return 0;
}
