// A go-libp2p node that does what it is told on standard input; see ../README.md.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	echoProtocol    = "/pyrsia-test/echo/1.0.0"
	patternBytes    = 65521
	echoTimeout     = 3 * time.Minute
	exchangeTimeout = 45 * time.Second
)

type object = map[string]any

type command struct {
	ID        int      `json:"id"`
	Cmd       string   `json:"cmd"`
	Address   string   `json:"address"`
	Addresses []string `json:"addresses"`
	Peer      string   `json:"peer"`
	Protocol  string   `json:"protocol"`
	Count     int      `json:"count"`
	Bytes     int64    `json:"bytes"`
}

var printLock sync.Mutex

func emit(o object) {
	line, _ := json.Marshal(o)
	printLock.Lock()
	defer printLock.Unlock()
	fmt.Println(string(line))
}

func fatal(err error) {
	emit(object{"event": "fatal", "error": err.Error()})
	os.Exit(1)
}

type multi []string

func (m *multi) String() string     { return strings.Join(*m, " ") }
func (m *multi) Set(s string) error { *m = append(*m, s); return nil }

type flags struct {
	listen, announce multi
	security, webTLS string
	seed             byte
	isServer         bool
	allowsPrivate    bool
}

type node struct {
	flags      flags
	host       host.Host
	lock       sync.Mutex
	identified map[peer.ID]event.EvtPeerIdentificationCompleted
}

func pattern() []byte {
	p := make([]byte, patternBytes)
	x := uint32(2463534242)
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x >> 24)
	}
	return p
}

func addresses(list []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func texts[T fmt.Stringer](list []T) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

// transports are those that every host here dials, with the one security protocol of the flags.
func transports(f flags) ([]libp2p.Option, error) {
	web, err := webTLS(f.webTLS)
	if err != nil {
		return nil, err
	}
	security := libp2p.Security(noise.ID, noise.New)
	if f.security == "tls" {
		security = libp2p.Security(libp2ptls.ID, libp2ptls.New)
	}
	return []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New, web...),
		libp2p.Transport(quic.NewTransport),
		security,
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}), // its per-peer default is 64 streams
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		// Else a dial-back over QUIC is refused: the detector starts from "nothing gets through".
		libp2p.UDPBlackHoleSuccessCounter(nil),
	}, nil
}

// webTLS is what secure WebSockets need, out of a folder; without one there are none.
func webTLS(folder string) ([]any, error) {
	if folder == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return nil, errors.New("no certificate in ca.pem")
	}
	return []any{websocket.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{own}}),
		websocket.WithTLSClientConfig(&tls.Config{RootCAs: roots})}, nil
}

func newNode(f flags) (*node, error) {
	private := ed25519.NewKeyFromSeed(slices.Repeat([]byte{f.seed}, ed25519.SeedSize))
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		return nil, err
	}
	extra, err := addresses(f.announce)
	if err != nil {
		return nil, err
	}
	options, err := transports(f)
	if err != nil {
		return nil, err
	}
	options = append(options, libp2p.Identity(key),
		libp2p.AddrsFactory(func(a []ma.Multiaddr) []ma.Multiaddr { return append(a, extra...) }))
	if len(f.listen) > 0 {
		options = append(options, libp2p.ListenAddrStrings(f.listen...))
	} else {
		options = append(options, libp2p.NoListenAddrs)
	}
	if f.isServer {
		options = append(options, libp2p.EnableNATService(), libp2p.ForceReachabilityPublic(),
			libp2p.AutoNATServiceRateLimit(1000, 1000, time.Minute))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, err
	}
	n := &node{flags: f, host: h, identified: map[peer.ID]event.EvtPeerIdentificationCompleted{}}
	if f.isServer {
		if _, err := n.startAutonat2(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// watch turns events of the host into lines; it ends with the host.
func (n *node) watch() error {
	sub, err := n.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated)})
	if err != nil {
		return err
	}
	n.host.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			emit(object{"event": "connected", "peer": c.RemotePeer().String(), "address": c.RemoteMultiaddr().String(),
				"direction": strings.ToLower(c.Stat().Direction.String())})
		},
		DisconnectedF: func(net network.Network, c network.Conn) {
			if net.Connectedness(c.RemotePeer()) != network.Connected {
				n.lock.Lock()
				delete(n.identified, c.RemotePeer())
				n.lock.Unlock()
			}
			emit(object{"event": "disconnected", "peer": c.RemotePeer().String()})
		},
	})
	go func() {
		for e := range sub.Out() {
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				n.lock.Lock()
				n.identified[e.Peer] = e
				n.lock.Unlock()
				emit(object{"event": "identified", "peer": e.Peer.String()})
			case event.EvtPeerProtocolsUpdated:
				now, _ := n.host.Peerstore().GetProtocols(e.Peer)
				emit(object{"event": "pushed", "peer": e.Peer.String(), "protocols": now})
			}
		}
	}()
	return nil
}

