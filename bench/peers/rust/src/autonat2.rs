//! AutoNAT v2 asked as fast as it is answered: the library's client asks by its own timer only.

use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use futures::{future::join_all, AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{swarm::SwarmEvent, Multiaddr, PeerId, Stream, StreamProtocol, Swarm};
use libp2p_stream::Control;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    node::{listen, node, Behaviour},
    workloads::connect,
    Load, Outcome,
};

const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
const DIAL_BACK: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");
const NONCE_WAIT: Duration = Duration::from_secs(5);
/// In a message, the end of OK and OK: field 3 (dialStatus) is 200. The index 0 is not written.
const REACHED: [u8; 3] = [0x18, 0xc8, 0x01];

struct Client {
    server: PeerId,
    address: Multiaddr,
    control: Control,
    nonces: mpsc::UnboundedReceiver<u64>,
    nonce: u64,
}

impl Client {
    async fn new(load: &Load) -> Outcome<Self> {
        let to = load.server()?;
        let mut swarm = node(load, false)?;
        let address = listen(&mut swarm, load.listen.clone().ok_or("no --listen")?).await?;
        connect(&mut swarm, &to).await?;
        let control = swarm.behaviour().stream.new_control();
        let (told, nonces) = mpsc::unbounded_channel();
        tokio::spawn(live(swarm, told));
        Ok(Self { server: to.0, address, control, nonces, nonce: 0 })
    }

    /// Message{dialRequest{addrs, nonce}}, with its length in front.
    fn request(&self) -> Vec<u8> {
        let address = self.address.to_vec();
        let short = |length: usize| u8::try_from(length).expect("short");
        let mut body = vec![0x0a, short(address.len())];
        body.extend_from_slice(&address);
        body.push(0x11);
        body.extend_from_slice(&self.nonce.to_le_bytes());
        [vec![short(body.len() + 2), 0x0a, short(body.len())], body].concat()
    }

    async fn ask(&mut self) -> Outcome<bool> {
        self.nonce += 1;
        let mut stream = self.control.open_stream(self.server, DIAL_REQUEST).await?;
        stream.write_all(&self.request()).await?;
        stream.flush().await?;
        let answer = read_message(&mut stream).await?;
        stream.close().await?;
        let nonce = timeout(NONCE_WAIT, self.nonces.recv()).await?;
        Ok(nonce == Some(self.nonce) && answer.first() == Some(&0x12) && answer.ends_with(&REACHED))
    }
}

async fn read_message(stream: &mut Stream) -> Outcome<Vec<u8>> {
    let mut length = [0; 1];
    stream.read_exact(&mut length).await?;
    let mut message = vec![0; usize::from(length[0] & 0x7f)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Runs the node; answers each dial-back, and then closes the connection that it came on.
async fn live(mut swarm: Swarm<Behaviour>, told: mpsc::UnboundedSender<u64>) -> Outcome<()> {
    let mut dial_backs = swarm.behaviour().stream.new_control().accept(DIAL_BACK)?;
    let mut inbound = VecDeque::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::ConnectionEstablished { endpoint, connection_id, .. } = event {
                    if endpoint.is_listener() {
                        inbound.push_back(connection_id);
                    }
                }
            }
            Some((_, mut stream)) = dial_backs.next() => {
                let told = told.clone();
                tokio::spawn(async move {
                    let message = read_message(&mut stream).await?;
                    stream.write_all(&[0]).await?;
                    stream.close().await?;
                    if let Some(nonce) = message.get(1..9) {
                        told.send(u64::from_le_bytes(nonce.try_into()?))?;
                    }
                    Outcome::Ok(())
                });
                // The one of this dial-back may still be in use: the one before is not.
                while inbound.len() > 1 {
                    swarm.close_connection(inbound.pop_front().ok_or("none")?);
                }
            }
        }
    }
}

pub async fn run(load: Load) -> Outcome<()> {
    let mut clients = vec![];
    for _ in 0..load.at_once {
        clients.push(Client::new(&load).await?);
    }
    let (reached, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let tasks = clients.into_iter().map(|mut client| {
        let (reached, refused) = (reached.clone(), refused.clone());
        tokio::spawn(async move {
            while begin.elapsed() < load.duration {
                let is_ok = client.ask().await.unwrap_or(false);
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
