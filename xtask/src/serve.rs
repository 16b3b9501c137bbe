//! A static server for `dist/`: std only, on 127.0.0.1 only, reading only.
//!
//! It sends the page's own Content-Security-Policy as a header (taken from its meta tag, so there is one source), since
//! a worker obeys the header of its own script and not the page's tag, and COOP/COEP, so that the page is isolated.

use crate::args::Args;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const FIRST_PORT: u16 = 8080;
const MAX_HEAD: u64 = 16 * 1024; // bytes of request line and headers; a browser sends about one KiB
const IDLE: Duration = Duration::from_secs(30);
/// For a page that brings no policy of its own.
const DEFAULT_CSP: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; \
    worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'";

/// `cargo xtask serve`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let dir = args.value("--dir")?.map_or_else(|| shell::root().join("dist"), PathBuf::from);
    let port = args.number("--port")?;
    args.finish()?;
    let server = Server::bind(&dir, port)?;
    println!("serving {} on {}", dir.display(), server.address());
    server.serve_forever()
}

/// A bound server; it answers once `serve_forever` or `spawn` is called.
pub(crate) struct Server {
    listener: TcpListener,
    site: Arc<Site>,
    port: u16,
}

struct Site {
    root: PathBuf,
}

impl Server {
    /// Binds `port`, or the first free one from 8080. Port 0 lets the system choose.
    pub(crate) fn bind(dir: &Path, port: Option<u16>) -> Result<Self> {
        let root = dir.canonicalize().with_context(|| {
            format!("there is no folder to serve (build the page with `cargo xtask web`): {}", dir.display())
        })?;
        let listener = match port {
            Some(port) => listen(port)?,
            None => (FIRST_PORT..FIRST_PORT + 100)
                .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .context("no free port of 127.0.0.1 between 8080 and 8179; choose one with --port")?,
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, site: Arc::new(Site { root }), port })
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers until the process ends.
    pub(crate) fn serve_forever(self) -> Result<()> {
        for stream in self.listener.incoming() {
            let Ok(stream) = stream else { continue };
            let site = Arc::clone(&self.site);
            // A visitor who goes away in the middle is no error of ours.
            std::thread::spawn(move || drop(site.talk(stream)));
        }
        bail!("the server's socket closed")
    }

    /// Answers in a thread, for the tests that run in this process.
    pub(crate) fn spawn(self) {
        std::thread::spawn(move || drop(self.serve_forever()));
    }
}

/// Takes a port of this machine, of which the outside sees nothing.
pub(crate) fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("port {port} of 127.0.0.1 is not free"))
}

/// What we read of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    close: bool,
}

impl Site {
    fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader)? {
            self.answer(&mut stream, &request)?;
            if request.close {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, to: &mut TcpStream, request: &Request) -> std::io::Result<()> {
        let body = request.method == "GET";
        if !body && request.method != "HEAD" {
            return self.plain(to, "405 Method Not Allowed", "this server only reads\n", true);
        }
        let Some(path) = self.locate(&request.path) else {
            return self.plain(to, "404 Not Found", "no such file\n", body);
        };
        let mut file = File::open(&path)?;
        let len = file.metadata()?.len();
        let mut head = self.common_headers();
        head.push_str(&format!("Content-Type: {}\r\nAccept-Ranges: bytes\r\n", mime(&path)));
        let (status, start, count) = match request.range.as_deref().map(|range| parse_range(range, len)) {
            None | Some(Range::Whole) => ("200 OK", 0, len),
            Some(Range::Part(start, end)) => {
                head.push_str(&format!("Content-Range: bytes {start}-{end}/{len}\r\n"));
                ("206 Partial Content", start, end - start + 1)
            }
            Some(Range::Unsatisfiable) => {
                head.push_str(&format!("Content-Range: bytes */{len}\r\n"));
                ("416 Range Not Satisfiable", 0, 0)
            }
        };
        write!(to, "HTTP/1.1 {status}\r\n{head}Content-Length: {count}\r\n\r\n")?;
        if body {
            file.seek(SeekFrom::Start(start))?;
            std::io::copy(&mut file.take(count), to)?;
        }
        to.flush()
    }

    fn plain(&self, to: &mut TcpStream, status: &str, text: &str, body: bool) -> std::io::Result<()> {
        let head = self.common_headers();
        let (len, text) = (text.len(), if body { text } else { "" });
        write!(
            to,
            "HTTP/1.1 {status}\r\n{head}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len}\r\n\r\n{text}"
        )?;
        to.flush()
    }

    /// Read anew each time: during development the page is rebuilt under a running server.
    fn common_headers(&self) -> String {
        let page = std::fs::read_to_string(self.root.join("index.html")).unwrap_or_default();
        let policy = policy_of(&page).unwrap_or_else(|| DEFAULT_CSP.to_owned());
        format!(
            "Content-Security-Policy: {policy}; frame-ancestors 'none'\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\nCache-Control: no-cache\r\n"
        )
    }

    /// The file for a path, only if it lies inside the folder also after links are followed.
    fn locate(&self, path: &str) -> Option<PathBuf> {
        let relative = clean_path(path)?;
        let mut full = self.root.join(relative);
        if full.is_dir() {
            full.push("index.html");
        }
        let full = full.canonicalize().ok()?;
        (full.starts_with(&self.root) && full.is_file()).then_some(full)
    }
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut head = reader.take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        range: None,
        close: words.next() != Some("HTTP/1.1"),
    };
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            return Ok(None); // cut off, or longer than any honest request
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "connection" if value.trim().eq_ignore_ascii_case("close") => request.close = true,
            _ => {}
        }
    }
    Ok(Some(request))
}

