//! Owns the finding and cutting of recorded answers, which lie beside the project, for the tests of every dialect: they are skipped
//! where there are none. Must never judge what was recorded: each dialect's tests do.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;

use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::error_facts::error_facts;
use crate::wire::sse::{Data, Event, Splitter};

/// Sizes of the chunks that streams are read in, beside the whole at once.
pub(in crate::wire) const CHUNKS: [usize; 4] = [1, 7, 100, 1460];
/// The longest event that is recorded is shorter.
const LONGEST: usize = 1 << 22;

/// The recordings of one dialect.
#[derive(Debug)]
pub(in crate::wire) struct Recordings {
    root: PathBuf,
    folders: &'static [&'static str],
}

// === impl Recordings ===

impl Recordings {
    /// Those in these folders; `None`: there are none on this machine.
    pub(in crate::wire) fn of(folders: &'static [&'static str]) -> Option<Self> {
        Some(Self {
            root: root()?,
            folders,
        })
    }

    /// The same of other folders.
    pub(in crate::wire) fn beside(&self, folders: &'static [&'static str]) -> Self {
        Self {
            root: self.root.clone(),
            folders,
        }
    }

    /// The files whose names begin and end so, by folder and name.
    pub(in crate::wire) fn files(&self, begin: &str, end: &str) -> Vec<(String, Bytes)> {
        let mut found = Vec::new();
        for folder in self.folders {
            for entry in self
                .root
                .join(folder)
                .read_dir()
                .expect("a fixtures folder")
            {
                let path = entry.expect("an entry").path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with(begin) && name.ends_with(end) && !name.ends_with("headers.json")
                {
                    let body = std::fs::read(&path).expect("a fixture");
                    found.push((format!("{folder}/{name}"), decoded(body)));
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// What is beside a file: the headers that it came with.
    pub(in crate::wire) fn headers_of(&self, name: &str) -> serde_json::Value {
        let path = self.root.join(format!("{name}.headers.json"));
        let sidecar = std::fs::read(path).expect("headers");
        let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).expect("JSON");
        sidecar["headers"].clone()
    }

    /// The events of recorded streams, which are the same however they are cut.
    pub(in crate::wire) fn streams(&self, begin: &str) -> Vec<(String, Vec<Vec<u8>>)> {
        let files = self.files(begin, "sse").into_iter();
        let streams = files.map(|(name, body)| {
            let whole = framed(&body, body.len().max(1));
            for chunk in CHUNKS {
                assert_eq!(framed(&body, chunk), whole, "{name} in chunks of {chunk}");
            }
            (name, whole)
        });
        streams.collect()
    }

    /// Recorded events that stand in a line each.
    pub(in crate::wire) fn lines(&self, begin: &str, end: &str) -> Vec<(String, Vec<Vec<u8>>)> {
        let files = self.files(begin, end).into_iter();
        let lines = files.map(|(name, body)| {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            (name, lines.filter(|line| !line.is_empty()).collect())
        });
        lines.collect()
    }

    /// Recorded errors get their class, whatever is told of them beside the body.
    pub(in crate::wire) fn check_errors(&self, table: &[(&str, u16, Class)]) {
        for (begin, status, class) in table {
            let found = self.files(begin, ".json");
            assert!(!found.is_empty(), "{begin}");
            for (name, body) in found {
                assert_eq!(
                    class_of(*status, &HeaderMap::new(), &body),
                    *class,
                    "{name}"
                );
            }
        }
    }
}

/// Where all of them lie; `None`: nowhere on this machine.
pub(in crate::wire) fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !root.is_dir() {
        eprintln!("skipped: no recorded answers at {}", root.display());
        return None;
    }
    Some(root)
}

/// The class of an error answer.
pub(in crate::wire) fn class_of(status: u16, headers: &HeaderMap, body: &[u8]) -> Class {
    let facts = error_facts(status, headers, body, SystemTime::UNIX_EPOCH);
    classify(&Evidence::Status(facts), false)
}

/// The data of the events of a stream that comes in chunks of so many bytes.
pub(in crate::wire) fn framed(body: &Bytes, chunk: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(LONGEST);
    let mut frames = Vec::new();
    let mut take = |event: &Event| match event.data() {
        Data::None => {}
        Data::Line(line) => frames.push(line.to_vec()),
        Data::Joined(joined) => frames.push(joined),
    };
    for part in body.chunks(chunk) {
        splitter.push(body.slice_ref(part));
        while let Some(event) = splitter.next() {
            take(&event.expect("a short event"));
        }
    }
    // A recording may lack the last blank line.
    splitter.finish().iter().for_each(&mut take);
    frames
}

/// Some recordings are kept in base64, which here begins as `data: ` does.
pub(in crate::wire) fn decoded(body: Vec<u8>) -> Bytes {
    if !body.starts_with(b"ZGF0YTog") {
        return body.into();
    }
    let letters = body.iter().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let letters: Vec<u8> = letters.collect();
    let quads = letters.chunks(4).flat_map(|quad| {
        let bits = quad
            .iter()
            .fold(0_u32, |bits, six| bits << 6 | u32::from(*six));
        let missing = 4 - quad.len();
        let bytes = (bits << (6 * missing)).to_be_bytes();
        bytes.into_iter().skip(1).take(3 - missing)
    });
    quads.collect()
}
