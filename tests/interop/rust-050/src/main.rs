//! A libp2p 0.50 node, as old as the one in the original Pyrsia; see ../README.md.
//! With `--bootstrap-url` it starts as that one does: it asks for `/status`, takes the first
//! address, registers it as AutoNAT server and probes by the original's timers.

mod status;

use std::{collections::HashMap, error::Error, time::Duration};

use futures::StreamExt;
use libp2p::{
    autonat,
    core::{connection::ConnectedPoint, identity, upgrade::Version},
    identify,
    multiaddr::Protocol,
    noise::NoiseAuthenticated,
    swarm::{
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
        keep_alive, AddressScore, DialError, NetworkBehaviour, Swarm, SwarmEvent,
    },
    tcp,
    yamux::YamuxConfig,
    Multiaddr, PeerId, Transport,
};
use serde_json::{json, Value};
use tokio::io::AsyncBufReadExt;

const FAR_AWAY: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
struct Behaviour {
    autonat: autonat::Behaviour,
    identify: identify::Behaviour,
    keep_alive: Toggle<keep_alive::Behaviour>,
}

struct Node {
    swarm: Swarm<Behaviour>,
    dials: HashMap<PeerId, u64>,
    identified: HashMap<PeerId, Value>,
    awaiting_identify: Vec<(u64, PeerId)>,
    probe: Option<(u64, PeerId)>,
}

fn emit(value: Value) {
    println!("{value}");
}

fn reply(id: u64, mut value: Value) {
    value["event"] = json!("reply");
    value["id"] = json!(id);
    emit(value);
}

fn failure(error: impl ToString) -> Value {
    json!({"ok": false, "kind": "other", "error": error.to_string()})
}

fn peer_of(command: &Value) -> Result<PeerId, Box<dyn Error>> {
    Ok(command["peer"].as_str().ok_or("no peer")?.parse()?)
}

fn split(text: &str) -> Result<(PeerId, Multiaddr), Box<dyn Error>> {
    let mut address: Multiaddr = text.parse()?;
    let Some(Protocol::P2p(hash)) = address.pop() else {
        return Err("Expect peer address to contain Peer ID.".into());
    };
    let peer = PeerId::from_multihash(hash).map_err(|_| "Invalid hash provided for Peer ID.")?;
    Ok((peer, address))
}

impl Node {
    fn start(&mut self, id: u64, command: &Value) -> Result<(), Box<dyn Error>> {
        match command["cmd"].as_str().unwrap_or_default() {
            "connect" => {
                let (peer, address) = split(command["address"].as_str().ok_or("no address")?)?;
                let dial = DialOpts::peer_id(peer)
                    .condition(PeerCondition::Always)
                    .addresses(vec![address])
                    .build();
                self.dials.insert(peer, id);
                self.swarm.dial(dial)?;
            }
            "identify" => {
                self.awaiting_identify.push((id, peer_of(command)?));
                self.answer_identify();
            }
            "autonat" => {
                let peer = peer_of(command)?;
                self.swarm.behaviour_mut().autonat.add_server(peer, None);
                self.probe = Some((id, peer));
            }
            "disconnect" => {
                let _ = self.swarm.disconnect_peer_id(peer_of(command)?);
                reply(id, json!({"ok": true}));
            }
            other => reply(id, failure(format!("unknown command {other}"))),
        }
        Ok(())
    }

    fn answer_identify(&mut self) {
        let (known, waiting) = std::mem::take(&mut self.awaiting_identify)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, peer)| self.identified.contains_key(peer));
        self.awaiting_identify = waiting;
        for (id, peer) in known {
            reply(id, self.identified[&peer].clone());
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info } = event else {
            return;
        };
        let addresses: Vec<String> = info.listen_addrs.iter().map(ToString::to_string).collect();
        let kind = if self.identified.contains_key(&peer_id) { "pushed" } else { "identified" };
        emit(json!({"event": kind, "peer": peer_id.to_string(), "protocols": info.protocols}));
        let value = json!({
            "ok": true, "protocols": info.protocols, "agent": info.agent_version,
            "protocolVersion": info.protocol_version, "listenAddresses": addresses,
            "observedAddress": info.observed_addr.to_string(), "signedRecord": false,
        });
        self.identified.insert(peer_id, value);
        self.answer_identify();
    }

    fn on_autonat(&mut self, event: autonat::Event) {
        match event {
            autonat::Event::InboundProbe(e) => {
                emit(json!({"event": "inbound_probe", "what": format!("{e:?}")}));
            }
            autonat::Event::StatusChanged { old, new } => {
                let name = |s: &autonat::NatStatus| match s {
                    autonat::NatStatus::Public(_) => "public",
                    autonat::NatStatus::Private => "private",
                    autonat::NatStatus::Unknown => "unknown",
                };
                emit(json!({"event": "status_changed", "old": name(&old), "new": name(&new)}));
            }
            autonat::Event::OutboundProbe(e) => self.on_probe(e),
        }
    }

    fn on_probe(&mut self, event: autonat::OutboundProbeEvent) {
        use autonat::{OutboundProbeError as Failed, OutboundProbeEvent as Probe, ResponseError as Answer};
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
        emit(json!({"event": "outbound_probe", "peer": peer.to_string(), "status": status, "response": response}));
        if let Some((id, asked)) = self.probe.take() {
            if asked != peer {
                self.probe = Some((id, asked));
                return;
            }
            self.swarm.behaviour_mut().autonat.remove_server(&peer);
            reply(id, json!({"ok": true, "status": status, "response": response, "text": text}));
        }
    }

    fn on_event<E>(&mut self, event: SwarmEvent<BehaviourEvent, E>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(e)) => self.on_identify(e),
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(e)) => self.on_autonat(e),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                let direction = if endpoint.is_dialer() { "outbound" } else { "inbound" };
                let address = match &endpoint {
                    ConnectedPoint::Dialer { address, .. } => address,
                    ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
                };
                emit(json!({"event": "connected", "peer": peer_id.to_string(), "direction": direction,
                    "address": address.to_string()}));
                if let Some(id) = self.dials.remove(&peer_id) {
                    reply(id, json!({"ok": true, "peer": peer_id.to_string()}));
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established, .. } => {
                if num_established == 0 {
                    self.identified.remove(&peer_id);
                }
                emit(json!({"event": "disconnected", "peer": peer_id.to_string()}));
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error } => {
                if let Some(id) = self.dials.remove(&peer) {
                    let mut value = failure(&error);
                    if matches!(error, DialError::WrongPeerId { .. }) {
                        value["kind"] = json!("wrong_peer_id");
                    }
                    reply(id, value);
                }
            }
            _ => {}
        }
    }

    /// The original's steps after it started to listen.
    async fn bootstrap(&mut self, url: &str) {
        let found = async {
            let text = status::first_peer_address(url).await?;
            let (peer, address) = split(&text)?;
            Ok::<_, Box<dyn Error>>((text, peer, address))
        };
        match tokio::time::timeout(Duration::from_secs(20), found).await {
            Err(_) => emit(json!({"event": "bootstrapped", "ok": false, "error": "no answer in 20 s"})),
            Ok(Err(e)) => emit(json!({"event": "bootstrapped", "ok": false, "error": e.to_string()})),
            Ok(Ok((text, peer, address))) => {
                self.swarm.behaviour_mut().autonat.add_server(peer, Some(address));
                emit(json!({"event": "bootstrapped", "ok": true, "peer": peer.to_string(), "address": text}));
            }
        }
    }
}

