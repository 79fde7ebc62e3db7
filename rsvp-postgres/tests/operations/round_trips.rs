//! The number of round trips does not depend on the number of entries.

use rsvp_core::{
    BatchReceipt, Operation, ReadOptions, Result, Rsvp, RsvpStore, Write, WriteOptions, async_trait,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::{Cost, PostgresServer, Proxy, round_trips};
use rsvp_testkit::{Stub, Stubbed};

/// A store behind a proxy, with as many connections as a batch has statements.
async fn behind_a_proxy() -> (PostgresStore, Proxy) {
    let server = PostgresServer::shared().await;
    let url = server.create_database().await;
    let proxy = Proxy::start(server.port()).await;
    let url = url.replace(&server.port().to_string(), &proxy.port().to_string());
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&pool_size=4")).unwrap();
    (PostgresStore::open(config).await.unwrap(), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_the_round_trips_of_one_entry_and_a_page_those_of_one() {
    let (store, proxy) = behind_a_proxy().await;
    for cost in round_trips(&store, &[&proxy], &[1, 1_000, 10_000]).await {
        println!("{cost:?}");
        assert!(cost.is_fixed(), "{cost:?}");
        assert_eq!(cost.longest(), 1, "{cost:?}");
        // At most 4,096 entries go into one statement.
        assert!(cost.turns.iter().all(|(_, turns)| turns.total <= 4), "{cost:?}");
    }
}

/// A store that makes a call for each entry of a batch.
#[derive(Debug)]
struct OneByOne(PostgresStore);

#[async_trait]
impl Stub for OneByOne {
    fn inner(&self) -> &dyn RsvpStore {
        &self.0
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut all = BatchReceipt::default();
        for write in writes.chunks(1) {
            let receipt = self.0.write_batch(write, options).await?;
            all.results.extend(receipt.results);
            all.token.merge(&receipt.token);
        }
        Ok(all)
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let mut all = Vec::new();
        for pair in pairs.chunks(1) {
            all.extend(self.0.has_rsvped_batch(pair, options).await?);
        }
        Ok(all)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_a_round_trip_for_each_entry_is_found() {
    let (store, proxy) = behind_a_proxy().await;
    let store = Stubbed(OneByOne(store));
    let costs = round_trips(&store, &[&proxy], &[1, 9]).await;
    let depends: Vec<_> = costs.iter().filter(|cost| !cost.is_fixed()).collect();
    let operations = depends.iter().map(|cost| cost.operation).collect::<Vec<_>>();
    assert_eq!(operations, [Operation::Write, Operation::HasRsvped], "{costs:?}");
    let total = |cost: &&Cost| cost.turns.last().unwrap().1.total;
    assert!(depends.iter().map(total).all(|total| total == 9), "{costs:?}");
}
