//! A headless Chromium under chromedriver, for the tests of the live page.

#![allow(clippy::print_stdout)] // a test says that it was skipped, and where its screenshots are
#![allow(dead_code)] // each test program uses its part

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a loaded machine may take for something that usually takes a moment.
pub(crate) const PATIENCE: Duration = system_tests::PATIENCE;

const WINDOW: (u32, u32) = (1280, 800);

/// A running chromedriver. Killed when dropped.
pub(crate) struct Browser {
    driver: Child,
    url: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts chromedriver on a port of its own choice. Without chromedriver the test is skipped, except in CI.
    ///
    /// # Panics
    /// In CI without chromedriver, or if it does not say its port.
    pub(crate) fn start() -> Option<Browser> {
        let spawned = Command::new("chromedriver").arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut driver = match spawned {
            Ok(driver) => driver,
            Err(error) => {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "chromedriver: {error}, but CI must run this test"
                );
                println!("SKIPPED: chromedriver cannot be started: {error} (Debian: apt-get install chromium-driver)");
                return None;
            }
        };
        let said = BufReader::new(driver.stdout.take().expect("piped"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        Some(Browser { driver, url: format!("http://127.0.0.1:{port}"), profile })
    }

    /// Opens `url`, runs `test` on the page, and closes the browser even if the test panics.
    pub(crate) async fn visit<F>(self, url: &str, test: impl FnOnce(Page) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let page = self.page().await;
        page.client.goto(url).await.unwrap_or_else(|error| panic!("{url} cannot be opened: {error}"));
        let outcome = tokio::spawn(test(page.clone())).await;
        if outcome.is_err() {
            page.keep_screenshot("browser-test-failed.png").await;
        }
        page.client.close().await.expect("the browser closes");
        if let Err(failed) = outcome {
            std::panic::resume_unwind(failed.into_panic());
        }
    }

    async fn page(&self) -> Page {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let (width, height) = WINDOW;
        let window = format!("--window-size={width},{height}");
        let quiet =
            ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
        // No sandbox: CI runs as root, where Chromium's sandbox refuses to start. No GPU, no QUIC: nothing to find there.
        let bare = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"];
        let arguments: Vec<&str> = quiet.into_iter().chain(bare).chain([profile.as_str(), window.as_str()]).collect();
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            // A script may scroll through thousands of parts, frame by frame; 30 s are too few where a frame takes 30 ms.
            "timeouts": { "script": SCRIPT_MS },
        });
        let Value::Object(capabilities) = wanted else { unreachable!("written as an object above") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&self.url)
            .await
            .unwrap_or_else(|error| panic!("chromium does not start: {error}"));
        let session = client.session_id().await.expect("a session").expect("chromedriver names its session");
        let page = Page { client, session: format!("{}/session/{session}", self.url) };
        page.resize(width, height).await;
        page
    }
}

/// Milliseconds that a script in the page may take.
const SCRIPT_MS: u32 = 120_000;

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended_already = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

/// The page in the browser.
#[derive(Clone)]
pub(crate) struct Page {
    client: Client,
    /// Address of the WebDriver session, for chromedriver's own commands.
    session: String,
}

