//! Whether it could be listened: the secrets, the files of TLS, the address. None of them depends on another.

use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};

use super::admission::Admission;
use super::listener::bind;
use super::settings::{ListenSettings, TlsFiles};
use super::tls;
use crate::diagnosis::certificate;
use crate::pem;

/// Looks at everything that listening needs. Nobody is let in: the address is left at once.
pub(crate) async fn diagnose(settings: &ListenSettings, admission: Result<Admission>, found: &mut Diagnosis) {
    let secrets = async { admission.map(|admission| ((), admission.told())) };
    found.check("secrets read", secrets).await;
    found.about_all(true);
    match &settings.tls {
        Some(files) => drop(found.check("certificate and key fit", async { Ok(((), certificates(files)?)) }).await),
        None => found.skip("certificate and key fit", "without `certfile` there is no TLS"),
    }
    found.about_all(true);
    let bound = async {
        let listeners = bind(&settings.host, settings.port).await?;
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
        Ok(((), addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(", ")))
    };
    found.check("address bound", bound).await;
}

fn certificates(files: &TlsFiles) -> Result<String> {
    tls::acceptor(files)?;
    let chain = pem::certificates(&files.certificates)?;
    let own = chain.first().ok_or_else(|| Error::internal("a certificate file without a certificate"))?;
    if let Some(until) = certificate::ended(own) {
        let message = format!("{}: the certificate was valid until {until}", files.certificates.display());
        return Err(Error::user(message).with_remedy("renew it"));
    }
    let clients = match files.authorities.is_some() || files.authorities_folder.is_some() {
        true => "clients must show a certificate",
        false => "clients need no certificate",
    };
    Ok(format!("{}; {clients}", certificate::shown(own)))
}
