// The workloads of bench/README.md for go-libp2p, both sides.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	sinkProtocol   = "/pyrsia-bench/sink/1.0.0"
	sourceProtocol = "/pyrsia-bench/source/1.0.0"
	statsProtocol  = "/pyrsia-bench/stats/1.0.0"
	blockBytes     = 256 << 10
	connecting     = 32
	unlimited      = 1 << 30
)

type load struct {
	to      peer.AddrInfo
	address ma.Multiaddr
	listen  string
	isTLS   bool
	atOnce  int
	seconds time.Duration
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// transports: of both security protocols, only the one that is asked for, as each is a row of its own.
func transports(isTLS bool) []libp2p.Option {
	security := libp2p.Security(noise.ID, noise.New)
	if isTLS {
		security = libp2p.Security(libp2ptls.ID, libp2ptls.New)
	}
	return []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		security,
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.UDPBlackHoleSuccessCounter(nil),
	}
}

func newHost(listen string, isTLS, server bool) host.Host {
	options := transports(isTLS)
	if listen == "" {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(listen))
	}
	if server {
		options = append(options, libp2p.EnableNATService(), libp2p.ForceReachabilityPublic(),
			libp2p.AutoNATServiceRateLimit(unlimited, unlimited, time.Minute))
	}
	return must(libp2p.New(options...))
}

func sink(s network.Stream) {
	defer s.Close()
	count, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, blockBytes))
	if err != nil {
		_ = s.Reset()
		return
	}
	_, _ = s.Write(binary.LittleEndian.AppendUint64(nil, uint64(count)))
}

// source writes for as many milliseconds as it is told.
func source(s network.Stream) {
	defer s.Close()
	request := make([]byte, 8)
	must(io.ReadFull(s, request))
	end := time.Now().Add(time.Duration(binary.LittleEndian.Uint64(request)) * time.Millisecond)
	if _, err := s.Write([]byte{7}); err != nil {
		_ = s.Reset()
		return
	}
	for block := make([]byte, blockBytes); ; {
		if _, err := s.Write(block); err != nil {
			_ = s.Reset()
			return
		}
		if time.Now().After(end) {
			return
		}
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func serve(l load) {
	h := newHost(l.listen, l.isTLS, true)
	serveAutonat2(h, l)
	var identified atomic.Int64
	sub := must(h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted)))
	go func() {
		for range sub.Out() {
			identified.Add(1)
		}
	}()
	h.SetStreamHandler(sinkProtocol, sink)
	h.SetStreamHandler(sourceProtocol, source)
	h.SetStreamHandler(statsProtocol, func(s network.Stream) {
		defer s.Close()
		cpu := cpuSeconds()
		runtime.GC()
		debug.FreeOSMemory()
		pages := must(strconv.Atoi(strings.Fields(string(must(os.ReadFile("/proc/self/statm"))))[1]))
		fmt.Fprintf(s, "cpu=%.6f rss=%d identified=%d\n", cpu, pages*os.Getpagesize(), identified.Load())
	})
	fmt.Printf("ready %s/p2p/%s\n", h.Network().ListenAddresses()[0], h.ID())
	select {}
}

type stats struct{ cpu, rss, identified float64 }

func statsOf(h host.Host, server peer.ID) (out stats) {
	s := must(h.NewStream(context.Background(), server, statsProtocol))
	check(s.CloseWrite())
	text := must(io.ReadAll(s))
	must(fmt.Sscanf(string(text), "cpu=%f rss=%f identified=%f", &out.cpu, &out.rss, &out.identified))
	_ = s.Close()
	return out
}

func hosts(count int, l load) []host.Host {
	out := make([]host.Host, count)
	for i := range out {
		out[i] = newHost(l.listen, l.isTLS, false)
	}
	return out
}

// each runs f with every host at once, or a few at a time, until all are through.
func each(list []host.Host, atOnce int, f func(host.Host)) {
	todo := make(chan host.Host, len(list))
	for _, h := range list {
		todo <- h
	}
	close(todo)
	var all sync.WaitGroup
	for range min(atOnce, len(list)) {
		all.Go(func() {
			for h := range todo {
				f(h)
			}
		})
	}
	all.Wait()
}

