//! Connections over TLS.

use redis::{Client, ConnectionInfo, RedisResult, TlsCertificates};
use rsvp_core::{Error, Result};
use rustls::crypto::{CryptoProvider, ring};

/// A client that trusts the roots of the PEM file, or the platform's.
pub(crate) fn client(info: ConnectionInfo, roots: Option<&str>) -> RedisResult<Client> {
    // The driver takes the process' default, and would panic if there was none to be found.
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
    let root_cert = roots.map(std::fs::read).transpose()?;
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
}

/// Whether the file of roots can be read. It is read again for each connection, so that it may
/// change.
pub(crate) fn check(roots: Option<&str>) -> Result<()> {
    match roots.map(std::fs::read).transpose() {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(Error::invalid_input("tls_ca", format!("is a file that cannot be read: {error}")))
        }
    }
}
