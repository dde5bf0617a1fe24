// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	url, redis := os.Args[1], os.Args[3]
	times, err := strconv.Atoi(os.Args[2])
	must(err)
	pool := x509.NewCertPool()
	if len(os.Args) > 4 {
		authority, err := os.ReadFile(os.Args[4])
		must(err)
		pool.AppendCertsFromPEM(authority)
	}
	settings := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	_, err = os.Stdout.WriteString("ready\n")
	must(err)
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings}}
	for i := 0; i < times; i++ {
		answer, err := client.Get(url)
		must(err)
		_, err = io.Copy(io.Discard, answer.Body)
		must(err)
		answer.Body.Close()
	}
	var socket net.Conn
	if strings.HasPrefix(url, "https") {
		socket, err = tls.Dial("tcp", "localhost:"+redis, settings)
	} else {
		socket, err = net.Dial("tcp", "localhost:"+redis)
	}
	must(err)
	lines := bufio.NewReader(socket)
	for i := 0; i < times; i++ {
		_, err = io.WriteString(socket, "*1\r\n$4\r\nPING\r\n")
		must(err)
		_, err = lines.ReadString('\n')
		must(err)
	}
	socket.Close()
}
