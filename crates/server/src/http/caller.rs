//! What a call says about its caller: the token it carries and the `Origin` it comes from.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use durward_protocol::{ErrorCode, SecretString};

use super::{ApiError, HostRule, check_host};
use crate::token::{TokenScope, Tokens};

/// Header names under which a token is taken, besides `Authorization: Bearer`.
const TOKEN_HEADERS: [&str; 2] = ["x-durward-token", "x-wolfpack-token"];

/// What a page of ours or an extension may send.
const ALLOWED_HEADERS: &str = "authorization, content-type, x-durward-token, x-wolfpack-token, prefer";

/// Checks `Host` and `Origin`, then the token; answers preflights of allowed origins. `/health` needs no token;
/// without `tokens` nothing does. `own_port` is the port of a page of ours that may call.
pub(crate) async fn admit(
    request: Request,
    next: Next,
    host: HostRule,
    own_port: Option<u16>,
    tokens: Option<&Tokens>,
) -> Response {
    if let Err(code) = check_host(request.headers(), host) {
        return ApiError::new(code).into_response();
    }
    let origin = match allowed_origin(request.headers(), own_port) {
        Ok(origin) => origin,
        Err(code) => return ApiError::new(code).into_response(),
    };
    let response = if request.method() == Method::OPTIONS && origin.is_some() {
        preflight(ALLOWED_HEADERS)
    } else {
        match tokens.map_or(Ok(()), |tokens| authorise(tokens, &request)) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    with_cors(response, origin)
}

/// A good token of too narrow a scope hears so; a path that is not there needs a good token only, and is then not
/// found.
fn authorise(tokens: &Tokens, request: &Request) -> Result<(), ApiError> {
    let path = request.uri().path();
    if path == "/health" {
        return Ok(());
    }
    let scope = presented(request.headers()).and_then(|token| tokens.scope_of(&token));
    let scope = scope.ok_or(ErrorCode::Unauthorized)?;
    if scope.allows(path) || request.extensions().get::<MatchedPath>().is_none() {
        return Ok(());
    }
    let detail = format!("this token's scope is {scope}, {path} needs {}", TokenScope::narrowest(path));
    Err(ApiError::new(ErrorCode::WrongScope).detail(detail))
}

/// The token that a call carries.
fn presented(headers: &HeaderMap) -> Option<SecretString> {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let named = || TOKEN_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    bearer.or_else(named).map(|token| SecretString::new(token.trim().to_owned()))
}

/// Absent, our own page, or a browser extension; never `null`, never a web page.
fn allowed_origin(headers: &HeaderMap, port: Option<u16>) -> Result<Option<HeaderValue>, ErrorCode> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return if headers.contains_key(header::ORIGIN) { Err(ErrorCode::OriginRefused) } else { Ok(None) };
    };
    let text = origin.to_str().map_err(|_| ErrorCode::OriginRefused)?;
    let extension = ["moz-extension://", "chrome-extension://"]
        .iter()
        .any(|scheme| text.strip_prefix(scheme).is_some_and(|id| !id.is_empty() && !id.contains('/')));
    let own = port.is_some_and(|port| {
        text == format!("http://127.0.0.1:{port}") || text == format!("http://localhost:{port}")
    });
    if extension || own { Ok(Some(origin.clone())) } else { Err(ErrorCode::OriginRefused) }
}

/// Absent, or one of the origins that are listed. `null` is nobody's: every sandboxed page has it.
pub(crate) fn listed_origin(
    headers: &HeaderMap,
    listed: &[String],
) -> Result<Option<HeaderValue>, ErrorCode> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(None) };
    let is_listed = origin != "null" && listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
    if is_listed && origins.next().is_none() {
        Ok(Some(origin.clone()))
    } else {
        Err(ErrorCode::OriginRefused)
    }
}

/// The answer to a preflight of an allowed origin.
pub(crate) fn preflight(headers: &'static str) -> Response {
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, headers),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}

/// Lets that one origin read the answer, and when it may come back.
pub(crate) fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_are_refused_and_extensions_are_not() {
        let check = |origins: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            allowed_origin(&headers, Some(9778)).is_ok()
        };
        assert!(check(&[]));
        for good in [
            "http://127.0.0.1:9778",
            "http://localhost:9778",
            "moz-extension://a-b",
            "chrome-extension://abc",
        ] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "null",
            "https://evil.example",
            "http://127.0.0.1:1",
            "chrome-extension://",
            "",
            "http://localhost:9778/",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&["chrome-extension://abc", "chrome-extension://abc"]));
    }
}
