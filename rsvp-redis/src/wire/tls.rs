//! Connections over TLS.

use redis::{Client, ConnectionInfo, RedisResult, TlsCertificates};
use rsvp_core::{Error, Result};
use rustls::crypto::{CryptoProvider, ring};

/// A client that trusts the root certificates of the PEM file, or those of the platform.
pub(crate) fn client(info: ConnectionInfo, roots: Option<&str>) -> RedisResult<Client> {
    // The driver takes the default provider of the process, and panics if there is none.
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread has just installed one, which serves as well.
        let _ = ring::default_provider().install_default();
    }
    let root_cert = roots.map(std::fs::read).transpose()?;
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
}

/// Fails if the file of root certificates cannot be read. Every new connection reads it again, so
/// that it may be replaced.
pub(crate) fn check(roots: Option<&str>) -> Result<()> {
    match roots.map(std::fs::read).transpose() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid_input("tls_ca", format!("cannot be read: {error}"))),
    }
}
