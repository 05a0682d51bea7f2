//! Owns where the configuration is looked for. Must never read what it finds.

use std::path::{Path, PathBuf};

use crate::config::finding::ConfigError;

/// Names the file; wins over every place below.
const VARIABLE: &str = "MAINSTAY_CONFIG";
const BESIDE: &str = "./mainstay.yaml";
const OF_USER: &str = "mainstay/config.yaml";
const OF_SYSTEM: &str = "/etc/mainstay/config.yaml";

/// Where the configuration is: as asked, `MAINSTAY_CONFIG`, `./mainstay.yaml`,
/// `$XDG_CONFIG_HOME/mainstay/config.yaml` (`~/.config` where that is not set), `/etc/mainstay/config.yaml`.
///
/// # Errors
/// None of the places holds a file. A file that was asked for is not looked at: loading it says what is wrong.
pub fn search_path(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PathBuf, ConfigError> {
    search(explicit, env, &|path| path.is_file())
}

fn search(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    is_file: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    let variable = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = variable(VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    let user = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")));
    let places: Vec<PathBuf> = [
        Some(PathBuf::from(BESIDE)),
        user.map(|base| base.join(OF_USER)),
    ]
    .into_iter()
    .flatten()
    .chain([PathBuf::from(OF_SYSTEM)])
    .collect();
    match places.iter().find(|path| is_file(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(nowhere(&places)),
    }
}

fn nowhere(places: &[PathBuf]) -> ConfigError {
    let names: Vec<String> = places
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    ConfigError::of_file(
        names.join(", "),
        "no configuration file found".to_owned(),
        Some(format!("name one with -c FILE or {VARIABLE}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(explicit: Option<&str>, env: &[(&str, &str)], files: &[&str]) -> Option<String> {
        let env = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let is_file = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        let found = search(explicit.map(Path::new), &env, &is_file);
        found.ok().map(|path| path.display().to_string())
    }

    #[test]
    fn the_places_are_searched_in_their_order() {
        let all = [BESIDE, "/x/mainstay/config.yaml", OF_SYSTEM];
        let named = [(VARIABLE, "/named.yaml"), ("XDG_CONFIG_HOME", "/x")];
        let check = |found: Option<String>, expected: Option<&str>| {
            assert_eq!(found.as_deref(), expected);
        };
        check(find(Some("/asked"), &named, &all), Some("/asked"));
        check(find(None, &named, &all), Some("/named.yaml"));
        check(find(None, &named[1..], &all), Some(BESIDE));
        check(find(None, &named[1..], &all[1..]), Some(all[1]));
        let home = [("HOME", "/h"), (VARIABLE, "")];
        let below_home = "/h/.config/mainstay/config.yaml";
        check(find(None, &home, &[below_home]), Some(below_home));
        check(find(None, &[], &all[2..]), Some(OF_SYSTEM));
        check(find(None, &named[1..], &[]), None);
    }

    #[test]
    fn finding_nothing_names_the_places() {
        let error = search(None, &|_| None, &|_| false).unwrap_err();
        assert!(error.to_string().contains(OF_SYSTEM), "{error}");
    }
}
