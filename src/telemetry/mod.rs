//! telemetry

pub mod task;
