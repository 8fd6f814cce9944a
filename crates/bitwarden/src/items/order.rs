//! The order of lists: by name, then user name, case and accents ignored, numbers as numbers.

use std::cmp::Ordering;

use icu_collator::options::{CollatorOptions, Strength};
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use zeroize::Zeroizing;

use super::view::Item;

/// What the place in a list depends on: the name, and for logins the user name, which may be empty.
pub(crate) type Place<'i> = (&'i str, Option<&'i str>);

/// Sorts in place; equal items keep their order.
pub(crate) fn sort(items: &mut [Item]) {
    sort_by_place(items, |item| {
        let user = item.login.as_ref().map(|l| l.username.as_ref().map_or("", |name| name.expose()));
        (item.name.expose(), user)
    });
}

/// The same for anything that has such a place.
pub(crate) fn sort_by_place<T>(entries: &mut [T], place: impl Fn(&T) -> Place<'_>) {
    let collator = collator();
    entries.sort_by(|a, b| {
        let ((a, a_user), (b, b_user)) = (place(a), place(b));
        compare(collator.as_ref(), a, b).then_with(|| {
            let (Some(a_user), Some(b_user)) = (a_user, b_user) else { return Ordering::Equal };
            let full = |name: &str, user: &str| Zeroizing::new(format!("{name}{user}"));
            compare(collator.as_ref(), &full(a, a_user), &full(b, b_user))
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
