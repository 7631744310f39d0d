use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::client::legacy::connect::Connection;

use super::*;
use crate::test_tls::Authority;

/// Spellings of addresses that are not public; `PORT` is where the canary listens.
const CLOSED: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.127.127.127:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://00000000000:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.1:PORT/",
    "http://017700000001:PORT/",
    "http://0000177.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://LocalHost:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::FFFF:7F00:0001]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b:1::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001::80ff:fffe]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]:PORT/",
    "http://[ff02::1]:PORT/",
    "http://169.254.169.254:PORT/",
    "http://169.254.43518:PORT/",
    "http://169.16689662:PORT/",
    "http://2852039166:PORT/",
    "http://0xa9fea9fe:PORT/",
    "http://0xa9.0xfe.0xa9.0xfe:PORT/",
    "http://0251.0376.0251.0376:PORT/",
    "http://025177524776:PORT/",
    "http://[::ffff:169.254.169.254]:PORT/",
    "http://[::ffff:a9fe:a9fe]:PORT/",
    "http://169.254.170.2:PORT/",
    "http://100.100.100.200:PORT/",
    "http://100.64.0.1:PORT/",
    "http://10.0.0.1:PORT/",
    "http://10.1:PORT/",
    "http://172.16.0.1:PORT/",
    "http://192.168.1.1:PORT/",
    "http://192.168.257:PORT/",
    "http://192.0.0.192:PORT/",
    "http://198.18.0.1:PORT/",
    "http://224.0.0.1:PORT/",
    "http://240.0.0.1:PORT/",
    "http://255.255.255.255:PORT/",
    "http://4294967295:PORT/",
    "https://127.0.0.1:PORT/",
    "https://[::1]:PORT/",
    "http://good@127.0.0.1:PORT/",
    "http://good.example:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@good.example/",
    "http://127.0.0.1:PORT?@good.example/",
    "http://127.0.0.1:PORT/../good.example",
];

/// What is no URL that leads anywhere: another scheme, no host, or not to be read at all.
const NO_TARGET: &[&str] = &[
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "ws://127.0.0.1:PORT/",
    "data:text/plain,x",
    "http+unix://127.0.0.1:PORT/",
    "127.0.0.1:PORT",
    "//127.0.0.1:PORT/",
    "/127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:127.0.0.1:PORT",
    "http:///127.0.0.1:PORT/",
    "ht\ttp://127.0.0.1:PORT/",
    "http://127.0.0.1\n:PORT/",
    "http://127.0.0.1%00:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127.0\u{ad}.0.1:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[::1:PORT/",
    "http://@:PORT/",
];

#[tokio::test]
async fn no_spelling_of_a_closed_address_reaches_a_canary() {
    let canaries = Canaries::new();
    for url in CLOSED {
        assert_eq!(canaries.try_url(Trust::Filtered, Resolver::System, url).await, "blocked", "{url}");
        assert_eq!(canaries.connections(), 0, "{url}");
    }
}

