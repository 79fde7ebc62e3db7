//! Connections over TLS.

use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};
use rsvp_core::{Error, Result};
use rustls::crypto::{CryptoProvider, ring};

use crate::config::TlsFiles;

/// A client with the root certificates of the PEM file, or of the platform, and with its own
/// certificate if there is one. Every new connection reads the files again, so a host may replace
/// them.
pub(crate) fn client(info: ConnectionInfo, files: &TlsFiles) -> RedisResult<Client> {
    // The driver takes the default provider of the process, and panics if there is none.
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread has just installed one, which serves as well.
        let _ = ring::default_provider().install_default();
    }
    let read = |file: &Option<String>| file.as_ref().map(std::fs::read).transpose();
    let client_tls = match (read(&files.cert)?, read(&files.key)?) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        _ => None,
    };
    Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: read(&files.ca)? })
}

/// Fails if a file cannot be read, or if a certificate has no key.
pub(crate) fn check(files: &TlsFiles) -> Result<()> {
    for (name, file) in [("tls_ca", &files.ca), ("tls_cert", &files.cert), ("tls_key", &files.key)]
    {
        if let Some(Err(error)) = file.as_ref().map(std::fs::read) {
            return Err(Error::invalid_input(name, format!("cannot be read: {error}")));
        }
    }
    match (&files.cert, &files.key) {
        (Some(_), None) => Err(Error::invalid_input("tls_cert", "needs a tls_key")),
        (None, Some(_)) => Err(Error::invalid_input("tls_key", "needs a tls_cert")),
        _ => Ok(()),
    }
}