struct Flags {
    listen: Vec<Multiaddr>,
    announce: Vec<Multiaddr>,
    key_seed: u8,
    allow_loopback: bool,
    bootstrap_url: Option<String>,
}

fn flags() -> Result<Flags, Box<dyn Error>> {
    let mut flags =
        Flags { listen: vec![], announce: vec![], key_seed: 1, allow_loopback: false, bootstrap_url: None };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        match name.as_str() {
            "--allow-loopback" => flags.allow_loopback = true,
            "--autonat-server" => {} // This behaviour always serves.
            "--listen" => flags.listen.push(args.next().ok_or("--listen what?")?.parse()?),
            "--announce" => flags.announce.push(args.next().ok_or("--announce what?")?.parse()?),
            "--key-seed" => flags.key_seed = args.next().ok_or("--key-seed what?")?.parse()?,
            "--bootstrap-url" => flags.bootstrap_url = args.next(),
            _ => return Err(format!("unknown flag {name}").into()),
        }
    }
    Ok(flags)
}

/// The original's configuration, or one probe for each `autonat` command.
fn autonat_config(flags: &Flags) -> autonat::Config {
    let only_global_ips = !flags.allow_loopback;
    if flags.bootstrap_url.is_some() {
        return autonat::Config {
            boot_delay: Duration::from_secs(5),
            retry_interval: Duration::from_secs(10),
            refresh_interval: Duration::from_secs(30),
            throttle_server_period: Duration::ZERO,
            only_global_ips,
            ..Default::default()
        };
    }
    autonat::Config {
        boot_delay: Duration::ZERO,
        retry_interval: Duration::from_millis(300),
        refresh_interval: Duration::from_millis(300),
        throttle_server_period: FAR_AWAY,
        use_connected: false,
        only_global_ips,
        ..Default::default()
    }
}

fn swarm(flags: &Flags) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let secret = identity::ed25519::SecretKey::from_bytes([flags.key_seed; 32])?;
    let key = identity::Keypair::Ed25519(secret.into());
    let peer = key.public().to_peer_id();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(NoiseAuthenticated::xx(&key)?)
        .multiplex(YamuxConfig::default())
        .timeout(Duration::from_secs(20))
        .boxed();
    let behaviour = Behaviour {
        autonat: autonat::Behaviour::new(peer, autonat_config(flags)),
        identify: identify::Behaviour::new(identify::Config::new("ipfs/1.0.0".to_owned(), key.public())),
        keep_alive: flags.bootstrap_url.is_none().then_some(keep_alive::Behaviour).into(),
    };
    Ok(Swarm::with_tokio_executor(transport, behaviour, peer))
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
        swarm.add_external_address(address.clone(), AddressScore::Infinite);
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
    let mut node = Node {
        swarm,
        dials: HashMap::new(),
        identified: HashMap::new(),
        awaiting_identify: vec![],
        probe: None,
    };
    if let Some(url) = &flags.bootstrap_url {
        node.bootstrap(url).await;
    }
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = node.swarm.select_next_some() => node.on_event(event),
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                let command: Value = serde_json::from_str(&line)?;
                let id = command["id"].as_u64().unwrap_or(0);
                if command["cmd"] == "quit" {
                    reply(id, json!({"ok": true}));
                    break;
                }
                if let Err(e) = node.start(id, &command) {
                    reply(id, failure(e));
                }
            }
        }
    }
    // Reading standard input holds a thread that cannot be cancelled.
    std::process::exit(0);
}
