//! The journey: open the sign-in page, ask the owner, sign in, search.

use std::path::{Path, PathBuf};

use durward_protocol::Field;
use url::Url;

use crate::Say;
use crate::browser::Browser;
use crate::ending::Ending;
use crate::owner::Owner;
use crate::site::Site;

/// Where to, and on which site.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The site's pages.
    pub site: Site,
    /// Its address.
    pub base: Url,
    /// From which airport.
    pub from: String,
    /// To which airport.
    pub to: String,
    /// The day, as the site wants it typed.
    pub date: String,
    /// A folder for the pages after sign-in: address and source, to see what the agent saw.
    pub record: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flights {
    /// What the site shows to whom it takes us for.
    pub account: String,
    /// Its lines of results.
    pub lines: Vec<String>,
}

/// Flies. Nothing is typed before the owner's yes, and nothing more after their no.
pub async fn fly(browser: &mut Browser, owner: &Owner, plan: &Plan, say: Say<'_>) -> Result<Flights, Ending> {
    let (site, login) = (&plan.site, &plan.site.login);
    browser.open(&site.page(&plan.base, &login.path)?).await?;
    browser.wait_for(&[&login.username]).await?;
    site.vouch(&browser.url().await?)?;
    say(&format!("{} shows its sign-in page.", site.name));

    let mut fields = vec![Field::Username, Field::Password];
    if site.second_step.is_some() {
        fields.push(Field::Totp);
    }
    let reason = format!("Sign in to {} and search a flight {} to {}", site.name, plan.from, plan.to);
    let credential = owner.ask(&site.domain, &reason, &fields, say).await?;
    say("The owner released the credential; signing in.");

    let username = credential.username.as_ref().ok_or_else(|| lacks("user name"))?;
    browser.fill_secret(site, &login.username, username, false).await?;
    if let Some(next) = &login.next {
        browser.click(next).await?;
    }
    let password = credential.password.as_ref().ok_or_else(|| lacks("password"))?;
    browser.fill_secret(site, &login.password, password, true).await?;
    owner.still_agrees().await?;
    browser.click(&login.submit).await?;

    let second = site.second_step.as_ref();
    let mut signs = vec![login.refused.as_str(), site.account.signed_in.as_str()];
    signs.extend(second.map(|second| second.code.as_str()));
    let mut seen = browser.wait_for(&signs).await?;
    if let (2, Some(second)) = (seen, second) {
        say(&format!("{} asks for a one-time code.", site.name));
        let code = credential.totp.as_ref().ok_or_else(|| lacks("one-time code"))?;
        browser.fill_secret(site, &second.code, code, false).await?;
        owner.still_agrees().await?;
        browser.click(&second.submit).await?;
        seen = browser.wait_for(signs.get(..2).unwrap_or_default()).await?;
    }
    drop(credential);
    if seen == 0 {
        return Err(Ending::other(format!(
            "{} refused the user name, the password or the code. The agent tries no second time; \
             check the item in the owner's vault.",
            site.name
        )));
    }
    let account = browser.text(&site.account.signed_in).await?;
    say(&format!("Signed in: {}", account.trim()));
    record(browser, plan, "1-signed-in").await?;
    search(browser, owner, plan, account.trim().to_owned(), say).await
}

async fn search(
    browser: &mut Browser,
    owner: &Owner,
    plan: &Plan,
    account: String,
    say: Say<'_>,
) -> Result<Flights, Ending> {
    owner.still_agrees().await?;
    let form = &plan.site.search;
    browser.open(&plan.site.page(&plan.base, &form.path)?).await?;
    for (selector, text) in [(&form.from, &plan.from), (&form.to, &plan.to), (&form.date, &plan.date)] {
        browser.fill(selector, text).await?;
    }
    owner.still_agrees().await?;
    browser.click(&form.submit).await?;
    browser.wait_for(&[&form.results]).await?;
    let text = browser.text(&form.results).await?;
    record(browser, plan, "2-results").await?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    say("Here are the flights.");
    Ok(Flights { account, lines })
}

fn lacks(what: &str) -> Ending {
    Ending::new(4, format!("The item in the owner's vault has no {what}; add it with `durward vault edit`."))
}

async fn record(browser: &mut Browser, plan: &Plan, name: &str) -> Result<(), Ending> {
    let Some(folder) = &plan.record else { return Ok(()) };
    let page = format!("<!-- {} -->\n{}", browser.url().await?, browser.source().await?);
    write_private(folder, name, &page)
        .map_err(|error| Ending::other(format!("Cannot write into {}: {error}.", folder.display())))
}

/// Pages after sign-in are private.
fn write_private(folder: &Path, name: &str, page: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(name).with_extension("html");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(page.as_bytes())
}
