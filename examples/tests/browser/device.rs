//! A device of a user: a browser with a profile of its own, and what a user does with it.

use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use testing::{Browser, Certificates};

/// How long a page may take: much more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Device {
    site: String,
    client: Client,
    // After the client, which talks to it.
    _browser: Browser,
}

impl Device {
    /// A new one that looks at the site.
    pub(crate) async fn at(site: &str, trusted: Option<&Certificates>) -> Self {
        let browser = Browser::start(trusted).unwrap();
        let mut wishes = Map::new();
        let debugger = json!({ "debuggerAddress": browser.debugger() });
        wishes.insert("goog:chromeOptions".to_owned(), debugger);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wishes);
        let client = builder.connect(&browser.driver()).await;
        let device = Self {
            site: site.to_owned(),
            client: client.unwrap_or_else(|error| panic!("{error}: {}", browser.log())),
            _browser: browser,
        };
        device.open("/").await;
        device
    }

    pub(crate) async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.site);
        self.client.goto(&url).await.unwrap();
    }

    /// Opens another tab there, and goes to it.
    pub(crate) async fn open_tab(&self, path: &str) -> WindowHandle {
        let new = self.client.new_window(true).await.unwrap();
        self.go_to_tab(&new.handle).await;
        self.open(path).await;
        new.handle
    }

    /// The tab where it is.
    pub(crate) async fn tab(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    pub(crate) async fn go_to_tab(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub(crate) async fn sign_in(&self, user: &str) {
        self.enter("user", user).await;
        self.click("/sign-in").await;
        self.shows(&format!("Signed in as {user}")).await;
    }

    /// Types into the field of this name.
    pub(crate) async fn enter(&self, field: &str, text: &str) {
        let field = self.find(&format!("input[name={field}]")).await;
        field.send_keys(text).await.unwrap();
    }

    /// Clicks on the button of the form that goes there, and waits for the page that answers.
    pub(crate) async fn click(&self, action: &str) {
        let button = self.find(&format!("form[action='{action}'] button")).await;
        let page = self.find("html").await;
        button.click().await.unwrap();
        // The page that was there is no more.
        let until = tokio::time::Instant::now() + PATIENCE;
        while page.tag_name().await.is_ok() {
            assert!(tokio::time::Instant::now() < until, "no answer: {action}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn find(&self, selector: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE);
        let found = wait.for_element(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// What stands on the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this stands on the page.
    pub(crate) async fn shows(&self, text: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            // Between two pages there is none to ask.
            let script = "return document.body.innerText";
            let shown = self.client.execute(script, Vec::new()).await;
            if let Ok(Value::String(shown)) = &shown
                && shown.contains(text)
            {
                return;
            }
            let late = tokio::time::Instant::now() > until;
            assert!(!late, "{text:?} is not shown: {shown:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a script gives, or what its promise comes to.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Every cookie that the browser has, of whatever site, as it stored it.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        let all = self.ask("Storage.getCookies", json!({})).await;
        all["cookies"].as_array().unwrap().clone()
    }

    /// Has every page to come run this first.
    pub(crate) async fn run_first(&self, script: &str) {
        let script = json!({ "source": script });
        self.ask("Page.addScriptToEvaluateOnNewDocument", script)
            .await;
    }

    /// Asks the browser itself, in the words of its developer tools.
    async fn ask(&self, method: &'static str, parameters: Value) -> Value {
        let ask = DevTools(method, parameters);
        self.client.issue_cmd(ask).await.unwrap()
    }
}

/// A method and its parameters.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/goog/cdp/execute"))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = json!({ "cmd": self.0, "params": self.1 });
        (Method::POST, Some(body.to_string()))
    }
}
