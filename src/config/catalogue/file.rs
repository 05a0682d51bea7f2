//! Owns the reading of `catalog_file`. Must never show what stands in it: the name may be that of another file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Catalogue, Known};
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::{Holds, NamedFile};
use crate::config::trail::Trail;

/// The longest catalogue that can be meant: the embedded one is a hundredth of it.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads the operator's own catalogue, where the file names one.
pub(in crate::config) fn read(
    name: Option<&Text>,
    report: &mut Report<'_>,
) -> (Known, Option<NamedFile>) {
    let Some(Text(name)) = name else {
        return (Known::default(), None);
    };
    let at = Trail::top("catalog_file");
    let bytes = bytes(Path::new(name));
    let file = NamedFile {
        path: PathBuf::from(name),
        holds: Holds::Catalogue,
        digest: bytes
            .as_ref()
            .ok()
            .map(|bytes| Sha256::digest(bytes).into()),
    };
    let own = bytes
        .map_err(|error| error.to_string())
        .and_then(|bytes| parse(&bytes));
    if let Err(why) = &own {
        let message = format!("cannot use the file {}: {why}", report.quoted(&at));
        report.error(&at, message);
    }
    (Known { own: own.ok() }, Some(file))
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
        true => Err(io::Error::other("it is longer than any catalogue")),
        false => Ok(bytes),
    }
}

/// JSON is YAML too.
fn parse(bytes: &[u8]) -> Result<Catalogue, String> {
    let mut track = serde_path_to_error::Track::new();
    let yaml = serde_yaml::Deserializer::from_slice(bytes);
    let read = Catalogue::deserialize(serde_path_to_error::Deserializer::new(yaml, &mut track));
    let own = read.map_err(|error| {
        let line = error
            .location()
            .map(|spot| format!("line {}, ", spot.line()));
        let line = line.unwrap_or_default();
        format!("{line}`{}` is not as in a catalogue", track.path())
    })?;
    let own = own.sorted();
    if let Some((entry, why)) = own.models.iter().find_map(|it| Some((it, it.fault()?))) {
        return Err(format!("\"{}\": {why}", entry.model));
    }
    let mut pairs = own.models.windows(2);
    match pairs.find(|pair| pair[0].key() == pair[1].key()) {
        Some(pair) => Err(format!("\"{}\" stands there twice", pair[0].model)),
        None => Ok(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let check = |text: &str, expected: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("sk-secret"), "{error}");
        };
        let one = "models:\n- { provider: openai, model: m";
        check("sk-secret-key", "is not as in a catalogue");
        check(&format!("{one}, price: sk-secret }}"), "models[0].price");
        check(&format!("{one}, price: sk-secret }}"), "line 2");
        check(&format!("{one}, supports: [sk-secret] }}"), "supports[0]");
        check(&format!("{one}, windows: 5 }}"), "models[0]");
        check(&format!("{one}, max_output: 0 }}"), "at least 1");
        check(
            &format!("{one} }}\n- {{ provider: openai, model: m }}"),
            "twice",
        );
        assert_eq!(
            parse(format!("{one} }}").as_bytes()).unwrap().models.len(),
            1
        );
    }
}
