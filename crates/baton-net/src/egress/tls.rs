//! TLS settings of outgoing connections.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::ClientError;

/// The settings: this process's one crypto provider, the machine's roots and the extra ones.
pub(super) fn client_config(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, ClientError> {
    let mut roots = native_roots().clone();
    if let Some(pem) = extra_ca_pem {
        add_extra(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The machine's own roots, read once.
fn native_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("this machine has no CA certificates, so no `https` provider can be reached");
        }
        roots
    })
}

fn add_extra(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), ClientError> {
    let mut added = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ClientError::ExtraCa(Some(error.into())))?;
        roots.add(certificate).map_err(|error| ClientError::ExtraCa(Some(error.into())))?;
        added = true;
    }
    if added { Ok(()) } else { Err(ClientError::ExtraCa(None)) }
}
