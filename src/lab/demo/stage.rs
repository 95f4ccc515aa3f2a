//! What the show needs: two servers, their data, and the proxy in front of them.

use std::net::{Ipv4Addr, SocketAddr};

use indicatif::HumanCount;
use mysql_async::OptsBuilder;

use crate::lab::account::Account;
use crate::lab::dataset::Dataset;
use crate::lab::demo::DemoOptions;
use crate::lab::demo::error::DemoError;
use crate::lab::demo::proxy::{Proxy, if_free};
use crate::lab::demo::screen::Screen;
use crate::lab::demo::settings::{
    CLIENT_PASSWORD, CLIENT_USER, SCHEMA, SERVER_PASSWORD, SERVER_USER, SHARD_USER, SHARDED, Settings,
};
use crate::lab::demo::shards::Shards;
use crate::lab::flavor::Flavor;
use crate::lab::server::port::free_port;
use crate::lab::{Lab, LabOptions};

/// Where a person expects the proxy, and its operators' port; other ports if these are taken.
const USUAL_PORTS: (u16, u16) = (6033, 6032);

/// More client connections than the demo makes, for those who try it by hand.
const CLIENTS_BESIDE: u32 = 1_000;

/// The servers, the data and the proxy. Dropping it takes all of it down.
#[derive(Debug)]
pub(super) struct Stage {
    // The proxy is dropped before the servers that it talks to.
    proxy: Proxy,
    lab: Lab,
    south: Lab,
    dataset: Dataset,
    shards: Shards,
}

impl Stage {
    /// Puts everything up, one line on the screen for each part.
    pub(super) async fn set(
        flavor: Flavor,
        options: &DemoOptions,
        screen: &Screen,
    ) -> Result<Self, DemoError> {
        let step = screen.step("servers", &format!("starting four {flavor} servers"));
        let with_replica = LabOptions { replicas: 1, ..LabOptions::new(flavor) };
        let (lab, south) = tokio::try_join!(Lab::start(&with_replica), Lab::start(&with_replica))?;
        let (primary, replica) = (lab.primary(), &lab.replicas()[0]);
        let south_servers = [south.primary().address(), south.replicas()[0].address()];
        // Distributions append their own name and number.
        let version = primary.version().split('-').next().unwrap_or_default();
        step.done(&format!(
            "{flavor} {version}: primary {}, replica {} (GTID); another pair {}, {}",
            primary.address(),
            replica.address(),
            south_servers[0],
            south_servers[1]
        ));

        let dataset = Dataset::default();
        let step = screen.bar("data", u64::from(dataset.batch_count()), "loading");
        dataset.load(primary, SCHEMA, || step.advance()).await?;
        // MariaDB refuses one connection more: then the proxy has an error to show.
        // MySQL would refuse some in their place: it counts one twice while it logs in again.
        let connections_max = if flavor == Flavor::MariaDb { options.pool } else { 0 };
        let account = Account { connections_max, ..Account::new(flavor, SERVER_USER, SERVER_PASSWORD) };
        primary.create_account(&account).await?;
        for server in [primary, south.primary()] {
            server.create_account(&Account::new(flavor, SHARD_USER, SERVER_PASSWORD)).await?;
        }
        lab.catch_up().await?;
        step.done(&format!(
            "{} users, {} shops, {} orders in `{SCHEMA}`",
            HumanCount(dataset.users.into()),
            HumanCount(dataset.shops.into()),
            HumanCount(dataset.orders.into())
        ));

        let shards = Shards::default();
        shards.make(primary, south.primary()).await?;

        let step = screen.step("proxy", "starting");
        let (listener, http) = ports(options.check)?;
        let settings = Settings {
            listener,
            http,
            primary: primary.address(),
            replica: replica.address(),
            south: south_servers,
            pool: options.pool,
            connections_max: options.clients + CLIENTS_BESIDE,
        };
        let proxy = Proxy::start(&lab.workspace, settings).await?;
        step.done(&format!("{listener}, at most {} server connections", options.pool));
        let mut stage = Self { proxy, lab, south, dataset, shards };

        let rows = stage.shards.rows();
        let step = screen.bar("shards", rows.into(), "loading through the proxy");
        let opts = stage.client_opts_of(SHARDED);
        let ids = stage.shards.load(&opts, || step.advance()).await?;
        stage.shards.load_whole(stage.lab.primary(), ids).await?;
        step.done(&format!(
            "`{SHARDED}` on two shards: {} users with {} orders, ids from sequences",
            stage.shards.dataset().users,
            stage.shards.dataset().orders
        ));
        Ok(stage)
    }

    /// The logical database.
    pub(super) const fn shards(&self) -> &Shards {
        &self.shards
    }

    pub(super) const fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    pub(super) const fn lab(&self) -> &Lab {
        &self.lab
    }

    pub(super) const fn dataset(&self) -> Dataset {
        self.dataset
    }

    pub(super) fn flavor(&self) -> Flavor {
        self.lab.primary().flavor()
    }

    /// How the clients log in: through the proxy, over TCP.
    pub(super) fn client_opts(&self) -> OptsBuilder {
        self.client_opts_of(SCHEMA)
    }

    /// The same into another schema.
    pub(super) fn client_opts_of(&self, schema: &str) -> OptsBuilder {
        let listener = self.proxy.settings.listener;
        OptsBuilder::default()
            .ip_or_hostname(listener.ip().to_string())
            .tcp_port(listener.port())
            .prefer_socket(false)
            .user(Some(CLIENT_USER))
            .pass(Some(CLIENT_PASSWORD))
            .db_name(Some(schema))
    }

    /// Takes everything down in order: the proxy says goodbye to the servers before they go.
    pub(super) async fn strike(self) {
        self.proxy.stop().await;
    }

    /// The other shard's servers.
    pub(super) const fn south(&self) -> &Lab {
        &self.south
    }
}

/// Where the proxy listens. Checks may run side by side, so they keep away from the usual ports.
fn ports(check: bool) -> Result<(SocketAddr, SocketAddr), DemoError> {
    let (listener, http) = USUAL_PORTS;
    let choose = |usual| -> Result<SocketAddr, DemoError> {
        match if_free(usual).filter(|_| !check) {
            Some(address) => Ok(address),
            None => Ok((Ipv4Addr::LOCALHOST, free_port()?).into()),
        }
    };
    Ok((choose(listener)?, choose(http)?))
}
