//! A stand-in for the hub: serves files of one repository on a local port, with faults on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The commit of every file.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the stand-in does.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// The one repository's name.
    pub(crate) name: String,
    /// From file name to content.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Answers every request with this status.
    pub(crate) status: Option<u16>,
    /// Wants this token.
    pub(crate) token: Option<String>,
    /// Closes the connection in the middle of this file.
    pub(crate) cut: Option<String>,
    /// Answers a request for the rest of a file with the whole file.
    pub(crate) ignores_ranges: bool,
    /// The request lines so far.
    pub(crate) requests: Vec<String>,
}

/// A running stand-in; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let behaviour = Arc::new(Mutex::new(behaviour));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away is no fault of the test.
                let _ = answer(stream, &mut shared.lock().unwrap());
            }
        });
        Self { endpoint, behaviour }
    }

    /// The files asked for since the last call, without the requests for the index.
    pub(crate) fn take_files(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.behaviour.lock().unwrap().requests);
        let mut files: Vec<String> = requests
            .iter()
            .filter_map(|path| path.split_once("/resolve/main/"))
            .map(|(_, file)| file.to_owned())
            .collect();
        files.dedup();
        files
    }
}

fn answer(mut stream: TcpStream, behaviour: &mut Behaviour) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let (mut range, mut token) = (None, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.strip_prefix("bytes=").map(str::to_owned),
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    behaviour.requests.push(path.clone());
    if let Some(status) = behaviour.status {
        return reply(&mut stream, status, &[], b"", 0);
    }
    if behaviour.token.is_some() && behaviour.token != token {
        return reply(&mut stream, 401, &[], b"", 0);
    }
    if path == format!("/api/models/{}/revision/main", behaviour.name) {
        let siblings: Vec<_> =
            behaviour.files.keys().map(|file| serde_json::json!({"rfilename": file})).collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string();
        return reply(
            &mut stream,
            200,
            &["Content-Type: application/json".into()],
            body.as_bytes(),
            body.len(),
        );
    }
    let file = path.strip_prefix(&format!("/{}/resolve/main/", behaviour.name)).unwrap_or("");
    let Some(content) = behaviour.files.get(file) else {
        return reply(&mut stream, 404, &[], b"", 0);
    };
    let (start, end) = range.as_deref().and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let asks_size = end == "0";
    let mut start: usize = start.parse().unwrap();
    if behaviour.ignores_ranges && !asks_size {
        start = 0;
    }
    let end = end.parse().map_or(content.len(), |end: usize| (end + 1).min(content.len()));
    let body = &content[start..end];
    let headers = [
        format!("ETag: \"etag-of-{}\"", file.replace(['.', '/'], "-")),
        format!("X-Repo-Commit: {COMMIT}"),
        format!("Content-Range: bytes {start}-{}/{}", end.saturating_sub(1), content.len()),
    ];
    let sent =
        if behaviour.cut.as_deref() == Some(file) && !asks_size { &body[..body.len() / 2] } else { body };
    reply(&mut stream, 206, &headers, sent, body.len())
}

fn reply(
    stream: &mut TcpStream,
    status: u16,
    headers: &[String],
    body: &[u8],
    announced: usize,
) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Status\r\nContent-Length: {announced}\r\nConnection: close\r\n")?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(body)?;
    stream.flush()
}
