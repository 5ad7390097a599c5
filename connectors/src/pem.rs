//! Certificates and private keys in PEM files. What is wrong with a file is said with its name and what to do.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_pipeline::error::{Error, Result};

/// What shows that a key is encrypted: in PKCS #8, and in the older form.
const ENCRYPTED: [&[u8]; 2] = [b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// An error of the user's file.
pub(crate) fn at(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::user(format!("{}: {what}", path.display()))
}

/// The certificates of a file, in its order.
///
/// # Errors
/// When it cannot be read or holds none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| at(path, error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| at(path, error))?;
    match found.is_empty() {
        true => Err(at(path, "it holds no certificate").with_remedy("certificates are in PEM: BEGIN CERTIFICATE")),
        false => Ok(found),
    }
}

/// The private key of a file.
///
/// # Errors
/// When it cannot be read, holds none, or one that is encrypted.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = std::fs::read(path).map_err(|error| at(path, error))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if ENCRYPTED.iter().any(|mark| memchr::memmem::find(&text, mark).is_some()) {
            let shown = path.display();
            let remedy = format!(
                "write it without its password, readable by this user only: \
                 `openssl pkey -in {shown} -out {shown}.plain`"
            );
            return at(path, "encrypted keys cannot be read, also not with their password").with_remedy(remedy);
        }
        at(path, format!("it holds no private key: {error}")).with_remedy("keys are in PEM: BEGIN PRIVATE KEY")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_key_is_said_with_its_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.key");
        let said = |text: &str| {
            std::fs::write(&file, text).unwrap();
            private_key(&file).unwrap_err().to_string()
        };
        let shown = file.display();
        for form in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let said = said(form);
            assert!(said.starts_with(&format!("{shown}: encrypted keys cannot be read")), "{said}");
            assert!(said.contains(&format!("`openssl pkey -in {shown} -out {shown}.plain`")), "{said}");
        }
        assert!(said("nothing").starts_with(&format!("{shown}: it holds no private key")));
        assert!(private_key(Path::new("/none.key")).unwrap_err().to_string().starts_with("/none.key: No such file"));
    }
}