func throughput(l load) {
	ctx := context.Background()
	h := newHost("", l.isTLS, false)
	check(h.Connect(ctx, l.to))
	block := make([]byte, blockBytes)
	var bytes atomic.Uint64
	begin := time.Now()
	var all sync.WaitGroup
	for range l.atOnce {
		all.Go(func() {
			s := must(h.NewStream(ctx, l.to.ID, sinkProtocol))
			for time.Since(begin) < l.seconds {
				must(s.Write(block))
			}
			check(s.CloseWrite())
			bytes.Add(binary.LittleEndian.Uint64(must(io.ReadAll(s))))
			_ = s.Close()
		})
	}
	all.Wait()
	fmt.Printf("result gbps=%.3f\n", float64(bytes.Load())*8/time.Since(begin).Seconds()/1e9)
}

func download(l load) {
	ctx := context.Background()
	h := newHost("", l.isTLS, false)
	check(h.Connect(ctx, l.to))
	request := binary.LittleEndian.AppendUint64(nil, uint64(l.seconds.Milliseconds()))
	var bytes atomic.Uint64
	begin := time.Now()
	var all sync.WaitGroup
	for range l.atOnce {
		all.Go(func() {
			s := must(h.NewStream(ctx, l.to.ID, sourceProtocol))
			must(s.Write(request))
			check(s.CloseWrite())
			count := must(io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, blockBytes)))
			bytes.Add(uint64(count))
			_ = s.Close()
		})
	}
	all.Wait()
	fmt.Printf("result gbps=%.3f\n", float64(bytes.Load())*8/time.Since(begin).Seconds()/1e9)
}

// firstByte is the time from the start of a dial to the first byte of an answer on a stream, once for each peer.
func firstByte(l load) {
	ctx := context.Background()
	times := []float64{}
	for _, h := range hosts(l.atOnce, load{isTLS: l.isTLS}) {
		begin := time.Now()
		check(h.Connect(ctx, l.to))
		s := must(h.NewStream(ctx, l.to.ID, sourceProtocol))
		must(s.Write(binary.LittleEndian.AppendUint64(nil, 1)))
		must(io.ReadFull(s, make([]byte, 1)))
		times = append(times, float64(time.Since(begin).Microseconds())/1000)
		_ = s.Reset()
		_ = h.Close()
	}
	slices.Sort(times)
	fmt.Printf("result ms=%.2f least=%.2f most=%.2f\n", times[len(times)/2], times[0], times[len(times)-1])
}

// setup counts connections; Connect returns once identify has told who is there.
func setup(l load) {
	ctx := context.Background()
	asking := newHost("", l.isTLS, false)
	check(asking.Connect(ctx, l.to))
	list := hosts(l.atOnce, l)
	before := statsOf(asking, l.to.ID)
	var done atomic.Int64
	begin := time.Now()
	each(list, l.atOnce, func(h host.Host) {
		for time.Since(begin) < l.seconds {
			check(h.Connect(ctx, l.to))
			check(h.Network().ClosePeer(l.to.ID))
			done.Add(1)
		}
	})
	elapsed := time.Since(begin).Seconds()
	after := statsOf(asking, l.to.ID)
	fmt.Printf("result per_second=%.1f both_ways=%.3f\n", float64(done.Load())/elapsed,
		(after.identified-before.identified)/float64(done.Load()))
}

func idle(l load) {
	ctx := context.Background()
	asking := newHost("", l.isTLS, false)
	check(asking.Connect(ctx, l.to))
	list := hosts(l.atOnce, l)
	before := statsOf(asking, l.to.ID)
	each(list, connecting, func(h host.Host) { check(h.Connect(ctx, l.to)) })
	time.Sleep(time.Second)
	full := statsOf(asking, l.to.ID)
	begin := statsOf(asking, l.to.ID)
	time.Sleep(l.seconds)
	end := statsOf(asking, l.to.ID)
	fmt.Printf("result rss_bytes=%.0f cpu_percent=%.3f connections=%d identified=%.0f\n",
		(full.rss-before.rss)/float64(l.atOnce), 100*(end.cpu-begin.cpu)/l.seconds.Seconds(), l.atOnce,
		full.identified-before.identified)
}

