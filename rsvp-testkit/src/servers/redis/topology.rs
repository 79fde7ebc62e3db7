//! A cluster as seen by one of its nodes.

/// One line of `CLUSTER NODES`, see <https://redis.io/docs/latest/commands/cluster-nodes/>.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) port: u16,
    pub(super) is_primary: bool,
    pub(super) is_failing: bool,
    id: String,
    follows: String,
    /// First and last slot of each range.
    slots: Vec<(u16, u16)>,
}

impl Member {
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The columns are id, address, flags, primary, ping, pong, epoch, link and slots.
        let [id, address, flags, follows, _, _, _, link, slots @ ..] = words.as_slice() else {
            return None;
        };
        let (_, port) = address.split_once('@')?.0.rsplit_once(':')?;
        let has = |flag| flags.split(',').any(|own| own == flag);
        Some(Self {
            port: port.parse().ok()?,
            is_primary: has("master"),
            // A suspected node counts as failing, because its slots may move at any moment.
            is_failing: has("fail") || has("fail?") || has("handshake") || *link != "connected",
            id: (*id).to_owned(),
            follows: (*follows).to_owned(),
            slots: slots.iter().filter_map(|range| parse_range(range)).collect(),
        })
    }

    pub(super) fn serves(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    pub(super) fn serves_any(&self) -> bool {
        !self.slots.is_empty()
    }

    pub(super) fn is_replica_of(&self, primary: &Self) -> bool {
        self.follows == primary.id
    }
}

/// Parses `5461-10922` or `7`. A slot in brackets is moving, and is not owned by its line.
fn parse_range(range: &str) -> Option<(u16, u16)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?))
}
