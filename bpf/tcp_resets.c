// SPDX-License-Identifier: GPL-2.0
/*
 * Which connections are reset, and by which side?
 *
 * hooks:   raw tracepoints tcp_send_reset, tcp_receive_reset
 * emits:   resets_sent, resets_received in l4_series_*
 * kernel:  4.16
 * cost:    0.3 us for each reset; nothing otherwise
 * misses:  resets that answer a packet for which there is no socket, or only one in TIME_WAIT
 */
#include "listeners.h"
#include "tcp_connection.h"

static __always_inline struct l4_figures *figures_of_socket(void *sk)
{
	u64 key = (u64)sk;
	struct tcp_connection *connection = tcp_connections.lookup(&key);
	struct listener *listener;
	struct l4_key series;

	if (connection) {
		find_peer(connection);
		return l4_figures_of(&connection->series);
	}
	listener = listeners.lookup(&key);
	if (!listener)
		return NULL;
	listener_key(listener, &series);
	return l4_figures_of(&series);
}

RAW_TRACEPOINT_PROBE(tcp_send_reset)
{
	void *sk = (void *)ctx->args[0];
	struct l4_figures *figures = sk ? figures_of_socket(sk) : NULL;

	if (figures)
		__sync_fetch_and_add(&figures->resets_sent, 1);
	return 0;
}

RAW_TRACEPOINT_PROBE(tcp_receive_reset)
{
	struct l4_figures *figures = figures_of_socket((void *)ctx->args[0]);

	if (figures)
		__sync_fetch_and_add(&figures->resets_received, 1);
	return 0;
}
