//! What is measured: a mode and a number of connections.

use std::fmt;
use std::str::FromStr;

/// How statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// COM_QUERY.
    Text,
    /// COM_STMT_EXECUTE of a statement prepared at the start.
    Prepared,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
}

impl Scenario {
    const fn new(mode: Mode, connections: usize) -> Self {
        Self { mode, connections }
    }

    /// Every scenario of the table.
    pub(crate) const ALL: [Self; 6] = [
        Self::new(Mode::Text, 1),
        Self::new(Mode::Text, 64),
        Self::new(Mode::Text, 256),
        Self::new(Mode::Prepared, 1),
        Self::new(Mode::Prepared, 64),
        Self::new(Mode::Prepared, 256),
    ];

    /// Those of the summary.
    pub(crate) const SUMMARY: [Self; 4] = [
        Self::new(Mode::Text, 1),
        Self::new(Mode::Text, 64),
        Self::new(Mode::Prepared, 64),
        Self::new(Mode::Text, 256),
    ];

    /// The scenario that stands for all where there is room for one number.
    pub(crate) const MAIN: Self = Self::new(Mode::Text, 64);
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Prepared => "prepared",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "prepared" => Ok(Self::Prepared),
            other => Err(format!("{other}: neither text nor prepared")),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.mode, self.connections)
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, connections) = text.split_once('_').ok_or(format!("{text}: not like text_64"))?;
        let connections = connections.parse().map_err(|error| format!("{text}: {error}"))?;
        match connections {
            1..=10_000 => Ok(Self { mode: mode.parse()?, connections }),
            _ => Err(format!("{text}: connections must be 1 to 10000")),
        }
    }
}
