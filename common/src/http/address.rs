//! Whose address a request counts for.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that asked: the peer's, or, where that is a proxy of ours, the last one that the proxies name and that is
/// none of them. What stands before it anybody may have written.
pub(crate) fn asked_by(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let mut asked_by = peer.to_canonical();
    if proxies.is_empty() || !proxies.contains(&asked_by) {
        return site(asked_by);
    }
    let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let hops = values.iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        // What is no address was not written by a proxy of ours.
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        asked_by = hop.to_canonical();
        if !proxies.contains(&asked_by) {
            break;
        }
    }
    site(asked_by)
}

/// Where somebody has one IPv6 address they have a whole /64: it counts as one.
pub(super) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(peer: &str, forwarded: &[&'static str]) -> String {
        let proxies = ["10.0.0.1", "10.0.0.2"].map(|proxy| proxy.parse().unwrap());
        let headers =
            forwarded.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect::<HeaderMap>();
        asked_by(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_of_ours_counts() {
        for (peer, forwarded, counts) in [
            ("192.0.2.7", &[][..], "192.0.2.7"),
            ("192.0.2.7", &["198.51.100.1"], "192.0.2.7"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(asked(peer, forwarded), counts, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        assert_eq!(asked("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(asked("::ffff:192.0.2.7", &[]), "192.0.2.7");
    }
}
