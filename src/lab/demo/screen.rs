//! What the demo prints while it runs: bars on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Between two turns of a spinner.
const SPIN: Duration = Duration::from_millis(80);
/// Between two lines about the same step where there is no terminal.
const PLAIN_LINE: Duration = Duration::from_secs(5);

const SPINNER: &str = "  {spinner:.cyan} {prefix:<9} {wide_msg}";
const BAR: &str = "  {spinner:.cyan} {prefix:<9} {bar:14.cyan/black.bright} {wide_msg}";

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    colour: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { terminal, colour: terminal && !plain }
    }

    /// Whether colours are welcome.
    pub(super) const fn colour(&self) -> bool {
        self.colour
    }

    /// Prints. A reader that has gone away is no reason to stop.
    pub(super) fn say(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// A step of unknown length.
    pub(super) fn step(&self, name: &'static str, doing: &str) -> Step {
        self.begin(name, doing, None)
    }

    /// A step of `length` parts.
    pub(super) fn bar(&self, name: &'static str, length: u64, doing: &str) -> Step {
        self.begin(name, doing, Some(length))
    }

    fn begin(&self, name: &'static str, doing: &str, length: Option<u64>) -> Step {
        let target = if self.terminal { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(length, target);
        let template = if length.is_some() { BAR } else { SPINNER };
        let style = ProgressStyle::with_template(template).expect("a constant template");
        bar.set_style(style.progress_chars("━╸━"));
        bar.set_prefix(name);
        bar.set_message(doing.to_owned());
        if self.terminal {
            bar.enable_steady_tick(SPIN);
        }
        let now = Instant::now();
        Step { name, bar, terminal: self.terminal, colour: self.colour, began: now, said: Mutex::new(now) }
    }
}

/// One line of the screen; it goes when dropped, and stays when done.
#[derive(Debug)]
pub(super) struct Step {
    name: &'static str,
    bar: ProgressBar,
    terminal: bool,
    colour: bool,
    began: Instant,
    /// When it last printed a plain line. Locked to read or set it.
    said: Mutex<Instant>,
}

impl Step {
    /// One part more is done.
    pub(super) fn advance(&self) {
        self.bar.inc(1);
    }

    /// So much is done, and this is how it looks.
    pub(super) fn show(&self, done: u64, message: &str) {
        self.bar.set_position(done);
        self.bar.set_message(message.trim_start().to_owned());
        if !self.terminal && self.said.lock().elapsed() >= PLAIN_LINE {
            *self.said.lock() = Instant::now();
            print_line(&format!("    {:<9} {}", self.name, message.trim_start()));
        }
    }

    /// The step's last word.
    pub(super) fn done(self, result: &str) {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let (green, dim, off) = if self.colour { ("\x1b[32m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let result = result.trim_start();
        print_line(&format!("  {green}✔{off} {:<9} {result} {dim}({seconds:.1} s){off}", self.name));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
