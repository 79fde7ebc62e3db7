//! Many clients at once.

use std::sync::Arc;
use std::time::Duration;

use rsvp_load::check;
use rsvp_load::{HttpTarget, Load, Plan, Scenario};

use crate::service::Service;

#[tokio::test]
async fn a_random_run_over_http_matches_a_model() {
    let service = Service::start();
    for seed in [1, std::process::id().into()] {
        // Shown if the test fails.
        println!("seed {seed}");
        let plan = check::Plan {
            address: service.address.clone(),
            operations: 10_000,
            connections: 16,
            users: 200,
            events: 20,
            seed,
            prefix: format!("run-{seed}"),
        };
        let report = plan.run().await.unwrap();
        println!("{report}");
        assert_eq!(report.differences(), 0);
    }
}

#[tokio::test]
async fn a_load_over_http_has_no_error_and_no_miss() {
    let service = Service::start();
    let target = Arc::new(HttpTarget::new(&format!("http://{}", service.address)).unwrap());
    for scenario in Scenario::ALL {
        let plan = Plan { events: 10, ..Plan::new(scenario, Duration::from_millis(300)) };
        let plan = plan.with_callers(4);
        let measured = Load::new(target.clone(), plan).run().await.unwrap();
        let wrong = (measured.failed(), measured.read_your_writes_misses);
        assert_eq!(wrong, (0, 0), "{scenario}: {:?}", measured.messages);
        assert!(measured.completed() > 0, "{scenario}");
        assert!(measured.max_count_staleness.is_zero(), "{scenario}: the store has no cache");
    }
}
