//! Draws the pictures of the approver's screen in `docs/screens/`:
//! `cargo run -p durward --example screens`. A test fails when they are out of date.

mod pictures;
mod svg;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/screens");
    std::fs::create_dir_all(&folder)?;
    for (file, svg) in pictures::pictures()? {
        // Pictures are for everybody to read, so not through the module that writes private files.
        std::io::Write::write_all(&mut std::fs::File::create(folder.join(file))?, svg.as_bytes())?;
    }
    Ok(())
}
