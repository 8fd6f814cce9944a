//! What the agent does with a page: look, type, click, read. Secrets go in as typed text (`Input.insertText`), never
//! in a script, so no page, log or stack trace of the browser holds them as code.

use std::time::Duration;

use durward_protocol::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::{Browser, BrowserError};
use crate::ending::Ending;
use crate::site::Site;

/// How long a page may take.
const PAGE_PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Typed<'a> {
    text: &'a str,
}

impl Browser {
    /// Goes to an address.
    pub async fn open(&mut self, url: &Url) -> Result<(), Ending> {
        let answer = self.pipe.call("Page.navigate", &json!({ "url": url.as_str() })).await?;
        match answer["errorText"].as_str() {
            Some(why) => Err(Ending::other(format!("The browser cannot open {url}: {why}."))),
            None => Ok(()),
        }
    }

    /// Waits until one of these selectors shows something; which one it was.
    pub async fn wait_for(&mut self, selectors: &[&str]) -> Result<usize, Ending> {
        let deadline = Instant::now() + PAGE_PATIENCE;
        loop {
            for (at, selector) in selectors.iter().enumerate() {
                match self.visible(selector).await {
                    Ok(Some(_)) => return Ok(at),
                    Err(error @ (BrowserError::Silent(_) | BrowserError::Broken(_))) => {
                        return Err(error.into());
                    }
                    Err(BrowserError::Refused(why)) if why.contains("DOM Error") => {
                        return Err(Ending::usage(format!("{selector:?} is not a selector.")));
                    }
                    Ok(None) | Err(BrowserError::Refused(_)) => {} // or the page changed while it was looked at
                }
            }
            if Instant::now() > deadline {
                let at = self.url().await?;
                let host = at.host_str().unwrap_or("an empty page").to_owned();
                return Err(Ending::other(format!(
                    "The page at {host}{} shows none of {} within a minute; correct the file of selectors.",
                    at.path(),
                    selectors.join(", "),
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Types something that is no secret.
    pub async fn fill(&mut self, selector: &str, text: &str) -> Result<(), Ending> {
        self.wait_for(&[selector]).await?;
        let node = self.found(selector).await?;
        self.insert(node, text).await
    }

    /// Types a secret, if the page is the site's own at this moment and, for a password, hides what is typed.
    pub async fn fill_secret(
        &mut self,
        site: &Site,
        selector: &str,
        secret: &SecretString,
        hidden: bool,
    ) -> Result<(), Ending> {
        self.wait_for(&[selector]).await?;
        site.vouch(&self.url().await?)?;
        let node = self.found(selector).await?;
        if hidden && self.attribute(node, "type").await?.as_deref() != Some("password") {
            return Err(Ending::other(format!(
                "{selector} is not a password field: the password is not typed there."
            )));
        }
        self.insert(node, secret.expose_secret()).await
    }

    /// Clicks in the middle of something.
    pub async fn click(&mut self, selector: &str) -> Result<(), Ending> {
        self.wait_for(&[selector]).await?;
        let node = self.found(selector).await?;
        self.pipe.call("DOM.scrollIntoViewIfNeeded", &json!({ "nodeId": node })).await?;
        let (x, y) = self.middle(node).await?.ok_or_else(|| gone(selector))?;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 });
            self.pipe.call("Input.dispatchMouseEvent", &event).await?;
        }
        Ok(())
    }

    /// The text a person sees there.
    pub async fn text(&mut self, selector: &str) -> Result<String, Ending> {
        let node = self.found(selector).await?;
        let object = self.pipe.call("DOM.resolveNode", &json!({ "nodeId": node })).await?;
        let call = json!({
            "objectId": object["object"]["objectId"],
            "functionDeclaration": "function () { return this.innerText; }",
            "returnByValue": true,
        });
        let answer = self.pipe.call("Runtime.callFunctionOn", &call).await?;
        Ok(answer["result"]["value"].as_str().unwrap_or_default().to_owned())
    }

    /// The address of the page.
    pub async fn url(&mut self) -> Result<Url, Ending> {
        let tree = self.pipe.call("Page.getFrameTree", &json!({})).await?;
        let text = tree["frameTree"]["frame"]["url"].as_str().unwrap_or("about:blank");
        Url::parse(text).map_err(|error| {
            Ending::other(format!("The browser is at an address that cannot be read: {error}."))
        })
    }

    /// The page's source as it is now.
    pub async fn source(&mut self) -> Result<String, Ending> {
        let root = self.root().await?;
        let answer = self.pipe.call("DOM.getOuterHTML", &json!({ "nodeId": root })).await?;
        Ok(answer["outerHTML"].as_str().unwrap_or_default().to_owned())
    }

    async fn insert(&mut self, node: u64, text: &str) -> Result<(), Ending> {
        self.pipe.call("DOM.focus", &json!({ "nodeId": node })).await?;
        self.pipe.call("Input.insertText", &Typed { text }).await?;
        Ok(())
    }

    async fn root(&mut self) -> Result<u64, BrowserError> {
        let answer = self.pipe.call("DOM.getDocument", &json!({ "depth": 0 })).await?;
        Ok(answer["root"]["nodeId"].as_u64().unwrap_or_default())
    }

    /// The first match in the page itself; frames inside it are not looked into.
    async fn query(&mut self, selector: &str) -> Result<Option<u64>, BrowserError> {
        let root = self.root().await?;
        let query = json!({ "nodeId": root, "selector": selector });
        let answer: Value = self.pipe.call("DOM.querySelector", &query).await?;
        Ok(answer["nodeId"].as_u64().filter(|node| *node != 0))
    }

    async fn found(&mut self, selector: &str) -> Result<u64, Ending> {
        self.query(selector).await?.ok_or_else(|| gone(selector))
    }

    /// The node, when there is something of it to see.
    async fn visible(&mut self, selector: &str) -> Result<Option<u64>, BrowserError> {
        let Some(node) = self.query(selector).await? else { return Ok(None) };
        Ok(self.middle(node).await?.map(|_| node))
    }

    async fn middle(&mut self, node: u64) -> Result<Option<(f64, f64)>, BrowserError> {
        let answer = self.pipe.call("DOM.getContentQuads", &json!({ "nodeId": node })).await?;
        let corners: Vec<f64> =
            answer["quads"][0].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let [x, y, _, _, far_x, far_y, _, _] = corners[..] else { return Ok(None) };
        Ok(Some((f64::midpoint(x, far_x), f64::midpoint(y, far_y))))
    }

    async fn attribute(&mut self, node: u64, name: &str) -> Result<Option<String>, BrowserError> {
        let answer = self.pipe.call("DOM.getAttributes", &json!({ "nodeId": node })).await?;
        let words: Vec<&str> =
            answer["attributes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Ok(words
            .chunks(2)
            .find(|pair| pair.first() == Some(&name))
            .and_then(|pair| pair.get(1))
            .map(|v| (*v).to_owned()))
    }
}

fn gone(selector: &str) -> Ending {
    Ending::other(format!("{selector} went away while it was being used."))
}
