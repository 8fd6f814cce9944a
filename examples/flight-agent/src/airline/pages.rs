//! The airline's pages.

/// What a visitor sees; texts of visitors go through [`escaped`].
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Skyward Air</title>\n\
         <style>body{{font:18px sans-serif;max-width:40em;margin:3em auto;color:#123}}\
         label{{display:block;margin:.6em 0}}#refused{{color:#a00}}li{{margin:.5em 0}}</style></head>\n\
         <body><h1>Skyward Air</h1>\n{body}\n</body></html>\n"
    )
}

pub(super) fn login(refused: bool) -> String {
    let message =
        if refused { "<p id=\"refused\">We do not know this user name with this password.</p>" } else { "" };
    page(
        "Sign in",
        &format!(
            "{message}<form method=\"post\" action=\"/login\">\
             <label>User name <input id=\"username\" name=\"username\" autocomplete=\"username\"></label>\
             <label>Password <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\"></label>\
             <button id=\"sign-in\">Sign in</button></form>"
        ),
    )
}

pub(super) fn code(refused: bool) -> String {
    let message = if refused { "<p id=\"refused\">This code is not the one we expect.</p>" } else { "" };
    page(
        "One-time code",
        &format!(
            "{message}<form method=\"post\" action=\"/code\">\
             <label>Code from your app <input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\"></label>\
             <button id=\"verify\">Verify</button></form>"
        ),
    )
}

pub(super) fn account(username: &str) -> String {
    let body = format!(
        "<p id=\"account\">Welcome, {}</p><p><a href=\"/flights\">Search flights</a></p>",
        escaped(username)
    );
    page("Your account", &body)
}

const FORM: &str = "<form action=\"/flights\">\
    <label>From <input id=\"from\" name=\"from\" maxlength=\"3\"></label>\
    <label>To <input id=\"to\" name=\"to\" maxlength=\"3\"></label>\
    <label>Date <input id=\"date\" name=\"date\" placeholder=\"2026-12-24\"></label>\
    <button id=\"search\">Search</button></form>";

pub(super) fn search() -> String {
    page("Flights", FORM)
}

pub(super) fn results(from: &str, to: &str, date: &str) -> String {
    let (from, to, date) = (escaped(from), escaped(to), escaped(date));
    let flights = [("SK 101", "08:15", 412), ("SK 205", "13:40", 367), ("SK 309", "21:05", 298)];
    let lines: String = flights
        .iter()
        .map(|(name, time, price)| format!("<li>{name} {from} to {to}, {date} {time}, ${price}</li>"))
        .collect();
    page("Flights", &format!("{FORM}<ul id=\"results\">{lines}</ul>"))
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
