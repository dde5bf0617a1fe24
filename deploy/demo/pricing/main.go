// Pricing adds up a cart, and gives a discount that Redis remembers.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

type state struct {
	Peers      map[string]string `json:"peers"`
	ErrorRatio float64           `json:"error_ratio"`
	ExtraS     float64           `json:"extra_s"`
	LeakPerS   float64           `json:"leak_per_s"`
}

var (
	guard   sync.Mutex
	current state
)

func read() state {
	guard.Lock()
	defer guard.Unlock()
	return current
}

func follow() {
	for {
		if content, err := os.ReadFile(os.Getenv("DEMO_STATE")); err == nil {
			var next state
			if json.Unmarshal(content, &next) == nil {
				guard.Lock()
				current = next
				guard.Unlock()
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func leak() {
	var held []net.Conn
	for {
		time.Sleep(200 * time.Millisecond)
		now := read()
		if now.LeakPerS == 0 {
			for _, one := range held {
				one.Close()
			}
			held = nil
			continue
		}
		if len(held) < 2000 {
			if one, err := net.DialTimeout("tcp", now.Peers["redis"], time.Second); err == nil {
				held = append(held, one)
			}
		}
	}
}

type connection struct {
	net.Conn
	reader *bufio.Reader
}

var idle = make(chan *connection, 4)

func discount() (string, error) {
	var one *connection
	select {
	case one = <-idle:
	default:
		raw, err := net.DialTimeout("tcp", read().Peers["redis"], time.Second)
		if err != nil {
			return "", err
		}
		one = &connection{raw, bufio.NewReader(raw)}
	}
	one.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := fmt.Fprint(one, "*2\r\n$4\r\nINCR\r\n$6\r\npriced\r\n"); err != nil {
		one.Close()
		return "", err
	}
	line, err := one.reader.ReadString('\n')
	if err != nil {
		one.Close()
		return "", err
	}
	select {
	case idle <- one:
	default:
		one.Close()
	}
	return strings.TrimSpace(line), nil
}

func price(writer http.ResponseWriter, request *http.Request) {
	now := read()
	time.Sleep(time.Duration(now.ExtraS * float64(time.Second)))
	if now.ErrorRatio > 0 && rand.Float64() < now.ErrorRatio {
		http.Error(writer, `{"error": "out of luck"}`, http.StatusInternalServerError)
		return
	}
	var cart struct {
		Items []int `json:"items"`
	}
	if err := json.NewDecoder(request.Body).Decode(&cart); err != nil {
		http.Error(writer, `{"error": "no cart"}`, http.StatusBadRequest)
		return
	}
	if _, err := discount(); err != nil {
		http.Error(writer, `{"error": "no discount"}`, http.StatusServiceUnavailable)
		return
	}
	total := 0
	for _, item := range cart.Items {
		total += 100 + item*7%9000
	}
	writer.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(writer, `{"total_cents": %d}`, total)
}

func main() {
	go follow()
	time.Sleep(50 * time.Millisecond)
	go leak()
	http.HandleFunc("/price", price)
	go func() {
		if err := http.ListenAndServe(os.Getenv("DEMO_LISTEN"), nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
