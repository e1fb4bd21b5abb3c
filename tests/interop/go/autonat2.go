package main

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	ma "github.com/multiformats/go-multiaddr"
)

// startAutonat2 makes client and server, with a host of their own for dial-backs as libp2p.New() has it.
func (n *node) startAutonat2() (*autonatv2.AutoNAT, error) {
	dialing, err := transports(n.flags)
	if err != nil {
		return nil, err
	}
	dialer, err := libp2p.New(append(dialing, libp2p.NoListenAddrs, libp2p.DialRanker(swarm.NoDelayDialRanker))...)
	if err != nil {
		return nil, err
	}
	options := []autonatv2.AutoNATOption{autonatv2.WithServerRateLimit(1000, 1000, 1000, 100)}
	if n.flags.allowsPrivate {
		options = append(options, autonatv2.AllowPrivateAddrs)
	}
	a, err := autonatv2.New(dialer, options...)
	if err != nil {
		return nil, err
	}
	return a, a.Start(n.host)
}

// autonat2 asks one server about one address after another. A client asks a server once in two minutes only, so
// each address gets a client of its own, which learns of the server by an event that is told it again.
func (n *node) autonat2(ctx context.Context, server peer.ID, wanted []string) object {
	list, err := addresses(wanted)
	if err != nil {
		return failure(err)
	}
	if len(wanted) == 0 {
		list = n.host.Addrs()
	}
	again, err := n.host.EventBus().Emitter(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return failure(err)
	}
	defer again.Close()
	results := []object{}
	for _, address := range list {
		result, err := n.autonat2One(ctx, again, server, address)
		if err != nil {
			return failure(err)
		}
		results = append(results, result)
	}
	return object{"ok": true, "results": results}
}

func (n *node) autonat2One(ctx context.Context, again event.Emitter, server peer.ID, address ma.Multiaddr) (object, error) {
	client, err := n.startAutonat2()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	result := object{"address": address.String(), "status": "unknown", "response": "", "dialStatus": "", "text": ""}
	request := []autonatv2.Request{{Addr: address, SendDialData: true}}
	// A rust server speaks the protocol on connections that it accepted only; its dial-back takes it from the list.
	for _, c := range n.host.Network().ConnsToPeer(server) {
		if c.Stat().Direction == network.DirInbound {
			_ = c.Close()
		}
	}
	if err := n.host.Peerstore().AddProtocols(server, autonatv2.DialProtocol); err != nil {
		return nil, err
	}
	for {
		if err := again.Emit(event.EvtPeerConnectednessChanged{Peer: server, Connectedness: network.Connected}); err != nil {
			return nil, err
		}
		answer, err := client.GetReachability(ctx, request)
		switch {
		case errors.Is(err, autonatv2.ErrNoPeers) && pause(ctx):
			continue // It has not taken the event yet.
		case err != nil:
			result["text"] = err.Error()
		case answer.AllAddrsRefused:
			result["response"] = "E_DIAL_REFUSED"
		case answer.Reachability == network.ReachabilityPublic:
			result["status"], result["response"], result["dialStatus"] = "reachable", "OK", "OK"
		case answer.Reachability == network.ReachabilityPrivate:
			result["status"], result["response"], result["dialStatus"] = "unreachable", "OK", "E_DIAL_ERROR"
		}
		return result, nil
	}
}
