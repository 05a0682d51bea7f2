//! Owns the JSON Schema of the file, made of the types that read it. Must never know a setting by itself.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::config::raw;

/// The schema of a configuration, draft 2020-12. It checks shapes; what refers to what is `check`'s.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let generator = settings.into_generator();
    let mut schema = generator.into_root_schema_for::<raw::Config>();
    schema.insert("title".to_owned(), "Mainstay's configuration".into());
    // Keys of the top that begin so hold anchors, and anything else.
    let extensions = json!({ "^x-": true });
    schema.insert("patternProperties".to_owned(), extensions);
    schema.into()
}
