//! Names of keys in `data.json`.

pub(super) const ENVIRONMENT: &str = "global_environment_environment";
pub(super) const APP_ID: &str = "global_applicationId_appId";
pub(super) const CONFIG_BY_SERVER: &str = "global_config_byServer";
pub(super) const ACCOUNTS: &str = "global_account_accounts";
pub(super) const ACTIVITY: &str = "global_account_activity";
pub(super) const ACTIVE: &str = "global_account_activeAccountId";
pub(super) const CLEAR_ON_LOGOUT: &str = "global_clearEvent_logout";
pub(super) const CLEAR_ON_LOCK: &str = "global_clearEvent_lock";
/// Ours: remember tokens by e-mail address, under the name the official desktop clients use.
pub(super) const REMEMBERED: &str = "global_tokenDiskLocal_emailTwoFactorTokenRecord";

pub(super) const USER_ENVIRONMENT: &str = "environment_environment";
pub(super) const DECRYPTION_OPTIONS: &str = "userDecryptionOptions_decryptionOptions";
pub(super) const PASSWORD_UNLOCK: &str = "masterPasswordUnlock_masterPasswordUnlockKey";
pub(super) const WRAPPED_USER_KEY: &str = "masterPassword_masterKeyEncryptedUserKey";
pub(super) const KDF: &str = "kdfConfig_kdfConfig";
pub(super) const ACCESS_TOKEN: &str = "token_accessToken";
pub(super) const REFRESH_TOKEN: &str = "token_refreshToken";
pub(super) const CLIENT_ID: &str = "token_apiKeyClientId";
pub(super) const CLIENT_SECRET: &str = "token_apiKeyClientSecret";
pub(super) const CRYPTO_STATE: &str = "crypto_accountCryptographicState";
pub(super) const USER_KEY_ID: &str = "crypto_userKeyId";
pub(super) const EVER_HAD_KEY: &str = "crypto_everHadUserKey";
pub(super) const ORG_KEYS: &str = "crypto_organizationKeys";
pub(super) const PROVIDER_KEYS: &str = "crypto_providerKeys";
pub(super) const TIMEOUT: &str = "vaultTimeoutSettings_vaultTimeout";
pub(super) const TIMEOUT_ACTION: &str = "vaultTimeoutSettings_vaultTimeoutAction";
pub(super) const PROFILE: &str = "billing_accountProfile";
pub(super) const SERVER_CONFIG: &str = "config_serverConfig";
pub(super) const KEY_CONNECTOR: &str = "keyConnector_usesKeyConnector";
pub(super) const VERIFY_DEVICE: &str = "account_verifyNewDeviceLogin";
pub(super) const AVATAR: &str = "avatar_avatarColor";
pub(super) const ORGANIZATIONS: &str = "organizations_organizations";
pub(super) const PROVIDERS: &str = "providers_providers";
pub(super) const POLICIES: &str = "policies_policies";
/// Those of accepted memberships, too; what the official program goes by since 2026.9.
pub(super) const POLICIES_NEW: &str = "policies_policiesNew";
pub(super) const FOLDERS: &str = "folder_folders";
pub(super) const COLLECTIONS: &str = "collection_collections";
pub(super) const CIPHERS: &str = "ciphers_ciphers";
pub(super) const SENDS: &str = "encryptedSend_sendUserEncrypted";
pub(super) const DOMAINS: &str = "domainSettings_equivalentDomains";
pub(super) const LAST_SYNC: &str = "sync_lastSync";
pub(super) const BACKFILL_COOLDOWN: &str = "encryptedMigration_userKeyIdBackfillCooldown";

/// Left as `null` rather than removed at logout, like the official client leaves them.
pub(super) const NULL_AFTER_LOGOUT: &[&str] = &[
    ACCESS_TOKEN,
    REFRESH_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    CRYPTO_STATE,
    EVER_HAD_KEY,
    PROVIDER_KEYS,
    ORG_KEYS,
    AVATAR,
    CIPHERS,
];
/// Survive a logout.
pub(super) const KEPT_AT_LOGOUT: &[&str] = &[TIMEOUT, TIMEOUT_ACTION];

/// `user_<id>_<name>`.
pub(super) fn user(id: &str, name: &str) -> String {
    format!("user_{id}_{name}")
}

/// The protected entry: note that there is no `user_` in front of the id.
pub(super) fn protected(id: &str) -> String {
    format!("__PROTECTED__{id}_user_auto")
}

/// What is registered to be wiped at logout: state, key, location.
pub(super) const LOGOUT_EVENTS: &[(&str, &str, &str)] = &[
    ("environment", "environment", "disk"),
    ("userDecryptionOptions", "decryptionOptions", "disk"),
    ("masterPasswordUnlock", "masterPasswordUnlockKey", "disk"),
    ("kdfConfig", "kdfConfig", "disk"),
    ("billing", "accountProfile", "disk"),
    ("crypto", "accountCryptographicState", "disk"),
    ("crypto", "userKey", "memory"),
    ("crypto", "localUserDataKey", "disk"),
    ("crypto", "everHadUserKey", "disk"),
    ("masterPassword", "masterKey", "memory"),
    ("config", "serverConfig", "disk"),
    ("crypto", "v2UpgradeToken", "disk"),
    ("crypto", "webAuthnPrfOptions", "disk"),
    ("crypto", "userKeyId", "disk"),
    ("masterPassword", "masterKeyEncryptedUserKey", "disk"),
    ("crypto", "providerKeys", "disk"),
    ("crypto", "organizationKeys", "disk"),
    ("token", "securityStamp", "memory"),
    ("account", "verifyNewDeviceLogin", "disk"),
    ("keyConnector", "usesKeyConnector", "disk"),
    ("providers", "providers", "disk"),
    ("organizations", "organizations", "disk"),
    ("decryptedFolders", "decryptedFolders", "memory"),
    ("folder", "folders", "disk"),
    ("collection", "collections", "disk"),
    ("decryptedCollections", "decryptedCollections", "memory"),
    ("ciphers", "ciphers", "disk"),
    ("ciphersMemory", "decryptedCiphers", "memory"),
    ("ciphersMemory", "failedDecryptedCiphers", "memory"),
    ("encryptedSend", "sendUserEncrypted", "disk"),
    ("domainSettings", "equivalentDomains", "disk"),
    ("policies", "policies", "disk"),
    ("policies", "policiesNew", "disk"),
    ("sync", "lastSync", "disk"),
];

/// What is registered to be wiped at lock.
pub(super) const LOCK_EVENTS: &[(&str, &str, &str)] = &[
    ("crypto", "userKey", "memory"),
    ("masterPassword", "masterKey", "memory"),
    ("decryptedFolders", "decryptedFolders", "memory"),
    ("decryptedCollections", "decryptedCollections", "memory"),
    ("ciphersMemory", "decryptedCiphers", "memory"),
    ("ciphersMemory", "failedDecryptedCiphers", "memory"),
];
