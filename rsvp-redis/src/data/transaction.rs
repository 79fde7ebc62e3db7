//! The transactions for events, on a single server with the user index.

use std::collections::BTreeSet;

use redis::{Cmd, Value};
use rsvp_core::{Action, Write};

use crate::data::event_writes::{Group, MAX_TRANSACTION};
use crate::data::keys::Keys;
use crate::data::set;
use crate::data::user_index::{IndexCommand, commands, sync};
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch, Request};

/// The results of writes to the sets of the events.
pub(crate) struct Changed {
    /// For each write, whether it changed anything.
    pub(crate) results: Vec<Result<bool, Failure>>,
    /// The writes without a change of the user index, to be synced.
    pub(crate) without_index: Vec<usize>,
}

/// Changes the sets of the events.
///
/// In a cluster each part of an event has a transaction of its own. On a single server a
/// transaction changes many events and the user index, and they never differ.
///
/// An entry refused by the server fails alone. Within a transaction its command fails and the
/// others take effect. If its content makes the server refuse the whole transaction, every entry of
/// the transaction is sent once more, alone and without a transaction. For example, a server
/// without free memory takes no transaction, but it takes a cancel.
pub(crate) async fn change(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    writes: &[Write],
) -> Changed {
    let numbered: Vec<(usize, &Write)> = writes.iter().enumerate().collect();
    let mut results = vec![Err(Failure::Malformed("no reply to a write")); writes.len()];
    // Step 1: run as few transactions as possible.
    let transactions = if servers.is_cluster() {
        Transaction::of_events(keys, numbered.iter().copied())
    } else {
        let chunks = numbered.chunks(MAX_TRANSACTION);
        chunks.map(|chunk| Transaction::with_index(keys, chunk)).collect()
    };
    let refused = run(servers, call, transactions, &mut results).await;
    // Step 2: repeat the entries of refused transactions one by one, since the content of one of
    // them may have been the reason. Only that one fails again.
    let together = numbered.iter().filter(|(number, _)| refused.together.contains(number));
    let alone: Vec<_> =
        together.flat_map(|one| Transaction::of_events(keys, [*one].into_iter())).collect();
    if !alone.is_empty() {
        run(servers, call, alone, &mut results).await;
    }
    // Step 3: on a single server take back index entries whose events refused the write. The
    // transaction has written them all the same.
    if !servers.is_cluster() && !refused.alone.is_empty() {
        let pairs = refused.alone.iter().filter_map(|number| writes.get(*number));
        let cancels = pairs.map(|write| Write::new(Action::Cancel, write.rsvp.clone())).collect();
        // They have an error already. A repair mends what fails here.
        sync(servers, keys, call, cancels).await;
    }
    let without_index = match servers.is_cluster() {
        true => (0..writes.len()).collect(),
        false => refused.together.into_iter().collect(),
    };
    Changed { results, without_index }
}

/// The refused writes. Their content may be the reason.
#[derive(Default)]
struct Refused {
    /// The writes of transactions refused as a whole.
    together: BTreeSet<usize>,
    /// The writes refused alone, while the rest of their transaction took effect.
    alone: Vec<usize>,
}

/// Runs transactions and takes their results.
async fn run(
    servers: &impl Dispatch,
    call: Call,
    transactions: Vec<Transaction<'_>>,
    changed: &mut [Result<bool, Failure>],
) -> Refused {
    let requests = transactions.iter().map(Transaction::request).collect();
    let answers = servers.run(call, requests).await;
    let mut refused = Refused::default();
    for (transaction, answer) in transactions.iter().zip(answers) {
        match answer {
            Ok(answer) => refused.alone.extend(transaction.read(answer, changed)),
            Err(failure) => {
                let numbers: Vec<usize> = transaction.numbers().collect();
                numbers.iter().for_each(|number| set(changed, *number, Err(failure.clone())));
                if numbers.len() > 1 && failure.may_be_of_content() {
                    refused.together.extend(numbers);
                }
            }
        }
    }
    refused
}

struct Transaction<'a> {
    groups: Vec<Group<'a>>,
    /// The commands for the user index, on a single server.
    indexes: Vec<IndexCommand>,
}

impl<'a> Transaction<'a> {
    /// One for each part of an event, at least.
    fn of_events(keys: &Keys, writes: impl Iterator<Item = (usize, &'a Write)>) -> Vec<Self> {
        let groups = Group::all(keys, writes).into_iter();
        groups.map(|group| Self { groups: vec![group], indexes: Vec::new() }).collect()
    }

    /// One for everything, with the user index.
    fn with_index(keys: &Keys, writes: &[(usize, &'a Write)]) -> Self {
        let groups = Group::all(keys, writes.iter().copied());
        Self { groups, indexes: commands(keys, writes.iter().copied()) }
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flat_map(Group::numbers)
    }

    fn request(&self) -> Request {
        let slot = self.groups.first().map_or(0, |group| group.key.slot);
        let mut transaction: Vec<Cmd> = Vec::new();
        self.groups.iter().for_each(|group| group.append_to(&mut transaction));
        transaction.extend(self.indexes.iter().map(|index| index.command.clone()));
        Request::write(slot, transaction)
    }

    /// Takes the results of its writes. Returns the refused writes.
    fn read(&self, answer: Answer, changed: &mut [Result<bool, Failure>]) -> Vec<usize> {
        let mut values = answer.values.into_iter();
        let mut refused = Vec::new();
        for (number, result) in self.groups.iter().flat_map(|group| group.read(&mut values)) {
            if matches!(result, Err(Failure::Rejected(_))) {
                refused.push(number);
            }
            set(changed, number, result);
        }
        // An RSVP that is not in its user's list is not done, though its event has it.
        for (index, value) in self.indexes.iter().zip(values) {
            let Value::ServerError(error) = value else { continue };
            for number in &index.writes {
                if changed.get(*number).is_some_and(Result::is_ok) {
                    set(changed, *number, Err(Failure::PartlyApplied(error.clone().into())));
                }
            }
        }
        refused
    }
}
