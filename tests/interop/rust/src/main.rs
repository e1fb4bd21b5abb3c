//! A rust-libp2p node that does what it is told on standard input; see ../README.md.

mod echo;
mod echo_server;
mod transport;

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    autonat, identify,
    identity::Keypair,
    multiaddr::Protocol,
    ping,
    swarm::{
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
        ConnectionId, DialError, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, Swarm, SwarmEvent,
    },
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder,
};
use libp2p_stream as stream;
use rand_core::OsRng;
use serde_json::{json, Value};
use tokio::{io::AsyncBufReadExt, sync::mpsc};

const FAR_AWAY: Duration = Duration::from_secs(3600);
const PROBE_INTERVAL: Duration = Duration::from_millis(200);
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    autonat: autonat::Behaviour,
    autonat2: autonat::v2::client::Behaviour,
    autonat2_server: Toggle<autonat::v2::server::Behaviour>,
    stream: stream::Behaviour,
    echo_server: echo_server::Behaviour,
}

struct Ping {
    id: u64,
    peer: PeerId,
    left: u64,
    milliseconds: Vec<f64>,
}

/// One dial and two pings.
struct Latency {
    id: u64,
    peer: Option<PeerId>, // Known once connected.
    start: Instant,
    whole: Option<Duration>,
}

/// Addresses that are still to be asked about, and what is known of the others.
struct Probe2 {
    id: u64,
    left: VecDeque<Multiaddr>,
    until: Instant, // For the first of `left`.
    results: Vec<Value>,
}

struct Node {
    swarm: Swarm<Behaviour>,
    announce: Vec<Multiaddr>,
    replies: mpsc::UnboundedSender<(u64, Value)>,
    dials: HashMap<ConnectionId, u64>,
    identified: HashMap<PeerId, Value>,
    first_of: HashMap<ConnectionId, ()>,
    awaiting_identify: Vec<(u64, PeerId)>,
    pings: Vec<Ping>,
    probe: Option<(u64, PeerId)>,
    latencies: HashMap<ConnectionId, Latency>,
    probe2: Option<Probe2>,
    probed2: HashMap<Multiaddr, Result<(), String>>, // Also what the library asked by itself.
}

fn emit(value: Value) {
    println!("{value}");
}

fn failure(error: impl ToString) -> Value {
    json!({"ok": false, "kind": "other", "error": error.to_string()})
}

fn peer_of(command: &Value) -> Result<PeerId, Box<dyn Error>> {
    Ok(command["peer"].as_str().ok_or("no peer")?.parse()?)
}

impl Node {
    fn reply(&self, id: u64, value: Value) {
        let _ = self.replies.send((id, value));
    }

    fn start(&mut self, id: u64, command: &Value) -> Result<(), Box<dyn Error>> {
        let text = command["cmd"].as_str().unwrap_or_default();
        match text {
            "connect" => {
                let dial = self.dial(command)?;
                self.dials.insert(dial, id);
            }
            "latency" => {
                let start = Instant::now();
                let dial = self.dial(command)?;
                self.latencies.insert(dial, Latency { id, peer: None, start, whole: None });
            }
            "identify" => {
                self.awaiting_identify.push((id, peer_of(command)?));
                self.answer_identify();
            }
            "push" => self.push(id, command)?,
            "ping" => self.pings.push(Ping {
                id,
                peer: peer_of(command)?,
                left: command["count"].as_u64().unwrap_or(1),
                milliseconds: vec![],
            }),
            "echo" | "streams" | "reset" => self.open_streams(id, command)?,
            "autonat" => {
                let peer = peer_of(command)?;
                for address in &self.announce {
                    self.swarm.behaviour_mut().autonat.probe_address(address.clone());
                }
                self.swarm.behaviour_mut().autonat.add_server(peer, None);
                self.probe = Some((id, peer));
            }
            "autonat2" => self.probe2(id, command)?,
            "disconnect" => {
                let _ = self.swarm.disconnect_peer_id(peer_of(command)?);
                self.reply(id, json!({"ok": true}));
            }
            _ => self.reply(id, failure(format!("unknown command {text}"))),
        }
        Ok(())
    }

