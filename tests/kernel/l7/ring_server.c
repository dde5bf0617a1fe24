/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepts connections on 127.0.0.1, one after the other, and answers each read of a request through io_uring (RECV and
 * SEND), by the system calls alone: io_uring(7). Ends with 77 where the kernel has no io_uring.
 *
 *   ring_server PORT
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
static struct io_uring_sqe *entries;
static struct io_uring_cqe *done;
static unsigned *tail, *mask, *array, *done_head, *done_tail, *done_mask;
static int ring;

static void open_ring(void)
{
	struct io_uring_params asked = {};
	char *queue, *finished;

	ring = syscall(SYS_io_uring_setup, 4, &asked);
	if (ring < 0)
		exit(77);
	queue = mmap(NULL, asked.sq_off.array + asked.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	finished = mmap(NULL, asked.cq_off.cqes + asked.cq_entries * sizeof(*done), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	entries = mmap(NULL, asked.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		       IORING_OFF_SQES);
	if (queue == MAP_FAILED || finished == MAP_FAILED || entries == MAP_FAILED)
		exit(1);
	tail = (unsigned *)(queue + asked.sq_off.tail);
	mask = (unsigned *)(queue + asked.sq_off.ring_mask);
	array = (unsigned *)(queue + asked.sq_off.array);
	done = (struct io_uring_cqe *)(finished + asked.cq_off.cqes);
	done_head = (unsigned *)(finished + asked.cq_off.head);
	done_tail = (unsigned *)(finished + asked.cq_off.tail);
	done_mask = (unsigned *)(finished + asked.cq_off.ring_mask);
}

/* Does one operation and returns its result. */
static int through(int operation, int fd, const void *buffer, unsigned bytes)
{
	unsigned at = *tail & *mask, next = *done_head;
	int result;

	memset(&entries[at], 0, sizeof(*entries));
	entries[at].opcode = operation;
	entries[at].fd = fd;
	entries[at].addr = (unsigned long)buffer;
	entries[at].len = bytes;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		exit(1);
	while (__atomic_load_n(done_tail, __ATOMIC_ACQUIRE) == next)
		;
	result = done[next & *done_mask].res;
	__atomic_store_n(done_head, next + 1, __ATOMIC_RELEASE);
	return result;
}

int main(int words, char **word)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, connection;
	char request[65536];

	if (words != 2)
		return 1;
	open_ring();
	address.sin_port = htons(atoi(word[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		return 1;
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		while (through(IORING_OP_RECV, connection, request, sizeof(request)) > 0)
			through(IORING_OP_SEND, connection, answer, sizeof(answer) - 1);
		close(connection);
	}
	return 0;
}
