//! What organisations demand of their members, as far as it concerns reading a vault: items of some types are not
//! shown, generated passwords have a shape, and so has the master password. The rules are those of the official client.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::generate::{GeneratorPolicy, Kind};
use crate::items::{Members, Text};
use crate::state::Account;
use crate::{Error, Result};

const PASSWORD_GENERATOR: u64 = 2;
const RESTRICTED_ITEM_TYPES: u64 = 15;
/// What the second policy means when it names no types.
const CARD: u64 = 3;

const ACCEPTED: i64 = 1;
const CONFIRMED: i64 = 2;

/// A policy as it lies on disk.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    organization_id: Option<String>,
    #[serde(rename = "type")]
    kind: u64,
    #[serde(default)]
    data: Value,
    enabled: Option<bool>,
}

impl Policy {
    /// The types of items that nobody in the organisation shall see.
    fn restricted(&self) -> Vec<u64> {
        match &self.data {
            Value::Null => vec![CARD],
            data => data.as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        }
    }
}

/// A membership as it lies on disk; the organisation's key and name do not matter here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    id: String,
    status: Option<i64>,
    enabled: Option<bool>,
    use_policies: Option<bool>,
    is_provider_user: Option<bool>,
}

impl Membership {
    fn by_provider(&self) -> bool {
        self.is_provider_user == Some(true)
    }

    /// Whether the member may see what belongs to the organisation.
    fn is_confirmed(&self) -> bool {
        self.status == Some(CONFIRMED) || self.by_provider()
    }

    /// Whether the organisation is one whose policies are looked at at all.
    fn is_known(&self) -> bool {
        self.is_confirmed() || self.status == Some(ACCEPTED)
    }

    /// Whether its policies bind this member. Neither policy that is read here exempts owners or administrators.
    fn binds(&self) -> bool {
        self.enabled != Some(false) && self.use_policies != Some(false) && !self.by_provider()
    }
}

/// The policies and memberships of an account.
struct Demands {
    policies: Vec<Policy>,
    memberships: Vec<Membership>,
}

impl Demands {
    /// Reads the policies of one kind that are in force. A policy of an organisation that is not among the account's
    /// is in force, too: when in doubt, less is shown.
    fn read(account: Account<'_>, kind: u64) -> Result<Self> {
        let mut policies: Vec<Policy> = list(account.policies(), "policies")?;
        policies.retain(|p| p.kind == kind && p.enabled == Some(true));
        if policies.is_empty() {
            return Ok(Self { policies, memberships: Vec::new() });
        }
        let memberships: Vec<Membership> = list(account.organizations(), "organizations")?;
        policies.retain(|policy| {
            let organization = policy.organization_id.as_deref();
            let known = memberships.iter().find(|m| m.is_known() && Some(m.id.as_str()) == organization);
            known.is_none_or(Membership::binds)
        });
        Ok(Self { policies, memberships })
    }
}

fn list<T: for<'a> Deserialize<'a>>(map: Option<&str>, what: &str) -> Result<Vec<T>> {
    let Some(map) = map else { return Ok(Vec::new()) };
    let members: Members<Text<'_>, T> =
        serde_json::from_str(map).map_err(|_| Error::BadState(what.to_owned()))?;
    Ok(members.0.into_iter().map(|(_, value)| value).collect())
}

/// Types of items that must not be shown, each with the organisations whose own items of that type may be.
#[derive(Debug, Default)]
pub(crate) struct Restrictions(Vec<(u64, Vec<String>)>);

impl Restrictions {
    /// Those of an account.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub(crate) fn of(account: Account<'_>) -> Result<Self> {
        let demands = Demands::read(account, RESTRICTED_ITEM_TYPES)?;
        let mut restrictions = Self::default();
        for kind in demands.policies.iter().flat_map(Policy::restricted) {
            if restrictions.0.iter().all(|(known, _)| *known != kind) {
                restrictions.0.push((kind, demands.allowing(kind)));
            }
        }
        Ok(restrictions)
    }

    /// Whether an item of this type and owner is kept from this account.
    pub(crate) fn forbid(&self, kind: u8, organization: Option<&str>) -> bool {
        let restricted = self.0.iter().find(|(restricted, _)| *restricted == u64::from(kind));
        restricted.is_some_and(|(_, allowing)| {
            organization.is_none_or(|owner| allowing.iter().all(|allowed| allowed != owner))
        })
    }
}

