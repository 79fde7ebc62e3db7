//! The tables and numbers of `docs/scaling.md`, and how they are put there.
//!
//! Text between `<!-- =KEY -->` and `<!-- / -->` is computed: a table in lines of its own, or a
//! number within a sentence.

use std::collections::BTreeMap;

use crate::format::{bytes, dollars, grouped, rounded, seconds};
use crate::recovery::BUDGET;
use crate::report::{instances, p95};
use crate::table::Table;
use crate::{
    Assumptions, Backend, Case, MEASURED, Measured, Plan, Prices, Recovery, Report, SIZES, Workload,
};

const BEGIN: &str = "<!-- =";
const KEY_END: &str = " -->";
const END: &str = "<!-- / -->";

/// The number of assumptions in the table of their effect on the cost.
const SENSITIVE: usize = 8;

/// The tables and numbers of the document, by their keys.
#[derive(Clone, Debug)]
pub struct Document {
    values: BTreeMap<String, String>,
}

impl Document {
    /// Computes it with the defaults: 100 million users, and the five sizes.
    #[must_use]
    pub fn new() -> Self {
        let report = Report::new(
            large().request(),
            Case::Expected,
            &Backend::ALL,
            (Assumptions::default(), Prices::default()),
        );
        let mut document = Self { values: BTreeMap::new() };
        document.tables(&report);
        document.numbers(&report);
        document
    }

