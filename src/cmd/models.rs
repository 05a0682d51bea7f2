//! Owns `mainstay models`: the catalogue of well-known models and the presets of providers, searched by words. Must never
//! read a configuration, or ask a provider.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use serde_json::json;

use crate::cmd::format::Format;
use crate::config::{Catalogue, Entry, PRESETS, Preset};

/// What to list, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    /// Words that the name has to contain, the provider's included; all of them if absent.
    search: Vec<String>,
    /// List the presets of providers instead.
    #[arg(long)]
    presets: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A preset as it is told.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    dialects: Vec<&'static str>,
    base_url: Option<&'static str>,
    auth: &'static str,
    docs: &'static str,
}

/// Lists what is known.
pub(crate) fn models(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    let words = words(&args.search);
    match args.presets {
        true => presets(&mut out, &words, args.format)?,
        false => catalogue(&mut out, &words, args.format)?,
    }
    match std::io::stdout().lock().write_all(&out) {
        // Who reads the first lines only has what was wanted.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// What is searched for, in small letters.
fn words(search: &[String]) -> Vec<String> {
    let words = search.iter().flat_map(|text| text.split_whitespace());
    words.map(str::to_lowercase).collect()
}

fn has_all(name: &str, words: &[String]) -> bool {
    let name = name.to_lowercase();
    words.iter().all(|word| name.contains(word.as_str()))
}

fn catalogue(out: &mut impl Write, words: &[String], format: Format) -> anyhow::Result<()> {
    let known = Catalogue::embedded();
    let name = |entry: &Entry| format!("{}/{}", entry.provider, entry.model);
    let found = known.models.iter();
    let found: Vec<&Entry> = found.filter(|entry| has_all(&name(entry), words)).collect();
    if found.is_empty() {
        bail!("no model of the catalogue has all of: {}", words.join(" "));
    }
    if format == Format::Json {
        let Catalogue {
            source,
            licence,
            date,
            models: _,
        } = known;
        let answer = json!({ "source": source, "licence": licence, "date": date, "models": found });
        return write_json(out, &answer);
    }
    let head = [
        "model",
        "preset",
        "window",
        "output",
        "prompt",
        "completion",
        "cached",
        "supports",
    ];
    let rows = found.iter().map(|entry| cells(entry));
    write_table(out, head, rows.collect(), 2..7)?;
    writeln!(
        out,
        "\n{} of {} models; USD per million tokens; {} of {}",
        found.len(),
        known.models.len(),
        known.source,
        known.date
    )?;
    Ok(())
}

fn cells(entry: &Entry) -> [String; 8] {
    let tokens = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let usd = |part: Option<f64>| part.map_or("?".to_owned(), |usd| usd.to_string());
    let supports: Vec<&str> = entry.supports.iter().map(|word| word.0.as_str()).collect();
    [
        entry.model.clone(),
        entry.provider.clone(),
        tokens(entry.context_length),
        tokens(entry.max_output),
        usd(entry.price.prompt),
        usd(entry.price.completion),
        usd(entry.price.cache_read),
        supports.join(" "),
    ]
}

fn presets(out: &mut impl Write, words: &[String], format: Format) -> anyhow::Result<()> {
    let found = PRESETS.iter().filter(|preset| has_all(preset.name, words));
    let rows: Vec<Row> = found.map(row).collect();
    if rows.is_empty() {
        bail!("no preset has all of: {}", words.join(" "));
    }
    if format == Format::Json {
        return write_json(out, &json!({ "presets": rows }));
    }
    let head = ["preset", "dialects", "base_url", "auth", "docs"];
    let cells = rows.into_iter().map(|row| {
        [
            row.name.to_owned(),
            row.dialects.join(" "),
            row.base_url.unwrap_or("(yours)").to_owned(),
            row.auth.to_owned(),
            row.docs.to_owned(),
        ]
    });
    Ok(write_table(out, head, cells.collect(), 0..0)?)
}

fn row(preset: &Preset) -> Row {
    Row {
        name: preset.name,
        dialects: preset.dialects.iter().map(|it| it.as_str()).collect(),
        base_url: preset.base_url,
        auth: preset.auth,
        docs: preset.docs,
    }
}

fn write_json(out: &mut impl Write, answer: &serde_json::Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    Ok(writeln!(out)?)
}

/// Writes a table whose columns in `right` are numbers.
fn write_table<const N: usize>(
    out: &mut impl Write,
    head: [&str; N],
    rows: Vec<[String; N]>,
    right: std::ops::Range<usize>,
) -> std::io::Result<()> {
    let mut table = vec![head.map(str::to_owned)];
    table.extend(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = table.iter().map(|row| row[column].len());
        cells.max().unwrap_or(0)
    });
    for row in &table {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            match right.contains(&column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(search: &str) -> String {
        let mut out = Vec::new();
        let words = words(&[search.to_owned()]);
        catalogue(&mut out, &words, Format::Text).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_words_must_be_in_the_name_whatever_their_letters() {
        let text = listed("OpenAI GPT-5-mini");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("model ") && lines[0].ends_with("supports"));
        let mini = lines.iter().find(|line| line.starts_with("gpt-5-mini "));
        let mini: Vec<&str> = mini.unwrap().split_whitespace().collect();
        assert_eq!(mini[1], "openai");
        assert!(
            mini[2..4]
                .iter()
                .all(|tokens| tokens.parse::<u64>().is_ok())
        );
        assert!(mini.contains(&"tools"));
        assert!(!text.contains("claude"), "{text}");
        assert!(listed("claude").contains("anthropic"));
        let mut none = Vec::new();
        assert!(catalogue(&mut none, &words(&["no such".to_owned()]), Format::Text).is_err());
        assert!(none.is_empty());
    }

    #[test]
    fn columns_stand_below_their_names() {
        let mut out = Vec::new();
        let rows = [["a", "1", ""], ["longer", "2000", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned)).to_vec();
        write_table(&mut out, ["name", "n", "more"], rows, 1..2).unwrap();
        let expected = "name       n  more\na          1\nlonger  2000  x\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
