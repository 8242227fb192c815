//! What a proxy announces before everything else on a connection: the PROXY protocol, versions 1 and 2 (HAProxy's
//! proxy-protocol.txt). A pure function of the bytes that came so far.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is taken, in bytes; what goes beyond the addresses is the proxy's remarks.
pub(crate) const LONGEST: usize = 8192;

/// Version 1, section 2.1: with the longest addresses, and CRLF.
const LONGEST_LINE: usize = 107;
const LINE: &[u8] = b"PROXY ";
/// Version 2, section 2.2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, the length of the rest.
const FIXED: usize = 16;

/// What a whole header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Where the client is; absent where the proxy speaks for itself, does not know, or its client has no address.
    pub(crate) client: Option<SocketAddr>,
    /// Whether the client spoke TLS to the proxy.
    pub(crate) tls: bool,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Every byte so far belongs to the header, and more must come.
    Partial,
    /// So many bytes are the header; what follows is the client's.
    Whole(usize, Announced),
}

/// That it is no header, or none of a kind that could be meant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbage;

/// Reads the header at the start of `bytes`.
///
/// # Errors
/// As soon as it is certain that there is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Progress, Garbage> {
    let starts = |wanted: &[u8]| bytes.iter().zip(wanted).all(|(came, wanted)| came == wanted);
    if starts(LINE) {
        read_line(bytes)
    } else if starts(SIGNATURE) {
        read_binary(bytes)
    } else {
        Err(Garbage)
    }
}

fn read_line(bytes: &[u8]) -> Result<Progress, Garbage> {
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = line.iter().position(|b| *b == b'\n') else {
        return if line.len() < LONGEST_LINE { Ok(Progress::Partial) } else { Err(Garbage) };
    };
    let text = line[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()).ok_or(Garbage)?;
    let words: Vec<&str> = text.split(' ').collect();
    let client = match words[1..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", from, to, port, to_port] => Some(pair::<Ipv4Addr>((from, to), (port, to_port))?),
        ["TCP6", from, to, port, to_port] => Some(pair::<Ipv6Addr>((from, to), (port, to_port))?),
        _ => return Err(Garbage),
    };
    Ok(Progress::Whole(end + 1, Announced { client, tls: false }))
}

fn pair<A: std::str::FromStr + Into<IpAddr>>(
    (from, to): (&str, &str),
    (port, to_port): (&str, &str),
) -> Result<SocketAddr, Garbage> {
    let address = |text: &str| text.parse::<A>().map_err(|_| Garbage);
    let (from, _to) = (address(from)?, address(to)?);
    let (port, _to_port) = (decimal(port)?, decimal(to_port)?);
    Ok(SocketAddr::new(from.into(), port))
}

/// Without sign or leading zero.
fn decimal(text: &str) -> Result<u16, Garbage> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| plain).ok_or(Garbage)
}

fn read_binary(bytes: &[u8]) -> Result<Progress, Garbage> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(Progress::Partial) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + length > LONGEST {
        return Err(Garbage);
    }
    let announced = |body: &[u8]| match (command, family) {
        // LOCAL: the proxy speaks for itself, whatever the rest says.
        (0x20, _) => Ok(Announced::default()),
        (0x21, _) => from_body(family, body),
        _ => Err(Garbage),
    };
    match rest.get(..length) {
        Some(body) => Ok(Progress::Whole(FIXED + length, announced(body)?)),
        None if matches!(command, 0x20 | 0x21) => Ok(Progress::Partial),
        None => Err(Garbage),
    }
}

fn from_body(family: u8, body: &[u8]) -> Result<Announced, Garbage> {
    let (client, addresses) = match family {
        // A proxy that does not know.
        0x00 => return Ok(Announced::default()),
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *start::<12>(body)?;
            (Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))), 12)
        }
        0x21 => {
            let block = start::<36>(body)?;
            let address: [u8; 16] = *start(block)?;
            (Some(SocketAddr::new(Ipv6Addr::from(address).into(), u16::from_be_bytes([block[32], block[33]]))), 36)
        }
        // Two paths on the proxy's machine.
        0x31 => (None, start::<216>(body)?.len()),
        _ => return Err(Garbage),
    };
    Ok(Announced { client, tls: spoke_tls(&body[addresses..])? })
}

/// Whether a remark (section 2.2.1) says so; what is no remark is garbage.
fn spoke_tls(mut remarks: &[u8]) -> Result<bool, Garbage> {
    /// PP2_TYPE_SSL, whose first byte has PP2_CLIENT_SSL as its lowest bit.
    const TLS: u8 = 0x20;
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = remarks {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))).ok_or(Garbage)?;
        tls |= *kind == TLS && value.first().is_some_and(|client| client & 1 == 1);
        remarks = rest;
    }
    if remarks.is_empty() { Ok(tls) } else { Err(Garbage) }
}

