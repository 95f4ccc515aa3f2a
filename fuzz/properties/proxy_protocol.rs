//! PROXY protocol headers: the verdict on a prefix never contradicts the verdict on the whole.

use dazzle::wire::proxy_protocol::{Progress, parse};

pub fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    for end in 0..bytes.len().min(300) {
        match parse(&bytes[..end]) {
            Ok(Progress::NeedMore(n)) => assert!(n > 0),
            Ok(Progress::Done { len, .. }) => {
                assert!(len <= end);
                assert_eq!(parse(&bytes[..end]), whole);
            }
            Err(_) => assert!(whole.is_err()),
        }
    }
}
