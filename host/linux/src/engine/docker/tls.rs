//! TLS to an engine: it must show a certificate of the operator's authority, and is shown the agent's own.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// Files in PEM, as Docker's own client has them (`~/.docker/ca.pem` and so on).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authority that vouches for the engine.
    pub ca: PathBuf,
    /// The agent's certificate and its key; none for an engine that asks for none.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Those of a directory of Docker's own client.
    pub(super) fn of_directory(directory: &Path) -> Self {
        let file = |name: &str| directory.join(name);
        Self { ca: file("ca.pem"), client: Some((file("cert.pem"), file("key.pem"))) }
    }
}

/// Ready to speak to one engine.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the files. The error is one line that names the file.
    pub(super) fn new(address: &str, files: &TlsFiles) -> Result<Self, String> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host:?}: {error}"))?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            authorities.add(certificate).map_err(|error| format!("{}: {error}", files.ca.display()))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(authorities);
        let config = match &files.client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let own = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
                let shown = config.with_client_auth_cert(certificates(certificate)?, own);
                shown.map_err(|error| format!("{}: {error}", certificate.display()))?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), TcpStream::connect(address).await?).await
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if read.is_empty() { Err(format!("{}: there is no certificate in it", file.display())) } else { Ok(read) }
}
