//! The order of lists: by name, then user name, case and accents ignored, numbers as numbers.

use std::cmp::Ordering;

use icu_collator::options::{CollatorOptions, Strength};
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};

use super::view::Item;

/// Sorts in place; equal items keep their order.
pub(crate) fn sort(items: &mut [Item]) {
    let collator = collator();
    items.sort_by(|a, b| {
        compare(collator.as_ref(), a.name.expose(), b.name.expose()).then_with(|| {
            let (Some(a_login), Some(b_login)) = (&a.login, &b.login) else { return Ordering::Equal };
            let full = |item: &Item, user: Option<&super::ItemText>| {
                format!("{}{}", item.name.expose(), user.map_or("", super::ItemText::expose))
            };
            compare(
                collator.as_ref(),
                &full(a, a_login.username.as_ref()),
                &full(b, b_login.username.as_ref()),
            )
        })
    });
}

/// Sorts names (of folders or collections) the same way.
pub(crate) fn sort_by_name<T>(entries: &mut [T], name: impl Fn(&T) -> &str) {
    let collator = collator();
    entries.sort_by(|a, b| compare(collator.as_ref(), name(a), name(b)));
}

fn collator() -> Option<CollatorBorrowed<'static>> {
    let mut preferences = CollatorPreferences::default();
    preferences.numeric_ordering = Some(CollationNumericOrdering::True);
    let mut options = CollatorOptions::default();
    options.strength = Some(Strength::Primary);
    Collator::try_new(preferences, options).ok()
}

fn compare(collator: Option<&CollatorBorrowed<'_>>, a: &str, b: &str) -> Ordering {
    match collator {
        Some(collator) => collator.compare(a, b),
        None => a.cmp(b),
    }
}
