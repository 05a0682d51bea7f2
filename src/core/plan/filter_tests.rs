//! Who is left out of a plan, and for which reason.

use super::*;
use crate::core::catalog::{Capability, DataCollection, Labels, Price, Quantization};
use crate::core::fixture::{catalog, changed};
use crate::core::names::{PolicyName, Region};
use crate::core::policy::{Degrade, Label, Otherwise, Require, Unmet};

const CHAIN: &[(&str, &[&str])] = &[("a/one", &["p", "q"]), ("b/two", &["r"])];

fn labels(region: &str, zdr: bool, quantization: Option<Quantization>) -> Labels {
    Labels {
        region: Some(Region::new(region)),
        data_collection: match zdr {
            true => DataCollection::Deny,
            false => DataCollection::Allow,
        },
        zdr,
        quantization,
    }
}

/// `p`: eu, zero retention, bf16. `q`: us, int4. `r` of the other model: nothing is known.
fn fleet() -> Catalog {
    changed(&catalog(CHAIN), |_, endpoints| {
        endpoints[0].labels = labels("eu", true, Some(Quantization::Bf16));
        endpoints[1].labels = labels("us", false, Some(Quantization::Int4));
    })
}

fn rejects(catalog: &Catalog, policy: &Policy, facts: &RequestFacts) -> Vec<Option<Reject>> {
    let policy = Arc::new(policy.clone());
    let plan = Plan::new(
        catalog,
        ModelIx::new(0),
        facts.clone(),
        policy,
        |_| true,
        |_| Usual::default(),
    );
    let all = plan.legs.iter().flat_map(|leg| &leg.candidates);
    all.map(|candidate| candidate.reject).collect()
}

fn policy() -> Policy {
    Policy::built_in(PolicyName::new("default"))
}

#[test]
fn what_a_policy_requires_holds_for_the_chain_too() {
    let check = |require: Require, expected: [Option<Unmet>; 3]| {
        let policy = Policy {
            require: require.clone(),
            ..policy()
        };
        let found = rejects(&fleet(), &policy, &RequestFacts::default());
        let expected = expected.map(|unmet| unmet.map(Reject::Unmet));
        assert_eq!(found, expected, "{require:?}");
    };
    let none = Require::default;
    check(none(), [None; 3]);
    let region = vec![Region::new("eu")];
    let not_here = Some(Unmet::Region);
    check(Require { region, ..none() }, [None, not_here, not_here]);
    let not_zdr = Some(Unmet::Zdr);
    check(
        Require {
            zdr: true,
            ..none()
        },
        [None, not_zdr, not_zdr],
    );
    let data_collection = DataCollection::Deny;
    let collects = Some(Unmet::DataCollection);
    check(
        Require {
            data_collection,
            ..none()
        },
        [None, collects, collects],
    );
    let coarse = Some(Unmet::Quantization);
    let min_quantization = Some(Quantization::Fp16);
    check(
        Require {
            min_quantization,
            ..none()
        },
        [None, coarse, coarse],
    );
    let only = vec!["q".to_owned(), "b/two@r/default".to_owned()];
    check(Require { only, ..none() }, [Some(Unmet::Only), None, None]);
    let ignore = vec!["a/one@p/default".to_owned(), "r".to_owned()];
    let ignored = Some(Unmet::Ignore);
    check(Require { ignore, ..none() }, [ignored, None, ignored]);
}

#[test]
fn a_model_that_cannot_take_the_request_is_left_out_and_one_of_which_nothing_is_known_is_not() {
    let catalog = changed(&fleet(), |models, _| {
        models[0].context_length = Some(1_000);
        models[0].max_output = Some(500);
        models[0].supports = Some(vec![Capability::Tools]);
    });
    let check = |facts: RequestFacts, expected: Option<Reject>| {
        let found = rejects(&catalog, &policy(), &facts);
        assert_eq!(found, [expected, expected, None], "{facts:?}");
    };
    let none = RequestFacts::default;
    let of = |body_bytes, max_tokens| RequestFacts {
        body_bytes,
        max_tokens,
        ..none()
    };
    check(of(4_000, None), None);
    // Twice as many bytes a token as estimated, and it would still fit.
    check(of(8_000, None), None);
    check(of(8_008, None), Some(Reject::WindowTooSmall));
    check(of(4_000, Some(500)), None);
    check(of(4_008, Some(500)), Some(Reject::WindowTooSmall));
    check(of(0, Some(501)), Some(Reject::OutputTooShort));
    let unsupported = |what| Some(Reject::Unsupported(what));
    let tools = RequestFacts {
        tools: true,
        ..none()
    };
    check(tools, None);
    let images = RequestFacts {
        images: true,
        ..none()
    };
    check(images, unsupported(Capability::Images));
    let json_schema = RequestFacts {
        json_schema: true,
        ..none()
    };
    check(json_schema, unsupported(Capability::JsonSchema));
    let reasons = RequestFacts {
        reasons: true,
        ..none()
    };
    check(reasons, unsupported(Capability::Reasoning));
    // The bytes of a file say nothing of its tokens.
    let files = RequestFacts {
        files: true,
        ..of(1 << 20, None)
    };
    check(files, None);
}