    fn dial(&mut self, command: &Value) -> Result<ConnectionId, Box<dyn Error>> {
        let mut address: Multiaddr = command["address"].as_str().ok_or("no address")?.parse()?;
        let Some(Protocol::P2p(peer)) = address.pop() else {
            return Err("the address does not end in /p2p".into());
        };
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![address])
            .build();
        let connection = dial.connection_id();
        self.swarm.dial(dial)?;
        Ok(connection)
    }

    fn probe2(&mut self, id: u64, command: &Value) -> Result<(), Box<dyn Error>> {
        let left = match command["addresses"].as_array() {
            Some(list) => list
                .iter()
                .map(|text| Ok(text.as_str().ok_or("an address is not a text")?.parse()?))
                .collect::<Result<_, Box<dyn Error>>>()?,
            None => self.swarm.listeners().chain(&self.announce).cloned().collect(),
        };
        self.probe2 = Some(Probe2 { id, left, until: Instant::now() + PROBE_TIMEOUT, results: vec![] });
        self.offer();
        Ok(())
    }

    /// Makes the next address a candidate: the library then asks a server about it by itself.
    fn offer(&mut self) {
        let Some(address) = self.probe2.as_ref().and_then(|probe| probe.left.front()) else {
            return;
        };
        let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: address });
        self.swarm.behaviour_mut().autonat2.on_swarm_event(candidate);
    }

    /// Takes the verdicts that are there, and gives up on what has none by now.
    fn advance_probe2(&mut self) {
        let Some(mut probe) = self.probe2.take() else {
            return;
        };
        while let Some(address) = probe.left.front() {
            let (status, dial_status, text) = match self.probed2.get(address) {
                Some(Ok(())) => ("reachable", "OK", String::new()),
                Some(Err(e)) if e.contains("establish a connection") => ("unreachable", "E_DIAL_ERROR", e.clone()),
                Some(Err(e)) => ("unknown", "E_DIAL_BACK_ERROR", e.clone()),
                None if Instant::now() < probe.until => {
                    self.probe2 = Some(probe);
                    return;
                }
                None => ("unknown", "", "no verdict in time".into()),
            };
            let response = if dial_status.is_empty() { "" } else { "OK" };
            probe.results.push(json!({"address": address.to_string(), "status": status,
                "response": response, "dialStatus": dial_status, "text": text}));
            probe.left.pop_front();
            probe.until = Instant::now() + PROBE_TIMEOUT;
        }
        self.reply(probe.id, json!({"ok": true, "results": probe.results}));
    }

    fn on_autonat2(&mut self, event: autonat::v2::client::Event) {
        self.probed2.insert(event.tested_addr, event.result.map_err(|e| e.to_string()));
        self.advance_probe2();
        self.offer();
    }

    fn on_latency(&mut self, peer: PeerId, rtt: Duration) {
        let found = self.latencies.iter_mut().find(|(_, latency)| latency.peer == Some(peer));
        let Some((&connection, latency)) = found else {
            return;
        };
        let Some(whole) = latency.whole else {
            latency.whole = Some(latency.start.elapsed());
            return;
        };
        let id = latency.id;
        self.latencies.remove(&connection);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        self.reply(id, json!({"ok": true, "peer": peer.to_string(), "handshakePlusOneRtt": milliseconds(whole),
            "pingRtt": milliseconds(rtt)}));
    }

    fn push(&mut self, id: u64, command: &Value) -> Result<(), Box<dyn Error>> {
        let name = command["protocol"].as_str().ok_or("no protocol")?.to_owned();
        let protocol = StreamProtocol::try_from_owned(name)?;
        let incoming = self.swarm.behaviour().stream.new_control().accept(protocol)?;
        tokio::spawn(echo::serve_all(incoming));
        // Each connection notices the new protocol and pushes by itself.
        self.reply(id, json!({"ok": true}));
        Ok(())
    }

    fn open_streams(&mut self, id: u64, command: &Value) -> Result<(), Box<dyn Error>> {
        let control = self.swarm.behaviour().stream.new_control();
        let peer = peer_of(command)?;
        let replies = self.replies.clone();
        let command = command.clone();
        tokio::spawn(async move {
            let run = async {
                match command["cmd"].as_str() {
                    Some("echo") => echo::one(control, peer, command["bytes"].as_u64().unwrap_or(0)).await,
                    Some("streams") => echo::many(control, peer, command["count"].as_u64().unwrap_or(1)).await,
                    _ => echo::reset(control, peer).await,
                }
            };
            let value = run.await.unwrap_or_else(failure);
            let _ = replies.send((id, value));
        });
        Ok(())
    }

    fn answer_identify(&mut self) {
        let (known, waiting) = std::mem::take(&mut self.awaiting_identify)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, peer)| self.identified.contains_key(peer));
        self.awaiting_identify = waiting;
        for (id, peer) in known {
            self.reply(id, self.identified[&peer].clone());
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { connection_id, peer_id, info } = event else {
            return;
        };
        let protocols: Vec<String> = info.protocols.iter().map(ToString::to_string).collect();
        let addresses: Vec<String> = info.listen_addrs.iter().map(ToString::to_string).collect();
        if self.first_of.insert(connection_id, ()).is_some() {
            emit(json!({"event": "pushed", "peer": peer_id.to_string(), "protocols": protocols}));
        } else {
            emit(json!({"event": "identified", "peer": peer_id.to_string()}));
        }
        let value = json!({
            "ok": true, "protocols": protocols, "agent": info.agent_version,
            "protocolVersion": info.protocol_version, "listenAddresses": addresses,
            "observedAddress": info.observed_addr.to_string(),
            "signedRecord": info.signed_peer_record.is_some(),
        });
        self.identified.insert(peer_id, value);
        self.answer_identify();
    }

    fn on_ping(&mut self, event: ping::Event) {
        if let Ok(rtt) = event.result {
            self.on_latency(event.peer, rtt);
        }
        let Some(at) = self.pings.iter().position(|p| p.peer == event.peer) else {
            return;
        };
        let running = &mut self.pings[at];
        let value = match event.result {
            Err(e) => failure(e),
            Ok(rtt) => {
                running.milliseconds.push(rtt.as_secs_f64() * 1000.0);
                running.left = running.left.saturating_sub(1);
                if running.left > 0 {
                    return;
                }
                json!({"ok": true, "milliseconds": running.milliseconds})
            }
        };
        let id = self.pings.remove(at).id;
        self.reply(id, value);
    }

    fn on_autonat(&mut self, event: autonat::Event) {
        use autonat::{OutboundProbeError as Failed, OutboundProbeEvent as Probe, ResponseError as Answer};
        let autonat::Event::OutboundProbe(event) = event else {
            return;
        };
        let (peer, status, response, text) = match event {
            Probe::Response { peer, address, .. } => (peer, "public", "OK", address.to_string()),
            Probe::Error { peer: Some(peer), error, .. } => match error {
                Failed::Response(Answer::DialError) => (peer, "private", "E_DIAL_ERROR", String::new()),
                Failed::Response(Answer::DialRefused) => (peer, "unknown", "E_DIAL_REFUSED", String::new()),
                Failed::Response(Answer::BadRequest) => (peer, "unknown", "E_BAD_REQUEST", String::new()),
                Failed::Response(Answer::InternalError) => (peer, "unknown", "E_INTERNAL_ERROR", String::new()),
                other => (peer, "unknown", "", format!("{other:?}")),
            },
            _ => return,
        };
        if let Some((id, _)) = self.probe.take_if(|(_, asked)| *asked == peer) {
            self.swarm.behaviour_mut().autonat.remove_server(&peer);
            self.reply(id, json!({"ok": true, "status": status, "response": response, "text": text}));
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(e)) => self.on_identify(e),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(e)) => self.on_ping(e),
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(e)) => self.on_autonat(e),
            SwarmEvent::Behaviour(BehaviourEvent::Autonat2(e)) => self.on_autonat2(e),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let direction = if endpoint.is_dialer() { "outbound" } else { "inbound" };
                emit(json!({"event": "connected", "peer": peer_id.to_string(), "direction": direction,
                    "address": endpoint.get_remote_address().to_string()}));
                if let Some(id) = self.dials.remove(&connection_id) {
                    self.reply(id, json!({"ok": true, "peer": peer_id.to_string()}));
                }
                if let Some(latency) = self.latencies.get_mut(&connection_id) {
                    latency.peer = Some(peer_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                self.first_of.remove(&connection_id);
                if num_established == 0 {
                    self.identified.remove(&peer_id); // It pushes only where it was identified anew.
                }
                let reason = cause.map(|e| e.to_string()).unwrap_or_default();
                emit(json!({"event": "disconnected", "peer": peer_id.to_string(), "reason": reason}));
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let measured = self.latencies.remove(&connection_id).map(|latency| latency.id);
                if let Some(id) = self.dials.remove(&connection_id).or(measured) {
                    let mut value = failure(&error);
                    if matches!(error, DialError::WrongPeerId { .. }) {
                        value["kind"] = json!("wrong_peer_id");
                    }
                    self.reply(id, value);
                }
            }
            _ => {}
        }
    }
}

