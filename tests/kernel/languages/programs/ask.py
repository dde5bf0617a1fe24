"""
Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a
line first.
"""

import http.client
import socket
import ssl
import sys
from urllib.parse import urlsplit

url, times, redis = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cafile=sys.argv[4]) if url.scheme == "https" else None
print("ready", flush=True)
sys.stdin.readline()
address = (str(url.hostname), url.port)
client = http.client.HTTPSConnection(*address, context=context) if context else http.client.HTTPConnection(*address)
for _ in range(times):
    client.request("GET", url.path)
    client.getresponse().read()
client.close()
plain = socket.create_connection(("localhost", redis))
line = context.wrap_socket(plain, server_hostname="localhost") if context else plain
for _ in range(times):
    line.sendall(b"*1\r\n$4\r\nPING\r\n")
    assert line.recv(64) == b"+PONG\r\n"
line.close()
