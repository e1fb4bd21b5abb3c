//! A node of either side, with the limits of policy lifted.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    autonat,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    identify,
    identity::Keypair,
    multiaddr::Multiaddr,
    noise, quic,
    swarm::behaviour::toggle::Toggle,
    swarm::NetworkBehaviour,
    swarm::SwarmEvent,
    tcp, tls, yamux, PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport,
};
use libp2p_stream as stream;

use crate::{Load, Outcome};

pub const SINK: StreamProtocol = StreamProtocol::new("/pyrsia-bench/sink/1.0.0");
pub const SOURCE: StreamProtocol = StreamProtocol::new("/pyrsia-bench/source/1.0.0");
pub const STATS: StreamProtocol = StreamProtocol::new("/pyrsia-bench/stats/1.0.0");
const FAR_AWAY: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    autonat: Toggle<autonat::Behaviour>,
    autonat2: Toggle<autonat::v2::server::Behaviour>,
    pub stream: stream::Behaviour,
}

/// TCP with the one security protocol that is asked for, as each is a row of its own, and QUIC.
fn transport(key: &Keypair, is_tls: bool) -> Outcome<Boxed<(PeerId, StreamMuxerBox)>> {
    let plain = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)).upgrade(Version::V1Lazy);
    let tcp = if is_tls {
        plain.authenticate(tls::Config::new(key)?).multiplex(yamux::Config::default()).boxed()
    } else {
        plain.authenticate(noise::Config::new(key)?).multiplex(yamux::Config::default()).boxed()
    };
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(OrTransport::new(tcp, quic)
        .map(|either, _| match either {
            futures::future::Either::Left(connection) => connection,
            futures::future::Either::Right(connection) => connection,
        })
        .boxed())
}

pub fn node(load: &Load, is_server: bool) -> Outcome<Swarm<Behaviour>> {
    let autonat = |peer: PeerId| {
        let config = autonat::Config {
            throttle_clients_global_max: usize::MAX,
            throttle_clients_peer_max: usize::MAX,
            throttle_clients_period: Duration::ZERO,
            boot_delay: FAR_AWAY, // Never a client.
            use_connected: false,
            ..Default::default()
        };
        is_server.then(|| autonat::Behaviour::new(peer, config))
    };
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| transport(key, load.is_tls))?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new_with_signed_peer_record(
                "ipfs/0.1.0".into(),
                key,
            )),
            autonat: autonat(key.public().to_peer_id()).into(),
            autonat2: is_server.then(autonat::v2::server::Behaviour::default).into(),
            stream: stream::Behaviour::new(),
        })?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(FAR_AWAY).with_max_negotiating_inbound_streams(1024)
        })
        .build())
}

pub async fn listen(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Outcome<Multiaddr> {
    swarm.listen_on(address)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(address);
        }
    }
}

pub fn is_identified(event: &BehaviourEvent) -> bool {
    matches!(event, BehaviourEvent::Identify(identify::Event::Received { .. }))
}
