//! PEM text around DER: base 64 in lines of 64 characters.

/// `der` as PEM with the given label, for example `PUBLIC KEY`.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    // 48 bytes make one line of 64 characters.
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            push_group(group, &mut out);
        }
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// Appends one to three bytes as four characters.
fn push_group(group: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
    let bits = at(0) << 16 | at(1) << 8 | at(2);
    for n in 0..4 {
        if n <= group.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]));
        } else {
            out.push('=');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn base_64_is_padded() {
        for (bytes, expected) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(
                encode("X", bytes.as_bytes()),
                format!("-----BEGIN X-----\n{expected}\n-----END X-----\n")
            );
        }
    }

    proptest! {
        #[test]
        fn another_reader_reads_what_was_written(der in prop::collection::vec(any::<u8>(), 1..300)) {
            let text = encode("CERTIFICATE", &der);
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            prop_assert_eq!(read.as_ref(), &der[..]);
        }
    }
}
