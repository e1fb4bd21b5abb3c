//! The echo protocol of ../README.md, both sides.

use std::{error::Error, io, time::Instant};

use futures::{
    future::{join_all, try_join},
    AsyncReadExt, AsyncWriteExt, StreamExt,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use serde_json::{json, Value};
use tokio::time::{timeout, Duration};

pub const PROTOCOL: &str = "/pyrsia-test/echo/1.0.0";
const PATTERN_BYTES: usize = 65521;
const ECHO_TIMEOUT: Duration = Duration::from_secs(180);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Adler32(u32, u32);

impl Adler32 {
    fn update(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(5552) {
            for byte in part {
                self.0 += u32::from(*byte);
                self.1 += self.0;
            }
            self.0 %= 65521;
            self.1 %= 65521;
        }
    }

    fn value(&self) -> u32 {
        self.1 << 16 | self.0
    }
}

fn pattern() -> Vec<u8> {
    let mut x: u32 = 2463534242;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 24) as u8
    };
    (0..PATTERN_BYTES).map(|_| next()).collect()
}

pub async fn serve_all(mut incoming: IncomingStreams) {
    while let Some((peer, stream)) = incoming.next().await {
        tokio::spawn(serve(peer, stream));
    }
}

pub async fn serve(peer: PeerId, stream: Stream) {
    let mut count = 0;
    let served = timeout(ECHO_TIMEOUT, serve_one(stream, &mut count)).await;
    let peer = peer.to_string();
    let line = match served.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(sum) => json!({"event": "served", "peer": peer, "bytes": count, "sum": sum}),
        Err(e) => json!({"event": "stream_failed", "peer": peer, "bytes": count,
            "reset": e.kind() == io::ErrorKind::ConnectionReset || e.kind() == io::ErrorKind::BrokenPipe,
            "error": e.to_string()}),
    };
    println!("{line}");
}

async fn serve_one(mut stream: Stream, count: &mut u64) -> io::Result<u32> {
    let mut sum = Adler32(1, 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            stream.close().await?;
            return Ok(sum.value());
        }
        *count += n as u64;
        sum.update(&buffer[..n]);
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn echo_on(stream: Stream, bytes: u64) -> Outcome<u32> {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let data = pattern();
        let mut sent = Adler32(1, 0);
        let mut left = bytes as usize;
        while left > 0 {
            let part = &data[..left.min(PATTERN_BYTES)];
            sent.update(part);
            writer.write_all(part).await?;
            left -= part.len();
        }
        writer.close().await?; // The write half.
        io::Result::Ok(sent.value())
    };
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        let mut got = Adler32(1, 0);
        let mut count = 0;
        loop {
            let n = reader.read(&mut buffer).await?;
            if n == 0 {
                return io::Result::Ok((count, got.value()));
            }
            count += n as u64;
            got.update(&buffer[..n]);
        }
    };
    let (sent, (count, got)) = timeout(ECHO_TIMEOUT, try_join(write, read)).await??;
    if count != bytes || sent != got {
        return Err(format!("sent {bytes} ({sent:08x}), got back {count} ({got:08x})").into());
    }
    Ok(got)
}

async fn open(control: &mut Control, peer: PeerId) -> Outcome<Stream> {
    Ok(control.open_stream(peer, StreamProtocol::new(PROTOCOL)).await?)
}

pub async fn one(mut control: Control, peer: PeerId, bytes: u64) -> Outcome<Value> {
    let start = Instant::now();
    let sum = echo_on(open(&mut control, peer).await?, bytes).await?;
    Ok(json!({"ok": true, "bytes": bytes, "sum": sum, "seconds": start.elapsed().as_secs_f64()}))
}

/// All are open before the first is used.
pub async fn many(control: Control, peer: PeerId, count: u64) -> Outcome<Value> {
    let opening = (0..count).map(|_| {
        let mut control = control.clone();
        async move { open(&mut control, peer).await }
    });
    let opened = join_all(opening).await.into_iter().collect::<Outcome<Vec<_>>>()?;
    let running = opened.into_iter().enumerate().map(|(i, s)| echo_on(s, 1000 + i as u64));
    for outcome in join_all(running).await {
        outcome?;
    }
    Ok(json!({"ok": true, "count": count}))
}

/// Dropping a stream that is not closed resets it.
pub async fn reset(mut control: Control, peer: PeerId) -> Outcome<Value> {
    let mut stream = open(&mut control, peer).await?;
    let mut buffer = [0; 1000];
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    stream.read_exact(&mut buffer).await?;
    drop(stream);
    Ok(json!({"ok": true}))
}
