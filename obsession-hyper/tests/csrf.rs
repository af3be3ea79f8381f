//! Which requests a site's own pages made: the table of `CsrfGuard`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use http::Request;
use obsession_hyper::{CsrfGuard, Verdict};

fn verdict(method: &str, uri: &str, headers: &[(&str, &str)]) -> Verdict {
    let guard = CsrfGuard::new().trust("https://shop.example");
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard.check(&request.body(()).unwrap())
}

const HOST: (&str, &str) = ("host", "example.org");
const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");

#[test]
fn safe_methods_pass_and_all_others_are_looked_at() {
    let evil = [HOST, ("origin", "https://evil.example"), CROSS];
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(verdict(method, "/", &evil), Verdict::Pass, "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "MAGIC"] {
        assert_eq!(verdict(method, "/", &evil), Verdict::Refuse, "{method}");
    }
}

/// Nothing else keeps another site's page from a WebSocket that has its visitor's cookie.
#[test]
fn a_get_that_asks_for_a_websocket_is_looked_at() {
    let upgrade = ("upgrade", "websocket");
    for (origin, expected) in [
        ("https://evil.example", Verdict::Refuse),
        ("null", Verdict::Refuse),
        ("https://example.org", Verdict::Pass),
        ("https://shop.example", Verdict::Pass),
    ] {
        let headers = [HOST, upgrade, ("origin", origin)];
        assert_eq!(verdict("GET", "/", &headers), expected, "{origin}");
    }
    assert_eq!(verdict("GET", "/", &[HOST, upgrade]), Verdict::AskToken);
    for protocols in ["websocket", "WebSocket", "h2c, websocket", "h2c,websocket"] {
        let cross = [HOST, ("upgrade", protocols), CROSS];
        assert_eq!(verdict("GET", "/", &cross), Verdict::Refuse, "{protocols}");
    }
    let lines = [HOST, ("upgrade", "h2c"), upgrade, CROSS];
    assert_eq!(verdict("GET", "/", &lines), Verdict::Refuse);
    // Of another protocol, as programs offer it that speak HTTP/2.
    let other = [HOST, ("upgrade", "h2c"), CROSS];
    assert_eq!(verdict("GET", "/", &other), Verdict::Pass);
}

#[test]
fn where_a_request_comes_from_decides() {
    use Verdict::{AskToken, Pass, Refuse};
    let site = |site| ("sec-fetch-site", site);
    let origin = |origin| ("origin", origin);
    for (headers, expected) in [
        (vec![site("same-origin")], Pass),
        (vec![site("none")], Pass),
        (vec![site("same-site")], Refuse),
        (vec![site("cross-site")], Refuse),
        (vec![site("")], Refuse),
        (vec![site("Same-Origin")], Refuse),
        (vec![site("same-origin"), site("cross-site")], Refuse),
        (vec![site("same-origin"), site("same-origin")], Refuse),
        // What the browser says of the site goes before the comparison of hosts.
        (
            vec![site("cross-site"), origin("https://example.org")],
            Refuse,
        ),
        (vec![origin("https://example.org")], Pass),
        (vec![origin("http://EXAMPLE.org")], Pass),
        (vec![origin("https://example.org:8443")], Refuse),
        (vec![origin("https://evil.example")], Refuse),
        (vec![origin("https://example.org.evil.example")], Refuse),
        (
            vec![origin("https://evil.example/https://example.org")],
            Refuse,
        ),
        (vec![origin("null")], Refuse),
        (vec![origin("")], Refuse),
        (vec![origin("example.org")], Refuse),
        (
            vec![
                origin("https://example.org"),
                origin("https://evil.example"),
            ],
            Refuse,
        ),
        // Trusted by name, from wherever the browser says that it comes.
        (
            vec![origin("https://shop.example"), site("cross-site")],
            Pass,
        ),
        (vec![origin("https://shop.example")], Pass),
        (vec![origin("http://shop.example")], Refuse),
        (vec![], AskToken),
    ] {
        let mut with_host = headers.clone();
        with_host.push(HOST);
        assert_eq!(verdict("POST", "/", &with_host), expected, "{headers:?}");
        // HTTP/2 has the host in the target.
        let uri = "https://example.org/";
        assert_eq!(verdict("POST", uri, &headers), expected, "{headers:?}");
    }
}

#[test]
fn without_a_host_no_origin_is_its_own() {
    let origin = ("origin", "https://example.org");
    assert_eq!(verdict("POST", "/", &[origin]), Verdict::Refuse);
    assert_eq!(verdict("POST", "/", &[origin, HOST, HOST]), Verdict::Refuse);
}
