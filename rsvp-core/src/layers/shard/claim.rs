//! The label with which a shard's store remembers the shard's name and placement.

use std::borrow::Cow;

use futures_util::future::join_all;

use super::record::Record;
use super::{Shard, ShardedStore};
use crate::backend::combine;
use crate::{Error, Label, LabelName, Operation, ReadOptions, Result, RsvpStore, WriteOptions};

/// The label of a shard, in the shard's own store.
const LABEL: &str = "rsvp.shard";

impl<S: RsvpStore> ShardedStore<S> {
    /// Checks that every store belongs to its shard and to this placement, and claims new stores.
    ///
    /// A list with another name, weight or spread would look for RSVPs on the wrong shards,
    /// and write new ones there.
    /// A host that makes a sharded store by code calls this before it uses the store,
    /// each time that it opens it. `rsvp::open` calls it for several URLs.
    ///
    /// # Behavior
    ///
    /// - Each store keeps the shard's name, the [fingerprint](super::Placement::fingerprint)
    ///   and the placement as a text in one label, `rsvp.shard`.
    ///   Nothing removes it, not even the removal of events and users.
    /// - The call reads all labels at once, and checks them before it writes any.
    ///   Stores without a label then get theirs one after another,
    ///   in the order of the hashes of the names.
    ///   Several processes may open the same new stores. Those with the same list succeed.
    ///   Of those with different lists one succeeds.
    /// - After a crash between two stores, the next call with the same list claims the rest.
    /// - Later calls write nothing, so they need no right to write labels.
    ///
    /// The order of the shards has no effect.
    /// An empty store in the place of a lost one is claimed as the shard of that name.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the field `placement`
    ///   if a store belongs to another placement. The error lists the differences.
    /// - [`Error::InvalidInput`] with the field `shard` if a store belongs to another shard, or
    ///   if two names have the same store.
    /// - [`Error::Corrupt`] if the label of a store is malformed.
    /// - The error of a shard if it is down, if reading its label is not allowed, or
    ///   if writing the label is not allowed at the first call.
    ///   A store that cannot be checked is not used.
    ///
    /// ```
    /// use rsvp_core::layers::{Shard, ShardedStore};
    /// use rsvp_core::{Result, RsvpStore, WriteOptions};
    ///
    /// async fn open<S: RsvpStore>(eu1: S, eu2: S) -> Result<ShardedStore<S>> {
    ///     let store = ShardedStore::new([Shard::new("eu1", eu1), Shard::new("eu2", eu2)], 1)?;
    ///     store.verify_placement(&WriteOptions::default()).await?;
    ///     Ok(store)
    /// }
    /// ```
    pub async fn verify_placement(&self, options: &WriteOptions) -> Result<()> {
        self.claim(Other::Refused, options).await
    }

    /// Makes this the placement of all stores, in place of their earlier one.
    ///
    /// It is for a move of data.
    /// RSVPs with another shard in the new placement are not found until they have been moved.
    /// Processes that have opened the stores with the old list do not notice the change.
    /// Stop them first.
    ///
    /// If it fails between two stores, [`verify_placement`](Self::verify_placement) refuses both
    /// placements until this is called again.
    ///
    /// # Errors
    ///
    /// As [`verify_placement`](Self::verify_placement), but for the placement.
    /// A store of another shard is still refused.
    /// The placement is refused if another one is accepted at the same time.
    pub async fn accept_placement(&self, options: &WriteOptions) -> Result<()> {
        self.claim(Other::Accepted, options).await
    }

    async fn claim(&self, other: Other, options: &WriteOptions) -> Result<()> {
        let name = LabelName::new(LABEL)?;
        // 1. Read the labels of all shards.
        let read = ReadOptions::strong();
        let read = options.deadline.into_iter().fold(read, ReadOptions::with_deadline);
        let labels = self.shards.iter().map(async |shard| {
            shard.store.label(&name, &read).await.map_err(|error| shard.named(error))
        });
        let labels = combine(join_all(labels).await)?;
        // 2. Find the stores that need another label.
        //    Check all of them before the first write, and their names first,
        //    because a wrong name is never accepted.
        let mut records = Vec::new();
        for (shard, label) in self.shards.iter().zip(labels) {
            let stored = label.as_ref().map(|label| shard.read_record(label)).transpose()?;
            records.push((shard, label, stored));
        }
        let mut own = Record::new("", &self.placement);
        let mut claims = Vec::new();
        for (shard, label, stored) in records {
            own.name = shard.name.to_string();
            if !own.is_stored(stored.as_ref(), other)? {
                claims.push((shard, label));
            }
        }
        // 3. Write the labels in one order in every process.
        //    So a list that loses to another one here has not taken a store
        //    that the other one needs.
        for (shard, label) in claims {
            own.name = shard.name.to_string();
            let value = own.print()?;
            let before = shard.store.replace_label(&name, label.as_ref(), &value, options).await;
            let before = before.map_err(|error| shard.named(error))?;
            if before == label {
                continue;
            }
            // Another process was faster.
            let stored = before.map(|label| shard.read_record(&label)).transpose()?;
            if !own.is_stored(stored.as_ref(), Other::Refused)? {
                let vanished = Error::corrupt(Operation::Open, "the label has vanished");
                return Err(shard.named(vanished));
            }
        }
        Ok(())
    }
}

/// Whether to take over a store of another placement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Other {
    Refused,
    Accepted,
}

impl<S> Shard<S> {
    /// Reads the label of the store. It must name this shard.
    fn read_record(&self, label: &Label) -> Result<Record> {
        let Some(stored) = Record::parse(label) else {
            let what = format!("the label {LABEL:?} is malformed");
            return Err(self.named(Error::corrupt(Operation::Open, what)));
        };
        if *stored.name == *self.name {
            return Ok(stored);
        }
        let reason = format!(
            "the store of {:?} belongs to shard {:?}; give each name its own store or an empty one",
            self.name, stored.name
        );
        Err(Error::invalid_input("shard", reason))
    }
}

impl Record {
    /// Returns whether the store has this record. False if it has to be written.
    fn is_stored(&self, stored: Option<&Self>, other: Other) -> Result<bool> {
        let Some(stored) = stored else { return Ok(false) };
        if stored.fingerprint == self.fingerprint {
            return Ok(true);
        }
        if other == Other::Accepted {
            return Ok(false);
        }
        let reason = format!(
            "differs from the placement of the data in shard {:?}: {}; open with the stored names, \
             weights and spread, or accept the new placement to move the data (`placement=accept`)",
            self.name,
            self.differences(stored)
        );
        Err(Error::invalid_input("placement", reason))
    }
}

/// Returns the name under which a shard keeps a label of the sharded store.
///
/// The shard's own label stays out of reach, because its name gets one more dot.
/// The label of a sharded store around this one has a dot already and gets another one, and
/// so on outwards.
pub(super) fn name_in_shard(name: &LabelName) -> Result<Cow<'_, LabelName>> {
    let dots = name.as_str().strip_prefix(LABEL);
    if dots.is_some_and(|dots| dots.bytes().all(|byte| byte == b'.')) {
        return Ok(Cow::Owned(LabelName::new(&format!("{name}."))?));
    }
    Ok(Cow::Borrowed(name))
}