#[test]
fn what_costs_more_than_all_attempts_may_is_left_out_and_so_is_what_nobody_has_priced() {
    let catalog = changed(&fleet(), |_, endpoints| {
        endpoints[2].price = Price::default();
    });
    let policy = Policy {
        max_cost: Some(0.001),
        ..policy()
    };
    let facts = |body_bytes| RequestFacts {
        body_bytes,
        ..RequestFacts::default()
    };
    // 300 tokens are expected back: 700 of the prompt at 1 USD a million cost just that.
    let unknown = Some(Reject::PriceUnknown);
    let dear = Some(Reject::TooExpensive);
    let found = rejects(&catalog, &policy, &facts(4 * 700));
    assert_eq!(found, [None, dear, unknown]);
    let found = rejects(&catalog, &policy, &facts(4 * 701));
    assert_eq!(found, [dear, dear, unknown]);
}

#[test]
fn degrade_leaves_out_what_is_beyond_it_whoever_was_meant() {
    let check = |degrade: Degrade, expected: Option<Beyond>| {
        let policy = Policy {
            degrade: degrade.clone(),
            ..policy()
        };
        let found = rejects(&fleet(), &policy, &RequestFacts::default());
        let expected = [None, None, expected.map(Reject::Degrades)];
        assert_eq!(found, expected, "{degrade:?}");
    };
    let none = Degrade::default;
    check(none(), None);
    let models = vec!["c/*".to_owned()];
    check(Degrade { models, ..none() }, Some(Beyond::Model));
    let models = vec!["c/*".to_owned(), "b/two".to_owned()];
    check(Degrade { models, ..none() }, None);
    let ratio = |ratio| Degrade {
        max_price_ratio: Some(ratio),
        ..none()
    };
    check(ratio(0.9), None); // The model costs 2/3 of `q`.
    check(ratio(0.6), Some(Beyond::Price));
    // `q` is as coarse as can be, but nothing is known of `r`.
    let min_quantization = Some(Quantization::Fp8);
    let exact = Degrade {
        min_quantization,
        ..none()
    };
    check(exact.clone(), Some(Beyond::Quantization));
    let warn = Degrade {
        otherwise: Otherwise::Warn,
        ..exact
    };
    check(warn, None);
    let labels = vec![Label::Region];
    check(Degrade { labels, ..none() }, Some(Beyond::Region));
    let labels = vec![Label::Zdr];
    check(Degrade { labels, ..none() }, None); // `q` promised nothing.
}

#[test]
fn an_endpoint_as_exact_as_the_one_that_was_meant_is_within_any_floor() {
    let check = |meant: Option<Quantization>, served: Option<Quantization>, expected: bool| {
        let catalog = changed(&catalog(CHAIN), |_, endpoints| {
            endpoints[0].labels.quantization = meant;
            endpoints[2].labels.quantization = served;
        });
        let limits = Degrade {
            min_quantization: Some(Quantization::Fp8),
            ..Degrade::default()
        };
        let (from, to) = (EndpointIx::new(0), EndpointIx::new(2));
        let found = beyond(&limits, &catalog, from, to).next();
        assert_eq!(
            found,
            expected.then_some(Beyond::Quantization),
            "{meant:?} {served:?}"
        );
    };
    let (int4, int8, bf16) = (
        Some(Quantization::Int4),
        Some(Quantization::Int8),
        Some(Quantization::Bf16),
    );
    check(bf16, int8, false);
    check(bf16, int4, true);
    check(bf16, None, true);
    check(int4, int4, false);
    check(None, None, false);
    check(None, int4, true);
    check(None, int8, false);
}
