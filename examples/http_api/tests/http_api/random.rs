//! Many clients at once.

use crate::service::Service;
use rsvp_load::check::Plan;

#[tokio::test]
async fn a_random_run_over_http_matches_a_model() {
    let service = Service::start();
    for seed in [1, std::process::id().into()] {
        // Shown if the test fails.
        println!("seed {seed}");
        let plan = Plan {
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
