//! Removing what belongs to an event or a user, in steps.

use std::future::Future;

use redis::{Value, cmd};
use rsvp_core::{
    Effect, Error, EventId, FoldedBatch, Operation, RemovalStep, Result, Rsvp, SessionToken,
    UserId, Write,
};

use crate::RedisStore;
use crate::data::keys::Key;
use crate::data::scan_key::text;
use crate::data::user_index::settle;
use crate::data::write::{all, apply, user_side};
use crate::store::stored;
use crate::wire::request::Unit;

impl RedisStore {
    /// Cancels up to `limit` RSVPs that `find` finds, and says how many went.
    ///
    /// What finds them is changed last, so that a removal which stopped can be taken up again.
    pub(crate) async fn remove<F>(
        &self,
        operation: Operation,
        find: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<RemovalStep>
    where
        F: Future<Output = Result<(Vec<Rsvp>, bool)>> + Send,
    {
        let permit = self.permit(operation)?;
        let store = self.clone();
        self.to_the_end(operation, async move {
            let _permit = permit;
            let (pairs, more) = find(store.clone()).await?;
            let cancel = |pair: Rsvp| Write::cancel(pair.user, pair.event);
            let writes: Vec<Write> = pairs.into_iter().map(cancel).collect();
            let changed = store.cancel_all(operation, &writes).await?;
            let removed = changed.iter().filter(|changed| **changed).count() as u64;
            Ok(RemovalStep { removed, more, token: SessionToken::new() })
        })
        .await
    }

    /// In a cluster an event's users are told first: once the event's set is empty, nothing would
    /// lead to them.
    async fn cancel_all(&self, operation: Operation, writes: &[Write]) -> Result<Vec<bool>> {
        let (network, keys) = (self.network(), self.keys());
        let batch = FoldedBatch::new(writes);
        if operation != Operation::RemoveEvent || !network.config().cluster {
            return apply(network, keys, operation, batch.finals()).await;
        }
        let users = user_side(keys, writes.iter()).into_iter();
        let units = users.map(|(key, _, command)| Unit::write(key.slot, vec![command])).collect();
        let told = all(operation, network.run(operation, units).await);
        let changed = match told {
            Ok(_) => apply(network, keys, operation, batch.finals()).await,
            Err(error) => Err(error),
        };
        if changed.is_err() {
            // Those who stay are to see it again; what is wrong is told already.
            let _ = settle(network, keys, operation, writes.to_vec()).await;
        }
        changed.map_err(|error| error.with_effect(Effect::Unknown))
    }

    /// Up to `limit` RSVPs of an event, and whether there may be more.
    pub(crate) async fn some_of_event(
        self,
        event: EventId,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, bool)> {
        let mut pairs = Vec::new();
        for part in 0..self.keys().parts() {
            let room = limit.saturating_sub(pairs.len());
            if room == 0 {
                return Ok((pairs, true));
            }
            let key = self.keys().event(&event, part);
            let users = self.sample("SRANDMEMBER", &key, room, Operation::RemoveEvent).await?;
            for user in users {
                pairs.push(Rsvp::new(
                    stored(Operation::RemoveEvent, UserId::new(user))?,
                    event.clone(),
                ));
            }
        }
        let more = pairs.len() >= limit;
        Ok((pairs, more))
    }

    pub(crate) async fn some_of_user(
        self,
        user: UserId,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, bool)> {
        let key = self.keys().user(&user);
        let events = self.sample("HRANDFIELD", &key, limit, Operation::RemoveUser).await?;
        let more = events.len() >= limit;
        let pair = |event| {
            Ok(Rsvp::new(user.clone(), stored(Operation::RemoveUser, EventId::new(event))?))
        };
        Ok((events.into_iter().map(pair).collect::<Result<_>>()?, more))
    }

    /// Up to `count` members, all different; all of them if there are fewer.
    async fn sample(
        &self,
        command: &str,
        key: &Key,
        count: usize,
        operation: Operation,
    ) -> Result<Vec<String>> {
        let unit = Unit::read(key.slot, cmd(command).arg(&key.name).arg(count).to_owned());
        let answers = all(operation, self.network().run(operation, vec![unit]).await)?;
        let value = answers.into_iter().next().and_then(|answer| answer.values.into_iter().next());
        match value {
            Some(Value::Array(members) | Value::Set(members)) => {
                members.into_iter().map(|member| text(operation, member)).collect()
            }
            _ => Err(Error::corrupt(operation, "a sample that is none")),
        }
    }
}
