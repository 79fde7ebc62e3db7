//! Runs on stores, on the ways by hand, and on a service.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rsvp_load::report::{self, Run};
use rsvp_load::{
    Environment, Failure, HttpTarget, Load, Measured, Plan, Source, Stop, StoreTarget, Summary,
    Target, by_hand, find_max, redacted, regressions,
};

use crate::flags::{Flags, any_number};
use crate::print;
use crate::progress::Progress;

/// With a comparison each way runs this often, in turn, so that other work of the machine falls on both.
/// A rate that misses the service levels is tried as often.
const ROUNDS: u32 = 2;

/// A target and the name that it is shown under.
struct Way {
    name: String,
    target: Arc<dyn Target>,
}

/// The measurements of a way, and the highest rate if it was looked for.
struct Done {
    plan: Plan,
    measured: Measured,
    max_rate: Option<f64>,
}

/// Runs everything that the flags ask for; whether nothing regressed. Ctrl-C ends the run early with what
/// was measured, and a second one ends the program.
pub(crate) async fn run(flags: &Flags) -> Result<bool, Failure> {
    let stop = Stop::new();
    let interrupted = async {
        tokio::signal::ctrl_c().await?;
        eprintln!("ending early; Ctrl-C again ends at once");
        stop.stop();
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        done = run_all(flags, &stop) => done,
        interrupted = interrupted => {
            interrupted?;
            Err("interrupted".into())
        }
    }
}

async fn run_all(flags: &Flags, stop: &Stop) -> Result<bool, Failure> {
    let plan = flags.plan(flags.seed.unwrap_or_else(any_number));
    // Read before the run, so that a missing file is found at once.
    let baseline = flags.baseline.as_deref().map(read).transpose()?;
    let (mut runs, mut servers) = (Vec::new(), Vec::new());
    for ways in ways(flags) {
        if stop.is_stopped() {
            break;
        }
        servers.extend(ways.server().await);
        let ways = ways.open().await?;
        let done = if flags.find_max {
            each_at_its_most(&ways, &plan, stop).await?
        } else {
            in_turn(&ways, &plan, stop).await?
        };
        for way in &ways {
            if let Err(failed) = way.target.close().await {
                eprintln!("{}: {failed}", way.name);
            }
        }
        runs.extend(summarise(&ways, done));
    }

    let environment = Environment::here(std::env::args()).with_servers(servers);
    for run in &mut runs {
        run.summary.environment = Some(environment.clone());
        print::summary(&run.summary);
        for (kind, message) in &run.measured.messages {
            println!("  {kind}: {message}");
        }
    }
    println!("--seed {}", plan.seed);
    let summaries: Vec<Summary> = runs.iter().map(|run| run.summary.clone()).collect();
    if let Some(path) = &flags.json {
        write(path, &summaries)?;
    }
    if let Some(path) = &flags.report {
        std::fs::write(path, report::html(&runs, &plan, &environment))?;
    }
    let Some(baseline) = baseline else { return Ok(true) };
    let worse = regressions(&baseline, &summaries, flags.fail_on_regression.unwrap_or(0.2));
    worse.iter().for_each(|line| println!("regression: {line}"));
    Ok(worse.is_empty() || flags.fail_on_regression.is_none())
}

/// What is still to be opened: a store, the way by hand beside it, or a service.
enum Closed {
    Store { source: Source, by_hand: bool },
    Service(String),
}

fn ways(flags: &Flags) -> Vec<Closed> {
    if let Some(url) = &flags.url {
        return vec![Closed::Service(url.clone())];
    }
    let memory = || Source { name: "memory".to_owned(), url: "memory:".to_owned() };
    let sources = if flags.store.is_empty() { vec![memory()] } else { flags.store.clone() };
    let by_hand = flags.compare.is_some();
    sources.into_iter().map(|source| Closed::Store { source, by_hand }).collect()
}

impl Closed {
    /// The version and the settings of the server, with the name of the store.
    async fn server(&self) -> Option<String> {
        let Self::Store { source: Source { name, url }, .. } = self else { return None };
        Some(format!("{name}: {}", by_hand::server(url).await?))
    }