struct Flags {
    listen: Vec<Multiaddr>,
    announce: Vec<Multiaddr>,
    key_seed: u8,
    allow_loopback: bool,
    is_server: bool,
    security: String,
    web_tls: Option<String>,
}

fn flags() -> Result<Flags, Box<dyn Error>> {
    let mut flags = Flags {
        listen: vec![],
        announce: vec![],
        key_seed: 1,
        allow_loopback: false,
        is_server: false,
        security: "noise".into(),
        web_tls: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        match name.as_str() {
            "--allow-loopback" => flags.allow_loopback = true,
            "--autonat-server" => flags.is_server = true, // Of v2: the behaviour of v1 always serves.
            "--security" => flags.security = args.next().ok_or("--security which?")?,
            "--web-tls" => flags.web_tls = Some(args.next().ok_or("--web-tls where?")?),
            "--listen" => flags.listen.push(args.next().ok_or("--listen what?")?.parse()?),
            "--announce" => flags.announce.push(args.next().ok_or("--announce what?")?.parse()?),
            "--key-seed" => flags.key_seed = args.next().ok_or("--key-seed what?")?.parse()?,
            _ => return Err(format!("unknown flag {name}").into()),
        }
    }
    Ok(flags)
}

fn swarm(flags: &Flags) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let key = Keypair::ed25519_from_bytes([flags.key_seed; 32])?;
    // One probe for each `autonat` command: only named servers, and none of them twice.
    let autonat = autonat::Config {
        boot_delay: Duration::ZERO,
        retry_interval: Duration::from_millis(300),
        refresh_interval: Duration::from_millis(300),
        throttle_server_period: FAR_AWAY,
        use_connected: false,
        only_global_ips: !flags.allow_loopback,
        ..Default::default()
    };
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| transport::make(key, &flags.security, flags.web_tls.as_deref()))?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(
                identify::Config::new_with_signed_peer_record("ipfs/0.1.0".into(), key)
                    .with_interval(FAR_AWAY)
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(250))),
            autonat: autonat::Behaviour::new(key.public().to_peer_id(), autonat),
            autonat2: autonat::v2::client::Behaviour::new(
                OsRng,
                autonat::v2::client::Config::default().with_probe_interval(PROBE_INTERVAL),
            ),
            autonat2_server: flags.is_server.then(autonat::v2::server::Behaviour::default).into(),
            stream: stream::Behaviour::new(),
            echo_server: echo_server::Behaviour,
        })?
        .with_swarm_config(|c| {
            c.with_idle_connection_timeout(FAR_AWAY)
                .with_max_negotiating_inbound_streams(1024)
        })
        .build();
    Ok(swarm)
}

