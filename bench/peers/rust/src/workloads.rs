//! The load.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use futures::{future::join_all, future::try_join_all, AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    swarm::{
        dial_opts::{DialOpts, PeerCondition},
        SwarmEvent,
    },
    Multiaddr, PeerId, StreamProtocol, Swarm,
};
use libp2p_stream::Control;

use crate::{
    node::{is_identified, listen, node, Behaviour, SINK, SOURCE, STATS},
    Load, Outcome,
};

const WRITE_BYTES: usize = 256 << 10;
const CONNECTING: usize = 32;
const AUTONAT: StreamProtocol = StreamProtocol::new("/libp2p/autonat/1.0.0");

fn dial(swarm: &mut Swarm<Behaviour>, to: &(PeerId, Multiaddr)) -> Outcome<()> {
    let options = DialOpts::peer_id(to.0).condition(PeerCondition::Always).addresses(vec![to.1.clone()]);
    Ok(swarm.dial(options.build())?)
}

/// Dials, and waits until identify has told who is there.
pub async fn connect(swarm: &mut Swarm<Behaviour>, to: &(PeerId, Multiaddr)) -> Outcome<()> {
    dial(swarm, to)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(event) if is_identified(&event) => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            SwarmEvent::ConnectionClosed { cause, .. } => return Err(format!("closed: {cause:?}").into()),
            _ => {}
        }
    }
}

async fn disconnect(swarm: &mut Swarm<Behaviour>, peer: PeerId) {
    let _ = swarm.disconnect_peer_id(peer);
    while swarm.is_connected(&peer) {
        swarm.select_next_some().await;
    }
}

/// Lets a node live on without us; what comes in besides our own dial is closed (dial-backs).
fn keep(mut swarm: Swarm<Behaviour>) -> Control {
    let control = swarm.behaviour().stream.new_control();
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::ConnectionEstablished { endpoint, connection_id, .. } = swarm.select_next_some().await {
                if endpoint.is_listener() {
                    swarm.close_connection(connection_id);
                }
            }
        }
    });
    control
}

async fn asking(load: &Load) -> Outcome<Control> {
    let to = &load.server()?;
    let mut swarm = node(load, false)?;
    connect(&mut swarm, to).await?;
    Ok(keep(swarm))
}

async fn stats(control: &mut Control, server: PeerId) -> Outcome<HashMap<String, f64>> {
    let mut stream = control.open_stream(server, STATS).await?;
    stream.close().await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let pairs = text.split_whitespace().filter_map(|part| part.split_once('='));
    Ok(pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect())
}

pub async fn throughput(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let control = asking(&load).await?;
    let begin = Instant::now();
    let blasts = (0..load.at_once).map(|_| {
        let mut control = control.clone();
        let task = async move {
            let mut stream = control.open_stream(to.0, SINK).await?;
            let block = vec![7; WRITE_BYTES];
            while begin.elapsed() < load.duration {
                stream.write_all(&block).await?;
            }
            stream.close().await?;
            let mut count = [0; 8];
            stream.read_exact(&mut count).await?;
            Outcome::Ok(u64::from_le_bytes(count))
        };
        tokio::spawn(task)
    });
    let mut bytes = 0;
    for done in join_all(blasts.collect::<Vec<_>>()).await {
        bytes += done??;
    }
    println!("result gbps={:.3}", bytes as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9);
    Ok(())
}

pub async fn download(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let control = asking(&load).await?;
    let begin = Instant::now();
    let request = u64::try_from(load.duration.as_millis())?.to_le_bytes();
    let reads = (0..load.at_once).map(|_| {
        let mut control = control.clone();
        tokio::spawn(async move {
            let mut stream = control.open_stream(to.0, SOURCE).await?;
            stream.write_all(&request).await?;
            stream.close().await?;
            let mut buffer = vec![0; WRITE_BYTES];
            let mut total = 0u64;
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Outcome::Ok(total);
                }
                total += count as u64;
            }
        })
    });
    let mut bytes = 0;
    for done in join_all(reads.collect::<Vec<_>>()).await {
        bytes += done??;
    }
    println!("result gbps={:.3}", bytes as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9);
    Ok(())
}

