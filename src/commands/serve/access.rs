//! Who may look: names by which the machine is asked for, and tokens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, header};
use blake3::Hash;
use spacewright_core::hex::hex;

use crate::render::Failure;

/// Names the token, where the user has one.
const TOKEN: &str = "SPACEWRIGHT_TOKEN";
/// Shortest token of a user, in bytes.
const SHORTEST: usize = 16;
/// Keeps the token in a browser; what follows is a port, as cookies of a machine go to all of its servers.
const COOKIE: &str = "spacewright-token";
/// The port of an address that names none.
const HTTP: u16 = 80;

/// Who may look.
pub struct Access {
    /// Names besides `localhost` and numbers, in small letters.
    hosts: Vec<String>,
    token: Option<String>,
}

/// Why a request is refused, or what to answer first.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Granted,
    /// It has brought the token in its address: this cookie is to be kept in place of it.
    Remember(String),
    /// It is for another name than this machine's.
    WrongHost,
    /// It has not brought the token.
    NoToken,
}

impl Access {
    /// Listening at an address that others reach needs a token, which is made up where the user has none.
    pub fn new(ip: IpAddr, hosts: &[String]) -> Result<Self, Failure> {
        if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
            let message = format!("--host {host:?}: no browser asks for a machine by this name");
            return Err(Failure::input(message).hint(
                "write a name or a number alone, without `http://` and port, such as \
                 `--host gpu-3.example.org`",
            ));
        }
        let given = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        if given.as_ref().is_some_and(|token| !is_token(token)) {
            let message = format!(
                "{TOKEN} is no token: it needs {SHORTEST} or more letters, digits, `-` and `_`"
            );
            return Err(
                Failure::input(message).hint("without it, one is made up where it is needed")
            );
        }
        let token = match given {
            None if !ip.is_loopback() => Some(made_up()?),
            given => given,
        };
        Ok(Self { hosts: hosts.iter().map(|host| host.to_lowercase()).collect(), token })
    }

    /// The token, where one is needed.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What to do with a request of these headers and this query.
    pub fn judge(&self, headers: &HeaderMap, query: &str) -> Verdict {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // A page of somebody else may lead its own name to this machine: then the name is a strange one.
        let Some(port) = host.and_then(|host| self.port_of(host)) else {
            return Verdict::WrongHost;
        };
        let Some(token) = &self.token else { return Verdict::Granted };
        let cookie = format!("{COOKIE}-{port}");
        if brought(headers, &cookie).any(|found| equal(found, token)) {
            return Verdict::Granted;
        }
        let in_address = query.split('&').filter_map(|pair| pair.strip_prefix("token="));
        match in_address.into_iter().any(|found| equal(found, token)) {
            true => {
                Verdict::Remember(format!("{cookie}={token}; HttpOnly; SameSite=Strict; Path=/"))
            }
            false => Verdict::NoToken,
        }
    }

    /// The port at which a browser asks for this machine, which may be that of a tunnel; none where the name is not
    /// one of this machine.
    fn port_of(&self, host: &str) -> Option<u16> {
        let host = host.to_lowercase();
        if let Some(rest) = host.strip_prefix('[') {
            let (number, port) = rest.split_once(']')?;
            return number.parse::<Ipv6Addr>().ok().and_then(|_| port_number(port));
        }
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let is_known = name == "localhost"
            || name.parse::<Ipv4Addr>().is_ok()
            || self.hosts.iter().any(|known| known == name);
        if is_known { port_number(port) } else { None }
    }
}

/// The number in what follows the name of a machine.
fn port_number(text: &str) -> Option<u16> {
    if text.is_empty() {
        return Some(HTTP);
    }
    text.strip_prefix(':')?.parse().ok()
}

/// Tokens in a request's headers.
fn brought<'a>(headers: &'a HeaderMap, cookie: &'a str) -> impl Iterator<Item = &'a str> {
    let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let cookies = text(header::COOKIE).flat_map(|line| line.split(';'));
    let kept = cookies.filter_map(move |pair| pair.trim().strip_prefix(cookie)?.strip_prefix('='));
    kept.chain(text(header::AUTHORIZATION).filter_map(bearer))
}

/// The token of an authorization. Names of schemes have letters of any case: RFC 9110, section 11.1.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Hashes are compared in a time that does not tell how much of them is equal.
fn equal(a: &str, b: &str) -> bool {
    let hash = |text: &str| -> Hash { blake3::hash(text.as_bytes()) };
    hash(a) == hash(b)
}

fn is_token(text: &str) -> bool {
    text.len() >= SHORTEST && text.bytes().all(is_plain)
}

