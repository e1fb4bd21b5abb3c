package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2/pb"
	"github.com/libp2p/go-msgio/pbio"
)

const (
	autonat2Message = 8192
	nonceWait       = 5 * time.Second
)

func serveAutonat2(h host.Host, l load) {
	dialer := must(libp2p.New(append(transports(l.isTLS), libp2p.NoListenAddrs, libp2p.DialRanker(swarm.NoDelayDialRanker))...))
	server := must(autonatv2.New(dialer, autonatv2.WithServerRateLimit(unlimited, unlimited, unlimited, unlimited)))
	check(server.Start(h))
}

// autonat2Client asks as often as it likes: the library's own asks a server once in two minutes.
type autonat2Client struct {
	host   host.Host
	nonces chan uint64
}

func newAutonat2Client(h host.Host) autonat2Client {
	c := autonat2Client{host: h, nonces: make(chan uint64, 1)}
	h.SetStreamHandler(autonatv2.DialBackProtocol, func(s network.Stream) {
		defer s.Close()
		var dialBack pb.DialBack
		if pbio.NewDelimitedReader(s, autonat2Message).ReadMsg(&dialBack) == nil {
			c.nonces <- dialBack.GetNonce()
			_ = pbio.NewDelimitedWriter(s).WriteMsg(&pb.DialBackResponse{})
		}
	})
	return c
}

// ask tells whether the server reached us: by its word, and by the nonce.
func (c autonat2Client) ask(ctx context.Context, server peer.ID) error {
	s, err := c.host.NewStream(ctx, server, autonatv2.DialProtocol)
	if err != nil {
		return err
	}
	defer s.Close()
	nonce := rand.Uint64()
	request := &pb.DialRequest{Nonce: nonce, Addrs: [][]byte{c.host.Network().ListenAddresses()[0].Bytes()}}
	message := pb.Message{Msg: &pb.Message_DialRequest{DialRequest: request}}
	if err := pbio.NewDelimitedWriter(s).WriteMsg(&message); err != nil {
		return err
	}
	if err := pbio.NewDelimitedReader(s, autonat2Message).ReadMsg(&message); err != nil {
		return err
	}
	answer := message.GetDialResponse()
	if answer.GetStatus() != pb.DialResponse_OK || answer.GetDialStatus() != pb.DialStatus_OK {
		return fmt.Errorf("%v %v", answer.GetStatus(), answer.GetDialStatus())
	}
	select {
	case got := <-c.nonces:
		if got != nonce {
			return fmt.Errorf("nonce %d, not %d", got, nonce)
		}
		return nil
	case <-time.After(nonceWait):
		return fmt.Errorf("no nonce")
	}
}

func autonat2Requests(l load) {
	ctx := context.Background()
	list := hosts(l.atOnce, l)
	each(list, connecting, func(h host.Host) { check(h.Connect(ctx, l.to)) })
	var reached, refused atomic.Int64
	begin := time.Now()
	var all sync.WaitGroup
	for _, h := range list {
		all.Go(func() {
			client := newAutonat2Client(h)
			for time.Since(begin) < l.seconds {
				if err := client.ask(ctx, l.to.ID); err != nil {
					if refused.Add(1) == 1 {
						fmt.Fprintln(os.Stderr, "not reached:", err)
					}
					time.Sleep(time.Millisecond)
					continue
				}
				reached.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Printf("result per_second=%.1f refused=%d\n", float64(reached.Load())/time.Since(begin).Seconds(), refused.Load())
}
