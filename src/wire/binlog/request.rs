//! What a replica asks of a server.

use crate::wire::binlog::gtid::GtidSet;
use crate::wire::binlog::position::LogPosition;
use crate::wire::codec::Writer;

/// COM_BINLOG_DUMP, COM_REGISTER_SLAVE, COM_BINLOG_DUMP_GTID.
const BINLOG_DUMP: u8 = 0x12;
const REGISTER_SLAVE: u8 = 0x15;
const BINLOG_DUMP_GTID: u8 = 0x1e;

/// `BINLOG_THROUGH_GTID`
const THROUGH_GTID: u16 = 0x04;

/// Tells the server that a replica of this id is there: it is then listed by SHOW REPLICAS.
#[must_use]
pub fn register(server_id: u32, host: &str) -> Vec<u8> {
    let mut payload = vec![REGISTER_SLAVE];
    payload.put_u32(server_id);
    let host: Vec<u8> = host.bytes().take(60).collect();
    payload.push(host.len() as u8);
    payload.extend_from_slice(&host);
    // User, password, port, rank, the source's id: for show only.
    payload.extend_from_slice(&[0; 12]);
    payload
}

/// Asks for everything from this place on.
#[must_use]
pub fn dump_from(server_id: u32, position: &LogPosition) -> Vec<u8> {
    let mut payload = vec![BINLOG_DUMP];
    // The command has no room for more; a server that has larger files is asked for them from their beginning.
    payload.put_u32(u32::try_from(position.at).unwrap_or(4));
    payload.put_u16(0);
    payload.put_u32(server_id);
    payload.extend_from_slice(position.file().as_bytes());
    payload
}

/// Asks for all transactions but these.
#[must_use]
pub fn dump_without(server_id: u32, known: &GtidSet) -> Vec<u8> {
    let mut payload = vec![BINLOG_DUMP_GTID];
    payload.put_u16(THROUGH_GTID);
    payload.put_u32(server_id);
    // No name of a file: the server finds the first that has something new.
    payload.put_u32(0);
    payload.put_u64(4);
    let known = known.encode();
    payload.put_u32(known.len() as u32);
    payload.extend_from_slice(&known);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_servers_read() {
        let place = LogPosition::new("bin.000007", 0x102).expect("a log file");
        assert_eq!(dump_from(9, &place), b"\x12\x02\x01\0\0\0\0\x09\0\0\0bin.000007");
        let all = b"\x1e\x04\0\x09\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(dump_without(9, &GtidSet::default()), all);
        assert_eq!(register(9, "me"), b"\x15\x09\0\0\0\x02me\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}
