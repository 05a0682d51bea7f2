//! Owns the verdict on an attempt: evidence in, one class of a closed list out, with the scope that
//! says who rests for it. This is the one place where a failure gets its name.
//! Must never log, count, or know a vendor.

use std::time::Duration;

/// What became of an attempt. The list is closed: metrics, logs and policies use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Success,
    /// No address of the host accepted a connection in time.
    ConnectFailed,
    DnsFailed,
    TlsFailed,
    /// No content event within the first-token deadline.
    FirstTokenTimeout,
    /// No complete JSON answer within the answer deadline.
    AnswerTimeout,
    /// Judged silent before its own deadline, because others waited on the endpoint too.
    Stalled,
    ServerError,
    Overloaded,
    /// Reset or closed after the connection stood and before commit.
    ConnectionLost,
    RateLimited,
    QuotaExhausted,
    PaymentRequired,
    AuthRejected,
    Forbidden,
    ModelUnavailable,
    ContextTooLong,
    ContentFiltered,
    Refused,
    UnsupportedParameter,
    InvalidRequest,
    MalformedResponse,
    /// A 200 whose content is an error.
    ErrorIn200,
    /// A complete answer without any content.
    EmptyCompletion,
    /// Broken after content had reached the client.
    StreamBroken,
    ClientGone,
    /// Another attempt of the same request won.
    Superseded,
    /// Our own fault: no descriptors, no route, resolver down.
    LocalFault,
}

/// Who rests for an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The one (model, provider, key).
    Endpoint,
    /// Every endpoint that uses the credential.
    Key,
    /// Every endpoint behind the host.
    Host,
    /// Nobody: the request itself caused it.
    Request,
    /// Nobody: this process caused it.
    Local,
}

impl Scope {
    /// The name used for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Endpoint => "endpoint",
            Scope::Key => "key",
            Scope::Host => "host",
            Scope::Request => "request",
            Scope::Local => "local",
        }
    }
}

impl Class {
    /// Every class, in the order of the list in the documentation.
    pub const ALL: [Class; 28] = [
        Class::Success,
        Class::ConnectFailed,
        Class::DnsFailed,
        Class::TlsFailed,
        Class::FirstTokenTimeout,
        Class::AnswerTimeout,
        Class::Stalled,
        Class::ServerError,
        Class::Overloaded,
        Class::ConnectionLost,
        Class::RateLimited,
        Class::QuotaExhausted,
        Class::PaymentRequired,
        Class::AuthRejected,
        Class::Forbidden,
        Class::ModelUnavailable,
        Class::ContextTooLong,
        Class::ContentFiltered,
        Class::Refused,
        Class::UnsupportedParameter,
        Class::InvalidRequest,
        Class::MalformedResponse,
        Class::ErrorIn200,
        Class::EmptyCompletion,
        Class::StreamBroken,
        Class::ClientGone,
        Class::Superseded,
        Class::LocalFault,
    ];

    /// The name used in metrics, logs, headers and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Success => "success",
            Class::ConnectFailed => "connect_failed",
            Class::DnsFailed => "dns_failed",
            Class::TlsFailed => "tls_failed",
            Class::FirstTokenTimeout => "first_token_timeout",
            Class::AnswerTimeout => "answer_timeout",
            Class::Stalled => "stalled",
            Class::ServerError => "server_error",
            Class::Overloaded => "overloaded",
            Class::ConnectionLost => "connection_lost",
            Class::RateLimited => "rate_limited",
            Class::QuotaExhausted => "quota_exhausted",
            Class::PaymentRequired => "payment_required",
            Class::AuthRejected => "auth_rejected",
            Class::Forbidden => "forbidden",
            Class::ModelUnavailable => "model_unavailable",
            Class::ContextTooLong => "context_too_long",
            Class::ContentFiltered => "content_filtered",
            Class::Refused => "refused",
            Class::UnsupportedParameter => "unsupported_parameter",
            Class::InvalidRequest => "invalid_request",
            Class::MalformedResponse => "malformed_response",
            Class::ErrorIn200 => "error_in_200",
            Class::EmptyCompletion => "empty_completion",
            Class::StreamBroken => "stream_broken",
            Class::ClientGone => "client_gone",
            Class::Superseded => "superseded",
            Class::LocalFault => "local_fault",
        }
    }

    /// Who rests for it.
    pub const fn scope(self) -> Scope {
        match self {
            Class::ConnectFailed | Class::DnsFailed | Class::TlsFailed => Scope::Host,
            Class::QuotaExhausted | Class::PaymentRequired | Class::AuthRejected => Scope::Key,
            Class::Success
            | Class::FirstTokenTimeout
            | Class::AnswerTimeout
            | Class::Stalled
            | Class::ServerError
            | Class::Overloaded
            | Class::ConnectionLost
            | Class::RateLimited
            | Class::Forbidden
            | Class::ModelUnavailable
            | Class::MalformedResponse
            | Class::ErrorIn200
            | Class::EmptyCompletion
            | Class::StreamBroken => Scope::Endpoint,
            Class::ContextTooLong
            | Class::ContentFiltered
            | Class::Refused
            | Class::UnsupportedParameter
            | Class::InvalidRequest
            | Class::ClientGone
            | Class::Superseded => Scope::Request,
            Class::LocalFault => Scope::Local,
        }
    }
}