impl Demands {
    /// The organisations that have nothing against a type of items.
    fn allowing(&self, kind: u64) -> Vec<String> {
        let confirmed = self.memberships.iter().filter(|m| m.is_confirmed());
        let allowing = confirmed.filter(|membership| {
            let own = self.policies.iter().find(|p| p.organization_id.as_deref() == Some(&membership.id));
            own.is_none_or(|policy| !policy.restricted().contains(&kind))
        });
        allowing.map(|membership| membership.id.clone()).collect()
    }
}

impl GeneratorPolicy {
    /// What the organisations of an account demand together: of each demand the strictest.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn of(account: Account<'_>) -> Result<Self> {
        let demands = Demands::read(account, PASSWORD_GENERATOR)?;
        let mut all = Self::default();
        for Policy { data, .. } in &demands.policies {
            let flag = |name: &str| data[name] == Value::Bool(true);
            let number = |name: &str| data[name].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            all.kind = match (all.kind, data["overridePasswordType"].as_str()) {
                (Some(Kind::Password), _) | (_, Some("password")) => Some(Kind::Password),
                (_, Some("passphrase")) => Some(Kind::Passphrase),
                (kind, _) => kind,
            };
            all.min_length = all.min_length.max(number("minLength"));
            all.uppercase |= flag("useUpper");
            all.lowercase |= flag("useLower");
            all.number |= flag("useNumbers");
            all.special |= flag("useSpecial");
            all.min_number = all.min_number.max(number("minNumbers"));
            all.min_special = all.min_special.max(number("minSpecial"));
            all.min_words = all.min_words.max(number("minNumberWords"));
            all.capitalize |= flag("capitalize");
            all.include_number |= flag("includeNumber");
        }
        Ok(all)
    }
}

