//! `host_listening_socket`: where programs wait for others to connect.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::providers::host::accounts::Names;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

/// The files of the kernel, and the state in them of a socket that waits: listening, or bound and unconnected.
const PROTOCOLS: [(&str, &str); 4] = [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")];

pub(super) struct ListeningSocket {
    protocol: String,
    address: String,
    port: i64,
    inode: i64,
    socket_count: i64,
    user_name: Option<String>,
    uid: i64,
    pid: Option<i64>,
    process_name: Option<String>,
    is_loopback: bool,
    is_wildcard: bool,
}

pub(super) fn table() -> Table<ListeningSocket> {
    let identity = |socket: &ListeningSocket| format!("{}/{}/{}", socket.protocol, socket.address, socket.port);
    let description = "The addresses where programs of this network namespace wait for packets or connections.";
    Table::new("host_listening_socket", description, &["protocol", "address", "port"], identity, collect)
        .column("protocol", "tcp, tcp6, udp or udp6.", |socket| &socket.protocol)
        .column("address", "The local address; 0.0.0.0 and :: are all of them.", |socket| &socket.address)
        .column("port", "The local port.", |socket| &socket.port)
        .column("inode", "The number of the socket; the lowest where several share address and port.", |socket| {
            &socket.inode
        })
        .column("socket_count", "How many sockets share address and port.", |socket| &socket.socket_count)
        .column("user_name", "The user that opened it; NULL where the uid has no local account.", |socket| {
            &socket.user_name
        })
        .column("uid", "The uid that opened it.", |socket| &socket.uid)
        .column("pid", "The lowest process that holds it; NULL where this user may not see it.", |socket| &socket.pid)
        .column("process_name", "The name of that process.", |socket| &socket.process_name)
        .column("is_loopback", "Whether only this machine can reach it.", |socket| &socket.is_loopback)
        .column("is_wildcard", "Whether it waits on all addresses.", |socket| &socket.is_wildcard)
}

fn collect(root: &HostRoot) -> Result<Vec<ListeningSocket>, Unread> {
    let mut waiting: Vec<Waiting> = Vec::new();
    for (protocol, state) in PROTOCOLS {
        let path = format!("/proc/net/{protocol}");
        let text = match root.text(&path) {
            Ok(text) => text,
            // Without IPv6, or without UDP, there is no such file; without TCP there is no network at all.
            Err(Unread::Skipped(_)) if protocol != "tcp" => continue,
            Err(unread) => return Err(unread),
        };
        waiting.extend(text.lines().skip(1).filter_map(|line| Waiting::parse(protocol, state, line)));
    }
    let holders = holders(root, &waiting);
    let names = Names::read(root);
    let mut by_address: BTreeMap<(&str, IpAddr, u16), ListeningSocket> = BTreeMap::new();
    waiting.sort_by_key(|socket| socket.inode);
    for socket in waiting {
        let place = (socket.protocol, socket.address, socket.port);
        let row = by_address.entry(place).or_insert_with(|| row(&socket, &holders, &names));
        row.socket_count += 1;
    }
    Ok(by_address.into_values().collect())
}

fn row(socket: &Waiting, holders: &HashMap<i64, Holder>, names: &Names) -> ListeningSocket {
    let holder = holders.get(&socket.inode).cloned();
    // An IPv4 address inside an IPv6 one reaches as far as the IPv4 address does.
    let reach = socket.address.to_canonical();
    ListeningSocket {
        protocol: socket.protocol.to_owned(),
        address: socket.address.to_string(),
        port: i64::from(socket.port),
        inode: socket.inode,
        socket_count: 0,
        user_name: names.user(socket.uid),
        uid: socket.uid,
        pid: holder.as_ref().map(|holder| holder.pid),
        process_name: holder.and_then(|holder| holder.name),
        is_loopback: reach.is_loopback(),
        is_wildcard: reach.is_unspecified(),
    }
}

/// A line of the kernel's list of sockets.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    protocol: &'static str,
    address: IpAddr,
    port: u16,
    uid: i64,
    inode: i64,
}

impl Waiting {
    /// `SLOT: ADDRESS:PORT REMOTE:PORT STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE …`, when in that state.
    fn parse(protocol: &'static str, state: &str, line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != state {
            return None;
        }
        let (address, port) = fields.get(1)?.split_once(':')?;
        Some(Self {
            protocol,
            address: address_of(address)?,
            port: u16::from_str_radix(port, 16).ok().filter(|port| *port != 0)?,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// An address as the kernel writes it: its words of 32 bits, each in the byte order of this machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(words.concat()).for_each(|(to, from)| *to = from);
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// A process that holds a socket.
#[derive(Debug, Clone)]
struct Holder {
    pid: i64,
    name: Option<String>,
}

/// The lowest process that holds each of these sockets, as far as this user may see.
fn holders(root: &HostRoot, waiting: &[Waiting]) -> HashMap<i64, Holder> {
    let wanted: HashSet<i64> = waiting.iter().map(|socket| socket.inode).collect();
    let mut pids: Vec<i64> = root.names_if_readable("/proc").iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    let mut holders = HashMap::new();
    for pid in pids {
        let directory = format!("/proc/{pid}/fd");
        for descriptor in root.names_if_readable(&directory) {
            let target = root.link(&format!("{directory}/{descriptor}")).unwrap_or_default();
            let Some(inode) = socket_inode(&target).filter(|inode| wanted.contains(inode)) else { continue };
            let holder = || Holder { pid, name: root.line(&format!("/proc/{pid}/comm")) };
            holders.entry(inode).or_insert_with(holder);
        }
    }
    holders
}

fn socket_inode(target: &str) -> Option<i64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_word_by_word() {
        assert_eq!(address_of("0100007F").unwrap().to_string(), "127.0.0.1");
        assert_eq!(address_of("00000000000000000000000001000000").unwrap().to_string(), "::1");
        assert_eq!(address_of("0000000000000000FFFF00000100007F").unwrap().to_string(), "::ffff:127.0.0.1");
        assert_eq!(address_of("0100007"), None);
        assert_eq!(address_of("é00000F"), None);
    }

    #[test]
    fn only_sockets_that_wait_are_taken() {
        let line =
            "0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 1162 1 0 100 0 0 10 0";
        let socket = Waiting::parse("tcp", "0A", line).unwrap();
        assert_eq!((socket.port, socket.inode), (22, 1162));
        assert_eq!(Waiting::parse("tcp", "0A", &line.replace(" 0A ", " 01 ")), None);
        assert_eq!(Waiting::parse("tcp", "0A", ""), None);
    }
}
