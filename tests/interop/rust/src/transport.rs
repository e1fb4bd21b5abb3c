//! TCP, WebSocket and QUIC in one; over the first two the one security protocol that was chosen.

use std::error::Error;

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, tcp, tls, yamux, PeerId, Transport,
};
use libp2p_websocket as websocket;

pub type Connection = (PeerId, StreamMuxerBox);

pub fn make(key: &Keypair, security: &str, web_tls: Option<&str>) -> Result<Boxed<Connection>, Box<dyn Error + Send + Sync>> {
    let plain = || tcp::tokio::Transport::new(tcp::Config::default());
    let tcp = secured(plain(), key, security)?;
    let mut bare = websocket::Config::new(plain());
    if let Some(folder) = web_tls {
        bare.set_tls_config(web_tls_of(folder)?);
    }
    let websocket = secured(bare, key, security)?;
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let streams = OrTransport::new(websocket, tcp).map(|either, _| either.into_inner());
    Ok(OrTransport::new(streams, quic).map(|either, _| either.into_inner()).boxed())
}

/// What secure WebSockets need, out of a folder.
fn web_tls_of(folder: &str) -> Result<websocket::tls::Config, Box<dyn Error + Send + Sync>> {
    let read = |name: &str| std::fs::read(std::path::Path::new(folder).join(name));
    let own = websocket::tls::Certificate::new(read("cert.der")?);
    let mut builder = websocket::tls::Config::builder();
    builder.server(websocket::tls::PrivateKey::new(read("key.der")?), [own])?;
    builder.add_trust(&websocket::tls::Certificate::new(read("ca.der")?))?;
    Ok(builder.finish())
}

fn secured<T>(plain: T, key: &Keypair, security: &str) -> Result<Boxed<Connection>, Box<dyn Error + Send + Sync>>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let upgrade = plain.upgrade(Version::V1Lazy);
    let muxer = yamux::Config::default();
    Ok(match security {
        "noise" => upgrade.authenticate(noise::Config::new(key)?).multiplex(muxer).boxed(),
        "tls" => upgrade.authenticate(tls::Config::new(key)?).multiplex(muxer).boxed(),
        other => return Err(format!("no security {other}").into()),
    })
}