/// The time from the start of a dial to the first byte of an answer on a stream, once for each peer.
pub async fn first_byte(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let mut times = vec![];
    for _ in 0..load.at_once {
        let mut swarm = node(&load, false)?;
        let mut control = swarm.behaviour().stream.new_control();
        let begin = Instant::now();
        let addresses = [vec![to.1.clone()], load.also.clone()].concat();
        swarm.dial(DialOpts::peer_id(to.0).condition(PeerCondition::Always).addresses(addresses).build())?;
        while !swarm.is_connected(&to.0) {
            if let SwarmEvent::OutgoingConnectionError { error, .. } = swarm.select_next_some().await {
                return Err(error.into());
            }
        }
        let living = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let mut stream = control.open_stream(to.0, SOURCE).await?;
        stream.write_all(&1u64.to_le_bytes()).await?;
        stream.flush().await?;
        stream.read_exact(&mut [0; 1]).await?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
        living.abort();
    }
    times.sort_by(f64::total_cmp);
    let (least, most) = (times[0], times[times.len() - 1]);
    println!("result ms={:.2} least={least:.2} most={most:.2}", times[times.len() / 2]);
    Ok(())
}

pub async fn setup(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let mut asking = asking(&load).await?;
    let nodes: Vec<_> = (0..load.at_once).map(|_| node(&load, false)).collect::<Outcome<_>>()?;
    let before = stats(&mut asking, to.0).await?;
    let done = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks = nodes.into_iter().map(|mut swarm| {
        let (to, done) = (to.clone(), done.clone());
        tokio::spawn(async move {
            while begin.elapsed() < load.duration {
                connect(&mut swarm, &to).await?;
                disconnect(&mut swarm, to.0).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(())
        })
    });
    for ended in join_all(tasks.collect::<Vec<_>>()).await {
        ended??;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let after = stats(&mut asking, to.0).await?;
    let done = done.load(Ordering::Relaxed) as f64;
    let identified = after["identified"] - before["identified"];
    println!("result per_second={:.1} both_ways={:.3}", done / elapsed, identified / done);
    Ok(())
}

pub async fn idle(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let mut asking = asking(&load).await?;
    let mut nodes: Vec<_> = (0..load.at_once).map(|_| node(&load, false)).collect::<Outcome<_>>()?;
    let before = stats(&mut asking, to.0).await?;
    for some in nodes.chunks_mut(CONNECTING) {
        try_join_all(some.iter_mut().map(|swarm| connect(swarm, &to))).await?;
    }
    for swarm in nodes {
        keep(swarm);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let full = stats(&mut asking, to.0).await?;
    let begin = stats(&mut asking, to.0).await?;
    tokio::time::sleep(load.duration).await;
    let end = stats(&mut asking, to.0).await?;
    println!(
        "result rss_bytes={:.0} cpu_percent={:.3} connections={} identified={:.0}",
        (full["rss"] - before["rss"]) / load.at_once as f64,
        100.0 * (end["cpu"] - begin["cpu"]) / load.duration.as_secs_f64(),
        load.at_once,
        full["identified"] - before["identified"]
    );
    Ok(())
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
    out.extend_from_slice(bytes);
    out
}

/// DIAL with one address, with its length in front. The library's client asks by its own timers only.
fn request(peer: PeerId, address: &Multiaddr) -> Vec<u8> {
    let info = [field(1, &peer.to_bytes()), field(2, &address.to_vec())].concat();
    let message = [vec![8, 0], field(2, &field(1, &info))].concat();
    [vec![u8::try_from(message.len()).expect("short")], message].concat()
}

/// Fails now and then: the library may choose the connection of the last dial-back, which is about to
/// be closed.
async fn ask(control: &mut Control, server: PeerId, request: &[u8]) -> Outcome<bool> {
    let mut stream = control.open_stream(server, AUTONAT).await?;
    stream.write_all(request).await?;
    stream.close().await?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await?;
    // Length, type DIAL_RESPONSE, and in the response the status OK.
    Ok(answer.get(1..4) == Some(&[8, 1, 0x1a]) && answer.get(5..7) == Some(&[8, 0]))
}

pub async fn autonat(load: Load) -> Outcome<()> {
    let to = load.server()?;
    let mut clients = vec![];
    for _ in 0..load.at_once {
        let mut swarm = node(&load, false)?;
        let address = listen(&mut swarm, load.listen.clone().ok_or("no --listen")?).await?;
        connect(&mut swarm, &to).await?;
        clients.push((request(*swarm.local_peer_id(), &address), keep(swarm)));
    }
    let (reached, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let tasks = clients.into_iter().map(|(request, mut control)| {
        let (reached, refused) = (reached.clone(), refused.clone());
        tokio::spawn(async move {
            while begin.elapsed() < load.duration {
                let is_ok = ask(&mut control, to.0, &request).await.unwrap_or(false);
                (if is_ok { &reached } else { &refused }).fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    });
    join_all(tasks.collect::<Vec<_>>()).await;
    let (reached, refused) = (reached.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    println!("result per_second={:.1} refused={refused}", reached as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}
