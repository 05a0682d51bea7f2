//! Who frees a generation that was replaced.

use std::path::Path;
use std::sync::Arc;

use super::{Reloader, Trigger};
use crate::config;
use crate::edge::admin::Reloaded;
use crate::edge::plugin::Mainstay;
use crate::edge::tls::Shown;

fn write(path: &Path, price: usize) {
    let text = format!(
        "providers: {{ one: {{ base_url: \"http://127.0.0.1:9/v1\", auth: none }} }}\n\
         models: {{ t/m: {{ endpoints: [{{ provider: one, price: {{ prompt: {price}, completion: 1 }} }}] }} }}\n"
    );
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_generation_is_freed_by_the_reloader_once_no_request_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mainstay.yaml");
    write(&path, 1);
    let mainstay = Mainstay::new(config::load(&path, &|_| None).unwrap()).unwrap();
    let mut reloader = Reloader::new(path.clone(), mainstay.clone(), Arc::new(Shown::default()));
    let request = mainstay.current().load_full();
    let first = Arc::downgrade(&request);
    for price in [2, 3] {
        let second = Arc::downgrade(&mainstay.current().load_full());
        write(&path, price);
        let reloaded = reloader.look(&Trigger::Signal);
        assert!(
            matches!(reloaded, Some(Reloaded::Applied { .. })),
            "{reloaded:?}"
        );
        reloader.free_unused();
        let is_used = price == 2;
        assert_eq!(
            second.upgrade().is_some(),
            is_used,
            "only the request's is kept"
        );
    }
    drop(request);
    assert!(first.upgrade().is_some(), "the request does not free it");
    reloader.free_unused();
    assert!(first.upgrade().is_none());
}