/// The first demand of an organisation that a master password does not meet. Complexity is left to the server's
/// own check at the next change.
pub fn violates_policy(policy: &Value, password: &SecretString) -> bool {
    if policy["enforceOnLogin"] != Value::Bool(true) {
        return false;
    }
    let text = password.expose_secret();
    let demands = |name: &str| policy[name] == Value::Bool(true);
    let shorter = policy["minLength"].as_u64().is_some_and(|n| (text.chars().count() as u64) < n);
    shorter
        || demands("requireUpper") && !text.chars().any(char::is_uppercase)
        || demands("requireLower") && !text.chars().any(char::is_lowercase)
        || demands("requireNumbers") && !text.chars().any(|c| c.is_ascii_digit())
        || demands("requireSpecial") && !text.contains(['!', '@', '#', '$', '%', '^', '&', '*'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::Document;

    const MINE: &str = "11111111-1111-4111-8111-111111111111";
    const OTHER: &str = "22222222-2222-4222-8222-222222222222";
    const UNKNOWN: &str = "33333333-3333-4333-8333-333333333333";

    fn document(policies: &Value, bend: &Value) -> Document {
        let mut mine = json!({"id": MINE, "status": 2, "type": 2, "enabled": true, "usePolicies": true, "isProviderUser": false});
        for (name, value) in bend.as_object().unwrap() {
            mine[name] = value.clone();
        }
        let other = json!({"id": OTHER, "status": 2, "type": 2, "enabled": true, "usePolicies": true});
        let all: serde_json::Map<String, Value> = policies
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(i, policy)| (i.to_string(), policy.clone()))
            .collect();
        let mut document = Document::new();
        document.set("global_account_activeAccountId", "u").unwrap();
        document.set("user_u_token_accessToken", "t").unwrap();
        document.set("user_u_policies_policiesNew", &all).unwrap();
        document.set("user_u_organizations_organizations", &json!({MINE: mine, OTHER: other})).unwrap();
        document
    }

    fn restricting(organization: &str, data: Value) -> Value {
        json!({"id": "p", "organizationId": organization, "type": 15, "data": data, "enabled": true})
    }

    /// What is forbidden of: own logins, own cards, logins of [`MINE`], of [`OTHER`], of [`UNKNOWN`].
    fn forbidden(policies: &Value, bend: &Value) -> [bool; 5] {
        let document = document(policies, bend);
        let found = Restrictions::of(document.account().unwrap().unwrap()).unwrap();
        [(1, None), (3, None), (1, Some(MINE)), (1, Some(OTHER)), (1, Some(UNKNOWN))]
            .map(|(kind, owner)| found.forbid(kind, owner))
    }

    #[test]
    fn types_are_restricted_but_where_another_organisation_allows_them() {
        let none = json!({});
        assert_eq!(forbidden(&json!([]), &none), [false; 5]);
        let logins = [true, false, true, false, true];
        assert_eq!(forbidden(&json!([restricting(MINE, json!([1]))]), &none), logins);
        assert_eq!(
            forbidden(&json!([restricting(MINE, Value::Null)]), &none),
            [false, true, false, false, false],
            "no types named: cards"
        );
        assert_eq!(forbidden(&json!([restricting(MINE, json!([]))]), &none), [false; 5]);
        assert_eq!(
            forbidden(&json!([restricting(MINE, json!([1])), restricting(OTHER, json!([3, 1]))]), &none),
            [true, true, true, true, true],
            "the union of both"
        );
        assert_eq!(
            forbidden(&json!([restricting(UNKNOWN, json!([1]))]), &none),
            [true, false, false, false, true],
            "of an organisation that is not known: in force"
        );
    }

    /// Measured with the official program 2026.9.0, one change at a time.
    #[test]
    fn who_is_bound() {
        let policies = json!([restricting(MINE, json!([1]))]);
        for bend in [
            json!({"type": 0}), // owner
            json!({"type": 1}), // administrator
            json!({"type": 4}),
            json!({"status": 1}),
            json!({"status": 0}),
            json!({"status": -1}),
        ] {
            assert!(forbidden(&policies, &bend)[0], "{bend}");
        }
        for bend in
            [json!({"enabled": false}), json!({"usePolicies": false}), json!({"isProviderUser": true})]
        {
            assert_eq!(forbidden(&policies, &bend), [false; 5], "{bend}");
        }
        let mut off = policies;
        off[0]["enabled"] = json!(false);
        assert_eq!(forbidden(&off, &json!({})), [false; 5]);
    }

    #[test]
    fn an_accepted_member_sees_nothing_of_that_type_there() {
        let policies = json!([restricting(OTHER, json!([1]))]);
        assert!(!forbidden(&policies, &json!({}))[2], "confirmed, and this one allows it");
        assert!(forbidden(&policies, &json!({"status": 1}))[2]);
    }

    #[test]
    fn a_file_of_an_older_program_has_the_older_map_only() {
        let mut document = document(&json!([]), &json!({}));
        document.set("user_u_policies_policies", &json!({"p": restricting(MINE, json!([1]))})).unwrap();
        let forbids = |document: &Document| {
            Restrictions::of(document.account().unwrap().unwrap()).unwrap().forbid(1, None)
        };
        assert!(!forbids(&document), "the newer map rules, also when it is empty");
        document.remove("user_u_policies_policiesNew");
        assert!(forbids(&document));
    }

    #[test]
    fn of_several_generator_policies_the_strictest_demands_count() {
        let of = |organization: &str, data: Value| json!({"organizationId": organization, "type": 2, "data": data, "enabled": true});
        let policies = json!([
            of(
                MINE,
                json!({"minLength": 24, "useSpecial": true, "minNumbers": 2, "overridePasswordType": "passphrase"})
            ),
            of(
                OTHER,
                json!({"minLength": 10, "useUpper": true, "minNumbers": 4, "overridePasswordType": "password"})
            ),
            of(OTHER, Value::Null),
        ]);
        let document = document(&policies, &json!({}));
        let policy = GeneratorPolicy::of(document.account().unwrap().unwrap()).unwrap();
        assert_eq!((policy.min_length, policy.min_number), (24, 4));
        assert_eq!((policy.uppercase, policy.lowercase, policy.special), (true, false, true));
        assert_eq!(policy.kind, Some(Kind::Password));
    }
}
