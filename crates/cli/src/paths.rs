//! Where files lie: `DURWARD_HOME`, else the XDG folders.

use std::path::PathBuf;

use anyhow::Context as _;
use etcetera::{BaseStrategy as _, choose_base_strategy};

use crate::env_vars;

/// The folders of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    config: PathBuf,
    data: PathBuf,
    one_folder: bool,
}

impl Paths {
    /// Reads the environment.
    pub(crate) fn discover() -> anyhow::Result<Self> {
        if let Some(home) = std::env::var_os(env_vars::DURWARD_HOME).filter(|home| !home.is_empty()) {
            let home = PathBuf::from(home);
            return Ok(Self { config: home.clone(), data: home, one_folder: true });
        }
        let base =
            choose_base_strategy().context("cannot tell where your home folder is; set DURWARD_HOME")?;
        let (config, data) = (base.config_dir().join("durward"), base.data_dir().join("durward"));
        Ok(Self { config, data, one_folder: false })
    }

    /// Whether `DURWARD_HOME` puts everything into one folder.
    pub(crate) fn in_one_folder(&self) -> bool {
        self.one_folder
    }

    /// The folder with `config.toml`, `policy.toml` and `vaults.toml`.
    pub(crate) fn config(&self) -> &PathBuf {
        &self.config
    }

    /// `config.toml`
    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// `policy.toml`: the owner's standing rules.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.config.join("policy.toml")
    }

    /// `vaults.toml`: which vaults there are and which is in use.
    pub(crate) fn vaults_file(&self) -> PathBuf {
        self.config.join("vaults.toml")
    }

    /// The folder with the store, the vault, keys and tokens: 0700.
    pub(crate) fn data(&self) -> &PathBuf {
        &self.data
    }

    /// The control plane's socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.data.join("run").join("control.sock")
    }

    /// The folder with one sub-folder per agent profile.
    pub(crate) fn agents(&self) -> PathBuf {
        self.data.join("agents")
    }
}
