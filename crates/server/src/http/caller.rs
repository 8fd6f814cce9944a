//! What a call says about its caller: the token it carries and the `Origin` it comes from.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use durward_protocol::{ErrorCode, SecretString};

use super::{ApiError, HostRule, check_host};
use crate::token::Tokens;

/// Header names under which a token is taken, besides `Authorization: Bearer`.
const TOKEN_HEADERS: [&str; 2] = ["x-durward-token", "x-wolfpack-token"];

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
    let may = request.uri().path() == "/health" || tokens.is_none_or(|tokens| authorised(tokens, &request));
    let response = if request.method() == Method::OPTIONS && origin.is_some() {
        preflight()
    } else if may {
        next.run(request).await
    } else {
        ApiError::new(ErrorCode::Unauthorized).into_response()
    };
    with_cors(response, origin)
}

fn authorised(tokens: &Tokens, request: &Request) -> bool {
    let scope = presented(request.headers()).and_then(|token| tokens.scope_of(&token));
    scope.is_some_and(|scope| scope.allows(request.uri().path()))
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

/// The answer to a preflight of an allowed origin.
fn preflight() -> Response {
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-durward-token, x-wolfpack-token, prefer",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}

/// Lets that one origin read the answer.
fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
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
