//! The registry of schemes and their backends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use rsvp_core::layers::{Layers, Shard, ShardedStore};
use rsvp_core::url::StoreUrl;
use rsvp_core::{Error, Result, RsvpStore, WriteOptions};

use super::scheme::{Opening, Prepare, Scheme, known};
use super::shards::{NamedUrl, ShardList};

/// Opens stores by URL, with custom backends beside those of this crate.
///
/// [`Registry::default`] has the compiled-in backends, and [`open`](crate::open) uses it.
/// A backend of another crate is registered under a scheme.
/// Its URLs then take the parameters of layers, and can be shards,
/// like the URLs of every other backend.
///
/// ```
/// use rsvp::url::StoreUrl;
/// use rsvp::{EventId, MemoryStore, Registry, Result, RsvpStoreExt, UserId};
///
/// async fn open_dated(mut url: StoreUrl) -> Result<MemoryStore> {
///     let _year: Option<u16> = url.parameters_mut().take_parsed("year", "a number")?;
///     url.parameters_mut().finish()?;
///     Ok(MemoryStore::new())
/// }
///
/// # async fn example() -> rsvp::Result<()> {
/// let registry = Registry::default().with_scheme("dated", open_dated);
/// let store = registry.open("dated:?year=2026&coalesce=true").await?;
/// store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
///
/// let error = registry.open("dated:?yaer=2026").await.unwrap_err().to_string();
/// assert!(error.starts_with("invalid url: unknown parameter `yaer`; supported: "));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    schemes: BTreeMap<String, Scheme>,
}

type DynShard = Shard<Arc<dyn RsvpStore>>;

impl Registry {
    /// Makes a registry without any scheme.
    #[must_use]
    pub fn empty() -> Self {
        Self { schemes: BTreeMap::new() }
    }

    /// Registers a backend under a scheme.
    /// It replaces an earlier backend of the scheme.
    ///
    /// The scheme consists of ASCII letters, digits, `+`, `-` and `.` and begins with a letter.
    /// It is not case-sensitive.
    ///
    /// The registry calls `open` after it has checked the URLs and the layers of all shards.
    /// `open` gets the URL without the parameters of layers, takes its own parameters
    /// and calls [`Parameters::finish`](rsvp_core::url::Parameters::finish) to refuse the others.
    /// Its errors must not repeat a part of the URL that may hold a password.
    #[must_use]
    pub fn with_scheme<F, S>(
        self,
        scheme: &str,
        open: impl Fn(StoreUrl) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<S>> + Send + 'static,
        S: RsvpStore + 'static,
    {
        let open = Arc::new(open);
        self.with(
            scheme,
            Scheme::new(move |url| {
                let open = Arc::clone(&open);
                Ok(async move { open(url).await })
            }),
        )
    }

    fn with(mut self, name: &str, scheme: Scheme) -> Self {
        self.schemes.insert(name.to_ascii_lowercase(), scheme);
        self
    }

    /// Opens a store by its URL, or several stores as one, as [`open`](crate::open) describes.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub async fn open(&self, url: &str) -> Result<Arc<dyn RsvpStore>> {
        let opening = match ShardList::parse(url)? {
            None => self.prepare(url, &Layers::new())?,
            Some(shards) => self.prepare_shards(shards)?,
        };
        opening.await
    }

    /// Checks every URL. Its future opens all shards at once and checks their placement.
    fn prepare_shards(&self, list: ShardList<'_>) -> Result<Opening> {
        let ShardList { shards, spread, ready, accepts, layers } = list;
        let (each, all) = layers.divide();
        // Check the URLs of all shards before the first connection.
        let openings = shards.into_iter().map(|shard| self.prepare_shard(shard, &each));
        let openings = openings.collect::<Result<Vec<_>>>()?;
        let open = async move {
            let shards = try_join_all(openings).await?;
            let store = ShardedStore::new(shards, spread)?.with_ready_policy(ready);
            let options = WriteOptions::default();
            // The first open claims new stores. Later ones compare their labels.
            if accepts {
                store.accept_placement(&options).await?;
            } else {
                store.verify_placement(&options).await?;
            }
            all.around(store)
        };
        Ok(open.boxed())
    }

    fn prepare_shard(
        &self,
        NamedUrl { name, weight, url }: NamedUrl<'_>,
        layers: &Layers,
    ) -> Result<BoxFuture<'static, Result<DynShard>>> {
        let opening = self.prepare(url, layers).map_err(|error| error.in_shard(name))?;
        let name = name.to_owned();
        let open = async move {
            let store = opening.await.map_err(|error| error.in_shard(name.as_str()))?;
            Ok(Shard::new(&name, store).with_weight(weight))
        };
        Ok(open.boxed())
    }

    /// Checks a URL and its layers. The layers of `others` complete the store's own ones.
    fn prepare(&self, url: &str, others: &Layers) -> Result<Opening> {
        // Look up the scheme first.
        // Its error lists the supported schemes, and helps with any other text, too.
        let prepare = self.backend(url)?;
        let mut url = StoreUrl::parse(url)?;
        let layers = Layers::take_from(url.parameters_mut())?.or(others);
        let opening = prepare(url)?;
        Ok(async move { layers.around(opening.await?) }.boxed())
    }

    fn backend(&self, url: &str) -> Result<&Prepare> {
        let (scheme, _) = url.trim().split_once(':').unwrap_or_default();
        let reason = match self.schemes.get_key_value(&scheme.to_ascii_lowercase()) {
            Some((_, Scheme::Enabled(prepare))) => return Ok(&**prepare),
            Some((name, Scheme::Disabled(feature))) => {
                format!("scheme `{name}` needs the cargo feature `{feature}` of the crate `rsvp`")
            }
            None => "unknown scheme".to_owned(),
        };
        Err(Error::invalid_input("url", format!("{reason}; {}", self.supported())))
    }

    fn supported(&self) -> String {
        let listed = self.schemes.iter().map(|(name, scheme)| match scheme {
            Scheme::Enabled(_) => format!("`{name}`"),
            Scheme::Disabled(feature) => format!("`{name}` (enable feature `{feature}`)"),
        });
        let listed: Vec<_> = listed.collect();
        if listed.is_empty() {
            return "no scheme is registered".to_owned();
        }
        format!("supported: {}", listed.join(", "))
    }
}

impl Default for Registry {
    /// Registers the backends whose cargo features are on.
    /// The other schemes are registered as disabled, so that their error names the feature.
    fn default() -> Self {
        known()
            .into_iter()
            .fold(Self::empty(), |registry, (name, scheme)| registry.with(name, scheme))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes.keys()).finish()
    }
}