async fn listen(swarm: &mut Swarm<Behaviour>, flags: &Flags) -> Result<(), Box<dyn Error>> {
    for address in &flags.listen {
        swarm.listen_on(address.clone())?;
    }
    let mut bound = vec![];
    while bound.len() < flags.listen.len() {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            bound.push(address.to_string());
        }
    }
    for address in &flags.announce {
        swarm.add_external_address(address.clone());
    }
    let peer = swarm.local_peer_id().to_string();
    emit(json!({"event": "listening", "peer": peer, "addresses": bound}));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = flags()?;
    let mut swarm = swarm(&flags)?;
    listen(&mut swarm, &flags).await?;
    let (replies, mut ready) = mpsc::unbounded_channel();
    let mut node = Node {
        swarm,
        announce: flags.announce,
        replies,
        dials: HashMap::new(),
        identified: HashMap::new(),
        first_of: HashMap::new(),
        awaiting_identify: vec![],
        pings: vec![],
        probe: None,
        latencies: HashMap::new(),
        probe2: None,
        probed2: HashMap::new(),
    };
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    let mut clock = tokio::time::interval(PROBE_INTERVAL);
    loop {
        tokio::select! {
            event = node.swarm.select_next_some() => node.on_event(event),
            Some((id, mut value)) = ready.recv() => {
                value["event"] = json!("reply");
                value["id"] = json!(id);
                emit(value);
            }
            _ = clock.tick() => node.advance_probe2(),
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                let command: Value = serde_json::from_str(&line)?;
                let id = command["id"].as_u64().unwrap_or(0);
                if command["cmd"] == "quit" {
                    emit(json!({"event": "reply", "id": id, "ok": true}));
                    break;
                }
                if let Err(e) = node.start(id, &command) {
                    node.reply(id, failure(e));
                }
            }
        }
    }
    // Reading standard input holds a thread that cannot be cancelled.
    std::process::exit(0);
}
