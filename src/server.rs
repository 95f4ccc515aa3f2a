//! Builds everything from the configuration, runs it, drains it.