// serveEcho returns what it reads while it reads it: the pipe between the two halves is the stream itself.
func serveEcho(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(echoTimeout))
	sum := adler32.New()
	count, err := io.CopyBuffer(struct{ io.Writer }{s}, io.TeeReader(s, sum), make([]byte, 64<<10))
	if err != nil {
		_ = s.Reset()
		emit(object{"event": "stream_failed", "peer": s.Conn().RemotePeer().String(), "bytes": count,
			"reset": errors.Is(err, network.ErrReset), "error": err.Error()})
		return
	}
	emit(object{"event": "served", "peer": s.Conn().RemotePeer().String(), "bytes": count, "sum": sum.Sum32()})
}

// echoOn writes and reads at once, closes its write half, and compares the two sums at the end of the answer.
func echoOn(s network.Stream, bytes int64) (uint32, error) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(echoTimeout))
	sent := adler32.New()
	failed := make(chan error, 1)
	go func() {
		data := pattern()
		for left := bytes; left > 0; left -= min(left, patternBytes) {
			part := data[:min(left, patternBytes)]
			_, _ = sent.Write(part)
			if _, err := s.Write(part); err != nil {
				failed <- fmt.Errorf("write: %w", err)
				return
			}
		}
		failed <- s.CloseWrite()
	}()
	got := adler32.New()
	count, err := io.Copy(got, s)
	if werr := <-failed; werr != nil {
		_ = s.Reset()
		return 0, werr
	}
	if err != nil {
		_ = s.Reset()
		return 0, fmt.Errorf("read after %d: %w", count, err)
	}
	if count != bytes || got.Sum32() != sent.Sum32() {
		return 0, fmt.Errorf("sent %d (%08x), got back %d (%08x)", bytes, sent.Sum32(), count, got.Sum32())
	}
	return got.Sum32(), nil
}

func (n *node) open(ctx context.Context, id peer.ID) (network.Stream, error) {
	return n.host.NewStream(network.WithNoDial(ctx, "the scenario connects"), id, echoProtocol)
}

func (n *node) connect(ctx context.Context, c command) object {
	info, err := peer.AddrInfoFromString(c.Address)
	if err != nil {
		return failure(err)
	}
	n.host.Peerstore().ClearAddrs(info.ID)
	if err := n.host.Connect(ctx, *info); err != nil {
		o := failure(err)
		var mismatch sec.ErrPeerIDMismatch
		if errors.As(err, &mismatch) || strings.Contains(err.Error(), "peer id mismatch") {
			o["kind"] = "wrong_peer_id"
		}
		return o
	}
	return object{"ok": true, "peer": info.ID.String()}
}

// latency is the case of libp2p's transport-interop: a dial and a ping, then a ping.
func (n *node) latency(ctx context.Context, c command) object {
	start := time.Now()
	connected := n.connect(ctx, c)
	if connected["ok"] != true {
		return connected
	}
	id, err := peer.Decode(connected["peer"].(string))
	if err != nil {
		return failure(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, n.host, id)
	if first := <-results; first.Error != nil {
		return failure(first.Error)
	}
	whole := time.Since(start)
	second := <-results
	if second.Error != nil {
		return failure(second.Error)
	}
	return object{"ok": true, "peer": id.String(), "handshakePlusOneRtt": milliseconds(whole), "pingRtt": milliseconds(second.RTT)}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (n *node) identify(id peer.ID) object {
	for range 100 {
		n.lock.Lock()
		e, ok := n.identified[id]
		n.lock.Unlock()
		if ok {
			o := object{"ok": true, "protocols": e.Protocols, "agent": e.AgentVersion,
				"protocolVersion": e.ProtocolVersion, "listenAddresses": texts(e.ListenAddrs),
				"signedRecord": e.SignedPeerRecord != nil}
			if e.ObservedAddr != nil {
				o["observedAddress"] = e.ObservedAddr.String()
			}
			return o
		}
		pause(context.Background())
	}
	return failure(errors.New("not identified within 10 s"))
}

func (n *node) ping(ctx context.Context, id peer.ID, count int) object {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, n.host, id)
	rtts := []float64{}
	for range count {
		r, ok := <-results
		if !ok {
			return failure(errors.New("ping ended"))
		}
		if r.Error != nil {
			return failure(r.Error)
		}
		rtts = append(rtts, milliseconds(r.RTT))
	}
	return object{"ok": true, "milliseconds": rtts}
}

func (n *node) echo(ctx context.Context, id peer.ID, bytes int64) object {
	start := time.Now()
	s, err := n.open(ctx, id)
	if err != nil {
		return failure(err)
	}
	sum, err := echoOn(s, bytes)
	if err != nil {
		return failure(err)
	}
	return object{"ok": true, "bytes": bytes, "sum": sum, "seconds": time.Since(start).Seconds()}
}

// streams opens all of them before the first is used, so that they are open at one time.
func (n *node) streams(ctx context.Context, id peer.ID, count int) object {
	opened := make([]network.Stream, count)
	errs := make([]error, count)
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { opened[i], errs[i] = n.open(ctx, id) })
	}
	all.Wait()
	for i, s := range opened {
		if s != nil {
			all.Go(func() { _, errs[i] = echoOn(s, int64(1000+i)) })
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return failure(err)
	}
	return object{"ok": true, "count": count}
}

