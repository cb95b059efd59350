//! Which addresses may be connected to. A destination's URL is text that somebody typed: without this, it could make the
//! daemon speak to its own machine, to a cloud's metadata service, or to anything else behind the firewall (server-side request
//! forgery, OWASP SSRF Prevention Cheat Sheet).
//!
//! Names are resolved once, the addresses are checked, and exactly these are connected to: a name that answers differently a
//! moment later (DNS rebinding) gains nothing. Decimal, octal and hexadecimal spellings of an address are resolved like names, so
//! they end at the same check. Every address of a name must be public, or the destination's exact `host:port` must be allowed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Destinations inside the plant that may be reached although their addresses are private: `host:port`, exactly as in the URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Arc<[String]>);

impl AllowList {
    /// Of `host:port` entries.
    pub fn new(entries: &[String]) -> AllowList {
        AllowList(entries.iter().map(|entry| entry.to_ascii_lowercase()).collect())
    }

    /// What is wrong with an entry, if something is.
    pub fn problem(entry: &str) -> Option<String> {
        let good = entry.rsplit_once(':').is_some_and(|(host, port)| {
            let v6 =
                host.starts_with('[') && host.ends_with(']') && host[1..host.len() - 1].parse::<Ipv6Addr>().is_ok();
            let plain = !host.is_empty() && !host.contains([':', '/', '*', '@', ' ']);
            (v6 || plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        (!good).then(|| format!("has `{entry}`: give `host:port`, exactly as in the URL; there are no wildcards"))
    }

    /// Whether this very host and port were allowed.
    pub fn includes(&self, host: &str, port: u16) -> bool {
        let asked = format!("{}:{port}", host.to_ascii_lowercase());
        self.0.contains(&asked)
    }
}

/// Why an address must not be connected to; none: it is a public one.
///
/// Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and later). Addresses that carry an IPv4
/// address inside (mapped, compatible, 6to4, NAT64) are as good as that one.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4),
        IpAddr::V6(v6) => refusal_v6(v6),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    const RANGES: [([u8; 4], u32, &str); 16] = [
        ([0, 0, 0, 0], 8, "this machine"),
        ([10, 0, 0, 0], 8, "private"),
        ([100, 64, 0, 0], 10, "carrier-grade NAT"),
        ([127, 0, 0, 0], 8, "loopback"),
        ([169, 254, 0, 0], 16, "link-local, where clouds keep their metadata"),
        ([172, 16, 0, 0], 12, "private"),
        ([192, 0, 0, 0], 24, "protocol assignments"),
        ([192, 0, 2, 0], 24, "documentation"),
        ([192, 88, 99, 0], 24, "6to4 relays"),
        ([192, 168, 0, 0], 16, "private"),
        ([198, 18, 0, 0], 15, "benchmarks"),
        ([198, 51, 100, 0], 24, "documentation"),
        ([203, 0, 113, 0], 24, "documentation"),
        ([168, 63, 129, 16], 32, "a cloud's metadata"),
        ([224, 0, 0, 0], 4, "multicast"),
        ([240, 0, 0, 0], 4, "reserved"),
    ];
    let bits = address.to_bits();
    let within = |&&(start, length, _): &&([u8; 4], u32, &str)| {
        (bits ^ Ipv4Addr::from(start).to_bits()).leading_zeros() >= length
    };
    RANGES.iter().find(within).map(|&(_, _, what)| what)
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let words = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match words {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("this machine"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // Mapped, compatible, translated (SIIT).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => refusal_v4(inner(high, low)),
        // NAT64, well-known prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => refusal_v4(inner(high, low)),
        [0x64, 0xff9b, 1, ..] => Some("NAT64 of a private network"),
        [0x100, 0, 0, ..] => Some("discard"),
        // Teredo hides an IPv4 address; the others of this block are no hosts.
        [0x2001, 0..=0x1ff, ..] => Some("protocol assignments"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("documentation"),
        [0x2002, high, low, ..] => refusal_v4(inner(high, low)),
        [0x5f00, ..] => Some("segment routing"),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // Only this block is handed out so far.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

/// Refused on purpose; what a [`Guarded`] resolver's error carries.
#[derive(Debug)]
pub(super) struct Forbidden(String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Forbidden {}

/// Checks the addresses that were found for `host:port`.
pub(super) fn check(
    host: &str,
    port: u16,
    addresses: impl IntoIterator<Item = SocketAddr>,
    allowed: &AllowList,
) -> Result<(), Forbidden> {
    if allowed.includes(host, port) {
        return Ok(());
    }
    let bad = addresses.into_iter().find_map(|address| Some((address.ip(), refusal(address.ip())?)));
    match bad {
        None => Ok(()),
        Some((address, what)) => Err(Forbidden(format!(
            "`{host}` is at {address} ({what}): not connected to; if that is meant, add \"{host}:{port}\" to `alerts.allow`"
        ))),
    }
}

/// A resolver that gives only addresses which may be connected to.
#[derive(Debug)]
pub(super) struct Guarded<R> {
    pub(super) inner: R,
    pub(super) allowed: AllowList,
}

impl<R: Resolver> Resolver for Guarded<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let addresses = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        check(host, port, addresses.iter().copied(), &self.allowed)
            .map_err(|refused| Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, refused)))?;
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_let_through() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "2002:0808:0808::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(refusal(public.parse().unwrap()), None, "{public}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "4000::1",
        ] {
            assert!(refusal(bad.parse().unwrap()).is_some(), "{bad}");
        }
    }

    #[test]
    fn only_the_exact_host_and_port_are_allowed() {
        let allowed = AllowList::new(&["MES.plant:8080".to_owned(), "10.0.0.7:443".to_owned(), "[::1]:80".to_owned()]);
        assert!(
            allowed.includes("mes.plant", 8080) && allowed.includes("10.0.0.7", 443) && allowed.includes("[::1]", 80)
        );
        assert!(
            !allowed.includes("mes.plant", 80)
                && !allowed.includes("x.mes.plant", 8080)
                && !allowed.includes("10.0.0.8", 443)
        );
        for bad in ["mes", "mes:", ":80", "mes:0", "mes:70000", "*.plant:80", "http://mes:80", "::1:80", "a@b:80"] {
            assert!(AllowList::problem(bad).is_some(), "{bad}");
        }
        assert_eq!(AllowList::problem("mes.plant:8080"), None);
        assert_eq!(AllowList::problem("[fd00::1]:80"), None);
    }
}
