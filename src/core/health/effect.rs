//! Owns what each outcome does to health: one row a class. Must never hold state.

use crate::core::health::breaker::RestKind;
use crate::core::outcome::{Class, Scope};

/// What an outcome does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Effect {
    /// Mass of failure added to the endpoint's posterior.
    pub(crate) failure: f32,
    /// Added to the endpoint's consecutive failures.
    pub(crate) consecutive: f32,
    /// The back-off that a trip by it earns.
    pub(crate) rest: RestKind,
    pub(crate) at_once: bool,
}

const NOTHING: Effect = Effect {
    failure: 0.0,
    consecutive: 0.0,
    rest: RestKind::ServerError,
    at_once: false,
};

/// The rows of routing-algorithm 3.2 with amendment 5 (scope).
pub(crate) fn of(class: Class) -> Effect {
    match class {
        Class::ConnectFailed | Class::DnsFailed | Class::TlsFailed => Effect {
            failure: 2.0,
            rest: RestKind::Connect,
            at_once: true,
            ..NOTHING
        },
        Class::FirstTokenTimeout | Class::AnswerTimeout => Effect {
            failure: 1.5,
            consecutive: 1.5,
            rest: RestKind::Timeout,
            ..NOTHING
        },
        Class::Stalled => Effect {
            failure: 2.0,
            rest: RestKind::Timeout,
            at_once: true,
            ..NOTHING
        },
        Class::ServerError
        | Class::Overloaded
        | Class::ConnectionLost
        | Class::Forbidden
        | Class::ModelUnavailable
        | Class::MalformedResponse
        | Class::ErrorIn200
        | Class::EmptyCompletion => Effect {
            failure: 1.0,
            consecutive: 1.0,
            ..NOTHING
        },
        Class::StreamBroken => Effect {
            failure: 2.0,
            consecutive: 2.0,
            ..NOTHING
        },
        Class::QuotaExhausted | Class::PaymentRequired | Class::AuthRejected => Effect {
            failure: 2.0,
            rest: RestKind::Auth,
            at_once: true,
            ..NOTHING
        },
        // A success is told to the posterior when its first content comes, not at its end.
        Class::Success
        | Class::RateLimited
        | Class::ContextTooLong
        | Class::ContentFiltered
        | Class::Refused
        | Class::UnsupportedParameter
        | Class::InvalidRequest
        | Class::ClientGone
        | Class::Superseded
        | Class::LocalFault => NOTHING,
    }
}

/// What an outcome says about a gate that the endpoint shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Testimony {
    Works,
    Failed,
    Silent,
}

/// What an outcome says about the host: any answer at all shows that it can be reached.
pub(crate) fn of_host(class: Class) -> Testimony {
    match class {
        Class::ClientGone | Class::Superseded | Class::LocalFault => Testimony::Silent,
        _ if class.scope() == Scope::Host => Testimony::Failed,
        _ => Testimony::Works,
    }
}

/// What an outcome says about the key: only an answer that was let in, or turned away for it.
pub(crate) fn of_key(class: Class) -> Testimony {
    match class {
        _ if class.scope() == Scope::Key => Testimony::Failed,
        Class::Success
        | Class::StreamBroken
        | Class::RateLimited
        | Class::ContextTooLong
        | Class::ContentFiltered
        | Class::Refused
        | Class::UnsupportedParameter
        | Class::InvalidRequest => Testimony::Works,
        _ => Testimony::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_caused_never_counts() {
        for class in Class::ALL {
            if matches!(class.scope(), Scope::Request | Scope::Local) {
                assert_eq!(of(class), NOTHING, "{}", class.as_str());
            }
        }
        assert_eq!(of(Class::RateLimited), NOTHING);
    }

    #[test]
    fn any_answer_shows_that_the_host_can_be_reached() {
        assert_eq!(of_host(Class::ServerError), Testimony::Works);
        assert_eq!(of_host(Class::FirstTokenTimeout), Testimony::Works);
        assert_eq!(of_host(Class::TlsFailed), Testimony::Failed);
        assert_eq!(of_host(Class::ClientGone), Testimony::Silent);
    }

    #[test]
    fn a_server_error_says_nothing_about_the_key() {
        assert_eq!(of_key(Class::ServerError), Testimony::Silent);
        assert_eq!(of_key(Class::PaymentRequired), Testimony::Failed);
        assert_eq!(of_key(Class::InvalidRequest), Testimony::Works);
    }
}