func (n *node) reset(ctx context.Context, id peer.ID) object {
	s, err := n.open(ctx, id)
	if err != nil {
		return failure(err)
	}
	if _, err := s.Write(make([]byte, 1000)); err != nil {
		return failure(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1000)); err != nil {
		return failure(err)
	}
	if err := s.Reset(); err != nil {
		return failure(err)
	}
	return object{"ok": true}
}

func (n *node) autonat(ctx context.Context, id peer.ID) object {
	err := autonat.NewAutoNATClient(n.host, nil, nil).DialBack(ctx, id)
	var answer autonat.Error
	switch {
	case err == nil:
		return object{"ok": true, "status": "public", "response": "OK"}
	case autonat.IsDialError(err):
		errors.As(err, &answer)
		return object{"ok": true, "status": "private", "response": answer.Status.String(), "text": answer.Text}
	case errors.As(err, &answer):
		return object{"ok": true, "status": "unknown", "response": answer.Status.String(), "text": answer.Text}
	}
	return object{"ok": true, "status": "unknown", "response": "", "text": err.Error()}
}

// pause lasts a tenth of a second; false if the time is over.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

func failure(err error) object {
	return object{"ok": false, "kind": "other", "error": err.Error()}
}

func (n *node) run(c command) object {
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	id, err := peer.Decode(c.Peer)
	if c.Peer != "" && err != nil {
		return failure(err)
	}
	switch c.Cmd {
	case "connect":
		return n.connect(ctx, c)
	case "identify":
		return n.identify(id)
	case "push":
		n.host.SetStreamHandler(protocol.ID(c.Protocol), serveEcho)
		return object{"ok": true}
	case "ping":
		return n.ping(ctx, id, c.Count)
	case "echo":
		return n.echo(ctx, id, c.Bytes)
	case "streams":
		return n.streams(ctx, id, c.Count)
	case "reset":
		return n.reset(ctx, id)
	case "latency":
		return n.latency(ctx, c)
	case "autonat":
		return n.autonat(ctx, id)
	case "autonat2":
		return n.autonat2(ctx, id, c.Addresses)
	case "disconnect":
		if err := n.host.Network().ClosePeer(id); err != nil {
			return failure(err)
		}
		return object{"ok": true}
	}
	return failure(fmt.Errorf("unknown command %q", c.Cmd))
}

func main() {
	var f flags
	flag.Var(&f.listen, "listen", "multiaddr to listen on, repeatable")
	flag.Var(&f.announce, "announce", "multiaddr to announce besides, repeatable")
	flag.StringVar(&f.security, "security", "noise", "noise or tls, over TCP and WebSocket")
	flag.StringVar(&f.webTLS, "web-tls", "", "folder with cert.pem, key.pem and ca.pem for secure WebSockets")
	seed := flag.Int("key-seed", 1, "0..255: the byte that the Ed25519 seed repeats")
	flag.BoolVar(&f.isServer, "autonat-server", false, "serve AutoNAT v1 and v2")
	flag.BoolVar(&f.allowsPrivate, "allow-loopback", false, "let AutoNAT v2 dial private addresses")
	flag.Parse()
	f.seed = byte(*seed)
	n, err := newNode(f)
	if err != nil {
		fatal(err)
	}
	n.host.SetStreamHandler(echoProtocol, serveEcho)
	if err := n.watch(); err != nil {
		fatal(err)
	}
	emit(object{"event": "listening", "peer": n.host.ID().String(), "addresses": texts(n.host.Network().ListenAddresses())})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fatal(err)
		}
		if c.Cmd == "quit" {
			emit(object{"event": "reply", "id": c.ID, "ok": true})
			break
		}
		go func() {
			o := n.run(c)
			o["event"], o["id"] = "reply", c.ID
			emit(o)
		}()
	}
	_ = n.host.Close()
}