    /// The store or the service first.
    async fn open(self) -> Result<Vec<Way>, Failure> {
        match self {
            Self::Service(url) => {
                let target = Arc::new(HttpTarget::new(&url)?);
                Ok(vec![Way { name: redacted(&url), target }])
            }
            Self::Store { source: Source { name, url }, by_hand } => {
                let target = Arc::new(StoreTarget::new(rsvp::open(&url).await?));
                let mut ways = vec![Way { name, target }];
                if by_hand {
                    let target = by_hand::open(&url).await?;
                    ways.push(Way { name: "by hand".to_owned(), target });
                }
                Ok(ways)
            }
        }
    }
}

impl Way {
    async fn run(&self, plan: &Plan, stop: &Stop) -> Result<Measured, Failure> {
        let progress = Progress::new(&self.name, plan.time);
        let load = Load::new(Arc::clone(&self.target), plan.clone()).with_stop(stop.clone());
        let shown = progress.clone();
        let measured = load.with_ticks(move |tick| shown.tick(tick)).run().await;
        progress.end();
        measured
    }
}

impl Way {
    /// Whether the service levels are met. A second run decides after one that misses them, since other
    /// work of the machine can be the reason.
    async fn meets(&self, plan: &Plan, stop: &Stop) -> Result<(bool, Measured), Failure> {
        let mut measured = Measured::default();
        for _ in 0..ROUNDS {
            measured = self.run(plan, stop).await?;
            if stop.is_stopped() {
                break;
            }
            if Summary::new(&self.name, plan, &measured).slo.met {
                return Ok((true, measured));
            }
        }
        Ok((false, measured))
    }
}

/// Every way in turn, and again if there are several.
async fn in_turn(ways: &[Way], plan: &Plan, stop: &Stop) -> Result<Vec<Done>, Failure> {
    let rounds = if ways.len() > 1 { ROUNDS } else { 1 };
    let part = Plan { time: plan.time / rounds, ..plan.clone() };
    let mut measured: BTreeMap<usize, Measured> = BTreeMap::new();
    for _ in 0..rounds {
        for (place, way) in ways.iter().enumerate() {
            if !stop.is_stopped() {
                measured.entry(place).or_default().append(way.run(&part, stop).await?);
            }
        }
    }
    let done = |measured| Done { plan: plan.clone(), measured, max_rate: None };
    Ok(measured.into_values().map(done).collect())
}

/// Every way at the highest rate at which it meets the service levels.
async fn each_at_its_most(ways: &[Way], plan: &Plan, stop: &Stop) -> Result<Vec<Done>, Failure> {
    let mut all = Vec::new();
    for way in ways {
        let mut best: Option<Done> = None;
        let first = plan.rate.unwrap_or_default();
        let max_rate = find_max(first, async |rate| {
            let callers = plan.callers;
            let plan = plan.clone().with_rate(Some(rate)).with_callers(callers);
            let (met, measured) = way.meets(&plan, stop).await?;
            eprintln!("{}: {rate:.0} a second: {}", way.name, if met { "met" } else { "not met" });
            // The last run at least, if no rate is met.
            if met || best.is_none() {
                best = Some(Done { plan, measured, max_rate: None });
            }
            if stop.is_stopped() { Err("interrupted".into()) } else { Ok(met) }
        });
        let max_rate = max_rate.await;
        let interrupted = max_rate.is_err() && stop.is_stopped();
        let max_rate = if interrupted { None } else { max_rate? };
        all.extend(best.map(|best| Done { max_rate, ..best }));
        if interrupted {
            break;
        }
    }
    Ok(all)
}

fn summarise(ways: &[Way], done: Vec<Done>) -> Option<Run> {
    let mut summaries = ways.iter().zip(done).map(|(way, done)| {
        let summary = Summary::new(&way.name, &done.plan, &done.measured);
        (summary.with_max_rate(done.max_rate), done.measured)
    });
    let (summary, measured) = summaries.next()?;
    Some(match summaries.next() {
        Some((by_hand, other)) => {
            Run { summary: summary.with_by_hand(by_hand), measured, by_hand: Some(other) }
        }
        None => Run { summary, measured, by_hand: None },
    })
}

fn read(path: &Path) -> Result<Vec<Summary>, Failure> {
    let text = std::fs::read_to_string(path)?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    Ok(match value {
        serde_json::Value::Array(_) => serde_json::from_value(value)?,
        one => vec![serde_json::from_value(one)?],
    })
}

fn write(path: &Path, summaries: &[Summary]) -> Result<(), Failure> {
    let mut text = match summaries {
        [one] => serde_json::to_string_pretty(one)?,
        all => serde_json::to_string_pretty(all)?,
    };
    text.push('\n');
    Ok(std::fs::write(path, text)?)
}
