//! Owns the names of the headers that answers carry beside the standard ones (surface, "Answers"), each checked once. Must
//! never name one that a request is asked by.

use http::HeaderName;

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");
pub(super) static ATTEMPTS: HeaderName = HeaderName::from_static("x-mainstay-attempts");
pub(super) static RECOVERY: HeaderName = HeaderName::from_static("x-mainstay-recovery-ms");
pub(super) static ENDPOINT: HeaderName = HeaderName::from_static("x-mainstay-endpoint");
pub(super) static MODEL: HeaderName = HeaderName::from_static("x-mainstay-model");
pub(super) static FALLBACK: HeaderName = HeaderName::from_static("x-mainstay-fallback");
pub(super) static DRIFT: HeaderName = HeaderName::from_static("x-mainstay-drift");
pub(super) static DROPPED: HeaderName = HeaderName::from_static("x-mainstay-dropped");
/// nginx in front of us would hold events back without it.
pub(super) static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
