//! All that is printed for a request.

use serde::Serialize;

use crate::format::{bytes, dollars, grouped, rounded, seconds};
use crate::table::Table;
use crate::{Assumptions, Backend, Case, Outage, Plan, Prices, Recovery, Request, Workload};

/// The answer to a request.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The request.
    pub request: Request,
    /// The case of the plans.
    pub case: Case,
    /// The work in the low, the expected and the high case.
    pub workloads: [Workload; 3],
    /// The plan of each backend.
    pub plans: Vec<Plan>,
    /// The time to restore each, in the order of the plans.
    pub recoveries: Vec<Option<Recovery>>,
    /// The part of the error budget that a failover takes.
    pub outages: Vec<Outage>,
    /// The assumptions.
    pub assumptions: Assumptions,
    /// The prices.
    pub prices: Prices,
}

impl Report {
    /// Answers a request for some backends.
    #[must_use]
    pub fn new(
        request: Request,
        case: Case,
        backends: &[Backend],
        (assumptions, prices): (Assumptions, Prices),
    ) -> Self {
        let workloads = Case::ALL.map(|case| Workload::of(&request, &assumptions, case));
        let work = Workload::of(&request, &assumptions, case);
        let assumed = (&assumptions, case);
        let plan = |&backend: &Backend| Plan::of(backend, &work, assumed, &prices);
        let plans: Vec<_> = backends.iter().map(plan).collect();
        let recoveries = plans.iter().map(|plan| Recovery::of(plan, &work, assumed)).collect();
        let outages = Outage::all(&assumptions, case);
        Self { request, case, workloads, plans, recoveries, outages, assumptions, prices }
    }

    /// The back-of-the-envelope numbers.
    pub(crate) fn estimates(&self) -> Table {
        let mut table = Table::new(&["", "low", "expected", "high", "formula"]);
        let mut row = |name: &str, number: &dyn Fn(&Workload) -> String, formula: &str| {
            let numbers = self.workloads.iter().map(number);
            let name = std::iter::once(name.to_owned());
            table.row(name.chain(numbers).chain([formula.to_owned()]));
        };
        let each = |number: fn(&Workload) -> f64| move |work: &Workload| rounded(number(work));
        row("stored RSVPs", &each(|w| w.rsvps), "users × RSVPs of a user");
        row(
            "writes a second, average",
            &each(|w| w.average_writes),
            "stored × writes for each ÷ seconds in which they were made",
        );
        row("writes a second, peak", &each(|w| w.writes), "average × peak factor");
        row(
            "`has_rsvped` a second, peak, and as many counts",
            &each(|w| w.questions),
            "users × daily share × pages ÷ 86,400 × peak factor",
        );
        row(
            "lists a second, peak",
            &each(|w| w.lists),
            "users × daily share × lists ÷ 86,400 × peak factor",
        );
        row("writes to the hottest event", &each(|w| w.hot_writes), "given");
        row(
            "`has_rsvped` of it, and as many counts",
            &each(|w| w.hot_questions),
            "its writes × pages for each write",
        );
        row(
            "HTTP requests a second, peak",
            &each(|w| w.requests()),
            "the sum of the above, each pair twice",
        );
        table
    }

    /// The bytes of one copy in each backend.
    pub(crate) fn storage(&self) -> Table {
        let mut table = Table::new(&["one copy of the data", "low", "expected", "high", "formula"]);
        for (name, each) in crate::planner::BYTES {
            let size = |work: &Workload| bytes(work.rsvps * each.value);
            let formula = format!("stored × {} bytes", rounded(each.value));
            let sizes = self.workloads.iter().map(size);
            table.row(std::iter::once(name.to_owned()).chain(sizes).chain([formula]));
        }
        table
    }

    /// The deployment of each backend, in columns.
    pub(crate) fn deployments(&self) -> Table {
        let names = self.plans.iter().map(|plan| plan.backend.name());
        let mut table = Table::new(&std::iter::once("").chain(names).collect::<Vec<_>>());
        let mut row = |name: &str, cell: &dyn Fn(&Plan) -> String| {
            table.row(std::iter::once(name.to_owned()).chain(self.plans.iter().map(cell)));
        };
        row("carries the load", &|plan| (if plan.fits { "yes" } else { "no" }).to_owned());
        row("instances of the service", &|plan| instances(plan));
        row("shards, or primaries of a cluster", &|plan| grouped(plan.store.shards));
        row("of which each event is on", &|plan| grouped(plan.store.spread));
        row("servers in all", &|plan| grouped(plan.store.nodes));
        row("memory of each", &|plan| bytes(plan.store.memory));
        row("disk of each", &|plan| bytes(plan.store.disk));
        row("connections to a primary", &|plan| grouped(plan.store.connections));
        row("load of the busiest", &|plan| format!("{:.2}", plan.store.load));
        row("p95 of `has_rsvped`", &|plan| p95(plan, "has_rsvped"));
        row("p95 of `rsvp` and `cancel`", &|plan| p95(plan, "rsvp, cancel"));
        row("p95 of `rsvp_count`", &|plan| p95(plan, "rsvp_count"));
        row("cost of a month", &|plan| dollars(plan.cost.total));
        table
    }

    /// The time to restore each backend.
    pub(crate) fn restores(&self) -> Table {
        let mut table = Table::new(&[
            "backend",
            "decision",
            "copy from object storage",
            "the engine",
            "in all",
        ]);
        for (plan, recovery) in self.plans.iter().zip(&self.recoveries) {
            let Some(recovery) = recovery else { continue };
            let times = [recovery.decision, recovery.copy, recovery.engine, recovery.total];
            table.row(std::iter::once(plan.backend.to_string()).chain(times.map(seconds)));
        }
        table
    }

    /// Outages against the budget.
    pub(crate) fn outages(&self) -> Table {
        let mut table =
            Table::new(&["outage of writes", "takes", "so many a month are within 99.9 %"]);
        for outage in &self.outages {
            let number = grouped(outage.in_budget);
            table.row([outage.cause.to_owned(), seconds(outage.seconds), number]);
        }
        table
    }
}

/// The instances of the service, for people.
pub(crate) fn instances(plan: &Plan) -> String {
    format!("{} × {} vCPU", grouped(plan.service.instances), grouped(plan.service.vcpus))
}

/// The 95th percentile and its headroom, for people.
pub(crate) fn p95(plan: &Plan, operation: &str) -> String {
    let latency = plan.latency.iter().find(|latency| latency.operation == operation);
    latency.map_or_else(
        || "overloaded".to_owned(),
        |latency| format!("{} ms ({} ×)", rounded(latency.p95_ms), rounded(latency.headroom)),
    )
}

/// The report for people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut part = |title: &str, table: Table| {
        text.push_str(&format!("{title}\n\n{}\n", table.aligned()));
    };
    part("Peak and storage", report.estimates());
    part("Bytes of one copy", report.storage());
    let case = match report.case {
        Case::Low => "low",
        Case::Expected => "expected",
        Case::High => "high",
    };
    let title = format!("Deployments, {case} case (p95, and the level as a multiple of it)");
    part(&title, report.deployments());
    part("Restore from a backup", report.restores());
    part("Outages", report.outages());
    text.push_str("To be known\n\n");
    for plan in &report.plans {
        for remark in &plan.remarks {
            text.push_str(&format!("{}: {remark}\n", plan.backend));
        }
    }
    text.trim_end().to_owned()
}
