//! The workloads of bench/README.md for rust-libp2p, both sides.

mod autonat2;
mod handshake;
mod node;
mod server;
mod workloads;

use std::{error::Error, time::Duration};

use libp2p::{multiaddr::Protocol, Multiaddr, PeerId};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone)]
pub struct Load {
    pub to: Option<(PeerId, Multiaddr)>,
    pub also: Vec<Multiaddr>,
    pub listen: Option<Multiaddr>,
    pub is_tls: bool,
    pub at_once: usize,
    pub duration: Duration,
}

impl Load {
    pub fn server(&self) -> Outcome<(PeerId, Multiaddr)> {
        Ok(self.to.clone().ok_or("no --to")?)
    }
}

fn load(mut args: impl Iterator<Item = String>) -> Outcome<Load> {
    let mut load = Load { to: None, also: vec![], listen: None, is_tls: false, at_once: 1, duration: Duration::from_secs(5) };
    while let Some(name) = args.next() {
        let value = args.next().ok_or("a flag without its value")?;
        match name.as_str() {
            "--to" => {
                let mut address: Multiaddr = value.parse()?;
                let Some(Protocol::P2p(peer)) = address.pop() else {
                    return Err("--to does not end in /p2p".into());
                };
                load.to = Some((peer, address));
            }
            "--also" => load.also.push(value.parse()?),
            "--listen" => load.listen = Some(value.parse()?),
            "--security" => load.is_tls = value == "tls",
            "--at-once" => load.at_once = value.parse()?,
            "--seconds" => load.duration = Duration::from_secs_f64(value.parse()?),
            _ => return Err(format!("unknown flag {name}").into()),
        }
    }
    Ok(load)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().ok_or("no workload")?;
    let load = load(args)?;
    match what.as_str() {
        "server" => server::serve(load).await,
        "handshake-server" => handshake::serve(load).await,
        "handshake" => handshake::run(load).await,
        "throughput" => workloads::throughput(load).await,
        "download" => workloads::download(load).await,
        "first-byte" => workloads::first_byte(load).await,
        "setup" => workloads::setup(load).await,
        "idle" => workloads::idle(load).await,
        "autonat" => workloads::autonat(load).await,
        "autonat2" => autonat2::run(load).await,
        _ => Err("unknown workload".into()),
    }
}
