//! TLS of connections that sources open themselves.

mod lenient;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use self::lenient::Lenient;
use crate::pem;
use crate::places::Places;

/// The options of kinds that may connect with TLS, in places of their own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// Connect with TLS.
    pub(crate) tls: Option<bool>,
    /// PEM certificates of the authorities that are trusted; those of the system where there is none.
    pub(crate) cafile: Option<PathBuf>,
    /// The client's PEM certificate.
    pub(crate) certfile: Option<PathBuf>,
    /// Its PEM key.
    pub(crate) keyfile: Option<PathBuf>,
}

impl TlsOptions {
    /// What is connected with; relative paths are relative to `folder`. `None`: no TLS. A file asks for it even without
    /// `tls`.
    ///
    /// # Errors
    /// A certificate without its key, a key without its certificate, files beside `tls: false`.
    pub(crate) fn settings(&self, folder: &Path, options: &Options) -> Result<Option<TlsSettings>, Vec<Diagnostic>> {
        let places = Places(options);
        let full = |file: &Option<PathBuf>| file.as_ref().map(|file| folder.join(file));
        let (cafile, certfile, keyfile) = (full(&self.cafile), full(&self.certfile), full(&self.keyfile));
        if certfile.is_some() != keyfile.is_some() {
            let key = if certfile.is_some() { "certfile" } else { "keyfile" };
            return Err(vec![places.at(key, "`certfile` and `keyfile` are given together")]);
        }
        let any = cafile.is_some() || certfile.is_some();
        if self.tls == Some(false) && any {
            return Err(vec![places.at("tls", "`tls: false` contradicts `cafile`, `certfile` and `keyfile`")]);
        }
        Ok((any || self.tls == Some(true)).then_some(TlsSettings { cafile, certfile, keyfile, with_system: false }))
    }
}

/// What is verified of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verification {
    /// That an authority that is trusted has signed it, for this name, and that it is valid now.
    Full,
    /// The same but the name.
    AnyName,
    /// Nothing, because the user wants it so.
    Nothing,
}

impl Verification {
    /// Everything, or nothing.
    pub(crate) fn of(verifies: bool) -> Self {
        if verifies { Self::Full } else { Self::Nothing }
    }
}

/// Whom to trust and who we are. The files are read when a source opens, so that a renewed certificate needs no
/// restart of the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsSettings {
    /// PEM certificates of the authorities that are trusted; those of the system where there is none.
    pub(crate) cafile: Option<PathBuf>,
    /// Our own PEM certificate, with its chain.
    pub(crate) certfile: Option<PathBuf>,
    /// Its PEM key.
    pub(crate) keyfile: Option<PathBuf>,
    /// Trust the authorities of the system too where there is a `cafile`.
    pub(crate) with_system: bool,
}

impl TlsSettings {
    /// What rustls connects with.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing of use.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>> {
        self.client_verifying(Verification::Full)
    }

    /// The same, with another opinion of certificates.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing of use.
    pub(crate) fn client_verifying(&self, verification: Verification) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?;
        let builder = match verification {
            Verification::Full => builder.with_root_certificates(self.trusted()?),
            Verification::AnyName => {
                let verifier = Lenient::of_any_name(self.trusted()?, provider)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Verification::Nothing => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient::of_anybody(provider)))
            }
        };
        let config = match (&self.certfile, &self.keyfile) {
            (Some(certfile), Some(keyfile)) => {
                let (certificates, key) = (pem::certificates(certfile)?, pem::private_key(keyfile)?);
                builder.with_client_auth_cert(certificates, key).map_err(|error| {
                    Error::user(format!("{} and {}: {error}", certfile.display(), keyfile.display()))
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn trusted(&self) -> Result<RootCertStore> {
        let mut trusted = RootCertStore::empty();
        if let Some(path) = &self.cafile {
            for certificate in pem::certificates(path)? {
                trusted.add(certificate).map_err(|error| pem::at(path, error))?;
            }
        }
        if self.cafile.is_none() || self.with_system {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if trusted.is_empty() {
            let message = "this system has no certificates of authorities to trust";
            return Err(Error::user(message).with_remedy("install `ca-certificates` or give `cafile`"));
        }
        Ok(trusted)
    }
}
