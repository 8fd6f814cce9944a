//! `seal` against the `age` program, in one run: `cargo bench -p durward-sealing --bench seal [-- MEBIBYTES]`.
//!
//! Both read the same file and write beside it; the best of three runs counts, alternating, so that a busy machine
//! slows both. It prints the ratio and fails under 0.7.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that cannot go on stops, and prints what it measured"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use durward_protocol::device::{DeviceId, DeviceName};
use durward_sealing::{DeviceIdentity, Existing, Purpose, Sealing, seal_to_path};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const RUNS: usize = 3;
const LEAST_RATIO: f64 = 0.7;

fn main() {
    let size: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1024);
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    fill(&input, size);
    let mut rng = StdRng::seed_from_u64(1);
    let id = DeviceId::new(time::OffsetDateTime::UNIX_EPOCH, &mut rng);
    let device = DeviceIdentity::generate(id, DeviceName::made_safe("bench"), &mut rng);
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        theirs = theirs.min(timed(|| {
            let output = folder.path().join("by-age");
            let _ = std::fs::remove_file(&output);
            let mut age = Command::new("age");
            age.args(["-r", &device.card().age_recipient(), "-o"]).arg(output).arg(&input);
            assert!(age.status().unwrap().success(), "age failed");
            // Both must have it on the disk: `seal` syncs before it renames.
            File::open(folder.path().join("by-age")).unwrap().sync_all().unwrap();
        }));
        ours = ours.min(timed(|| {
            let how =
                Sealing { sender: &device, recipients: &[device.public()], purpose: Purpose::File, now: 1 };
            let output = folder.path().join("by-durward");
            seal_to_path(File::open(&input).unwrap(), &output, Existing::Replace, &how).unwrap();
        }));
    }
    let speed = |time: Duration| f64::from(u32::try_from(size).unwrap()) / time.as_secs_f64();
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{size} MiB: durward {:.0} MiB/s, age {:.0} MiB/s, ratio {ratio:.2}",
        speed(ours),
        speed(theirs)
    );
    assert!(ratio >= LEAST_RATIO, "slower than {LEAST_RATIO} of age");
}

fn fill(path: &Path, mebibytes: u64) {
    let mut block = vec![0; 1 << 20];
    StdRng::seed_from_u64(7).fill_bytes(&mut block);
    let mut file = File::options().write(true).create_new(true).open(path).unwrap();
    (0..mebibytes).for_each(|_| file.write_all(&block).unwrap());
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