/// Percent-decodes a request path into a relative one; `None` for anything that could lead outside.
fn clean_path(path: &str) -> Option<PathBuf> {
    let path = path.split(['?', '#']).next()?;
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    let decoded = String::from_utf8(decoded).ok()?;
    if !decoded.starts_with('/') || decoded.contains(['\\', '\0', ':']) {
        return None;
    }
    let parts: Vec<_> = decoded.split('/').filter(|part| !part.is_empty()).collect();
    (!parts.iter().any(|part| part.starts_with('.'))).then(|| parts.iter().collect())
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    Unsatisfiable,
}

/// One `bytes=a-b`, `a-` or `-n`; several ranges, or nonsense, are answered by the whole file, as HTTP allows.
fn parse_range(text: &str, len: u64) -> Range {
    let Some(spec) = text.strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else { return Range::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Range::Whole };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && first < len => Range::Part(first, last.min(len - 1)),
        (Ok(first), Ok(last)) if first > last => Range::Whole,
        (Ok(first), Err(_)) if last.trim().is_empty() && first < len => Range::Part(first, len - 1),
        (Ok(_), Ok(_)) => Range::Unsatisfiable,
        (Ok(_), Err(_)) if last.trim().is_empty() => Range::Unsatisfiable,
        (Err(_), Ok(0)) if first.trim().is_empty() => Range::Unsatisfiable,
        (Err(_), Ok(count)) if first.trim().is_empty() && len > 0 => Range::Part(len - count.min(len), len - 1),
        _ => Range::Whole,
    }
}

/// The policy in the page's `<meta http-equiv="Content-Security-Policy" content="…">`.
fn policy_of(html: &str) -> Option<String> {
    let at = html.find("Content-Security-Policy")?;
    let tag_start = html[..at].rfind('<')?;
    let tag = &html[tag_start..];
    let content = tag.find("content=\"")? + "content=\"".len();
    let policy = &tag[content..content + tag[content..].find('"')?];
    // A header is one line; the tag may be laid out over several.
    Some(policy.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches(';').to_owned())
}

fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "txt" | "toml" | "md" | "wgsl" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let good = |path: &str, expected: &str| assert_eq!(clean_path(path), Some(PathBuf::from(expected)), "{path}");
        good("/", "");
        good("/a/b.js?v=1#x", "a/b.js");
        good("//a//b%20c.js", "a/b c.js");
        for bad in ["/../x", "/a/../../x", "/%2e%2e/x", "/..%2fx", "/a/%5c..", "x", "/a%00", "/%zz", "/.git/config"] {
            assert_eq!(clean_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges() {
        let check =
            |text: &str, len: u64, expected: Range| assert_eq!(parse_range(text, len), expected, "{text} {len}");
        check("bytes=0-99", 1000, Range::Part(0, 99));
        check("bytes=990-2000", 1000, Range::Part(990, 999));
        check("bytes=10-", 1000, Range::Part(10, 999));
        check("bytes=-10", 1000, Range::Part(990, 999));
        check("bytes=-2000", 1000, Range::Part(0, 999));
        check("bytes=1000-", 1000, Range::Unsatisfiable);
        check("bytes=1000-1001", 1000, Range::Unsatisfiable);
        check("bytes=-0", 1000, Range::Unsatisfiable);
        check("bytes=5-2", 1000, Range::Whole);
        check("bytes=0-1,4-5", 1000, Range::Whole);
        check("lines=0-1", 1000, Range::Whole);
        check("bytes=0-0", 0, Range::Unsatisfiable);
    }

    #[test]
    fn the_policy_comes_from_the_page() {
        let html = "<head><meta\n http-equiv=\"Content-Security-Policy\"\n content=\"default-src 'none';\n   script-src 'self';\"></head>";
        assert_eq!(policy_of(html).as_deref(), Some("default-src 'none'; script-src 'self'"));
        assert_eq!(policy_of("<head></head>"), None);
    }

    /// Talks to a real server over a real socket.
    #[test]
    fn serves_files_with_headers() {
        let dir = std::env::temp_dir().join(format!("lab-serve-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("index.html"), "<p>hello</p>").unwrap();
        std::fs::write(dir.join("sub/a.wasm"), b"0123456789").unwrap();
        let server = Server::bind(&dir, Some(0)).unwrap();
        let port = server.port;
        server.spawn();
        let ask = |text: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let page = ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n<p>hello</p>"), "{page}");
        assert!(page.contains("Content-Security-Policy: default-src 'self'"), "{page}");
        assert!(page.contains("Cross-Origin-Embedder-Policy: require-corp"), "{page}");
        let part = ask("GET /sub/a.wasm HTTP/1.1\r\nRange: bytes=2-4\r\nConnection: close\r\n\r\n");
        assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n234"), "{part}");
        assert!(part.contains("application/wasm") && part.contains("bytes 2-4/10"), "{part}");
        let head = ask("HEAD /sub/a.wasm HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(head.ends_with("Content-Length: 10\r\n\r\n"), "{head}");
        // Two requests on one connection.
        let two = ask("GET / HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(two.contains("200 OK") && two.contains("404 Not Found"), "{two}");
        assert!(ask("GET /../Cargo.toml HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask("POST / HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 405"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
