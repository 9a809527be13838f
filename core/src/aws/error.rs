//! What AWS says when it refuses.

use crate::exchange::{Failure, ServiceError};
use crate::http::ResponseHead;
use crate::json;

/// The refusal in a JSON answer: its name from the header `x-amzn-errortype`, else from the body.
pub(super) fn json_refusal<'b>(head: &ResponseHead<'b>, body: &'b mut [u8]) -> Failure<'b> {
    let mut error = ServiceError { status: head.status, code: "", message: "" };
    if let Some(name) = head.header("x-amzn-errortype") {
        error.code = short_name(name);
    }
    // A proxy's page in HTML must not hide the status, so a body that does not parse says nothing.
    if let Ok(answer) = json::parse(body) {
        let text = |names: [&str; 2]| names.iter().find_map(|n| answer.get(n)?.as_str());
        error.message = text(["message", "Message"]).unwrap_or_default();
        if error.code.is_empty() {
            error.code = short_name(text(["__type", "code"]).unwrap_or_default());
        }
    }
    Failure::Service(error)
}

/// `AccessDeniedException` out of `com.amazon#AccessDeniedException:http://…`.
fn short_name(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim()
}
