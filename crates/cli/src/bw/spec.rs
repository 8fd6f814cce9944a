//! The command line's shape: commands, arguments, options. Texts for help lie here too; nothing of it is touched
//! before it is needed.

/// The version of the official command line whose behaviour this one has; scripts compare it.
pub(crate) const VERSION: &str = "2026.9.0";

/// An option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt {
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    pub(crate) value: Value,
    pub(crate) about: &'static str,
}

/// Whether an option takes a value, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Required(&'static str),
    Optional(&'static str),
}

/// A positional argument.
#[derive(Debug)]
pub(crate) struct Arg {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) about: &'static str,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) args: &'static [Arg],
    pub(crate) options: &'static [Opt],
    pub(crate) notes: &'static [&'static str],
    pub(crate) examples: &'static [&'static str],
    /// False for what the official command line has and this one has not.
    pub(crate) here: bool,
}

const fn flag(long: &'static str, about: &'static str) -> Opt {
    Opt { short: None, long, value: Value::None, about }
}

const fn short(short: char, long: &'static str, about: &'static str) -> Opt {
    Opt { short: Some(short), long, value: Value::None, about }
}

const fn value(long: &'static str, name: &'static str, about: &'static str) -> Opt {
    Opt { short: None, long, value: Value::Required(name), about }
}

const fn required(name: &'static str, about: &'static str) -> Arg {
    Arg { name, required: true, about }
}

const fn optional(name: &'static str) -> Arg {
    Arg { name, required: false, about: "" }
}

/// Accepted before and after the command.
pub(crate) const GLOBAL: &[Opt] = &[
    flag("pretty", "Indent JSON output with two spaces."),
    flag("raw", "Print only the value, without a message around it."),
    flag("response", "Print the whole response as JSON."),
    flag("cleanexit", "Exit with 0 also when the command fails."),
    flag("quiet", "Print nothing to stdout."),
    flag("nointeraction", "Never ask for input."),
    value("session", "session", "Use this session key instead of BW_SESSION."),
];

const PASSWORD_SOURCES: [Opt; 2] = [
    value("passwordenv", "passwordenv", "Environment variable that holds the password"),
    value("passwordfile", "passwordfile", "File whose first line is the password"),
];

