//! A certificate authority made for one test, and a server with a certificate of it.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server's side of a TLS connection.
pub(crate) type ServerStream = StreamOwned<ServerConnection, TcpStream>;

/// An authority that no machine knows.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// Takes the server's side of the handshake for `localhost` and `secure.example`, without waiting for the client.
    pub(crate) fn accept(&self, tcp: TcpStream, alpn: &[&[u8]]) -> ServerStream {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost", "secure.example"].map(str::to_owned)).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp)
    }

    /// A server for one connection, which ends when the client leaves or the handshake fails.
    pub(crate) fn serve_once(self, alpn: &'static [&'static [u8]]) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut stream = self.accept(listener.accept().unwrap().0, alpn);
            // How it ends is the client's to check.
            let _end = stream.read_to_end(&mut Vec::new());
        });
        (port, server)
    }
}