#[tokio::test]
async fn what_is_no_http_url_leads_nowhere() {
    let canaries = Canaries::new();
    for url in NO_TARGET {
        for trust in [Trust::Filtered, Trust::Operator] {
            let end = canaries.try_url(trust, Resolver::Fixed(|_| Vec::new()), url).await;
            assert!(["target", "no url", "dns"].contains(&end.as_str()), "{url}: {end}");
            assert_eq!(canaries.connections(), 0, "{url}");
        }
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_closed_address_is_blocked() {
    let canaries = Canaries::new();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "fd00::1", "169.254.169.254"] {
        for url in ["http://evil.example:PORT/", "https://evil.example.:PORT/"] {
            let resolver = Resolver::Fixed(match address {
                "127.0.0.1" => |_| ips(&["127.0.0.1"]),
                "::1" => |_| ips(&["::1"]),
                "::ffff:127.0.0.1" => |_| ips(&["::ffff:127.0.0.1"]),
                "10.0.0.1" => |_| ips(&["10.0.0.1"]),
                "fd00::1" => |_| ips(&["fd00::1"]),
                _ => |_| ips(&["169.254.169.254"]),
            });
            assert_eq!(canaries.try_url(Trust::Filtered, resolver, url).await, "blocked", "{address}");
            assert_eq!(canaries.connections(), 0, "{address}");
        }
    }
}

#[tokio::test]
async fn the_operator_reaches_the_canary_but_no_metadata_service() {
    let canaries = Canaries::new();
    let mut reached = 0;
    for url in
        ["http://127.0.0.1:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://localhost:PORT/"]
    {
        assert_eq!(canaries.try_url(Trust::Operator, Resolver::System, url).await, "connected", "{url}");
        reached += 1;
    }
    assert_eq!(canaries.connections(), reached);
    for url in [
        "http://169.254.169.254/",
        "http://0xa9fea9fe/",
        "http://[::ffff:a9fe:a9fe]/",
        "https://100.100.100.200/",
    ] {
        assert_eq!(canaries.try_url(Trust::Operator, Resolver::System, url).await, "blocked", "{url}");
    }
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_open_is_left() {
    let dialer =
        dialer(Trust::Filtered, |_| ips(&["127.0.0.1", "1.1.1.1", "10.0.0.1", "2606:4700::1", "::1"]));
    let addresses = dialer.resolve("mixed.example", 443, Trust::Filtered).await.unwrap();
    assert_eq!(shown(&addresses), "1.1.1.1:443 [2606:4700::1]:443");
}

#[tokio::test]
async fn a_name_is_looked_up_once_per_connection() {
    static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);
    let rebinding = Resolver::Fixed(|_| {
        ips(if LOOK_UPS.fetch_add(1, Ordering::Relaxed) == 0 { &["127.0.0.1"] } else { &["10.0.0.1"] })
    });
    let canaries = Canaries::new();
    assert_eq!(
        canaries.try_url(Trust::Operator, rebinding, "http://rebind.example:PORT/").await,
        "connected"
    );
    assert_eq!((LOOK_UPS.load(Ordering::Relaxed), canaries.connections()), (1, 1));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let canaries = Canaries::new();
    let resolver = Resolver::Fixed(|_| ips(&["127.0.0.2", "127.0.0.3", "127.0.0.1"]));
    assert_eq!(canaries.try_url(Trust::Operator, resolver, "http://many.example:PORT/").await, "connected");
    assert_eq!(canaries.connections(), 1);
}

#[tokio::test]
async fn a_closed_port_is_a_refusal_and_no_address_is_a_failed_look_up() {
    let canaries = Canaries::new();
    let refused = Resolver::Fixed(|_| ips(&["127.0.0.2", "127.0.0.3"]));
    assert_eq!(canaries.try_url(Trust::Operator, refused, "http://closed.example:PORT/").await, "refused");
    let nothing = Resolver::Fixed(|_| Vec::new());
    assert_eq!(canaries.try_url(Trust::Operator, nothing, "http://none.example:PORT/").await, "dns");
}

#[tokio::test(start_paused = true)]
async fn a_slow_address_gets_company_and_the_first_to_answer_wins() {
    assert_eq!(race(&[("1.1.1.1", Ok(100)), ("2.2.2.2", Ok(1))]).await, "1.1.1.1 after 100 ms");
    assert_eq!(race(&[("1.1.1.1", Ok(9000)), ("2.2.2.2", Ok(10))]).await, "2.2.2.2 after 260 ms");
    assert_eq!(race(&[("1.1.1.1", Ok(300)), ("2.2.2.2", Ok(100))]).await, "1.1.1.1 after 300 ms");
}

#[tokio::test(start_paused = true)]
async fn a_failed_address_is_followed_at_once_and_the_last_failure_is_told() {
    assert_eq!(race(&[("1.1.1.1", Err(10)), ("2.2.2.2", Ok(10))]).await, "2.2.2.2 after 20 ms");
    assert_eq!(race(&[("1.1.1.1", Err(300)), ("2.2.2.2", Err(10))]).await, "connection refused after 300 ms");
    assert_eq!(race(&[]).await, "address not available after 0 ms");
}

#[tokio::test]
async fn a_connection_has_no_delay_and_is_probed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = open(listener.local_addr().unwrap()).await.unwrap();
    assert!(tcp.nodelay().unwrap() && sockopt::socket_keepalive(&tcp).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&tcp).unwrap(), Duration::from_secs(60));
    assert_eq!(sockopt::tcp_keepintvl(&tcp).unwrap(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_the_handshake_times_out() {
    let canaries = Canaries::new();
    let start = tokio::time::Instant::now();
    let end = canaries.try_url(Trust::Operator, Resolver::System, "https://127.0.0.1:PORT/").await;
    assert_eq!((end.as_str(), start.elapsed()), ("connect_timeout", Duration::from_secs(5)));
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let mut parts = parts(Trust::Operator);
    parts.extra_ca_pem = Some(authority.pem());
    let (port, server) = authority.serve_once(&[b"h2", b"http/1.1"]);
    let stream = call(parts, Resolver::System, &format!("https://localhost:{port}/")).await.unwrap();
    assert!(stream.connected().is_negotiated_h2());
    drop(stream);
    server.join().unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_a_tls_error() {
    let (port, server) = Authority::new().serve_once(&[]);
    let error = call(parts(Trust::Operator), Resolver::System, &format!("https://localhost:{port}/")).await;
    assert_eq!(error.unwrap_err().kind(), SendErrorKind::Tls);
    server.join().unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_error() {
    let authority = Authority::new();
    let mut parts = parts(Trust::Operator);
    parts.extra_ca_pem = Some(authority.pem());
    let (port, server) = authority.serve_once(&[]);
    let resolver = Resolver::Fixed(|_| ips(&["127.0.0.1"]));
    let error = call(parts, resolver, &format!("https://other.example:{port}/")).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Tls);
    server.join().unwrap();
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    for pem in [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut parts = parts(Trust::Operator);
        parts.extra_ca_pem = Some(pem.to_vec());
        assert!(matches!(Connector::new(parts).unwrap_err(), ClientError::ExtraCa(_)));
    }
}

#[tokio::test]
async fn a_proxy_is_not_asked_for_what_is_closed() {
    let canaries = Canaries::new();
    let proxy = format!("http://127.0.0.1:{}", canaries.port);
    for (trust, url) in [
        (Trust::Operator, "http://169.254.169.254/"),
        (Trust::Operator, "https://0xa9fea9fe/"),
        (Trust::Operator, "http://0xa9.254.43518/"),
        (Trust::Operator, "https://[::ffff:a9fe:a9fe]/"),
        (Trust::Operator, "http://Metadata.Google.Internal/"),
        (Trust::Filtered, "http://10.0.0.1/"),
        (Trust::Filtered, "https://192.168.1.1/"),
    ] {
        let mut parts = parts(trust);
        parts.proxy = Some(ProxyConfig::new(&proxy).unwrap());
        let error = call(parts, Resolver::System, url).await.unwrap_err();
        assert_eq!((error.kind(), canaries.connections()), (SendErrorKind::Blocked, 0), "{url}");
    }
}

#[tokio::test]
async fn a_filtered_url_asks_the_proxy_for_the_checked_address() {
    let dialer = dialer(Trust::Filtered, |_| ips(&["10.0.0.1", "1.1.1.1"]));
    for url in ["http://public.example/", "https://public.example/"] {
        let target = Target::read(&url.parse().unwrap()).unwrap();
        let authority = dialer.authority_for_proxy(&target).await.unwrap().unwrap();
        assert_eq!(authority, format!("1.1.1.1:{}", target.port));
    }
}

#[test]
fn old_spellings_of_addresses_are_known_as_numbers() {
    for host in ["127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "0x7f.1", "1.0x", "0177.1.", "[::1]"]
    {
        assert!(is_numeric(host), "{host}");
    }
    for host in ["example.com", "1.example", "0x7g", "x1", ""] {
        assert!(!is_numeric(host), "{host}");
    }
}

#[test]
fn address_families_take_turns() {
    let turns = |addresses: &[&str]| {
        let mut addresses: Vec<_> = ips(addresses).into_iter().map(|ip| SocketAddr::new(ip, 1)).collect();
        take_turns(&mut addresses);
        shown(&addresses)
    };
    assert_eq!(turns(&["::1", "::2", "::3", "1.1.1.1"]), "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
    assert_eq!(turns(&["1.1.1.1", "::1", "::2"]), "1.1.1.1:1 [::1]:1 [::2]:1");
    assert_eq!(turns(&["1.1.1.1", "2.2.2.2"]), "1.1.1.1:1 2.2.2.2:1");
    assert_eq!(turns(&[]), "");
}

/// Listeners on loopback that must see no connection.
struct Canaries {
    port: u16,
    listeners: Vec<TcpListener>,
}

impl Canaries {
    fn new() -> Self {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = v4.local_addr().unwrap().port();
        let mut listeners = vec![v4];
        // Not every machine has IPv6.
        listeners.extend(TcpListener::bind(("::1", port)));
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
        }
        Self { port, listeners }
    }

    /// Connects, and says how it ended.
    async fn try_url(&self, trust: Trust, resolver: Resolver, url: &str) -> String {
        let url = url.replace("PORT", &self.port.to_string());
        if url.parse::<Uri>().is_err() {
            return "no url".to_owned();
        }
        match call(parts(trust), resolver, &url).await {
            Ok(_) => "connected".to_owned(),
            Err(error) => error.kind().as_str().to_owned(),
        }
    }

    /// How many connections came in since the last look.
    fn connections(&self) -> usize {
        self.listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).sum()
    }
}

async fn call(parts: ConnectorParts, resolver: Resolver, url: &str) -> Result<EgressStream, SendError> {
    Connector::with_resolver(parts, resolver).unwrap().call(url.parse().unwrap()).await
}

fn parts(trust: Trust) -> ConnectorParts {
    ConnectorParts { trust, connect_timeout: Duration::from_secs(5), extra_ca_pem: None, proxy: None }
}

/// Tries addresses that connect or fail after so many milliseconds; says how it ended, and when.
async fn race(addresses: &[(&str, Result<u64, u64>)]) -> String {
    let start = tokio::time::Instant::now();
    let sockets = addresses.iter().map(|(ip, _)| SocketAddr::new(ip.parse().unwrap(), 1)).collect();
    let end = first_of(sockets, async |address: SocketAddr| {
        let (_, end) = addresses.iter().find(|(ip, _)| *ip == address.ip().to_string()).unwrap();
        let (Ok(ms) | Err(ms)) = *end;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        end.map(|_| address.ip().to_string()).map_err(|_ms| io::ErrorKind::ConnectionRefused.into())
    });
    let end = end.await.unwrap_or_else(|error| error.kind().to_string());
    format!("{end} after {} ms", start.elapsed().as_millis())
}

fn dialer(trust: Trust, answer: fn(&str) -> Vec<IpAddr>) -> Dialer {
    Dialer { trust, proxy: None, resolver: Resolver::Fixed(answer) }
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn shown(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
}
