//! The server: counts bytes, tells of itself, identifies, dials back.

use std::{
    fs,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{swarm::SwarmEvent, Stream};

use crate::{
    node::{is_identified, listen, node, SINK, SOURCE, STATS},
    Load, Outcome,
};

const READ_BYTES: usize = 256 << 10;
const PAGE_BYTES: u64 = 4096;
const TICKS_PER_SECOND: f64 = 100.0;

extern "C" {
    fn malloc_trim(pad: usize) -> i32;
}

async fn sink(mut stream: Stream) -> Outcome<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut total = 0u64;
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        total += count as u64;
    }
    stream.write_all(&total.to_le_bytes()).await?;
    Ok(stream.close().await?)
}

/// Writes for as many milliseconds as it is told.
async fn source(mut stream: Stream) -> Outcome<()> {
    let mut request = [0; 8];
    stream.read_exact(&mut request).await?;
    let end = Instant::now() + Duration::from_millis(u64::from_le_bytes(request));
    let block = vec![7; READ_BYTES];
    stream.write_all(&block[..1]).await?;
    stream.flush().await?;
    loop {
        stream.write_all(&block).await?;
        if Instant::now() > end {
            return Ok(stream.close().await?);
        }
    }
}

fn numbers(identified: u64) -> Outcome<String> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    unsafe { malloc_trim(0) };
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(format!("cpu={} rss={} identified={identified}\n", ticks / TICKS_PER_SECOND, pages * PAGE_BYTES))
}

pub async fn serve(load: Load) -> Outcome<()> {
    let mut swarm = node(&load, true)?;
    let bound = listen(&mut swarm, load.listen.clone().ok_or("no --listen")?).await?;
    println!("ready {bound}/p2p/{}", swarm.local_peer_id());
    let identified = Arc::new(AtomicU64::new(0));
    let mut control = swarm.behaviour().stream.new_control();
    let mut sinks = control.accept(SINK)?;
    let mut sources = control.accept(SOURCE)?;
    let mut stats = control.accept(STATS)?;
    tokio::spawn(async move {
        while let Some((_, stream)) = sources.next().await {
            tokio::spawn(source(stream));
        }
    });
    tokio::spawn(async move {
        while let Some((_, stream)) = sinks.next().await {
            tokio::spawn(sink(stream));
        }
    });
    let count = identified.clone();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = stats.next().await {
            let line = numbers(count.load(Ordering::Relaxed)).unwrap_or_default();
            let _ = stream.write_all(line.as_bytes()).await;
            let _ = stream.close().await;
        }
    });
    loop {
        if let SwarmEvent::Behaviour(event) = swarm.select_next_some().await {
            if is_identified(&event) {
                identified.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
