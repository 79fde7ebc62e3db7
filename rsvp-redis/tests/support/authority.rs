//! A certificate authority for servers that speak TLS.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rsvp_testkit::servers::RedisTls;

/// A certificate authority, whose root is in `ca.pem` of a folder.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([]).unwrap();
        // OpenSSL takes a certificate for its own issuer if both have the same name.
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), root }
    }

    /// The certificate of a server with such a name, and its key.
    pub(crate) fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The files of servers and clients at 127.0.0.1, in a folder.
    pub(crate) fn files(&self, folder: &Path) -> RedisTls {
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = self.certify("127.0.0.1");
        RedisTls {
            ca: write("ca.pem", &self.root),
            certificate: write("server.pem", &certificate),
            key: write("server.key", &key),
        }
    }
}

/// The parameters of a URL for servers with these files, which ask clients for a certificate.
pub(crate) fn parameters(RedisTls { ca, certificate, key }: &RedisTls) -> String {
    let [ca, cert, key] = [ca, certificate, key].map(|path| path.display());
    format!("tls_ca={ca}&tls_cert={cert}&tls_key={key}&connect_timeout=5s")
}
