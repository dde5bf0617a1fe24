<?php
// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
[, $url, $times, $redis] = $argv;
$parts = parse_url($url);
$secure = $parts["scheme"] === "https";
echo "ready\n";
fgets(STDIN);
$context = stream_context_create(["ssl" => ["cafile" => $argv[4] ?? "", "peer_name" => "localhost"]]);

function open($port, $secure, $context)
{
    $address = ($secure ? "tls" : "tcp") . "://localhost:$port";
    return stream_socket_client($address, $number, $error, 20, STREAM_CLIENT_CONNECT, $context) ?: exit(1);
}

$web = open($parts["port"], $secure, $context);
for ($i = 0; $i < $times; $i++) {
    fwrite($web, "GET {$parts["path"]} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $length = 0;
    while (($line = fgets($web)) !== "\r\n") {
        if (stripos($line, "Content-Length:") === 0) {
            $length = (int) substr($line, 15);
        }
    }
    fread($web, $length);
}
fclose($web);
$line = open($redis, $secure, $context);
for ($i = 0; $i < $times; $i++) {
    fwrite($line, "*1\r\n$4\r\nPING\r\n");
    fgets($line);
}
fclose($line);
