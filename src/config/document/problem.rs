//! What is wrong with a configuration file, said so that an operator can go to the place.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::document::Position;

/// Problems shown at most; the rest is counted.
const SHOWN_MAX: usize = 50;

/// Everything that is wrong with one configuration file.
///
/// Not a `ProxyError`: no client ever sees it. It is printed at the start, by `dazzle check`, and in the
/// log when a reload is refused. It holds no password: values of settings that may be secret are never
/// quoted, and neither are the lines that hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `problems` of `file`, in the order of their positions; `text` serves for the snippets.
    pub(crate) fn new(file: &Path, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.at);
        let lines: Vec<&str> = text.lines().collect();
        for problem in problems.iter_mut().take(SHOWN_MAX) {
            problem.snippet = snippet(&lines, problem);
        }
        Self { file: file.to_owned(), problems }
    }

    /// `message` about `file` as a whole.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self::new(file, "", vec![Problem::new(None, "", message)])
    }

    /// The file that is wrong.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is wrong, from the top of the file downwards; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// One line per problem, `file:line:column: path: message`, without snippets: what a log takes.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().take(SHOWN_MAX).map(|problem| format!("{}{problem}", self.file.display()))
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (line, problem)) in self.lines().zip(&self.problems).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}")?;
            if let Some(snippet) = &problem.snippet {
                write!(f, "\n{snippet}")?;
            }
        }
        match self.problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    at: Option<Position>,
    path: String,
    message: String,
    snippet: Option<String>,
}

impl Problem {
    /// `message` about the setting at `path`; an empty path is the file as a whole.
    pub(crate) fn new(at: Option<Position>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), snippet: None }
    }

    /// Line and column, from 1; none for the file as a whole.
    #[must_use]
    pub fn place(&self) -> Option<(u64, u64)> {
        self.at.map(|at| (at.line, at.column))
    }

    /// The setting, for example `clusters.main.pool.size_max`; empty for the file as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it: lowercase, no full stop.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// `:line:column: path: message`, to stand behind a file's name.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The line with a caret under the place; none where it might show a password.
fn snippet(lines: &[&str], problem: &Problem) -> Option<String> {
    let at = problem.at?;
    let index = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let line = *lines.get(index)?;
    if problem.path.contains("password") || may_show_password(lines, index) || line.trim().is_empty() {
        return None;
    }
    let column = usize::try_from(at.column).ok()?.saturating_sub(1);
    let shown: String = line.chars().take(160).collect();
    if column > shown.chars().count() {
        return None;
    }
    let indent: String = shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Some(format!("{:>6} | {shown}\n       | {indent}^", at.line))
}

/// Whether the line, the one above, or a line that it is indented under names a password: a secret may
/// go on over several lines, and all of them are indented deeper than its key.
fn may_show_password(lines: &[&str], index: usize) -> bool {
    let names = |line: &str| line.to_lowercase().contains("password");
    let indent = |line: &str| line.len() - line.trim_start().len();
    if names(lines[index]) || index.checked_sub(1).is_some_and(|above| names(lines[above])) {
        return true;
    }
    let mut innermost = indent(lines[index]);
    for line in lines[..index].iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) < innermost {
            innermost = indent(line);
            if names(line) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, line: u64, column: u64, path: &str) -> String {
        let problem = Problem::new(Some(Position { line, column }), path, "is wrong");
        ConfigError::new(Path::new("dazzle.yaml"), text, vec![problem]).to_string()
    }

    #[test]
    fn a_problem_names_its_place_and_shows_the_line() {
        assert_eq!(
            render("a: 1\n  b: x\n", 2, 6, "a.b"),
            "dazzle.yaml:2:6: a.b: is wrong\n     2 |   b: x\n       |      ^"
        );
    }

    #[test]
    fn no_snippet_shows_a_password() {
        let text = "users:\n  app:\n    password: >-\n      hunter2\n\n      more\n    x: 1\n";
        for line in [3, 4, 6] {
            assert!(!render(text, line, 1, "").contains('|'), "line {line}");
        }
        assert!(render(text, 7, 5, "users.app.x").contains("x: 1"));
        assert!(!render(text, 7, 5, "users.app.password").contains('|'));
    }

    #[test]
    fn many_problems_are_counted_not_listed() {
        let problems = (0..60).map(|_| Problem::new(None, "a", "is wrong")).collect();
        let shown = ConfigError::new(Path::new("x"), "", problems).to_string();
        assert_eq!(shown.lines().count(), 51);
        assert!(shown.ends_with("… and 10 more"));
    }
}
