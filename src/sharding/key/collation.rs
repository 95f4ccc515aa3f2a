//! Which strings are equal under a collation, as far as that can be said without its tables.

/// What of a collation decides which strings are one key.
///
/// Under collations that weigh letters, a string outside printable ASCII may be equal to one inside
/// (`'ä' = 'a'`, the Kelvin sign and `'k'`), and control characters may have no weight at all. Inside printable
/// ASCII every listed collation tells all characters apart, but for the case of letters. So keys of such
/// collations live in printable ASCII; whatever else a statement compares with may be anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collation {
    /// Its name.
    pub name: &'static str,
    /// Which strings are one.
    pub(super) classes: Classes,
    /// PAD SPACE: blanks at the end do not count.
    pub(super) pad: bool,
}

/// What makes two strings equal, blanks at the end apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Classes {
    /// The same characters.
    Exact,
    /// The same printable ASCII characters; others are not understood.
    AsciiExact,
    /// The same printable ASCII characters in either case; others are not understood.
    AsciiFolded,
}

const fn exact(name: &'static str, pad: bool) -> Collation {
    Collation { name, classes: Classes::Exact, pad }
}

const fn folded(name: &'static str, pad: bool) -> Collation {
    Collation { name, classes: Classes::AsciiFolded, pad }
}

/// The collations that a key may have. `NO PAD` ones are those of `information_schema.COLLATIONS` with that
/// `PAD_ATTRIBUTE`, and MariaDB's `_nopad_`.
const KNOWN: &[Collation] = &[
    exact("binary", false),
    exact("ascii_bin", true),
    exact("latin1_bin", true),
    exact("utf8_bin", true),
    exact("utf8mb3_bin", true),
    exact("utf8mb4_bin", true),
    exact("utf8mb4_0900_bin", false),
    exact("utf8mb4_nopad_bin", false),
    Collation { name: "utf8mb4_0900_as_cs", classes: Classes::AsciiExact, pad: false },
    folded("ascii_general_ci", true),
    folded("latin1_swedish_ci", true),
    folded("latin1_general_ci", true),
    folded("utf8_general_ci", true),
    folded("utf8mb3_general_ci", true),
    folded("utf8mb4_general_ci", true),
    folded("utf8_unicode_ci", true),
    folded("utf8mb3_unicode_ci", true),
    folded("utf8mb4_unicode_ci", true),
    folded("utf8mb4_unicode_520_ci", true),
    folded("utf8mb4_0900_ai_ci", false),
    folded("utf8mb4_0900_as_ci", false),
];

impl Collation {
    /// Of the binary string types.
    pub const BINARY: Self = exact("binary", false);

    /// The collation of that name, if keys may have it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name)).copied()
    }

    /// Whether a column of its character set surely holds every character of `text`: what it cannot hold, a
    /// lenient server stores as `?`.
    pub(super) fn holds(&self, text: &str) -> bool {
        let last = match self.name.split('_').next() {
            // Beyond ASCII, latin1 is Microsoft's variant, which not every character survives.
            Some("ascii" | "latin1") => '\u{7F}',
            Some("utf8" | "utf8mb3") => '\u{FFFF}',
            _ => char::MAX,
        };
        text.chars().all(|c| c <= last)
    }

    /// Whether strings that differ in case alone are two values.
    #[must_use]
    pub const fn tells_case(&self) -> bool {
        matches!(self.classes, Classes::Exact | Classes::AsciiExact)
    }

    /// The names of all that keys may have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.name)
    }
}
