//! Who may look: names by which the machine is asked for, and tokens.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, header};
use blake3::Hash;

use crate::render::Failure;

/// Names the token, where the user has one.
const TOKEN: &str = "SPACEWRIGHT_TOKEN";
/// Shortest token of a user, in bytes.
const SHORTEST: usize = 16;
/// Keeps the token in a browser.
const COOKIE: &str = "spacewright-token";

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
        if !host.is_some_and(|host| self.is_known(host)) {
            return Verdict::WrongHost;
        }
        let Some(token) = &self.token else { return Verdict::Granted };
        if brought(headers).any(|found| equal(found, token)) {
            return Verdict::Granted;
        }
        let in_address = query.split('&').filter_map(|pair| pair.strip_prefix("token="));
        match in_address.into_iter().any(|found| equal(found, token)) {
            true => {
                Verdict::Remember(format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"))
            }
            false => Verdict::NoToken,
        }
    }

    fn is_known(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        if let Some(rest) = host.strip_prefix('[') {
            let (number, port) = rest.split_once(']').unwrap_or((rest, "?"));
            return number.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port));
        }
        let (name, port) = host.split_once(':').unwrap_or((&host, "0"));
        let known = name == "localhost"
            || name.parse::<std::net::Ipv4Addr>().is_ok()
            || self.hosts.iter().any(|known| known == name);
        known && is_port(&format!(":{port}"))
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

/// Tokens in a request's headers.
fn brought(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let cookies = text(header::COOKIE).flat_map(|line| line.split(';'));
    let kept = cookies.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let bearer = text(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
    kept.chain(bearer)
}

/// Hashes are compared in a time that does not tell how much of them is equal.
fn equal(a: &str, b: &str) -> bool {
    let hash = |text: &str| -> Hash { blake3::hash(text.as_bytes()) };
    hash(a) == hash(b)
}

fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() >= SHORTEST && text.bytes().all(plain)
}

fn made_up() -> Result<String, Failure> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("no token can be made up: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
        assert_eq!(judge(Some((header::COOKIE, "spacewright-token=x")), ""), Verdict::NoToken);
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(judge(Some((header::AUTHORIZATION, &bearer)), ""), Verdict::Granted);
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
