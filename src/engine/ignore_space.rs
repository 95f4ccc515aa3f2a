//! IGNORE_SPACE of the handshake: a flag of `sql_mode` in the session's image.

use std::sync::Arc;

use crate::backend::{Flavor, SessionImage};
use crate::engine::session::Session;

impl Session {
    /// What a client that negotiated IGNORE_SPACE gets: the server turns it into a flag of `sql_mode`. MySQL does so
    /// again at every reset, and when the user changes; MariaDB does it once, at the login.
    pub fn ignore_space(&mut self) {
        let image = Arc::new(with_ignore_space(&self.state.image));
        if self.keeps_ignoring_space() {
            self.state.login = Arc::new(with_ignore_space(&self.state.login));
        }
        self.state.become_image(image);
    }

    /// Whether the server goes back to it.
    #[must_use]
    pub fn keeps_ignoring_space(&self) -> bool {
        self.flavor() == Flavor::MySql
    }
}

fn with_ignore_space(image: &SessionImage) -> SessionImage {
    let mode = image.variable("sql_mode").unwrap_or_default();
    if mode.split(|byte| *byte == b',').any(|name| name.eq_ignore_ascii_case(b"IGNORE_SPACE")) {
        return image.clone();
    }
    let mut mode = mode.to_vec();
    if !mode.is_empty() {
        mode.push(b',');
    }
    mode.extend_from_slice(b"IGNORE_SPACE");
    image.with_variables([("sql_mode", &*mode)])
}
