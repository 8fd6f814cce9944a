//! The target of import files.

use durward_vault::{Duplicates, Import, ImportFormat, Items};
use rand::SeedableRng;
use time::OffsetDateTime;

/// An export of another program, in every format: the dry run tells what the import does.
pub fn import(data: &[u8]) {
    ImportFormat::detect(data);
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    for format in ImportFormat::NAMES {
        let format: ImportFormat = format.parse().expect("a listed name");
        let Ok(import) = Import::read(format, data) else { continue };
        let mut items = Items::default();
        let promised = import.report(&items);
        let done = import.apply(&mut items, Duplicates::Add, &mut rng, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(done.ok().as_ref(), Some(&promised));
    }
}