/// What a dialect's error table recognised in an error answer, beyond its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    ContextTooLong,
    ContentFiltered,
    UnsupportedParameter,
    RateLimited,
    QuotaExhausted,
    AuthRejected,
    Forbidden,
    ModelUnavailable,
    Overloaded,
    ServerError,
    InvalidRequest,
}

/// An upstream's error answer, reduced by its dialect to what a verdict and a client need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorFacts {
    /// HTTP status; 200 for an error inside a successful answer.
    pub status: u16,
    /// What the dialect's table recognised, if anything.
    pub hint: Option<Hint>,
    /// How long the upstream asks to wait.
    pub retry_after: Option<Duration>,
    /// The upstream's message, at most a few hundred characters; empty if there was none.
    pub message: String,
    /// The dialect's error code, as text.
    pub code: Option<String>,
    /// The dialect's error type.
    pub kind: Option<String>,
    /// The parameter that the error names.
    pub param: Option<String>,
}

/// How a connection attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFault {
    Refused,
    TimedOut,
    Dns,
    Tls,
    /// This process could not even try.
    Local,
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Late {
    Connect,
    FirstToken,
    Answer,
    /// Silence between content events.
    Idle,
    /// The request as a whole.
    Total,
}

/// What was seen of an attempt's end, before it has a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// No access token could be had, so that nothing was sent.
    NoToken,
    Connect(ConnectFault),
    /// Reset, closed, or broken framing after the connection stood.
    Lost,
    Late(Late),
    /// An answer with an error status.
    Status(ErrorFacts),
    /// An error inside an answer that began with 200.
    InAnswer(ErrorFacts),
    /// An answer that does not parse, or a stream that ended without its terminal event.
    Malformed,
    /// A complete answer without content.
    Empty,
    /// Other requests showed that the endpoint is silent.
    Evacuated,
    ClientGone,
    Superseded,
}

/// Names the evidence. `committed`: content had already reached the client.
pub fn classify(evidence: &Evidence, committed: bool) -> Class {
    match evidence {
        Evidence::ClientGone => Class::ClientGone,
        Evidence::Superseded => Class::Superseded,
        _ if committed => Class::StreamBroken,
        Evidence::Connect(fault) => of_connect(*fault),
        Evidence::NoToken => Class::AuthRejected,
        Evidence::Lost => Class::ConnectionLost,
        Evidence::Late(late) => of_late(*late),
        Evidence::Status(facts) => of_status(facts),
        Evidence::InAnswer(facts) => facts.hint.map_or(Class::ErrorIn200, of_hint_in_answer),
        Evidence::Malformed => Class::MalformedResponse,
        Evidence::Empty => Class::EmptyCompletion,
        Evidence::Evacuated => Class::Stalled,
    }
}

fn of_connect(fault: ConnectFault) -> Class {
    match fault {
        ConnectFault::Refused | ConnectFault::TimedOut => Class::ConnectFailed,
        ConnectFault::Dns => Class::DnsFailed,
        ConnectFault::Tls => Class::TlsFailed,
        ConnectFault::Local => Class::LocalFault,
    }
}

fn of_late(late: Late) -> Class {
    match late {
        Late::Connect => Class::ConnectFailed,
        Late::FirstToken => Class::FirstTokenTimeout,
        Late::Answer | Late::Total => Class::AnswerTimeout,
        // Only a stream that has begun can fall silent so; its own class is "broken", this is what a client is told.
        Late::Idle => Class::Stalled,
    }
}

