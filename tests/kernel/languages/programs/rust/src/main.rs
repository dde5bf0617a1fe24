// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

/// Trusts one certificate, which is its own authority: webpki takes none that is both.
#[derive(Debug)]
struct Only(CertificateDer<'static>, Arc<CryptoProvider>);

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _status: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let same = *shown == self.0;
        same.then(ServerCertVerified::assertion).ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signature, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signature, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

fn open(port: u16, authority: Option<&String>) -> Box<dyn Line> {
    let socket = TcpStream::connect(("localhost", port)).unwrap();
    let Some(path) = authority else { return Box::new(socket) };
    let provider = Arc::new(ring::default_provider());
    let only = Arc::new(Only(CertificateDer::from_pem_file(path).unwrap(), provider));
    let settings = ClientConfig::builder().dangerous().with_custom_certificate_verifier(only).with_no_client_auth();
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
