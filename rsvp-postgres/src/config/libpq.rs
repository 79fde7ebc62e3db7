//! The parameters of libpq, because tools and providers write them into connection strings.
//!
//! See <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>.

use std::sync::Arc;

use rsvp_core::url::{Host, Parameters, Secret};
use rsvp_core::{Error, Result};

use super::passwords::{PassFile, Provider};
use super::{DEFAULT_PORT, Keepalives, PostgresConfig, SslMode, override_with};

/// Parameters with their supported values, and the error for any other value.
const LIMITED: [(&str, &[&str], &str); 9] = [
    (
        "target_session_attrs",
        &["any", "read-write", "primary"],
        "other than the primary is not supported; name standbys with replica=",
    ),
    ("load_balance_hosts", &["disable"], "is not supported; name standbys with replica="),
    ("client_encoding", &["utf8", "UTF8", "utf-8", "UTF-8", "auto"], "is always UTF8"),
    ("gssencmode", &["disable", "prefer"], "is not supported; use sslmode"),
    ("sslcompression", &["0"], "is not supported"),
    ("sslsni", &["1"], "is always on"),
    ("sslnegotiation", &["postgres"], "other than postgres is not supported"),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"], "is always TLSv1.2"),
    ("replication", &["false", "off", "0", "no"], "is not supported"),
];

/// A parameter of Prisma in the same connection strings.
const PRISMA_POOLER: &str = "pgbouncer";

impl PostgresConfig {
    /// Takes the parameters of libpq.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field of an unsupported parameter.
    pub(super) fn take_libpq(&mut self, parameters: &mut Parameters) -> Result<()> {
        self.take_address(parameters)?;
        self.take_login(parameters)?;
        self.take_encryption(parameters)?;
        self.take_keepalives(parameters)?;
        override_with(&mut self.connect_timeout, parameters.take_seconds("connect_timeout")?);
        let fallback = parameters.take("fallback_application_name")?;
        override_with(&mut self.application_name, fallback);
        override_with(&mut self.application_name, parameters.take("application_name")?);
        if let Some(options) = parameters.take("options")? {
            self.startup_options = startup_options(&options)?;
        }
        if parameters.take_flag(PRISMA_POOLER)? == Some(true) {
            self.transaction_pooler = true;
        }
        for (name, supported, reason) in LIMITED {
            let value = parameters.take(name)?;
            if value.is_some_and(|value| !supported.contains(&value.as_str())) {
                return Err(Error::invalid_input(name, reason));
            }
        }
        Ok(())
    }

    /// Takes hosts, ports and the database from the parameters, over those of the URL.
    fn take_address(&mut self, parameters: &mut Parameters) -> Result<()> {
        if let Some(hosts) = parameters.take("host")? {
            // A path may have colons, and a name has no port here.
            let host = |name: &str| Host { name: name.to_owned(), port: None };
            self.hosts = hosts.split(',').map(host).collect();
        }
        if let Some(ports) = parameters.take("port")? {
            let wrong = || Error::invalid_input("port", "is not a port, or one for each host");
            let ports: Vec<u16> = ports
                .split(',')
                .map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong))
                .collect::<Result<_>>()?;
            if ports.len() != 1 && ports.len() != self.hosts.len() {
                return Err(wrong());
            }
            for (host, port) in self.hosts.iter_mut().zip(ports.iter().cycle()) {
                host.port = Some(*port);
            }
        }
        for host in &mut self.hosts {
            host.port = host.port.or(Some(DEFAULT_PORT));
        }
        override_with(&mut self.database, parameters.take("dbname")?);
        Ok(())
    }

    fn take_login(&mut self, parameters: &mut Parameters) -> Result<()> {
        override_with(&mut self.user, parameters.take("user")?);
        if let Some(password) = parameters.take("password")? {
            self.password = Some(Secret::new(password));
        }
        if let Some(path) = parameters.take("passfile")? {
            let file = PassFile::new(&path)
                .map_err(|error| Error::invalid_input("passfile", error.to_string()))?;
            self.password_provider = Some(Provider(Arc::new(file)));
        }
        Ok(())
    }

    fn take_encryption(&mut self, parameters: &mut Parameters) -> Result<()> {
        self.ssl_root_cert = parameters.take("sslrootcert")?;
        self.ssl_cert = parameters.take("sslcert")?;
        self.ssl_key = parameters.take("sslkey")?;
        // Anybody can get a certificate of a public authority, so the name is verified, too.
        if self.ssl_root_cert.as_deref() == Some("system") {
            self.ssl_root_cert = None;
            self.ssl_mode = self.ssl_mode.at_least_verified("sslrootcert")?;
        }
        match parameters.take("channel_binding")?.as_deref() {
            None | Some("disable" | "prefer") => {}
            // It protects against a server in the middle, as the verified certificate does.
            Some("require") => {
                self.ssl_mode = self.ssl_mode.at_least_verified("channel_binding")?;
            }
            Some(_) => {
                let rule = "is not disable, prefer or require";
                return Err(Error::invalid_input("channel_binding", rule));
            }
        }
        if self.ssl_cert.is_some() != self.ssl_key.is_some() {
            return Err(Error::invalid_input("sslcert", "and sslkey need each other"));
        }
        Ok(())
    }

    fn take_keepalives(&mut self, parameters: &mut Parameters) -> Result<()> {
        let on: Option<u8> = parameters.take_parsed("keepalives", "0 or 1")?;
        let mut number = |name| parameters.take_parsed::<u16>(name, "a number");
        let mut keepalives = Keepalives::default();
        override_with(&mut keepalives.idle, number("keepalives_idle")?);
        override_with(&mut keepalives.interval, number("keepalives_interval")?);
        override_with(&mut keepalives.count, number("keepalives_count")?);
        self.keepalives = Some(keepalives).filter(|_| on != Some(0));
        Ok(())
    }
}

