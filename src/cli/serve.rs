//! `dazzle serve`: runs the proxy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::ConfigFile;
use crate::server;

/// Run the proxy.
///
/// Reads the configuration again on SIGHUP and when its content changes; a wrong file is refused and the
/// running configuration kept. SIGTERM or Ctrl-C: takes no new clients, lets open transactions finish
/// within process.drain_timeout, then ends; a second one ends at once.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "dazzle.yaml")]
    config: PathBuf,
}

/// Serves until told to stop.
pub(super) fn run(arguments: &Serve) -> ExitCode {
    server::serve(ConfigFile::new(&arguments.config))
}
