//! A server, a data folder and a way to run either program over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use durward_testkit::bitwarden::{Account, AccountSpec, BitwardenServer, Flavour, ItemSpec, official};

pub(crate) const EMAIL: &str = "Test.User@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn from(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Which program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Ours,
    Official(&'static str),
}

/// One data folder with a server.
pub(crate) struct Desk {
    pub(crate) server: BitwardenServer,
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(flavour: Flavour) -> Self {
        Self::with(flavour, vec![account()])
    }

    pub(crate) fn with(flavour: Flavour, accounts: Vec<Account>) -> Self {
        Self::at(BitwardenServer::start(flavour, accounts))
    }

    pub(crate) fn at(server: BitwardenServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let mut ca = fs::File::create(folder.path().join("ca.pem")).unwrap();
        std::io::Write::write_all(&mut ca, server.ca_pem().as_bytes()).unwrap();
        let desk = Self { server, folder };
        let said = desk.run(&["config", "server", &desk.server.url()]);
        assert_eq!((said.code, said.stdout.as_str()), (0, "Saved setting `config`."), "{}", said.stderr);
        desk
    }

    /// With ours already logged in; the session key beside it.
    pub(crate) fn logged_in(flavour: Flavour) -> (Self, String) {
        let desk = Self::new(flavour);
        let key = desk.login();
        (desk, key)
    }

    pub(crate) fn login(&self) -> String {
        let said = self.run(&["login", EMAIL, PASSWORD, "--raw"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
        said.stdout
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_json(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.data().join("data.json")).unwrap()).unwrap()
    }

    /// Ours, without a terminal and without questions.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_as(Program::Ours, args, &[])
    }

    pub(crate) fn run_env(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        self.run_as(Program::Ours, args, env)
    }

    /// Either, with more variables; standard input is empty.
    pub(crate) fn run_as(&self, program: Program, args: &[&str], env: &[(&str, &str)]) -> Said {
        let output = self.command(program).args(args).envs(env.iter().copied()).output().unwrap();
        Said::from(&output)
    }

    /// The program with nothing of this process's environment but what it needs.
    pub(crate) fn command(&self, program: Program) -> Command {
        let mut command = match program {
            Program::Ours => Command::new(env!("CARGO_BIN_EXE_bw")),
            Program::Official(version) => official(version),
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("BITWARDENCLI_APPDATA_DIR", self.data())
            .env("NODE_EXTRA_CA_CERTS", self.folder.path().join("ca.pem"))
            .env("BW_NOINTERACTION", "true")
            .stdin(Stdio::null());
        command
    }
}

/// An account with a bit of everything.
pub(crate) fn account() -> Account {
    let mut account = Account::new(AccountSpec::quick(EMAIL, PASSWORD));
    let vault = &mut account.contents;
    for item in items() {
        vault.add(&item);
    }
    vault.add_other(2, "secureNote", "A secure note", &[]);
    vault.add_other(
        3,
        "card",
        "My Visa",
        &[("cardholderName", "Ada"), ("brand", "Visa"), ("number", "4111111111111111"), ("expYear", "2030")],
    );
    vault.add_other(
        4,
        "identity",
        "My identity",
        &[("firstName", "Ada"), ("lastName", "Lovelace"), ("city", "London")],
    );
    vault.add_other(
        5,
        "sshKey",
        "Key",
        &[("privateKey", "-----"), ("publicKey", "ssh-ed25519 AAAA"), ("keyFingerprint", "SHA256:abc")],
    );
    account
}

pub(crate) const PLAIN_PASSWORD: &str = "s3cret-plain-0123";

fn items() -> Vec<ItemSpec> {
    vec![
        ItemSpec {
            totp: Some("JBSWY3DPEHPK3PXP".into()),
            notes: Some("two\nlines".into()),
            in_folder: true,
            fields: vec![(0, "env".into(), "prod".into()), (1, "pin".into(), "1234".into())],
            history: vec!["older".into()],
            ..ItemSpec::login("Plain login", "alice", PLAIN_PASSWORD, "https://login.example.com/path")
        },
        ItemSpec {
            own_key: true,
            uris: vec![
                ("https://itemkey.example.net".into(), Some(1)),
                ("https://gone.example".into(), None),
            ],
            bent_checksum: true,
            ..ItemSpec::login("Item-key login", "bob", "s3cret-itemkey", "")
        },
        ItemSpec {
            shared: true,
            ..ItemSpec::login("Org login", "carol", "s3cret-org", "https://org.example.org")
        },
        ItemSpec {
            shared: true,
            own_key: true,
            hidden: true,
            fields: vec![(1, "pin".into(), "9999".into())],
            history: vec!["older".into()],
            totp: Some("JBSWY3DPEHPK3PXP".into()),
            ..ItemSpec::login("Org item-key login", "dave", "s3cret-orgkey", "https://orgkey.example.org")
        },
        ItemSpec {
            deleted: true,
            ..ItemSpec::login("Thrown away", "erin", "s3cret-trash", "https://trash.example")
        },
        ItemSpec::login("Própèr Ñame", "üser", "pässwörd ✓", "https://bücher.example"),
        ItemSpec::login("item 10", "u", "p10", "http://192.168.1.10:8080/"),
        ItemSpec::login("item 2", "u", "p2", "http://localhost:3000"),
        ItemSpec {
            uris: vec![
                ("^https://[a-z]+\\.regex\\.example/".into(), Some(4)),
                ("https://never.example".into(), Some(5)),
            ],
            ..ItemSpec::login("Regex", "r", "pr", "")
        },
        ItemSpec { username: None, uris: Vec::new(), ..ItemSpec::login("No user", "", "only-password", "") },
    ]
}
