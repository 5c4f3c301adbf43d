//! Chromium without a window, driven over WebDriver (W3C): JSON over HTTP, to a chromedriver of our own.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is none; says so.
pub fn skipped() -> bool {
    let there = |program: &str| {
        let mut version = Command::new(program);
        version
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let missing = !there("chromedriver") || !there("chromium");
    if missing {
        eprintln!("SKIPPED: chromedriver or chromium is not installed");
    }
    missing
}

/// A session in a browser. Both end when it is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(
                output.read_line(&mut line).unwrap() > 0,
                "chromedriver says no port"
            );
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        browser.open();
        browser
    }

    fn open(&mut self) {
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars", profile,
                ],
            },
        });
        let session = self.call(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": capabilities}}),
        );
        self.session = session["sessionId"].as_str().unwrap().to_owned();
    }

    /// Loads a page, as long as that takes.
    pub fn go(&self, url: &str) {
        self.session("POST", "/url", &json!({"url": url}));
    }

    pub fn url(&self) -> String {
        self.session("GET", "/url", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a script says: chromedriver's own, which also runs where pages may run none.
    pub fn run(&self, script: &str) -> Value {
        self.session(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// The texts of what a selector finds, as they are seen.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let script =
            "return Array.from(document.querySelectorAll(arguments[0]), found => found.innerText)";
        let texts = json!({"script": script, "args": [selector]});
        let texts = self.session("POST", "/execute/sync", &texts);
        let texts = texts.as_array().unwrap().iter();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.session(
            "POST",
            "/element",
            &json!({"using": "css selector", "value": selector}),
        );
        found
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Clicks on what leads to another page, and waits for that.
    pub fn follow(&self, selector: &str) {
        let element = self.element(selector);
        self.run("window.left = true");
        self.session("POST", &format!("/element/{element}/click"), &json!({}));
        let until = Instant::now() + PATIENCE;
        let there = json!({"script": "return !window.left && document.readyState == 'complete'", "args": []});
        let execute = format!("/session/{}/execute/sync", self.session);
        // A script that the way to the next page ends has no answer.
        while self.try_call("POST", &execute, &there) != Ok(Value::Bool(true)) {
            assert!(Instant::now() < until, "{selector} leads nowhere");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.session("POST", &format!("/element/{element}/clear"), &json!({}));
        self.session(
            "POST",
            &format!("/element/{element}/value"),
            &json!({"text": text}),
        );
    }

    /// What the console said since it was asked last.
    pub fn console(&self) -> Vec<String> {
        let log = self.session("POST", "/se/log", &json!({"type": "browser"}));
        log.as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.session(
            "POST",
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// Whether pages may run scripts of their own from now on.
    pub fn scripts(&self, scripts: Scripts) {
        let off = json!({"value": scripts == Scripts::Off});
        self.devtools("Emulation.setScriptExecutionDisabled", &off);
        let wanted = if scripts == Scripts::On {
            "ran"
        } else {
            "did not"
        };
        self.go("data:text/html,<title>did not</title><script>document.title='ran'</script>");
        assert_eq!(self.run("return document.title"), wanted);
    }

    /// The width of the screen, and whether people want it `dark` or `light`.
    pub fn screen(&self, width: u32, scheme: &str) {
        let height = if width < 600 { 844 } else { 800 };
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The page as a picture, as far down as people look.
    pub fn screenshot(&self, file: &Path) {
        const MOST: u64 = 2200;
        let size = self.run("return [innerWidth, document.documentElement.scrollHeight]");
        let size = |of: usize| size[of].as_u64().unwrap();
        let height = size(1).min(MOST);
        let clip = json!({"x": 0, "y": 0, "width": size(0), "height": height, "scale": 1});
        let whole = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", &whole);
        let picture = picture["data"].as_str().unwrap();
        let picture = data_encoding::BASE64.decode(picture.as_bytes()).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, picture).unwrap();
    }

    fn session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while answer.read_line(&mut line).unwrap() > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(said) = lower.strip_prefix("content-length:") {
                length = said.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let value = answer["value"].clone();
        match value.get("error") {
            Some(_) => Err(value),
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call(
                "DELETE",
                &format!("/session/{}", self.session),
                &Value::Null,
            );
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