/// Every command, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "login",
        about: "Log into a user account.",
        args: &[optional("email"), optional("password")],
        options: &[
            value("method", "method", "Two-step login method (0 authenticator, 1 email, 3 YubiKey)."),
            value("code", "code", "Two-step login code."),
            Opt {
                short: None,
                long: "sso",
                value: Value::Optional("identifier"),
                about: "Log in with Single Sign-On, optionally naming the organization.",
            },
            flag("apikey", "Log in with an API key."),
            PASSWORD_SOURCES[0],
            PASSWORD_SOURCES[1],
            flag("remember", "Do not ask for a second step on this device for 30 days."),
            flag(
                "check",
                "Check login status; with an address and a password, or with --apikey, check those and store nothing.",
            ),
        ],
        notes: &[
            "A password on the command line can be seen by other users; prefer the prompt,\n    `--passwordfile` or `--passwordenv`.",
            "Pass `--raw` to get only the session key.",
        ],
        examples: &[
            "bw login",
            "bw login ada@example.com --passwordfile ~/.bw-password --raw",
            "bw login ada@example.com --method 1 --code 249213",
            "bw login --apikey",
            "bw login --sso",
        ],
        here: true,
    },
    Command {
        name: "logout",
        about: "Log out of the current user account.",
        args: &[],
        options: &[flag("force", "Do not ask for confirmation.")],
        notes: &[],
        examples: &["bw logout"],
        here: true,
    },
    Command {
        name: "lock",
        about: "Lock the vault and destroy active session keys.",
        args: &[],
        options: &[],
        notes: &[],
        examples: &["bw lock"],
        here: true,
    },
    Command {
        name: "unlock",
        about: "Unlock the vault and return a new session key.",
        args: &[optional("password")],
        options: &[
            flag("check", "Check lock status; with a password, check it and store nothing."),
            PASSWORD_SOURCES[0],
            PASSWORD_SOURCES[1],
        ],
        notes: &[
            "After unlocking, earlier session keys are no longer valid.",
            "Pass `--raw` to get only the session key.",
        ],
        examples: &["bw unlock", "bw unlock --passwordfile ~/.bw-password --raw"],
        here: true,
    },
    Command {
        name: "sync",
        about: "Pull the latest vault data from server.",
        args: &[],
        options: &[
            short('f', "force", "Pull even when nothing changed."),
            flag("last", "Print the time of the last sync."),
        ],
        notes: &[],
        examples: &["bw sync", "bw sync -f", "bw sync --last"],
        here: true,
    },
    Command {
        name: "generate",
        about: "Generate a password/passphrase.",
        args: &[],
        options: &[
            short('u', "uppercase", "Include uppercase characters."),
            short('l', "lowercase", "Include lowercase characters."),
            short('n', "number", "Include numeric characters."),
            short('s', "special", "Include special characters."),
            short('p', "passphrase", "Generate a passphrase."),
            value("length", "length", "Length of the password."),
            value("words", "words", "Number of words."),
            value("minNumber", "count", "Minimum number of numeric characters."),
            value("minSpecial", "count", "Minimum number of special characters."),
            value("separator", "separator", "Word separator."),
            short('c', "capitalize", "Capitalize the words."),
            flag("includeNumber", "Put a digit into the passphrase."),
            flag("ambiguous", "Avoid ambiguous characters."),
        ],
        notes: &[
            "Default options are `-uln --length 14`.",
            "Minimum `length` is 5.",
            "Minimum `words` is 3.",
        ],
        examples: &[
            "bw generate",
            "bw generate -ulns --length 25",
            "bw generate -p --words 5 --separator space",
        ],
        here: true,
    },
    Command {
        name: "encode",
        about: "Base 64 encode stdin.",
        args: &[],
        options: &[],
        notes: &[],
        examples: &["echo '{\"name\":\"My Folder\"}' | bw encode"],
        here: true,
    },
    Command {
        name: "config",
        about: "Configure CLI settings.",
        args: &[required("setting", ""), optional("value")],
        options: &[
            value("web-vault", "url", "A web vault URL that differs from the base URL."),
            value("api", "url", "An API URL that differs from the base URL."),
            value("identity", "url", "An identity URL that differs from the base URL."),
            value("icons", "url", "An icons URL that differs from the base URL."),
            value("notifications", "url", "A notifications URL that differs from the base URL."),
            value("events", "url", "An events URL that differs from the base URL."),
            value("key-connector", "url", "The URL of a Key Connector."),
        ],
        notes: &["The only setting is `server`: the URL of a self-hosted server."],
        examples: &[
            "bw config server",
            "bw config server https://bw.example.com",
            "bw config server bitwarden.com",
        ],
        here: true,
    },
    Command {
        name: "completion",
        about: "Generate shell completions.",
        args: &[],
        options: &[value("shell", "shell", "Shell to generate completions for.")],
        notes: &["Valid shells are `zsh`, `bash` and `fish`."],
        examples: &["bw completion --shell zsh"],
        here: true,
    },
    Command {
        name: "status",
        about: "Show server, last sync, user information, and vault status.",
        args: &[],
        options: &[],
        notes: &["The status is `unauthenticated`, `locked` or `unlocked`."],
        examples: &["bw status --pretty"],
        here: true,
    },
    Command {
        name: "list",
        about: "List an array of objects from the vault.",
        args: &[required(
            "object",
            "Valid objects are: items, folders, collections, org-collections, org-members, organizations",
        )],
        options: &[
            value("search", "search", "Perform a search on the listed objects."),
            value("url", "url", "Only logins whose addresses fit this one."),
            value("folderid", "folderid", "Filter items by folder id."),
            value("collectionid", "collectionid", "Filter items by collection id."),
            value("organizationid", "organizationid", "Filter items or collections by organization id."),
            flag("trash", "Only items in the trash."),
            flag("archived", "Only items in the archive."),
        ],
        notes: &[
            "A search and a filter must both be met.",
            "Of several filters one must be met. `null` and `notnull` stand for none and any.",
        ],
        examples: &[
            "bw list items",
            "bw list items --search mail --folderid null",
            "bw list items --url https://example.com",
        ],
        here: true,
    },
    Command {
        name: "get",
        about: "Get an object from the vault.",
        args: &[
            required(
                "object",
                "Valid objects are: item, username, password, uri, totp, notes, exposed, attachment, folder, collection, org-collection, organization, template, fingerprint, send",
            ),
            required("id", "Search term or object's globally unique `id`."),
        ],
        options: &[
            value("itemid", "itemid", "Attachment's item id."),
            value("output", "output", "Where to put an attachment."),
            value("organizationid", "organizationid", "Organization id of an organization's object."),
        ],
        notes: &[],
        examples: &[
            "bw get item 99ee88d2-6046-4ea7-92c2-acac464b1412",
            "bw get password example.com",
            "bw get totp example.com",
        ],
        here: true,
    },
    elsewhere("create", "Create an object in the vault."),
    elsewhere("edit", "Edit an object from the vault."),
    elsewhere("delete", "Delete an object from the vault."),
    elsewhere("restore", "Restore an object from the trash or archive."),
    elsewhere("move", "Move an item to an organization."),
    elsewhere("confirm", "Confirm an object to the organization."),
    elsewhere("import", "Import vault data from a file."),
    elsewhere("export", "Export vault data to a file."),
    elsewhere("share", "Move an item to an organization."),
    elsewhere("archive", "Archive an object from the vault."),
    elsewhere("send", "Work with Bitwarden sends."),
    elsewhere("receive", "Access a Bitwarden Send from a url."),
    elsewhere("report", "Generate a vault report."),
    elsewhere("device-approval", "Manage device approval requests."),
    elsewhere("serve", "Start a RESTful API webserver."),
    elsewhere("update", "Check for updates."),
    elsewhere("sdk-version", "Print the SDK version."),
];

const fn elsewhere(name: &'static str, about: &'static str) -> Command {
    Command { name, about, args: &[], options: &[], notes: &[], examples: &[], here: false }
}
