//! The listener's side of TLS, from PEM files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tidegate_pipeline::error::{Error, Result};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsFiles;
use crate::pem::{at, certificates, private_key};

/// Reads the files. They are read again whenever the source is opened.
///
/// # Errors
/// When a file cannot be read or does not hold what it should, naming it.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let wrong = |error: rustls::Error| at(&files.certificates, error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let authorities = authorities(files)?;
    let builder = if authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider).build();
        builder.with_client_cert_verifier(verifier.map_err(Error::user)?)
    };
    let key = private_key(files.key.as_ref().unwrap_or(&files.certificates))?;
    let mut config = builder.with_single_cert(certificates(&files.certificates)?, key).map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Who may sign certificates of clients: nobody is asked for one where this is empty.
fn authorities(files: &TlsFiles) -> Result<RootCertStore> {
    let mut paths: Vec<PathBuf> = files.authorities.iter().cloned().collect();
    if let Some(folder) = &files.authorities_folder {
        let entries = std::fs::read_dir(folder).map_err(|error| at(folder, error))?;
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        found.sort();
        if found.is_empty() {
            return Err(at(folder, "it holds no file"));
        }
        paths.extend(found);
    }
    let mut store = RootCertStore::empty();
    for path in paths {
        for certificate in certificates(&path)? {
            store.add(certificate).map_err(|error| at(&path, error))?;
        }
    }
    Ok(store)
}
