//! A YAML file as a tree that remembers where everything was written, and the tools to read settings
//! from it: every problem of a file is found in one go, each with its line, column and path.
//!
//! `serde` derives stop at the first mistake and forget positions, so the file is read in two steps:
//! text → [`Node`] here (by `serde-saphyr`, with bounds), then node → typed settings in `config::read`.

mod node;
mod problem;
mod report;
mod section;
mod suggest;

pub(crate) use node::{Node, Position, Value};
pub use problem::{ConfigError, Problem};
pub use report::Setting;
pub(crate) use report::{Fingerprint, Report, fingerprint, read_bounded};
pub(crate) use section::{Kind, Named, Section, join};
pub(crate) use suggest::did_you_mean;
