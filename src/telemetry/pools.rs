//! The metrics of server-connection pools, from numbers that their owner reads at each scrape.

use std::fmt;

use crate::telemetry::exposition::{Sample, Sink};

/// One pool at one moment. Labels are configured names.
#[derive(Clone, Copy, Debug)]
pub struct PoolNumbers<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The server's role and place in the cluster: `primary`, `replica1`.
    pub backend: &'a str,
    /// The user name towards the server.
    pub user: &'a str,
    /// Connections that nobody uses.
    pub idle: u32,
    /// Connections in use.
    pub leased: u32,
    /// Connections being opened.
    pub dialling: u32,
    /// Connections being closed: the server still counts them.
    pub closing: u32,
    /// Statements that wait for a connection.
    pub waiting: u32,
    /// Connections at most.
    pub size_max: u32,
    /// What happened since the start.
    pub totals: PoolTotals,
}

/// What happened in one pool since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolTotals {
    /// Connections opened.
    pub created: u64,
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// Leases that had to wait.
    pub waits: u64,
    /// Waits that ran into their deadline.
    pub timeouts: u64,
    /// Statements refused because the queue was full.
    pub queue_full: u64,
}

/// Writes the metrics of `pools`; call it once in a scrape, with all of them.
pub fn write_pools(sink: &mut Sink<'_>, pools: &[PoolNumbers<'_>]) -> fmt::Result {
    let names: Vec<[(&str, &str); 3]> = pools
        .iter()
        .map(|pool| [("cluster", pool.cluster), ("backend", pool.backend), ("user", pool.user)])
        .collect();
    let states: Vec<([(&str, &str); 4], f64)> = pools
        .iter()
        .zip(&names)
        .flat_map(|(pool, &[cluster, backend, user])| {
            [
                ("idle", pool.idle),
                ("leased", pool.leased),
                ("dialling", pool.dialling),
                ("closing", pool.closing),
            ]
            .map(|(state, number)| ([cluster, backend, user, ("state", state)], f64::from(number)))
        })
        .collect();
    let states: Vec<Sample<'_, f64>> = states.iter().map(|(labels, n)| (labels.as_slice(), *n)).collect();
    sink.gauges("dazzle_pool_connections", "Server connections by what they do", &states)?;

    let gauge = |number: fn(&PoolNumbers<'_>) -> u32| -> Vec<Sample<'_, f64>> {
        names.iter().zip(pools).map(|(labels, pool)| (labels.as_slice(), f64::from(number(pool)))).collect()
    };
    sink.gauges("dazzle_pool_size_max", "Server connections at most", &gauge(|p| p.size_max))?;
    sink.gauges("dazzle_pool_waiting", "Statements that wait for a connection", &gauge(|p| p.waiting))?;

    let counter = |number: fn(&PoolTotals) -> u64| -> Vec<Sample<'_, u64>> {
        names.iter().zip(pools).map(|(labels, pool)| (labels.as_slice(), number(&pool.totals))).collect()
    };
    sink.counters("dazzle_pool_created", "Server connections opened", &counter(|t| t.created))?;
    sink.counters(
        "dazzle_pool_connect_failures",
        "Server connections that could not be opened",
        &counter(|t| t.connect_failures),
    )?;
    sink.counters("dazzle_pool_waits", "Leases that had to wait", &counter(|t| t.waits))?;
    sink.counters("dazzle_pool_timeouts", "Waits that ran into their deadline", &counter(|t| t.timeouts))?;
    sink.counters("dazzle_pool_queue_full", "Statements refused by a full queue", &counter(|t| t.queue_full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn each_pool_has_its_own_samples() {
        let telemetry = Telemetry::new(1);
        telemetry.register(Box::new(|sink| {
            let pool = PoolNumbers {
                cluster: "shop",
                backend: "primary",
                user: "app",
                idle: 3,
                leased: 17,
                dialling: 0,
                closing: 0,
                waiting: 5,
                size_max: 20,
                totals: PoolTotals { created: 22, ..PoolTotals::default() },
            };
            write_pools(sink, &[pool, PoolNumbers { backend: "replica1", leased: 1, ..pool }])
        }));
        let text = telemetry.render();
        let labels = |backend| format!("cluster=\"shop\",backend=\"{backend}\",user=\"app\"");
        for line in [
            format!("dazzle_pool_connections{{{},state=\"leased\"}} 17.0", labels("primary")),
            format!("dazzle_pool_connections{{{},state=\"leased\"}} 1.0", labels("replica1")),
            format!("dazzle_pool_waiting{{{}}} 5.0", labels("primary")),
            format!("dazzle_pool_created_total{{{}}} 22", labels("primary")),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