fn start<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Garbage> {
    bytes.first_chunk().ok_or(Garbage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Result<Progress, Garbage> {
        read(text.as_bytes())
    }

    fn client(progress: Result<Progress, Garbage>) -> String {
        match progress {
            Ok(Progress::Whole(_, Announced { client: Some(client), .. })) => client.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, body].concat()
    }

    const V4: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x34, 0, 80];

    #[test]
    fn version_1_names_the_client() {
        assert_eq!(client(line("PROXY TCP4 1.2.3.4 5.6.7.8 65535 443\r\n")), "1.2.3.4:65535");
        assert_eq!(client(line("PROXY TCP6 2001:db8::1 ::1 0 443\r\n")), "[2001:db8::1]:0");
        let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\nGET", ["ffff"; 8].join(":"));
        let Ok(Progress::Whole(length, _)) = line(&longest) else { panic!("{longest}") };
        assert_eq!(&longest[length..], "GET");
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f:f 1 2 3\r\n"] {
            assert_eq!(line(unknown), Ok(Progress::Whole(unknown.len(), Announced::default())));
        }
    }

    #[test]
    fn version_1_is_taken_as_it_is_written_only() {
        for bad in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)),
        ] {
            assert_eq!(line(bad), Err(Garbage), "{bad}");
        }
    }

    #[test]
    fn version_2_names_the_client() {
        assert_eq!(client(read(&binary(0x21, 0x11, &V4))), "1.2.3.4:4660");
        let mut v6 = [0; 36];
        (v6[15], v6[33]) = (1, 80);
        assert_eq!(client(read(&binary(0x21, 0x21, &v6))), "[::1]:80");
        for nobody in
            [binary(0x20, 0, &[]), binary(0x20, 0x11, &[1]), binary(0x21, 0, &[9]), binary(0x21, 0x31, &[0; 216])]
        {
            assert_eq!(read(&nobody), Ok(Progress::Whole(nobody.len(), Announced::default())));
        }
    }

    #[test]
    fn version_2_may_remark_that_the_client_spoke_tls() {
        let with = |remarks: &[u8]| match read(&binary(0x21, 0x11, &[&V4, remarks].concat())) {
            Ok(Progress::Whole(_, announced)) => Some(announced.tls),
            _ => None,
        };
        assert_eq!(with(&[4, 0, 1, 0, 0x20, 0, 5, 1, 0, 0, 0, 0]), Some(true));
        assert_eq!(with(&[0x20, 0, 5, 0, 0, 0, 0, 0]), Some(false));
        assert_eq!((with(&[0x20, 0, 0]), with(&[])), (Some(false), Some(false)));
        assert_eq!((with(&[4]), with(&[4, 0]), with(&[4, 0, 2, 1])), (None, None, None));
    }

    #[test]
    fn version_2_of_another_kind_is_garbage() {
        for bad in [
            binary(0x11, 0x11, &V4),
            binary(0x22, 0x11, &V4),
            binary(0x21, 0x12, &V4),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x21, &V4),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x21, 0x11, &[0; LONGEST]),
        ] {
            assert_eq!(read(&bad), Err(Garbage), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_too_far(start in 0..3usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [[&b""[..], LINE, SIGNATURE][start], &bytes].concat();
            if let Ok(Progress::Whole(length, _)) = read(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn a_header_is_partial_until_its_last_byte_and_ends_there(
            from in any::<SocketAddr>(), v2 in any::<bool>(), remarks in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 0..3),
        ) {
            let (to, remarks) = (from, remarks.iter().flat_map(|(kind, value)| [&[*kind, 0, value.len() as u8], &value[..]].concat()).collect::<Vec<u8>>());
            let header = match (from.ip(), v2) {
                (IpAddr::V4(ip), false) => format!("PROXY TCP4 {ip} {ip} {} {}\r\n", from.port(), to.port()).into_bytes(),
                (IpAddr::V6(ip), false) => format!("PROXY TCP6 {ip} {ip} {} {}\r\n", from.port(), to.port()).into_bytes(),
                (IpAddr::V4(ip), true) => binary(0x21, 0x11, &[&ip.octets()[..], &ip.octets(), &from.port().to_be_bytes(), &[0, 1], &remarks].concat()),
                (IpAddr::V6(ip), true) => binary(0x21, 0x21, &[&ip.octets()[..], &ip.octets(), &from.port().to_be_bytes(), &[0, 1], &remarks].concat()),
            };
            for end in 0..header.len() {
                prop_assert_eq!(read(&header[..end]), Ok(Progress::Partial), "{}", end);
            }
            match read(&[&header[..], b"\x16\x03\x01"].concat()) {
                Ok(Progress::Whole(length, announced)) => {
                    prop_assert_eq!(length, header.len());
                    prop_assert_eq!(announced.client, Some(SocketAddr::new(from.ip(), from.port())));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
