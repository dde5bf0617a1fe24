/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator with an exact count: it sends HTTP/1.1 requests to 127.0.0.1, waits for every answer, and prints one
 * JSON object.
 *
 * Theory of operation. One thread, one epoll. With a rate, request k is due at start + k / rate whatever happened to the
 * others, waits for a free connection if it must, and its latency counts from the moment it was due: an answer that is
 * slow delays the figures of all that were due meanwhile (no coordinated omission). Without a rate every connection sends
 * again as soon as it has its answer. It ends after so many requests or so many seconds, when the last answer is there.
 *
 *   load PORT CONNECTIONS RATE REQUESTS SECONDS OPTIONS     RATE 0: closed loop; REQUESTS 0 or SECONDS 0: no such limit
 *   OPTIONS: c a connection for each request, d a different path for each request, s spin and never sleep, - none
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MOST_CONNECTIONS 1024
#define MOST_US 4000000
#define ANSWER_BYTES 8192
#define PATIENCE_NS 20000000000ull

struct connection {
	int fd;
	int got;
	int waits; /* for an answer */
	uint64_t due_ns;
	char answer[ANSWER_BYTES + 1];
};

static struct connection connections[MOST_CONNECTIONS];
static int idle[MOST_CONNECTIONS], idles;
static uint32_t latency_us[MOST_US + 1], late_us[MOST_US + 1];
static uint64_t issued, answered, failed, refused, moved_ns;
static int port, events, one_request_each, distinct;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void count(uint32_t *into, uint64_t ns)
{
	uint64_t us = ns / 1000;

	into[us < MOST_US ? us : MOST_US]++;
}

static uint32_t quantile(const uint32_t *of, uint64_t total, double q)
{
	uint64_t rank = q * total, seen = 0;

	for (uint32_t us = 0; us <= MOST_US; us++) {
		seen += of[us];
		if (seen > rank)
			return us;
	}
	return MOST_US;
}

static void open_connection(int at)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = at };
	int on = 1;

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int tries = 0;; tries++) {
		connections[at].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(connections[at].fd, (struct sockaddr *)&server, sizeof(server)))
			break;
		close(connections[at].fd);
		refused++;
		if (tries == 100) {
			perror("connect");
			exit(1);
		}
		usleep(1000);
	}
	setsockopt(connections[at].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(connections[at].fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(events, EPOLL_CTL_ADD, connections[at].fd, &event);
	connections[at].got = 0;
}

static int request_text(char *into, size_t room)
{
	char path[16] = "hello";
	uint64_t number = issued;

	if (distinct)
		for (int at = 0; at < 5; at++, number /= 26)
			path[at] = 'a' + number % 26;
	return snprintf(into, room, "GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
			one_request_each ? "Connection: close\r\n" : "");
}

static void send_request(uint64_t due_ns)
{
	int at = idle[--idles];
	char text[256];
	int length = request_text(text, sizeof(text));

	if (one_request_each)
		open_connection(at);
	connections[at].due_ns = due_ns;
	connections[at].waits = 1;
	moved_ns = now_ns();
	count(late_us, moved_ns - due_ns);
	issued++;
	if (write(connections[at].fd, text, length) != length) {
		perror("write");
		exit(1);
	}
}

static int complete(struct connection *connection)
{
	char *body, *length;

	connection->answer[connection->got] = 0;
	body = strstr(connection->answer, "\r\n\r\n");
	if (!body)
		return 0;
	length = strcasestr(connection->answer, "\r\nContent-Length:");
	return length && length < body && body + 4 + atoi(length + 17) <= connection->answer + connection->got;
}

static void receive(int at)
{
	struct connection *connection = &connections[at];
	ssize_t got = read(connection->fd, connection->answer + connection->got, ANSWER_BYTES - connection->got);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got > 0)
		connection->got += got;
	if (got > 0 && (one_request_each || !complete(connection)))
		return; /* the server ends a connection that has one request */
	if (!connection->waits) {
		fprintf(stderr, "the server ended an idle connection\n");
		exit(1);
	}
	if (!complete(connection) || strncmp(connection->answer, "HTTP/1.1 200", 12))
		failed++;
	answered++;
	moved_ns = now_ns();
	count(latency_us, moved_ns - connection->due_ns);
	connection->got = connection->waits = 0;
	idle[idles++] = at;
	if (got <= 0) {
		close(connection->fd);
		if (!one_request_each)
			open_connection(at);
	}
}

static void wait_for_answers(uint64_t until_ns)
{
	struct epoll_event ready[64];
	struct timespec wait = { 0, 0 };
	uint64_t now = now_ns();
	int number;

	if (until_ns > now) {
		wait.tv_sec = (until_ns - now) / 1000000000;
		wait.tv_nsec = (until_ns - now) % 1000000000;
	}
	number = epoll_pwait2(events, ready, 64, &wait, NULL);
	for (int at = 0; at < number; at++)
		receive(ready[at].data.u32);
}

static void run(double rate, uint64_t requests, double seconds, int spin)
{
	uint64_t start = now_ns(), end = seconds > 0 ? start + seconds * 1e9 : UINT64_MAX, due, now;
	int open = 1;

	while (open || issued > answered) {
		now = now_ns();
		due = rate > 0 ? start + (uint64_t)(issued * 1e9 / rate) : now;
		open = (!requests || issued < requests) && due < end;
		if (open && idles && due <= now) {
			send_request(due);
			if (rate > 0 || idles)
				continue;
		}
		now = now_ns();
		wait_for_answers(spin ? 0 : open && idles ? due : now + 100000000);
		if (answered < issued && now > moved_ns + PATIENCE_NS) {
			fprintf(stderr, "an answer never came\n");
			exit(1);
		}
	}
}

int main(int words, char **word)
{
	uint64_t began;
	int number;

	if (words != 7)
		return 2;
	port = atoi(word[1]);
	number = atoi(word[2]) < MOST_CONNECTIONS ? atoi(word[2]) : MOST_CONNECTIONS;
	one_request_each = !!strchr(word[6], 'c');
	distinct = !!strchr(word[6], 'd');
	prctl(PR_SET_TIMERSLACK, 1);
	events = epoll_create1(EPOLL_CLOEXEC);
	for (int at = number - 1; at >= 0; at--) {
		if (!one_request_each)
			open_connection(at);
		idle[idles++] = at;
	}
	began = now_ns();
	run(atof(word[3]), strtoull(word[4], NULL, 10), atof(word[5]), !!strchr(word[6], 's'));
	printf("{\"requests\": %lu, \"failed\": %lu, \"refused\": %lu, \"seconds\": %.6f, "
	       "\"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"sent_late_p99_us\": %u}\n",
	       answered, failed, refused, (now_ns() - began) / 1e9, quantile(latency_us, answered, 0.5),
	       quantile(latency_us, answered, 0.9), quantile(latency_us, answered, 0.99),
	       quantile(latency_us, answered, 0.999), quantile(late_us, answered, 0.99));
	return 0;
}
