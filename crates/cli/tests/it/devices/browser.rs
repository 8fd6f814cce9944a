//! The snippet of docs/devices.md, run by an extension in a real Chromium (Debian's package `chromium`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::pairing::Device;

/// A bound for a broken test: a browser starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The parts of the snippet, each from its comment to the next.
fn snippet(control: &str) -> [String; 3] {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/devices.md");
    let page = std::fs::read_to_string(page).unwrap();
    let code = page.split("```javascript\n").nth(1).unwrap().split("```").next().unwrap();
    let code = code.replace("127.0.0.1:9778", control);
    let mut parts = code.split("\n// ").map(str::to_owned);
    let next = |parts: &mut dyn Iterator<Item = String>| format!("// {}", parts.next().unwrap());
    [parts.next().unwrap(), next(&mut parts), next(&mut parts)]
}

/// Where the extension says how far it is: the path of each request.
fn reports() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned));
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = (&stream).write_all(answer);
            if path.is_some_and(|path| sender.send(path).is_err()) {
                return;
            }
        }
    });
    (address, receiver)
}

#[test]
fn an_extension_pairs_with_the_snippet_of_the_page() {
    let (laptop, desktop) = (Device::start("laptop"), Device::start("desktop"));
    let (address, reports) = reports();
    let token = std::fs::read_to_string(laptop.env.path("pair.token")).unwrap();
    let [initiate, poll, respond] = snippet(&laptop.daemon.control.to_string());
    let script = format!(
        "const token = {token:?};\nconst report = (path) => fetch('http://{address}/' + path, {{ mode: 'no-cors' }});\n\
         try {{\n{initiate}\nawait report('code/' + code);\nfor (;;) {{\n{poll}\nif ((await pending.json()).pending) break;\n\
         await new Promise((go) => setTimeout(go, 100));\n}}\n{respond}\nawait report('done');\n}} catch (error) \
         {{\n  await report('failed/' + encodeURIComponent(error));\n}}\n"
    );
    // Modules of service workers may not await at their top.
    laptop.env.file("extension/worker.js", &format!("(async () => {{\n{script}}})();\n"));
    laptop.env.file(
        "extension/manifest.json",
        r#"{"manifest_version":3,"name":"pairing","version":"1","host_permissions":["http://127.0.0.1/*"],
            "background":{"service_worker":"worker.js"}}"#,
    );
    let program = std::env::var_os("DURWARD_CHROMIUM_BIN").unwrap_or_else(|| "chromium".into());
    let browser = Command::new(program)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .arg("--disable-features=DisableLoadExtensionCommandLineSwitch")
        .arg(format!("--load-extension={}", laptop.env.path("extension").display()))
        .arg(format!("--user-data-dir={}", laptop.env.path("profile").display()))
        .arg("about:blank")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _browser = Browser(browser.expect("this test needs chromium: apt-get install chromium"));
    let report = || reports.recv_timeout(PATIENCE).expect("the extension says nothing");
    let first = report();
    let code = first.strip_prefix("/code/").unwrap_or_else(|| panic!("{first}")).to_owned();
    let joined = desktop.join(&code, &laptop).finish();
    assert_eq!(joined.code, 0, "{joined:?}");
    assert_eq!(report(), "/done");
    let peers = laptop.home.json(&["devices"]);
    assert_eq!(peers["devices"][0]["name"], "desktop", "{peers}");
}
