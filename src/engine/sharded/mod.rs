//! Statements of a session that is in a logical database: to one slot as they are, or to several and
//! merged.

mod collations;
mod commit;
mod compute;
mod database;
mod generate;
mod hot;
mod lease;
mod numbers;
mod parameters;
mod place;
mod recipes;
mod renaming;
mod route;
mod scatter;
mod shows;
mod source;
mod time;
mod told;
mod write;

pub use database::{LogicalDatabase, ShardPool};
pub(crate) use hot::merged_found_rows;
pub(crate) use parameters::Parameters;
pub(crate) use place::{IMAGES_MAX, Place};
pub(crate) use recipes::Recipes;
pub use renaming::Renaming;
pub(crate) use route::{Routed, unroutable};
pub(crate) use scatter::Part;
