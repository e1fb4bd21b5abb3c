//! One GET of `/status`, and what the original takes from the answer.

use std::error::Error;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Plain HTTP/1.1 with `Connection: close`, so that the body ends with the connection.
pub async fn first_peer_address(url: &str) -> Result<String, Box<dyn Error>> {
    let rest = url.strip_prefix("http://").ok_or("only http:// here")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let text = String::from_utf8(answer)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    let json: Value = serde_json::from_str(body)?;
    let list = json["peer_addrs"]
        .as_array()
        .ok_or("did not receive an array of peer_addrs in JSON")?;
    let first = list.first().ok_or("did not receive a valid array of peer_addrs in JSON")?;
    Ok(first.as_str().unwrap_or_default().to_owned())
}
