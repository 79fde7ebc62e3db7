//! The parser of a store's URL, shared by all backends.
//!
//! All backends parse URLs in the same way and refuse a malformed URL with the same messages.
//! Each backend defines the meaning of the path, of a missing port and of each parameter.
//! No message repeats a part of a URL that may hold a password.
//!
//! ```
//! use std::time::Duration;
//! use rsvp_core::url::StoreUrl;
//!
//! let mut url = StoreUrl::parse("redis://app:p%40ss@cache1,[::1]:7000/0?connect_timeout=500ms")?;
//! assert_eq!((url.scheme(), url.user(), url.path()), ("redis", Some("app"), "0"));
//! assert_eq!(url.password().map(|password| password.expose()), Some("p@ss"));
//! let ports: Vec<_> = url.hosts().iter().map(|host| host.port.unwrap_or(6379)).collect();
//! assert_eq!(ports, [6379, 7000]);
//!
//! let parameters = url.parameters_mut();
//! let timeout = parameters.take_duration("connect_timeout")?;
//! assert_eq!(timeout, Some(Duration::from_millis(500)));
//! parameters.finish()?;
//! # Ok::<(), rsvp_core::Error>(())
//! ```

mod host;
mod parameters;
mod secret;
mod store_url;

pub use self::host::Host;
pub use self::parameters::Parameters;
pub use self::secret::Secret;
pub use self::store_url::StoreUrl;