impl Page {
    /// Runs a script in the page, gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{error} in the script {script}"))
    }

    /// Runs a script until it returns something other than null or false.
    ///
    /// # Panics
    /// After [`PATIENCE`], with `what` in the message.
    pub(crate) async fn wait(&self, what: &str, script: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.run(script).await;
            if !answer.is_null() && answer != json!(false) {
                return answer;
            }
            assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks in the middle of the one element with this `data-testid`, as a person would.
    pub(crate) async fn click(&self, id: &str) {
        let selector = format!("[data-testid={id}]");
        let element = self.client.find(Locator::Css(&selector)).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{id} cannot be clicked: {error}"));
    }

    /// Draws with the mouse over the one element with this `data-testid`, between two places given in shares of its box.
    pub(crate) async fn drag(&self, id: &str, from: (f64, f64), to: (f64, f64)) {
        let script = format!(
            "const box = document.querySelector('[data-testid={id}]').getBoundingClientRect(); return [box.left, box.top, box.width, box.height]"
        );
        let [left, top, width, height]: [f64; 4] = serde_json::from_value(self.run(&script).await).expect("a box");
        let at = |(x, y): (f64, f64)| (left + x * width, top + y * height);
        let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        self.drag_along(&[at(from), at(middle), at(to)]).await;
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: char) {
        // By the keyboard itself: asked to send keys to an element, the driver refuses where the page has drawn it anew meanwhile.
        let keys = KeyActions::new("keyboard".to_owned());
        let keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.expect("keys arrive");
    }

    /// Drags the pointer from place to place, in pixels of the window.
    pub(crate) async fn drag_along(&self, way: &[(f64, f64)]) {
        let step = |&(x, y): &(f64, f64)| PointerAction::MoveTo { duration: Some(Duration::from_millis(60)), x, y };
        let [first, rest @ ..] = way else { return };
        let mut actions = MouseActions::new("pointer".to_owned()).then(step(first));
        actions = actions.then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
        for place in rest {
            actions = actions.then(step(place));
        }
        let actions = actions.then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(actions).await.expect("the pointer moves");
    }

    /// Goes to another address; of the same page where only what follows # is another.
    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url} cannot be opened: {error}"));
    }

    /// The window's title.
    pub(crate) async fn title(&self) -> String {
        self.client.title().await.expect("a title")
    }

    /// Keeps a picture of the page for people, in the target folder.
    pub(crate) async fn keep_screenshot(&self, name: &str) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let picture = self.client.screenshot().await.expect("a screenshot");
        std::fs::write(&path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("screenshot: {}", path.display());
    }

    /// The page's own size, in pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        // A headless window's size is the window's, its page's may be smaller by a title bar: ask for the page's.
        let frame = self.run("return [outerWidth - innerWidth, outerHeight - innerHeight]").await;
        let (wider, higher): (u32, u32) = serde_json::from_value(frame).expect("two numbers");
        self.client.set_window_size(width + wider, height + higher).await.expect("the window can be sized");
    }

    /// Keeps a picture of the page as WebP, a fraction of a PNG.
    pub(crate) async fn keep_webp(&self, path: &Path) {
        let parameters = json!({ "format": "webp", "quality": 85 });
        let command = json!({ "cmd": "Page.captureScreenshot", "params": parameters });
        let mut answer = system_tests::agent()
            .post(format!("{}/goog/cdp/execute", self.session))
            .send_json(command)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let answer: Value = answer.body_mut().read_json().expect("JSON");
        let coded = answer["value"]["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(coded).expect("base64");
        std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Fails on any error in the browser's console: scripts that broke, resources that are missing or that the security
    /// policy refused.
    pub(crate) fn assert_quiet_console(&self) {
        let entries = self.log("browser");
        // The daemon may let a picture go between telling of it and being asked for it (404), or still be writing it (503):
        // the page says so in its place, or asks again.
        let dropped = |words: &str| words.contains("/image") && (words.contains("404") || words.contains("503"));
        let errors: Vec<&Value> = entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" && !dropped(entry["message"].as_str().unwrap_or_default()))
            .collect();
        assert!(errors.is_empty(), "the console has errors: {errors:#?}");
    }

    /// Fails if the page asked anyone but its own daemon for anything.
    pub(crate) fn assert_nothing_left(&self, origin: &str) {
        let requests: Vec<String> = self.log("performance").iter().filter_map(requested).collect();
        let home = format!("{origin}/");
        assert!(requests.iter().any(|url| url.starts_with(&home)), "no request was seen: the log is not what it was");
        let foreign: Vec<&String> =
            requests.iter().filter(|url| url.starts_with("http") && !url.starts_with(&home)).collect();
        assert!(foreign.is_empty(), "requests left {origin}: {foreign:?}");
    }

    /// Chromedriver's own command; WebDriver's standard has none for logs.
    fn log(&self, kind: &str) -> Vec<Value> {
        let mut answer = system_tests::agent()
            .post(format!("{}/se/log", self.session))
            .send_json(json!({ "type": kind }))
            .unwrap_or_else(|error| panic!("chromedriver gives no {kind} log: {error}"));
        let answer: Value = answer.body_mut().with_config().limit(LOG_BYTES_MAX).read_json().expect("the log is JSON");
        answer["value"].as_array().expect("a list of entries").clone()
    }
}

/// A minute of network events of a busy page.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The address, where a performance entry is a request.
fn requested(entry: &Value) -> Option<String> {
    let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let message = &message["message"];
    if message["method"] != "Network.requestWillBeSent" {
        return None;
    }
    Some(message["params"]["request"]["url"].as_str()?.to_owned())
}
