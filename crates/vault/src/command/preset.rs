//! Programs whose arguments and output are known.

use super::CommandConfig;

struct Preset {
    name: &'static str,
    args: &'static [&'static str],
    absent_text: &'static str,
}

const PRESETS: [Preset; 2] = [
    // The official client. It searches by its own matching rules; what it finds is checked again here.
    Preset {
        name: "bw",
        args: &["--nointeraction", "list", "items", "--url", "{domain}"],
        absent_text: "Not found.",
    },
    // Finds by name or address; several matches are an error that names them.
    Preset { name: "rbw", args: &["get", "--raw", "{domain}"], absent_text: "no entry found" },
];

pub(super) fn find(name: &str) -> Option<CommandConfig> {
    let preset = PRESETS.iter().find(|preset| preset.name == name)?;
    let args = preset.args.iter().map(|&arg| arg.to_owned()).collect();
    let absent_text = Some(preset.absent_text.to_owned());
    Some(CommandConfig { absent_text, ..CommandConfig::new(preset.name, args) })
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}