    /// The keys of all that is computed.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    fn table(&mut self, key: &str, table: &Table) {
        self.add(key, format!("\n{}", table.markdown()));
    }

    fn tables(&mut self, report: &Report) {
        self.table("estimates", &report.estimates());
        self.table("storage", &report.storage());
        self.table("deployments", &report.deployments());
        self.table("restores", &report.restores());
        self.table("outages", &report.outages());
        self.table("assumptions", &assumptions(&report.assumptions));
        self.table("prices", &prices(&report.prices));
        self.table("sizes", &sizes());
        self.table("costs", &costs());
        self.table("sensitivity", &sensitivity());
    }

    fn numbers(&mut self, report: &Report) {
        for constant in MEASURED {
            self.add(constant.name, measured(constant));
        }
        self.add("budget", seconds(BUDGET));
        for plan in &report.plans {
            let (name, store) = (plan.backend, plan.store);
            self.add(format!("{name}.shards"), grouped(store.shards));
            self.add(format!("{name}.nodes"), grouped(store.nodes));
            self.add(format!("{name}.spread"), grouped(store.spread));
            self.add(format!("{name}.load"), format!("{:.2}", store.load));
            self.add(format!("{name}.data"), bytes(store.data));
            self.add(format!("{name}.memory"), bytes(store.memory));
            self.add(format!("{name}.instances"), grouped(plan.service.instances));
            self.add(format!("{name}.connections"), grouped(store.connections));
            self.add(format!("{name}.cost"), dollars(plan.cost.total));
            self.add(format!("{name}.p95.rsvp"), p95(plan, "rsvp, cancel"));
        }
        let [low, expected, high] = &report.workloads;
        self.add("rsvps", grouped(expected.rsvps));
        self.add("average_writes", rounded(expected.average_writes));
        self.add("writes", rounded(expected.writes));
        self.add("hot_writes", rounded(expected.hot_writes));
        self.add("requests", rounded(expected.requests()));
        self.add("requests.low", rounded(low.requests()));
        self.add("requests.high", rounded(high.requests()));
        self.add("hot_share", rounded(100.0 * expected.hot_writes / expected.all_writes()));
        for (plan, recovery) in report.plans.iter().zip(&report.recoveries) {
            let total =
                recovery.map_or_else(|| "never".to_owned(), |recovery| seconds(recovery.total));
            self.add(format!("restore.{}", plan.backend), total);
        }
        for size in &SIZES {
            self.add(format!("users.{}", size.name), grouped(size.request().users));
        }
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

/// The size of 100 million users.
fn large() -> crate::Size {
    let [_, _, _, large, _] = SIZES;
    large
}

/// A measured number with its unit, if that is a time.
fn measured(constant: &Measured) -> String {
    match constant.unit {
        "seconds" => seconds(constant.value),
        "bytes" => bytes(constant.value),
        "ms" | "µs" | "ns" | "%" | "MiB" if constant.value.fract() != 0.0 => {
            format!("{} {}", constant.value, constant.unit)
        }
        "ms" | "µs" | "ns" | "%" | "MiB" => {
            format!("{} {}", grouped(constant.value), constant.unit)
        }
        _ if constant.value.fract() != 0.0 => constant.value.to_string(),
        _ => grouped(constant.value),
    }
}

fn assumptions(assumptions: &Assumptions) -> Table {
    let mut table = Table::new(&["assumption", "low", "expected", "high", "unit", "meaning"]);
    for row in assumptions.rows() {
        let numbers = Case::ALL.map(|case| number(row.range.of(case)));
        let name = std::iter::once(format!("`{}`", row.name));
        table.row(name.chain(numbers).chain([row.unit.to_owned(), row.meaning.to_owned()]));
    }
    table
}

/// A number as it was assumed.
fn number(number: f64) -> String {
    if number < 1e4 { number.to_string() } else { grouped(number) }
}

fn prices(prices: &Prices) -> Table {
    let mut table = Table::new(&["price", "US dollars a month", "meaning"]);
    for (name, price, meaning) in prices.rows() {
        table.row([format!("`{name}`"), price.to_string(), meaning.to_owned()]);
    }
    table
}

/// The plan of a size, and the work that it is for.
fn planned(size: &crate::Size, backend: Backend, case: Case) -> (Workload, Plan) {
    let (assumptions, prices) = (Assumptions::default(), Prices::default());
    let work = Workload::of(&size.request(), &assumptions, case);
    let plan = Plan::of(backend, &work, (&assumptions, case), &prices);
    (work, plan)
}

fn sizes() -> Table {
    let mut table = Table::new(&[
        "size",
        "users",
        "stored",
        "writes a second at the peak, hottest event",
        "reads a second",
        "data",
        "deployment",
        "load",
        "p95 `rsvp`",
        "restore in",
    ]);
    for size in &SIZES {
        let (work, plan) = planned(size, size.backend, Case::Expected);
        let recovery = Recovery::of(&plan, &work, (&Assumptions::default(), Case::Expected));
        table.row([
            size.name.to_owned(),
            grouped(size.request().users),
            grouped(work.rsvps),
            format!("{}, {}", rounded(work.writes), rounded(work.hot_writes)),
            rounded(work.all_reads()),
            bytes(plan.store.data),
            deployment(&plan),
            format!("{:.2}", plan.store.load),
            p95(&plan, "rsvp, cancel"),
            recovery.map_or_else(|| "never".to_owned(), |recovery| seconds(recovery.total)),
        ]);
    }
    table
}

fn deployment(plan: &Plan) -> String {
    let (instances, nodes) = (instances(plan), grouped(plan.store.nodes));
    match plan.backend {
        Backend::Memory | Backend::Sqlite => format!("{}, {instances}", plan.backend),
        backend => format!("{instances}, {nodes} × {backend}"),
    }
}

/// The cost of each size on its backend, and on the other one with servers.
fn costs() -> Table {
    let mut table = Table::new(&[
        "size",
        "backend",
        "service",
        "servers",
        "disks",
        "backups",
        "a month",
        "low case",
        "high case",
    ]);
    for size in &SIZES {
        let also = match size.backend {
            Backend::Postgres => Some(Backend::Redis),
            Backend::Redis => Some(Backend::Postgres),
            _ => None,
        };
        for backend in std::iter::once(size.backend).chain(also) {
            let of = |case| planned(size, backend, case).1;
            let plan = of(Case::Expected);
            let cost = plan.cost;
            let parts = [cost.service, cost.store, cost.disk, cost.backup, cost.total];
            let other = [Case::Low, Case::High].map(|case| {
                let plan = of(case);
                if plan.fits { dollars(plan.cost.total) } else { "does not fit".to_owned() }
            });
            let name = [size.name.to_owned(), backend.to_string()];
            table.row(name.into_iter().chain(parts.map(dollars)).chain(other));
        }
    }
    table
}

/// The assumptions that move the cost the most, one at a time.
fn sensitivity() -> Table {
    let (defaults, prices) = (Assumptions::default(), Prices::default());
    let plan = |assumptions: &Assumptions| {
        let work = Workload::of(&large().request(), assumptions, Case::Expected);
        Plan::of(Backend::Postgres, &work, (assumptions, Case::Expected), &prices)
    };
    let mut rows: Vec<_> = defaults
        .rows()
        .into_iter()
        .map(|row| {
            (row, [Case::Low, Case::High].map(|case| plan(&defaults.clone().with(row.name, case))))
        })
        .collect();
    let span = |[low, high]: &[Plan; 2]| (high.cost.total - low.cost.total).abs();
    rows.sort_by(|(_, a), (_, b)| span(b).total_cmp(&span(a)));
    let mut table = Table::new(&[
        "this assumption alone",
        "low",
        "a month",
        "servers",
        "high",
        "a month",
        "servers",
    ]);
    for (row, plans) in rows.into_iter().take(SENSITIVE) {
        let ends = [row.range.low, row.range.high].into_iter().zip(&plans);
        let cells = ends.flat_map(|(end, plan)| {
            [number(end), dollars(plan.cost.total), grouped(plan.store.nodes)]
        });
        table.row(std::iter::once(format!("`{}`", row.name)).chain(cells));
    }
    table
}

/// Puts the tables and numbers into a text, in the place of those that stand there.
///
/// # Errors
///
/// A sentence for people about a mark that is not closed, or whose key does not exist.
pub fn fill(text: &str, document: &Document) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (key, after) = after.split_once(KEY_END).ok_or("a mark without an end")?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("`{key}` is not closed"))?;
        let value = document.values.get(key).ok_or_else(|| format!("there is no `{key}`"))?;
        filled.push_str(&format!("{before}{BEGIN}{key}{KEY_END}{value}{END}"));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