impl SslMode {
    /// Returns the mode that verifies the certificate and the name of the server, as `parameter`
    /// needs it.
    #[cfg(feature = "tls")]
    fn at_least_verified(self, parameter: &'static str) -> Result<Self> {
        match self {
            Self::Require | Self::VerifyFull => Ok(Self::VerifyFull),
            _ => Err(Error::invalid_input(parameter, "needs sslmode=require or verify-full")),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn at_least_verified(self, parameter: &'static str) -> Result<Self> {
        Err(Error::invalid_input(parameter, "needs the cargo feature `tls`"))
    }
}

/// Reads the options that name an endpoint behind a proxy, as for Neon and Supabase.
/// Settings of the session are refused, because they could break the promises of the store.
fn startup_options(options: &str) -> Result<Vec<(String, String)>> {
    let words = options.split_whitespace().filter(|word| *word != "-c");
    let pair = |word: &str| {
        let (name, value) = word.strip_prefix("--").unwrap_or(word).split_once('=')?;
        let name = name.strip_prefix("-c").unwrap_or(name);
        let allowed = ["endpoint", "project", "reference"].contains(&name);
        allowed.then(|| (name.to_owned(), value.to_owned()))
    };
    let pairs: Option<Vec<_>> = words.map(pair).collect();
    pairs.ok_or_else(|| {
        let rule = "names something else than an endpoint, a project or a reference; the store makes \
                    its own settings, see statement_timeout and schema";
        Error::invalid_input("options", rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<PostgresConfig> {
        PostgresConfig::from_url(url)
    }

    /// As the documentation of each provider shows them, with other names and passwords.
    #[cfg(feature = "tls")]
    #[test]
    fn the_strings_of_providers_open_as_they_are() {
        let require = "sslmode=require";
        for (provider, url, address) in [
            (
                "Neon",
                "postgresql://u:p@ep-cool-rain-123456-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require".to_owned(),
                "ep-cool-rain-123456-pooler.eu-central-1.aws.neon.tech:5432",
            ),
            (
                "Neon, without SNI",
                format!("postgres://u:p@ep-x.neon.tech/main?{require}&options=endpoint%3Dep-x"),
                "ep-x.neon.tech:5432",
            ),
            (
                "Supabase, direct",
                "postgresql://postgres:p@db.abcdefgh.supabase.co:5432/postgres".to_owned(),
                "db.abcdefgh.supabase.co:5432",
            ),
            (
                "Supabase, transaction pooler",
                "postgresql://postgres.abcdefgh:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?pgbouncer=true".to_owned(),
                "aws-0-eu-west-1.pooler.supabase.com:6543",
            ),
            (
                "RDS",
                "postgres://app:p@x.abc.eu-west-1.rds.amazonaws.com:5432/tickets?sslmode=verify-full&sslrootcert=/etc/rds.pem".to_owned(),
                "x.abc.eu-west-1.rds.amazonaws.com:5432",
            ),
            (
                "Cloud SQL, by socket",
                "postgres://app:p@/tickets?host=/cloudsql/project:europe-west1:main".to_owned(),
                "[/cloudsql/project:europe-west1:main]:5432",
            ),
            (
                "Azure",
                format!("postgres://app:p@x.postgres.database.azure.com:5432/tickets?{require}"),
                "x.postgres.database.azure.com:5432",
            ),
            (
                "Heroku",
                format!("postgres://u:p@ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:5432/d?{require}"),
                "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:5432",
            ),
            (
                "DigitalOcean",
                format!("postgresql://doadmin:p@x.db.ondigitalocean.com:25060/defaultdb?{require}"),
                "x.db.ondigitalocean.com:25060",
            ),
            ("Fly", "postgres://u:p@x.flycast:5432/d?sslmode=disable".to_owned(), "x.flycast:5432"),
            (
                "Aiven",
                format!("postgres://avnadmin:p@x.aivencloud.com:12345/defaultdb?{require}"),
                "x.aivencloud.com:12345",
            ),
            (
                "Render",
                "postgresql://u:p@dpg-abc-a.frankfurt-postgres.render.com/d".to_owned(),
                "dpg-abc-a.frankfurt-postgres.render.com:5432",
            ),
            (
                "Crunchy Bridge",
                format!("postgres://application:p@p.x.db.postgresbridge.com:5432/postgres?{require}"),
                "p.x.db.postgresbridge.com:5432",
            ),
            (
                "Timescale",
                format!("postgres://tsdbadmin:p@x.tsdb.cloud.timescale.com:33333/tsdb?{require}"),
                "x.tsdb.cloud.timescale.com:33333",
            ),
            (
                "libpq's defaults, spelt out",
                "postgresql:///d?host=db1,db2&port=5433&user=u&connect_timeout=10&keepalives=1&keepalives_idle=30&target_session_attrs=read-write&gssencmode=prefer&client_encoding=utf8&fallback_application_name=psql&channel_binding=prefer&sslmode=allow".to_owned(),
                "db1:5433, db2:5433",
            ),
            ("IPv6", "postgres://u@[2001:db8::1]:5433/d".to_owned(), "2001:db8::1:5433"),
        ] {
            let config = parsed(&url).unwrap_or_else(|error| panic!("{provider}: {error}"));
            let hosts = format!("{:?}", config.hosts).replace(['[', ']'], "");
            assert_eq!(hosts, address.replace(['[', ']'], ""), "{provider}");
            let pooled = url.contains("pgbouncer");
            assert_eq!(config.transaction_pooler, pooled, "{provider}");
        }
        let neon = parsed("postgres://u:p@h/d?sslmode=require&channel_binding=require").unwrap();
        assert_eq!(neon.ssl_mode, SslMode::VerifyFull);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_its_name() {
        for (query, field) in [
            ("target_session_attrs=standby", "target_session_attrs"),
            ("load_balance_hosts=random", "load_balance_hosts"),
            ("client_encoding=latin1", "client_encoding"),
            ("gssencmode=require", "gssencmode"),
            ("options=-csearch_path%3Dx", "options"),
            ("options=-c%20synchronous_commit%3Doff", "options"),
            ("port=1,2", "port"),
            ("port=0", "port"),
            ("channel_binding=always", "channel_binding"),
            ("channel_binding=require&sslmode=disable", "channel_binding"),
            ("sslcert=a", "sslcert"),
            ("connect_timeout=soon", "connect_timeout"),
            ("keepalives_idle=x", "keepalives_idle"),
            ("krbsrvname=postgres", "url"),
        ] {
            let error = parsed(&format!("postgres://u@h/d?{query}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {field}: ")), "{query}: {error}");
        }
    }

    #[test]
    fn keepalives_are_on_unless_they_are_turned_off() {
        let of = |query| parsed(&format!("postgres://h?{query}")).unwrap().keepalives;
        assert_eq!(of(""), Some(Keepalives::default()));
        assert_eq!(of("keepalives=0"), None);
        assert_eq!(of("keepalives_idle=7").map(|keepalives| keepalives.idle), Some(7));
    }
}
