/* Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first. */
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SSL_CTX *context;
static SSL *secure;
static int plain;

static void begin(const char *port)
{
	struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;

	if (getaddrinfo("localhost", port, &wanted, &found))
		exit(1);
	plain = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(plain, found->ai_addr, found->ai_addrlen))
		exit(2);
	freeaddrinfo(found);
	if (!context)
		return;
	secure = SSL_new(context);
	SSL_set_tlsext_host_name(secure, "localhost");
	SSL_set_fd(secure, plain);
	if (SSL_connect(secure) != 1)
		exit(3);
}

static void say(const char *text)
{
	long done = context ? SSL_write(secure, text, strlen(text)) : write(plain, text, strlen(text));

	if (done <= 0)
		exit(4);
}

/* Reads until *last* ends what came. */
static void hear(const char *last)
{
	static char got[65536];
	size_t have = 0, length = strlen(last);

	do {
		long more = context ? SSL_read(secure, got + have, sizeof(got) - have) : read(plain, got + have, sizeof(got) - have);

		if (more <= 0)
			exit(5);
		have += more;
	} while (have < length || memcmp(got + have - length, last, length));
}

static void end(void)
{
	if (context) {
		SSL_shutdown(secure);
		SSL_free(secure);
	}
	close(plain);
}

int main(int count, char **words)
{
	int times = atoi(words[2]);
	char scheme[8], port[8], request[256];

	if (sscanf(words[1], "%7[a-z]://localhost:%7[0-9]", scheme, port) != 2)
		return 6;
	if (!strcmp(scheme, "https")) {
		context = SSL_CTX_new(TLS_client_method());
		SSL_CTX_load_verify_locations(context, words[count - 1], NULL);
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	}
	puts("ready");
	fflush(stdout);
	getchar();
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", strrchr(words[1], '/'));
	begin(port);
	for (int i = 0; i < times; i++) {
		say(request);
		hear("hello");
	}
	end();
	begin(words[3]);
	for (int i = 0; i < times; i++) {
		say("*1\r\n$4\r\nPING\r\n");
		hear("+PONG\r\n");
	}
	end();
	return 0;
}