func autonatRequests(l load) {
	ctx := context.Background()
	list := hosts(l.atOnce, l)
	each(list, connecting, func(h host.Host) { check(h.Connect(ctx, l.to)) })
	var reached, refused atomic.Int64
	begin := time.Now()
	each(list, l.atOnce, func(h host.Host) {
		client := autonat.NewAutoNATClient(h, nil, nil)
		for time.Since(begin) < l.seconds {
			if err := client.DialBack(ctx, l.to.ID); err != nil {
				if refused.Add(1) == 1 {
					fmt.Fprintln(os.Stderr, "not reached:", err)
				}
				time.Sleep(time.Millisecond)
				continue
			}
			reached.Add(1)
		}
	})
	fmt.Printf("result per_second=%.1f refused=%d\n", float64(reached.Load())/time.Since(begin).Seconds(), refused.Load())
}

func newNoise() (*noise.Transport, peer.ID) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	check(err)
	return must(noise.New(noise.ID, key, nil)), must(peer.IDFromPrivateKey(key))
}

func serveHandshakes(listen string) {
	transport, id := newNoise()
	_, text, err := manet.DialArgs(ma.StringCast(listen))
	check(err)
	listener := must(net.Listen("tcp", text))
	fmt.Printf("ready %s/p2p/%s\n", must(manet.FromNetAddr(listener.Addr())), id)
	for {
		raw := must(listener.Accept())
		go func() {
			_, _ = transport.SecureInbound(context.Background(), raw, "")
			_ = raw.(*net.TCPConn).SetLinger(0)
			_ = raw.Close()
		}()
	}
}

func handshakes(l load) {
	transport, _ := newNoise()
	_, text, err := manet.DialArgs(l.address)
	check(err)
	var done atomic.Int64
	begin := time.Now()
	var all sync.WaitGroup
	for range l.atOnce {
		all.Go(func() {
			for time.Since(begin) < l.seconds {
				raw := must(net.Dial("tcp", text))
				must(transport.SecureOutbound(context.Background(), raw, l.to.ID))
				_, _ = raw.Read(make([]byte, 1)) // The server closes when it is done.
				_ = raw.Close()
				done.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Printf("result per_second=%.1f\n", float64(done.Load())/time.Since(begin).Seconds())
}

func main() {
	if len(os.Args) < 2 {
		check(errors.New("no workload"))
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	listen := flags.String("listen", "", "")
	to := flags.String("to", "", "")
	atOnce := flags.Int("at-once", 1, "")
	seconds := flags.Float64("seconds", 5, "")
	security := flags.String("security", "noise", "")
	also := []ma.Multiaddr{}
	flags.Func("also", "", func(text string) error {
		address, err := ma.NewMultiaddr(text)
		also = append(also, address)
		return err
	})
	check(flags.Parse(os.Args[2:]))
	l := load{listen: *listen, isTLS: *security == "tls", atOnce: *atOnce, seconds: time.Duration(*seconds * float64(time.Second))}
	if *to != "" {
		l.to = *must(peer.AddrInfoFromString(*to))
		l.address = l.to.Addrs[0]
		l.to.Addrs = append(l.to.Addrs, also...)
	}
	switch os.Args[1] {
	case "server":
		serve(l)
	case "handshake-server":
		serveHandshakes(*listen)
	case "throughput":
		throughput(l)
	case "download":
		download(l)
	case "first-byte":
		firstByte(l)
	case "setup":
		setup(l)
	case "idle":
		idle(l)
	case "autonat":
		autonatRequests(l)
	case "autonat2":
		autonat2Requests(l)
	case "handshake":
		handshakes(l)
	default:
		check(errors.New("unknown workload"))
	}
}
