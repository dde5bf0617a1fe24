// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

fn open(port: u16, authority: Option<&String>) -> Box<dyn Line> {
    let socket = TcpStream::connect(("localhost", port)).unwrap();
    let Some(path) = authority else { return Box::new(socket) };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    let settings = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    Box::new(StreamOwned::new(ClientConnection::new(Arc::new(settings), name).unwrap(), socket))
}

fn hear(line: &mut Box<dyn Line>, ending: &[u8]) {
    let (mut got, mut part) = (Vec::new(), [0; 4096]);
    while !got.ends_with(ending) {
        let count = line.read(&mut part).unwrap();
        assert!(count > 0, "cut off");
        got.extend_from_slice(&part[..count]);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (_, rest) = words[1].split_once("://").unwrap();
    let (place, path) = rest.split_once('/').unwrap();
    let web = place.rsplit_once(':').unwrap().1.parse().unwrap();
    let (times, redis): (u32, u16) = (words[2].parse().unwrap(), words[3].parse().unwrap());
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut line = open(web, words.get(4));
    for _ in 0..times {
        write!(line, "GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        line.flush().unwrap();
        hear(&mut line, b"hello");
    }
    let mut line = open(redis, words.get(4));
    for _ in 0..times {
        line.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
        line.flush().unwrap();
        hear(&mut line, b"+PONG\r\n");
    }
}
