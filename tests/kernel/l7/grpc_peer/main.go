// A gRPC server and its client, for captures and for the tests of the kernel side.
//
//	grpc_peer serve ADDRESS
//	grpc_peer ask ADDRESS CALLS AT_ONCE METHOD TEXT [KEY=VALUE ...]
//
// METHOD is get, watch (the server streams), pour (the client streams) or chat (both). The text of a request says how it ends: `fail:5`
// with status 5, `slow:20` after 20 ms. The client prints how many calls ended with which status.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

func ending(asked string) error {
	word, number, _ := strings.Cut(asked, ":")
	n, _ := strconv.Atoi(number)
	switch word {
	case "fail":
		return status.Error(codes.Code(n), "s3cr3t-message")
	case "slow":
		time.Sleep(time.Duration(n) * time.Millisecond)
	}
	return nil
}

func get(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	asked := new(text)
	if err := decode(asked); err != nil {
		return nil, err
	}
	return wrapperspb.String("s3cr3t-answer"), ending(asked.Value)
}

// One message for each one that came; `watch` sends three to one, `pour` one to all.
func stream(each, atEnd int) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		asked := new(text)
		for {
			err := s.RecvMsg(asked)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			for i := 0; i < each; i++ {
				if i > 0 {
					if err := ending(asked.Value); err != nil {
						return err
					}
				}
				if err := s.SendMsg(wrapperspb.String("s3cr3t-answer")); err != nil {
					return err
				}
			}
		}
		for i := 0; i < atEnd; i++ {
			if err := s.SendMsg(wrapperspb.String("s3cr3t-answer")); err != nil {
				return err
			}
		}
		return nil
	}
}

var streams = []grpc.StreamDesc{
	{StreamName: "Watch", Handler: stream(3, 0), ServerStreams: true},
	{StreamName: "Pour", Handler: stream(0, 1), ClientStreams: true},
	{StreamName: "Chat", Handler: stream(1, 0), ServerStreams: true, ClientStreams: true},
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.v1.Cart",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: get}},
		Streams:     streams,
	}, struct{}{})
	if err := server.Serve(listener); err != nil {
		panic(err)
	}
}

func call(ctx context.Context, client *grpc.ClientConn, method, asked string) error {
	answer := new(text)
	switch method {
	case "get":
		return client.Invoke(ctx, "/shop.v1.Cart/Get", wrapperspb.String(asked), answer)
	case "nowhere":
		return client.Invoke(ctx, "/shop.v1.Cart/Nowhere", wrapperspb.String(asked), answer)
	}
	index := map[string]int{"watch": 0, "pour": 1, "chat": 2}[method]
	s, err := client.NewStream(ctx, &streams[index], "/shop.v1.Cart/"+streams[index].StreamName)
	if err != nil {
		return err
	}
	messages := 1
	if streams[index].ClientStreams {
		messages = 3
	}
	for i := 0; i < messages; i++ {
		if err := s.SendMsg(wrapperspb.String(asked)); err != nil {
			return err
		}
		if method == "chat" {
			if err := s.RecvMsg(answer); err != nil {
				return err
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for {
		if err := s.RecvMsg(answer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func ask(address string, calls, atOnce int, method, asked string, headers []string) {
	client, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, header := range headers {
		key, value, _ := strings.Cut(header, "=")
		ctx = metadata.AppendToOutgoingContext(ctx, key, value)
	}
	work := make(chan int, calls)
	for i := 0; i < calls; i++ {
		work <- i
	}
	close(work)
	ends := map[string]int{}
	var mutex sync.Mutex
	var all sync.WaitGroup
	for i := 0; i < atOnce; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for range work {
				err := call(ctx, client, method, asked)
				mutex.Lock()
				ends[status.Code(err).String()]++
				mutex.Unlock()
			}
		}()
	}
	all.Wait()
	client.Close()
	words := []string{}
	for word, n := range ends {
		words = append(words, fmt.Sprintf("%s=%d", word, n))
	}
	sort.Strings(words)
	fmt.Println(strings.Join(words, " "))
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	calls, _ := strconv.Atoi(os.Args[3])
	atOnce, _ := strconv.Atoi(os.Args[4])
	ask(os.Args[2], calls, atOnce, os.Args[5], os.Args[6], os.Args[7:])
}
