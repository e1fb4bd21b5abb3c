//! Noise alone, on bare TCP connections: without multistream-select, which the library keeps to itself.

use std::time::Instant;

use futures::{future::join_all, AsyncReadExt, StreamExt};
use libp2p::{
    core::{
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
        Endpoint, Transport,
    },
    identity::Keypair,
    noise, tcp, Multiaddr,
};

use crate::{Load, Outcome};

type Tcp = tcp::tokio::Transport;

pub async fn serve(load: Load) -> Outcome<()> {
    let key = Keypair::generate_ed25519();
    let noise = noise::Config::new(&key)?;
    let mut transport = Tcp::new(tcp::Config::default().nodelay(true)).boxed();
    transport.listen_on(ListenerId::next(), load.listen.ok_or("no --listen")?)?;
    while let Some(event) = transport.next().await {
        match event {
            TransportEvent::NewAddress { listen_addr, .. } => {
                println!("ready {listen_addr}/p2p/{}", key.public().to_peer_id());
            }
            TransportEvent::Incoming { upgrade, .. } => {
                let noise = noise.clone();
                tokio::spawn(async move {
                    let socket = upgrade.await?;
                    noise.upgrade_inbound(socket, "/noise").await?;
                    Outcome::Ok(())
                });
            }
            _ => {}
        }
    }
    Ok(())
}

async fn one(address: Multiaddr, noise: noise::Config) -> Outcome<()> {
    let mut transport = Tcp::new(tcp::Config::default().nodelay(true));
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let socket = transport.dial(address, options)?.await?;
    let (_, mut channel) = noise.upgrade_outbound(socket, "/noise").await?;
    let _ = channel.read(&mut [0; 1]).await; // The server closes when it is done.
    Ok(())
}

pub async fn run(load: Load) -> Outcome<()> {
    let (_, address) = load.server()?;
    let noise = noise::Config::new(&Keypair::generate_ed25519())?;
    let begin = Instant::now();
    let tasks = (0..load.at_once).map(|_| {
        let (address, noise) = (address.clone(), noise.clone());
        tokio::spawn(async move {
            let mut done = 0u64;
            while begin.elapsed() < load.duration {
                one(address.clone(), noise.clone()).await?;
                done += 1;
            }
            Outcome::Ok(done)
        })
    });
    let mut done = 0;
    for ended in join_all(tasks.collect::<Vec<_>>()).await {
        done += ended??;
    }
    println!("result per_second={:.1}", done as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}
