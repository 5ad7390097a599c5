//! TLS of connections that sources open themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

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
        Ok((any || self.tls == Some(true)).then_some(TlsSettings { cafile, certfile, keyfile }))
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
}

impl TlsSettings {
    /// What rustls connects with.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing of use.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_root_certificates(self.trusted()?);
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
        match &self.cafile {
            Some(path) => {
                for certificate in pem::certificates(path)? {
                    trusted.add(certificate).map_err(|error| pem::at(path, error))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                trusted.add_parsable_certificates(found.certs);
                if trusted.is_empty() {
                    let message = "this system has no certificates of authorities to trust";
                    return Err(Error::user(message).with_remedy("install `ca-certificates` or give `cafile`"));
                }
            }
        }
        Ok(trusted)
    }
}
