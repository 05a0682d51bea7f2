//! Owns what may follow each class of failure by default: one row a class. Must never look at an attempt.

use crate::core::outcome::Class;
use crate::core::plan::Reject;

/// Whether another model may answer instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    No,
    Any,
    /// Only one whose window is larger; unknown counts as larger.
    LargerWindow,
}

/// What may follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Once more on the model's only endpoint.
    pub(crate) retry: bool,
    /// The same model elsewhere.
    pub(crate) failover: bool,
    pub(crate) fallback: Fallback,
    /// The endpoint says when to come back: waiting may be better than another model.
    pub(crate) wait: bool,
    /// The failure is nobody's lasting fault: it may pass.
    pub(crate) transient: bool,
}

const RETURN: Step = Step {
    retry: false,
    failover: false,
    fallback: Fallback::No,
    wait: false,
    transient: false,
};

const ELSEWHERE: Step = Step {
    failover: true,
    fallback: Fallback::Any,
    ..RETURN
};

/// The rows of the outcome table (design section 2).
pub(crate) fn after(class: Class) -> Step {
    match class {
        Class::ConnectFailed
        | Class::DnsFailed
        | Class::TlsFailed
        | Class::ServerError
        | Class::Overloaded
        | Class::ConnectionLost
        | Class::MalformedResponse
        | Class::ErrorIn200
        | Class::EmptyCompletion => Step {
            retry: true,
            transient: true,
            ..ELSEWHERE
        },
        // Silence has cost a deadline already: never again on the same endpoint.
        Class::FirstTokenTimeout | Class::AnswerTimeout | Class::Stalled => Step {
            transient: true,
            ..ELSEWHERE
        },
        Class::RateLimited => Step {
            wait: true,
            transient: true,
            ..ELSEWHERE
        },
        Class::QuotaExhausted
        | Class::PaymentRequired
        | Class::AuthRejected
        | Class::Forbidden
        | Class::ModelUnavailable
        | Class::UnsupportedParameter
        | Class::LocalFault => ELSEWHERE,
        Class::ContextTooLong => Step {
            fallback: Fallback::LargerWindow,
            ..RETURN
        },
        Class::Success
        | Class::ContentFiltered
        | Class::Refused
        | Class::InvalidRequest
        | Class::StreamBroken
        | Class::ClientGone
        | Class::Superseded => RETURN,
    }
}

/// What another model is taken for where nobody of the one asked for may be asked.
pub(crate) fn left_out(reject: Reject) -> Class {
    match reject {
        Reject::WindowTooSmall => Class::ContextTooLong,
        Reject::OutputTooShort
        | Reject::Unsupported(_)
        | Reject::Unsayable(_)
        | Reject::PinnedElsewhere
        | Reject::KeptElsewhere(_) => Class::UnsupportedParameter,
        Reject::ModelNotAllowed
        | Reject::FallbackNotAllowed
        | Reject::Unmet(_)
        | Reject::TooExpensive
        | Reject::PriceUnknown
        | Reject::Degrades(_) => Class::ModelUnavailable,
    }
}

/// How useful a failure is to the client, the smallest first (surface, "When everything failed").
pub(crate) fn usefulness(class: Class, asked_model: bool) -> u8 {
    let step = after(class);
    match class {
        Class::RateLimited => 0,
        _ if step.transient && asked_model => 1,
        Class::QuotaExhausted | Class::PaymentRequired | Class::AuthRejected => 2,
        _ if step.transient => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_caused_is_returned_at_once() {
        for class in [
            Class::InvalidRequest,
            Class::ContentFiltered,
            Class::Refused,
        ] {
            assert_eq!(after(class), RETURN, "{}", class.as_str());
        }
    }

    #[test]
    fn silence_is_never_repeated_on_the_same_endpoint() {
        for class in [
            Class::FirstTokenTimeout,
            Class::AnswerTimeout,
            Class::Stalled,
        ] {
            assert!(!after(class).retry && after(class).failover);
        }
    }

    #[test]
    fn a_rate_limit_is_the_most_useful_error() {
        assert!(usefulness(Class::RateLimited, false) < usefulness(Class::ServerError, true));
        assert!(usefulness(Class::ServerError, true) < usefulness(Class::AuthRejected, true));
    }
}
