//! Live figures: a bar on a terminal, plain lines otherwise.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rsvp_load::{Tick, text};

/// The number of plain lines of a long run.
const LINES: u32 = 20;

/// The progress of one run.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    name: String,
    time: Duration,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(name: &str, time: Duration) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            bar.set_message("filling");
            bar
        });
        Self { name: name.to_owned(), time, bar }
    }

    pub(crate) fn tick(&self, tick: &Tick) {
        let offered =
            tick.offered.map(|rate| format!(" of {}", text::thousands(rate))).unwrap_or_default();
        let failed =
            if tick.failed > 0 { format!(", {} failed", tick.failed) } else { String::new() };
        let figures = format!(
            "{:.1}/{:.1} s  {}{offered} calls/s  p50 {}  p99 {}  p99.9 {}{failed}",
            tick.at.as_secs_f64(),
            self.time.as_secs_f64(),
            text::thousands(tick.per_second()),
            text::duration(tick.p50),
            text::duration(tick.p99),
            text::duration(tick.p999),
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::try_from(tick.at.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(figures);
            }
            None if self.has_line(tick) => eprintln!("{}: {figures}", self.name),
            None => {}
        }
    }

    /// A line for each twentieth of the run, and at most one a second.
    fn has_line(&self, tick: &Tick) -> bool {
        let every = (self.time / LINES).max(Duration::from_secs(1));
        let lines = |time: Duration| time.as_nanos() / every.as_nanos();
        lines(tick.at) > lines(tick.at.saturating_sub(tick.length)) || tick.at >= self.time
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
