//! Owns certificates and keys as files hold them: what listeners show, whom they ask, and what upstreams are
//! checked against and shown. A file that cannot be used is an error here: Pingora would panic on it.
//! Must never put a key into an error or a log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::TlsSettings;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use crate::config::snapshot::{Listener, ListenerTls};

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`: {cause}", path.display())]
pub struct FileError {
    path: PathBuf,
    cause: String,
}

/// What a listener shows its clients, and whom it asks to show something.
#[derive(Debug, Clone)]
pub struct Identity {
    shown: Arc<CertifiedKey>,
    /// `None`: clients are asked for no certificate.
    clients: Option<Clients>,
}

/// Whom clients' certificates must come from.
#[derive(Debug, Clone)]
struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Identity {
    /// Reads a listener's files.
    ///
    /// # Errors
    /// One of them cannot be used, or the key is another certificate's.
    pub fn read(tls: &ListenerTls) -> Result<Self, FileError> {
        let chain = certificates(&tls.cert_file)?;
        let key = private_key(&tls.key_file)?;
        let shown = certified(chain, key, &tls.key_file)?;
        let clients = tls
            .client_ca_file
            .as_deref()
            .map(Clients::read)
            .transpose()?;
        Ok(Self {
            shown: Arc::new(shown),
            clients,
        })
    }
}

impl Clients {
    fn read(path: &Path) -> Result<Self, FileError> {
        let authorities = authorities(path)?;
        let roots = store(&authorities).map_err(|error| unusable(path, &error))?;
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(path, &error))?;
        Ok(Self { verifier })
    }
}

/// The identities of the listeners that run. What they show can be replaced; whom they ask cannot, because a
/// client that was let in once resumes its session without being asked again.
#[derive(Debug, Default)]
pub struct Shown(Vec<(SocketAddr, Arc<Resolver>)>);

#[derive(Debug)]
struct Resolver(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Shown {
    /// Prepares a listener: HTTP/2 or HTTP/1.1, as its client chooses.
    pub fn listener(&mut self, address: SocketAddr, identity: &Identity) -> TlsSettings {
        let resolver = Arc::new(Resolver(ArcSwap::new(identity.shown.clone())));
        self.0.push((address, resolver.clone()));
        let mut settings = TlsSettings::intermediate("", "")
            .expect("names are only kept, and the resolver takes their place");
        settings.set_cert_resolver(resolver);
        settings.enable_h2();
        if let Some(clients) = &identity.clients {
            settings.set_client_cert_verifier(clients.verifier.clone());
        }
        settings
    }

    /// Shows what the listeners of a new configuration show, from the next handshake on.
    pub fn replace<'i>(&self, next: impl Iterator<Item = (&'i Listener, &'i Identity)>) {
        for (listener, identity) in next {
            let mut open = self.0.iter();
            if let Some((_, resolver)) = open.find(|(address, _)| listener.address == *address) {
                resolver.0.store(identity.shown.clone());
            }
        }
    }
}

/// The only authorities to trust, as Pingora takes them.
///
/// # Errors
/// The file cannot be used.
pub fn trusted(path: &Path) -> Result<Arc<[WrappedX509]>, FileError> {
    let wrap = |der: CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
    Ok(authorities(path)?.into_iter().map(wrap).collect())
}

/// What upstreams are shown that ask for a certificate.
///
/// # Errors
/// One of the files cannot be used, or the key is another certificate's.
pub fn client_identity(certificate: &Path, key: &Path) -> Result<CertKey, FileError> {
    let chain = certificates(certificate)?;
    // Pingora's own parser panics on what this one refuses.
    store(&chain).map_err(|error| unusable(certificate, &error))?;
    let private = private_key(key)?;
    let der = private.secret_der().to_vec();
    let ders = chain.iter().map(|der| der.to_vec()).collect();
    // Pingora guesses the key's format from its bytes, and panics where it cannot.
    let guessed = PrivateKeyDer::try_from(der.clone()).map_err(|cause| unusable(key, &cause))?;
    certified(chain, guessed, key)?;
    Ok(CertKey::new(ders, der))
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let certificates = certificates(path)?;
    store(&certificates).map_err(|error| unusable(path, &error))?;
    Ok(certificates)
}

fn store(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        // Pingora's own parser panics on what this one refuses.
        store.add(certificate.clone())?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = fs::read(path).map_err(|error| unusable(path, &error))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(path, &error))?;
    match certificates.is_empty() {
        true => Err(unusable(path, &"no certificate in it")),
        false => Ok(certificates),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let pem = fs::read(path).map_err(|error| unusable(path, &error))?;
    // The reader's own words could quote what it read.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable(path, &"no private key in it"))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<CertifiedKey, FileError> {
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
        let cause = match error {
            rustls::Error::InconsistentKeys(_) => "it is not the key of the certificate".to_owned(),
            error => error.to_string(),
        };
        unusable(path, &cause)
    })
}

fn unusable(path: &Path, cause: &dyn ToString) -> FileError {
    FileError {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}