/// Whether a text can be what a browser asks for, without the port.
fn is_host(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_plain);
    text.split('.').all(is_part) || text.parse::<IpAddr>().is_ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn made_up() -> Result<String, Failure> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("no token can be made up: {error}")))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn access(token: Option<&str>) -> Access {
        Access { hosts: vec!["gpu-3.example.org".into()], token: token.map(str::to_owned) }
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let judge = |host: &str| access(None).judge(&headers(&[(header::HOST, host)]), "");
        for good in [
            "localhost",
            "localhost:7788",
            "127.0.0.1:80",
            "[::1]:80",
            "10.1.2.3",
            "GPU-3.example.org:1",
        ] {
            assert_eq!(judge(good), Verdict::Granted, "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "",
            "[::1]x",
            "[evil]",
            "localhost:x",
        ] {
            assert_eq!(judge(bad), Verdict::WrongHost, "{bad}");
        }
        assert_eq!(access(None).judge(&headers(&[]), ""), Verdict::WrongHost);
    }

    #[test]
    fn a_token_comes_in_the_address_once_and_then_in_a_cookie() {
        let access = access(Some(SECRET));
        let host = (header::HOST, "localhost");
        let judge = |more: Option<(header::HeaderName, &str)>, query: &str| {
            let pairs: Vec<_> = [Some(host.clone()), more].into_iter().flatten().collect();
            access.judge(&headers(&pairs), query)
        };
        assert_eq!(judge(None, ""), Verdict::NoToken);
        assert_eq!(judge(None, "token=0123456789abcdeX"), Verdict::NoToken);
        let Verdict::Remember(cookie) = judge(None, &format!("a=b&token={SECRET}")) else {
            panic!("the token is right")
        };
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(judge(Some((header::COOKIE, &format!("x=y; {pair}"))), ""), Verdict::Granted);
        assert_eq!(judge(Some((header::COOKIE, "spacewright-token-80=x")), ""), Verdict::NoToken);
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let bearer = format!("{scheme} {SECRET}");
            assert_eq!(judge(Some((header::AUTHORIZATION, &bearer)), ""), Verdict::Granted);
        }
        for other in [SECRET.to_owned(), format!("Basic {SECRET}"), format!("Bearer{SECRET}")] {
            assert_eq!(judge(Some((header::AUTHORIZATION, &other)), ""), Verdict::NoToken);
        }
    }

    #[test]
    fn servers_of_one_machine_keep_cookies_of_their_own() {
        let access = access(Some(SECRET));
        let name = |host: &str| {
            let query = format!("token={SECRET}");
            let Verdict::Remember(cookie) = access.judge(&headers(&[(header::HOST, host)]), &query)
            else {
                panic!("the token is right")
            };
            cookie.split_once('=').unwrap().0.to_owned()
        };
        assert_eq!(name("localhost:7788"), "spacewright-token-7788");
        assert_eq!(name("[::1]:7789"), "spacewright-token-7789");
        assert_eq!(name("[::1]"), name("gpu-3.example.org"));
        let both = format!("spacewright-token-77=x; spacewright-token-7788={SECRET}");
        let judge = |host: &str| {
            access.judge(&headers(&[(header::HOST, host), (header::COOKIE, both.as_str())]), "")
        };
        assert_eq!(judge("localhost:7788"), Verdict::Granted);
        assert_eq!(judge("localhost:77"), Verdict::NoToken);
    }

    #[test]
    fn only_what_browsers_ask_for_is_a_name() {
        let refusal = |host: &str| Access::new(Ipv4Addr::LOCALHOST.into(), &[host.into()]).err();
        for good in ["gpu", "GPU-3.example.org", "my_machine", "10.1.2.3", "fe80::1"] {
            assert!(refusal(good).is_none(), "{good}");
        }
        for bad in ["", ".", "gpu:7788", "http://gpu", "gpu.", "*.org", " gpu", "ä", "[::1]"] {
            let refusal = refusal(bad).unwrap();
            assert!(refusal.is_input() && refusal.to_string().contains(&format!("{bad:?}")));
            assert!(refusal.hint_text().unwrap().contains("`--host gpu-3.example.org`"));
        }
    }

    #[test]
    fn tokens_that_are_made_up_differ() {
        let (one, other) = (made_up().unwrap(), made_up().unwrap());
        assert!(one != other && is_token(&one));
    }

    #[test]
    fn who_listens_for_others_has_a_token() {
        // The variable is not set in tests.
        let of = |ip: &str| Access::new(ip.parse().unwrap(), &[]).unwrap().token.is_some();
        assert!(of("0.0.0.0") && of("192.168.1.2") && !of("127.0.0.1") && !of("::1"));
    }
}
