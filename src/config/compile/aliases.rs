//! Owns the rules of `aliases`: each names a model, not an alias, and none takes a name that a model has. Must
//! never follow more than one step.

use crate::config::compile::names::is_plain;
use crate::config::raw;
use crate::config::report::Report;
use crate::config::trail::Trail;
use crate::core::names::ModelName;
use crate::core::nearest::did_you_mean;

/// The aliases as they are written, each with the model that it stands for.
pub(super) fn compile(config: &raw::Config, report: &mut Report<'_>) -> Vec<(String, ModelName)> {
    let at = Trail::top("aliases");
    let mut aliases = Vec::new();
    for (name, target) in &config.aliases.0 {
        let at = at.key(name);
        check_name(name, &at, report);
        check_hiding(name, config, &at, report);
        check_target(&target.0, config, &at, report);
        aliases.push((name.clone(), ModelName::new(target.0.as_str())));
    }
    aliases
}

fn check_name(name: &str, at: &Trail, report: &mut Report<'_>) {
    let stem = name.strip_suffix('*').unwrap_or(name);
    let message = match name {
        "" => "the alias is empty",
        _ if stem.contains('*') => "an alias may hold one `*`, at its end",
        _ if !stem.chars().all(is_plain) => {
            "an alias may hold no spaces, `@` or characters beyond ASCII"
        }
        _ => return,
    };
    report.key_error(at, message.to_owned(), None);
}

/// A model's own name comes first, so that an alias of that name would never be taken; and one that begins all
/// names of a wildcard's author would never let the wildcard be taken.
fn check_hiding(name: &str, config: &raw::Config, at: &Trail, report: &mut Report<'_>) {
    let mut models = config.models.0.iter().map(|(model, _)| model.as_str());
    if let Some(stem) = name.strip_suffix('*') {
        let hidden = models.find(|model| {
            let author = model.strip_suffix('*');
            author.is_some_and(|author| author.starts_with(stem))
        });
        if let Some(model) = hidden {
            let message = format!("the alias hides the model \"{model}\"");
            report.key_error(at, message, None);
        }
        return;
    }
    if models.clone().any(|model| model == name) {
        report.key_error(at, format!("a model is named \"{name}\" already"), None);
        return;
    }
    // Where several authors have the slug, it names none of them, and the alias may.
    let mut named =
        models.filter(|model| model.split_once('/').is_some_and(|(_, slug)| slug == name));
    if let (Some(model), None) = (named.next(), named.next()) {
        let message = format!("\"{name}\" already names \"{model}\"");
        report.key_error(at, message, None);
    }
}

fn check_target(target: &str, config: &raw::Config, at: &Trail, report: &mut Report<'_>) {
    let models = config.models.0.iter().map(|(model, _)| model.as_str());
    if target.contains('*') {
        report.error(at, "an alias stands for one model");
    } else if models.clone().any(|model| model == target) {
        // Known.
    } else if config.aliases.0.iter().any(|(alias, _)| alias == target) {
        let hint = "name the model that it stands for".to_owned();
        let message = format!("{} is an alias itself", report.quoted(at));
        report.error_with(at, message, hint);
    } else if !has_wildcard(target, models.clone()) {
        let message = format!("unknown model {}", report.quoted(at));
        report.error_with(at, message, did_you_mean(target, models));
    }
}

/// Whether a wildcard has the name.
fn has_wildcard<'a>(name: &str, models: impl Iterator<Item = &'a str>) -> bool {
    let slug = |model: &str| {
        name.strip_prefix(model.strip_suffix('*')?)
            .map(str::to_owned)
    };
    let mut slugs = models.filter_map(slug);
    slugs.any(|slug| !slug.is_empty() && slug.chars().all(is_plain))
}
