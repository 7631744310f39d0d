//! A webhook's receiver that takes one message.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::PATIENCE;

/// It listens from the moment that it is made.
pub(crate) struct Hook {
    address: SocketAddr,
    receiver: JoinHandle<(String, String)>,
}

impl Hook {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        Self { address, receiver: std::thread::spawn(move || take(&listener)) }
    }

    /// As the file names it.
    pub(crate) fn settings(&self) -> String {
        format!(
            "{{ url: \"http://{}/hook\", secret: \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }}",
            self.address
        )
    }

    /// The head and the body of the first message.
    pub(crate) async fn message(self) -> (String, String) {
        let taken = tokio::task::spawn_blocking(|| self.receiver.join());
        let taken = tokio::time::timeout(PATIENCE, taken).await.expect("a message in time");
        taken.expect("a task").expect("a message")
    }
}

/// Takes one message and says that it was taken.
fn take(listener: &TcpListener) -> (String, String) {
    let mut stream = BufReader::new(listener.accept().expect("a connection").0);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).expect("a line"), 0, "the sender left");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer");
    (head, String::from_utf8(body).expect("text"))
}