fn of_hint(hint: Hint) -> Class {
    match hint {
        Hint::ContextTooLong => Class::ContextTooLong,
        Hint::ContentFiltered => Class::ContentFiltered,
        Hint::UnsupportedParameter => Class::UnsupportedParameter,
        Hint::RateLimited => Class::RateLimited,
        Hint::QuotaExhausted => Class::QuotaExhausted,
        Hint::AuthRejected => Class::AuthRejected,
        Hint::Forbidden => Class::Forbidden,
        Hint::ModelUnavailable => Class::ModelUnavailable,
        Hint::Overloaded => Class::Overloaded,
        Hint::ServerError => Class::ServerError,
        Hint::InvalidRequest => Class::InvalidRequest,
    }
}

/// A server error that arrives inside a 200 keeps the class that says so: the endpoint's own
/// status line claimed success, which an operator wants to see apart from an honest 500.
fn of_hint_in_answer(hint: Hint) -> Class {
    match of_hint(hint) {
        Class::ServerError => Class::ErrorIn200,
        class => class,
    }
}

/// The recognised hint wins over the status: recorded answers hold 429 for prompts that never fit
/// and 400 for keys that are out of money. Statuses that the list does not name: 405, 410, 421 and 426
/// mean that this model cannot be reached this way; 408, 409, 423, 424 and 425 are the server's
/// passing trouble; 498 is Groq's "no flex capacity"; 3xx is not an answer of an API.
fn of_status(facts: &ErrorFacts) -> Class {
    if let Some(hint) = facts.hint {
        return of_hint(hint);
    }
    match facts.status {
        401 => Class::AuthRejected,
        402 => Class::PaymentRequired,
        403 | 451 => Class::Forbidden,
        404 | 405 | 410 | 421 | 426 => Class::ModelUnavailable,
        429 => Class::RateLimited,
        498 | 503 | 529 => Class::Overloaded,
        408 | 409 | 423 | 424 | 425 => Class::ServerError,
        400..=499 => Class::InvalidRequest,
        500..=599 => Class::ServerError,
        _ => Class::MalformedResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, hint: Option<Hint>) -> Evidence {
        Evidence::Status(ErrorFacts {
            status,
            hint,
            ..ErrorFacts::default()
        })
    }

    #[test]
    fn a_status_alone_gets_the_class_of_the_table() {
        let table = [
            (400, Class::InvalidRequest),
            (401, Class::AuthRejected),
            (402, Class::PaymentRequired),
            (403, Class::Forbidden),
            (404, Class::ModelUnavailable),
            (408, Class::ServerError),
            (413, Class::InvalidRequest),
            (422, Class::InvalidRequest),
            (429, Class::RateLimited),
            (500, Class::ServerError),
            (502, Class::ServerError),
            (503, Class::Overloaded),
            (529, Class::Overloaded),
            (302, Class::MalformedResponse),
        ];
        for (code, class) in table {
            assert_eq!(classify(&status(code, None), false), class, "{code}");
        }
    }

    #[test]
    fn a_recognised_hint_wins_over_the_status() {
        let never_fits = status(429, Some(Hint::ContextTooLong));
        assert_eq!(classify(&never_fits, false), Class::ContextTooLong);
        let out_of_money = status(429, Some(Hint::QuotaExhausted));
        assert_eq!(classify(&out_of_money, false), Class::QuotaExhausted);
    }

    #[test]
    fn an_error_in_a_200_keeps_its_own_class_unless_it_says_more() {
        let facts = |hint| {
            Evidence::InAnswer(ErrorFacts {
                status: 200,
                hint,
                ..ErrorFacts::default()
            })
        };
        assert_eq!(classify(&facts(None), false), Class::ErrorIn200);
        assert_eq!(
            classify(&facts(Some(Hint::ServerError)), false),
            Class::ErrorIn200
        );
        assert_eq!(
            classify(&facts(Some(Hint::Overloaded)), false),
            Class::Overloaded
        );
    }

    #[test]
    fn after_commit_every_failure_of_the_upstream_is_a_broken_stream() {
        for evidence in [
            Evidence::Lost,
            Evidence::Late(Late::Idle),
            Evidence::Malformed,
            status(500, None),
        ] {
            assert_eq!(classify(&evidence, true), Class::StreamBroken);
        }
        assert_eq!(classify(&Evidence::ClientGone, true), Class::ClientGone);
    }

    #[test]
    fn connection_faults_rest_the_host_and_credentials_rest_the_key() {
        assert_eq!(Class::TlsFailed.scope(), Scope::Host);
        assert_eq!(Class::QuotaExhausted.scope(), Scope::Key);
        assert_eq!(Class::RateLimited.scope(), Scope::Endpoint);
        assert_eq!(Class::InvalidRequest.scope(), Scope::Request);
        assert_eq!(Class::LocalFault.scope(), Scope::Local);
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Class::ALL.iter().map(|class| class.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Class::ALL.len());
    }
}
