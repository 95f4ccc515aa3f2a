//! Reading the proxy's operators' port: one page, and one metric of it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lab::demo::error::DemoError;

/// For one page.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A page of metrics with full digest tables is some hundred KiB.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// The body of `page`, if the answer is 200.
pub(super) async fn get(address: SocketAddr, page: &'static str) -> Result<String, DemoError> {
    let read = timeout(TIMEOUT, read(address, page));
    read.await.unwrap_or_else(|late| Err(late.into())).map_err(|source| DemoError::Page { page, source })
}

/// HTTP/1.0, so that the body is what follows the head and ends with the connection.
async fn read(address: SocketAddr, page: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {page} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("{status}: {}", body.trim())));
    }
    Ok(body.to_owned())
}

/// The sum of all samples of `metric`, whatever their labels.
pub(super) fn metric(page: &str, metric: &str) -> f64 {
    let sample = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    };
    page.lines().filter_map(sample).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_samples_alone() {
        let page =
            "# HELP a_total A\na_total{reason=\"x y\"} 2\na_total{reason=\"z\"} 3\na_total_b 7\nb 1.5\n";
        assert!((metric(page, "a_total") - 5.0).abs() < f64::EPSILON);
        assert!((metric(page, "b") - 1.5).abs() < f64::EPSILON);
        assert!(metric(page, "c").abs() < f64::EPSILON);
    }
}
