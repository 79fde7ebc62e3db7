//! The same service over Postgres.

use rsvp_testkit::servers::PostgresServer;

use crate::check::Plan;
use crate::service::{Service, command};

#[tokio::test]
async fn a_random_run_over_http_and_postgres_matches_a_model() {
    let url = PostgresServer::shared().await.create_database().await;
    let store = format!("{url}?migrate=true");
    let service =
        Service::start_with(command().args(["--listen", "127.0.0.1:0", "--store", &store]));
    let seed = rsvp_testkit::seed();
    println!("seed {seed}");
    let plan = Plan {
        address: service.address.clone(),
        operations: 4000,
        connections: 16,
        users: 200,
        events: 20,
        seed,
        prefix: "run".to_owned(),
    };
    let report = plan.run().await.unwrap();
    println!("{report}");
    assert_eq!(report.differences(), 0);
}
