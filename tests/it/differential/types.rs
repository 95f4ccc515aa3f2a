//! Every column type, in both protocols, with its smallest, largest, empty and missing value.

use dazzle::lab::Flavor;

use crate::support::{Parameter, compare, compare_with};
use dazzle::wire::Capabilities;

/// Column types that both servers have, and values of each.
const TYPES: [(&str, &[&str]); 38] = [
    ("TINYINT", &["-128", "127"]),
    ("TINYINT UNSIGNED ZEROFILL", &["0", "255"]),
    ("BOOL", &["TRUE"]),
    ("SMALLINT", &["-32768", "32767"]),
    ("MEDIUMINT", &["-8388608", "8388607"]),
    ("INT", &["-2147483648", "2147483647"]),
    ("INT UNSIGNED", &["4294967295"]),
    ("BIGINT", &["-9223372036854775808", "9223372036854775807"]),
    ("BIGINT UNSIGNED", &["18446744073709551615"]),
    ("FLOAT", &["1.5", "-3.4e38"]),
    ("FLOAT(7,2)", &["12345.67"]),
    ("DOUBLE", &["1e308", "-2.2250738585072014e-308"]),
    ("DECIMAL(65,30)", &["12345678901234567890123456789012345.123456789012345678901234567890"]),
    ("DECIMAL(10,0)", &["-1234567890"]),
    ("BIT(1)", &["b'1'"]),
    ("BIT(64)", &["18446744073709551615"]),
    ("DATE", &["'1000-01-01'", "'9999-12-31'"]),
    ("TIME", &["'-838:59:59'", "'00:00:00'"]),
    ("TIME(6)", &["'838:59:58.999999'"]),
    ("DATETIME", &["'2024-02-29 23:59:59'"]),
    ("DATETIME(6)", &["'2024-02-29 23:59:59.123456'"]),
    ("TIMESTAMP NULL", &["'2030-01-01 00:00:01'"]),
    ("TIMESTAMP(3) NULL", &["'2030-01-01 00:00:01.123'"]),
    ("YEAR", &["1901", "2155"]),
    ("CHAR(10)", &["''", "'padded  '", "'äöü😀'"]),
    ("VARCHAR(300)", &["''", "REPEAT('v', 300)"]),
    ("BINARY(4)", &["X'0001'", "X'FFFFFFFF'"]),
    ("VARBINARY(10)", &["X''", "X'00FF00'"]),
    ("TINYTEXT", &["'tiny'"]),
    ("TEXT", &["REPEAT('t', 65535)"]),
    ("MEDIUMTEXT", &["REPEAT('m', 70000)"]),
    ("LONGTEXT CHARACTER SET latin1", &["'l'"]),
    ("TINYBLOB", &["X'00'"]),
    ("BLOB", &["REPEAT(X'FB', 251)", "REPEAT(X'FE', 252)"]),
    ("LONGBLOB", &["X'00FEFF'"]),
    ("ENUM('a','b','')", &["'a'", "''"]),
    ("SET('x','y','z')", &["''", "'x,z'"]),
    ("JSON", &["'{\"a\": [1, null, \"x\"]}'"]),
];

/// Spatial types, in either spelling.
const SPATIAL: [(&str, &[&str]); 2] = [
    ("GEOMETRY", &["ST_GeomFromText('POINT(1 2)')"]),
    ("LINESTRING", &["ST_GeomFromText('LINESTRING(0 0, 1 1)')"]),
];

fn types(flavor: Flavor) -> Vec<(&'static str, &'static [&'static str])> {
    let own: &[(&str, &[&str])] = match flavor {
        Flavor::MariaDb => &[("UUID", &["'123e4567-e89b-12d3-a456-426655440000'"]), ("INET6", &["'::1'"])],
        Flavor::MySql => &[("VECTOR(2)", &["TO_VECTOR('[1, 2]')"])],
    };
    TYPES.iter().chain(&SPATIAL).chain(own).copied().collect()
}

both! {
    async fn all_types_as_text_and_binary(server) {
        for flags in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            compare_with(server, "it_types", |login| login.without(flags), async |conn| {
                for (n, (kind, values)) in types(server.flavor()).into_iter().enumerate() {
                    conn.ok(&format!("CREATE TABLE t{n} (id INT PRIMARY KEY AUTO_INCREMENT, v {kind})")).await;
                    for value in values {
                        conn.ok(&format!("INSERT INTO t{n} (v) VALUES ({value})")).await;
                    }
                    conn.ok(&format!("INSERT INTO t{n} (v) VALUES (NULL)")).await;
                    conn.ok(&format!("SELECT * FROM t{n} ORDER BY id")).await;
                    let id = conn.prepare(&format!("SELECT * FROM t{n} WHERE id > ? ORDER BY id")).await.unwrap();
                    conn.execute(id, &[Parameter::int(0)]).await;
                    conn.execute(id, &[Parameter::int(1_000)]).await;
                    conn.close_statement(id).await;
                }
            }).await;
        }
    }

    async fn values_of_every_parameter_type(server) {
        compare(server, "it_parameters", async |conn| {
            let parameters: Vec<(u8, Option<Vec<u8>>)> = vec![
                (0x01, Some(vec![0x80])),
                (0x02, Some(vec![0x00, 0x80])),
                (0x03, Some(vec![1, 2, 3, 4])),
                (0x04, Some(1.5f32.to_le_bytes().to_vec())),
                (0x05, Some((-2.5f64).to_le_bytes().to_vec())),
                (0x06, None),
                (0x07, Some(vec![11, 232, 7, 2, 29, 23, 59, 59, 64, 226, 1, 0])),
                (0x08, Some((-9i64).to_le_bytes().to_vec())),
                (0x0A, Some(vec![4, 232, 7, 2, 29])),
                (0x0B, Some(vec![8, 1, 1, 0, 0, 0, 2, 3, 4])),
                (0x0B, Some(vec![0])),
                (0x0C, Some(vec![7, 232, 7, 2, 29, 1, 2, 3])),
                (0x0C, Some(vec![0])),
                (0x0F, Some(b"\x03abc".to_vec())),
                (0xF6, Some(b"\x061.2345".to_vec())),
                (0xFC, Some(b"\x03\x00\xFE\xFF".to_vec())),
                (0xFD, Some([&b"\xFC\xFB\x00"[..], &[b'x'; 251]].concat())),
                (0xFE, Some(b"\x00".to_vec())),
            ];
            let id = conn.prepare("SELECT ?").await.unwrap();
            for (kind, value) in parameters {
                conn.execute(id, &[Parameter { kind, value }]).await;
            }
        }).await;
    }
}
