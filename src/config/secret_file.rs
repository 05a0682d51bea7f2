//! Owns credentials that stand in files of their own (`value_file`, `key_file`, `token_file`), as orchestrators
//! mount them: each takes the place of the value beside it. Must never put a file's content into a finding, or
//! wait on anything but a regular file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::raw;
use crate::config::raw::providers::{Credentials, Provider};
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::secret::Secret;
use crate::config::snapshot::{Holds, NamedFile};
use crate::config::trail::Trail;

/// The longest credential that can be meant: tokens of identity providers are the longest known, at a few KiB.
const LONGEST: u64 = 64 * 1024;

/// The credential that is a file of many lines.
const SERVICE_ACCOUNT: &str = "service_account";
/// The variable that names a service account's key file to all of Google's clients.
const APPLICATION: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Names the key file of the environment to the providers that `takes_tokens` finds, where they have no credentials.
pub(super) fn name_default(
    config: &mut raw::Config,
    takes_tokens: impl Fn(&Provider) -> bool,
    env: &dyn Fn(&str) -> Option<String>,
) {
    let named = env(APPLICATION).filter(|path| !path.is_empty());
    let Some(path) = named.map(Text) else { return };
    for (_, provider) in &mut config.providers.0 {
        if provider.credentials.is_none() && takes_tokens(provider) {
            provider.credentials = Some(Credentials {
                service_account_file: Some(path.clone()),
                ..Credentials::default()
            });
        }
    }
}

/// Reads every credential that stands in a file into the place of its value. Returns the files.
pub(super) fn read(config: &mut raw::Config, report: &mut Report<'_>) -> Vec<NamedFile> {
    let mut files = Vec::new();
    for place in places(config) {
        let Some(file) = place.file else { continue };
        settle(place.value, &file, (&place.at, place.names), report);
        let content = place.value.as_ref();
        files.push(NamedFile {
            path: PathBuf::from(file.0),
            holds: Holds::Credential,
            digest: content.map(|secret| Sha256::digest(secret.expose()).into()),
        });
    }
    files
}

/// Where a credential is written, directly or by its file.
struct Place<'a> {
    value: &'a mut Option<Secret>,
    file: Option<Text>,
    /// The map that holds both.
    at: Trail,
    /// The field with the value and the field with the file's name.
    names: (&'static str, &'static str),
}

fn places(config: &mut raw::Config) -> Vec<Place<'_>> {
    let admin = &mut config.server.admin;
    let at = Trail::top("server").key("admin");
    let mut places = vec![
        Place {
            file: admin.token_file.clone(),
            value: &mut admin.token,
            at: at.clone(),
            names: ("token", "token_file"),
        },
        Place {
            file: admin.metrics_token_file.clone(),
            value: &mut admin.metrics_token,
            at,
            names: ("metrics_token", "metrics_token_file"),
        },
    ];
    let keys = Trail::top("auth").key("keys");
    for (index, key) in config.auth.keys.0.iter_mut().enumerate() {
        places.push(Place {
            file: key.key_file.clone(),
            value: &mut key.key,
            at: keys.index(index),
            names: ("key", "key_file"),
        });
    }
    for (name, provider) in &mut config.providers.0 {
        let keys = Trail::top("providers").key(name).key("keys");
        for (index, key) in provider.keys.0.iter_mut().enumerate() {
            places.push(Place {
                file: key.value_file.clone(),
                value: &mut key.value,
                at: keys.index(index),
                names: ("value", "value_file"),
            });
        }
        if let Some(credentials) = &mut provider.credentials {
            let at = Trail::top("providers").key(name).key("credentials");
            places.push(Place {
                file: credentials.secret_access_key_file.clone(),
                value: &mut credentials.secret_access_key,
                at: at.clone(),
                names: ("secret_access_key", "secret_access_key_file"),
            });
            places.push(Place {
                file: credentials.session_token_file.clone(),
                value: &mut credentials.session_token,
                at,
                names: ("session_token", "session_token_file"),
            });
            places.push(Place {
                file: credentials.service_account_file.clone(),
                value: &mut credentials.service_account,
                at: Trail::top("providers").key(name).key("credentials"),
                names: (SERVICE_ACCOUNT, "service_account_file"),
            });
        }
    }
    places
}

/// Puts the file's content into `value`. Where it cannot be had, the missing value is not reported again.
fn settle(
    value: &mut Option<Secret>,
    file: &Text,
    (at, (of_value, of_file)): (&Trail, (&str, &str)),
    report: &mut Report<'_>,
) {
    let at_file = at.key(of_file);
    // An empty token means that none is written; an empty key is a mistake that is told elsewhere.
    if value
        .as_ref()
        .is_some_and(|value| !value.expose().is_empty())
    {
        let message = format!("`{of_value}` and `{of_file}` are both written");
        report.error_with(&at_file, message, "keep one of them".to_owned());
        return;
    }
    let is_line = of_value != SERVICE_ACCOUNT;
    match content(Path::new(&file.0), is_line) {
        Ok(secret) => *value = Some(secret),
        Err(why) => {
            let named = match report.written(&at_file) {
                Some(_) => report.quoted(&at_file),
                None => format!("\"{}\" of the environment", file.0),
            };
            let message = format!("cannot use the file {named}: {why}");
            report.error(&at_file, message);
            report.settle(&at.key(of_value));
        }
    }
}

/// The credential in a file, without the line end that editors and shells put after it.
fn content(path: &Path, is_line: bool) -> Result<Secret, String> {
    let bytes = bytes(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty".to_owned()),
        text if is_line && text.contains(['\r', '\n']) => {
            Err("it holds more than one line".to_owned())
        }
        text => Ok(Secret::new(text)),
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(io::Error::other("it is longer than any credential")),
        false => Ok(bytes),
    }
}
