//! The POSIX tar format (ustar), as much of it as a backup needs: regular files with short names.

use zeroize::Zeroizing;

/// Bytes of a header, and of each block of content.
const BLOCK: usize = 512;
/// Files in one archive.
const MAX_ENTRIES: usize = 100_000;

/// A file.
pub(super) struct Entry {
    /// `config/…` or `data/…`
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// The archive of these files, each 0600, without times.
pub(super) fn pack(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, String> {
    let padded = |entry: &Entry| BLOCK + entry.bytes.len().div_ceil(BLOCK) * BLOCK;
    // Of the length that is needed: a buffer that grows leaves copies behind.
    let length = entries.iter().map(padded).sum::<usize>() + 2 * BLOCK;
    let mut archive = Zeroizing::new(Vec::with_capacity(length));
    for entry in entries {
        archive.extend_from_slice(&header(entry)?);
        archive.extend_from_slice(&entry.bytes);
        let whole = archive.len().div_ceil(BLOCK) * BLOCK;
        archive.resize(whole, 0);
    }
    archive.resize(length, 0);
    Ok(archive)
}

/// What [`pack`] made, or another program's archive of regular files.
pub(super) fn unpack(archive: &[u8]) -> Result<Vec<Entry>, String> {
    let cut = || "the archive is cut short or damaged".to_owned();
    let mut entries = Vec::new();
    let mut rest = archive;
    loop {
        let (header, after) = rest.split_first_chunk::<BLOCK>().ok_or_else(cut)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(entries);
        }
        let length = check(header)?;
        let content = after.get(..length).ok_or_else(cut)?;
        rest = after.get(length.div_ceil(BLOCK) * BLOCK..).ok_or_else(cut)?;
        match header.get(156) {
            Some(b'0' | 0) => {
                let bytes = Zeroizing::new(content.to_vec());
                entries.push(Entry { name: name_of(header)?, bytes });
            }
            Some(b'5') => {} // a folder: made with the files in it
            _ => return Err("the archive has something else than files in it".into()),
        }
        if entries.len() > MAX_ENTRIES {
            return Err("the archive has more files than any backup".into());
        }
    }
}

fn header(entry: &Entry) -> Result<[u8; BLOCK], String> {
    let too_long = || format!("the name {} is too long for a backup", entry.name);
    let (prefix, name) = if entry.name.len() <= 100 {
        ("", entry.name.as_str())
    } else {
        let mut slashes = entry.name.rmatch_indices('/').map(|(at, _)| at);
        let at = slashes.find(|at| *at <= 155).ok_or_else(too_long)?;
        let (prefix, name) = entry.name.split_at(at);
        (prefix, name.get(1..).filter(|name| name.len() <= 100).ok_or_else(too_long)?)
    };
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = header.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", entry.bytes.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum = checksum(&header);
    if let Some(field) = header.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(header)
}

/// Checks a header's checksum; the length of its content.
fn check(header: &[u8; BLOCK]) -> Result<usize, String> {
    let mut blank = *header;
    if let Some(field) = blank.get_mut(148..156) {
        field.fill(b' ');
    }
    let sum = number(header.get(148..156).unwrap_or_default());
    if sum != Some(u64::from(checksum(&blank))) {
        return Err("it is not a tar archive, or damaged".into());
    }
    let length = number(header.get(124..136).unwrap_or_default()).and_then(|n| usize::try_from(n).ok());
    length.ok_or_else(|| "the archive is damaged".into())
}

fn checksum(header: &[u8; BLOCK]) -> u32 {
    header.iter().map(|byte| u32::from(*byte)).sum()
}

fn number(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

fn name_of(header: &[u8; BLOCK]) -> Result<String, String> {
    let text = |from: usize, to: usize| {
        let field = header.get(from..to).unwrap_or_default();
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8(field.get(..end).unwrap_or_default().to_vec())
            .map_err(|_| "the archive has a name that is no text".to_owned())
    };
    let (name, prefix) = (text(0, 100)?, text(345, 500)?);
    Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str, bytes: &[u8]) -> Entry {
        Entry { name: name.into(), bytes: Zeroizing::new(bytes.to_vec()) }
    }

    #[test]
    fn long_names_are_split_and_too_long_ones_refused() {
        let long = format!("data/agents/{}/{}", "a".repeat(64), "b".repeat(90));
        let packed = pack(&[entry(&long, b"x")]).unwrap();
        assert_eq!(unpack(&packed).unwrap()[0].name, long);
        assert!(pack(&[entry(&format!("data/{}", "c".repeat(120)), b"")]).is_err());
    }

    #[test]
    fn damage_is_seen() {
        let packed = pack(&[entry("data/a", &[7; 700]), entry("config/config.toml", b"")]).unwrap();
        assert_eq!(unpack(&packed).unwrap().len(), 2);
        for length in [0, 100, 511, 600, packed.len() - 1024] {
            assert!(unpack(&packed[..length]).is_err(), "{length}");
        }
        let mut altered = packed.to_vec();
        altered[3] ^= 1;
        assert!(unpack(&altered).is_err());
        let mut link = packed.to_vec();
        link[156] = b'2';
        assert!(unpack(&link).is_err());
    }

    proptest! {
        #[test]
        fn everything_comes_back(files in prop::collection::vec(("[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..2_000)), 0..8)) {
            let entries: Vec<Entry> =
                files.iter().map(|(name, bytes)| entry(&format!("data/{name}"), bytes)).collect();
            let packed = pack(&entries).unwrap();
            prop_assert_eq!(packed.len() % BLOCK, 0);
            let back = unpack(&packed).unwrap();
            prop_assert_eq!(back.len(), entries.len());
            for (one, other) in entries.iter().zip(&back) {
                prop_assert!(one.name == other.name && one.bytes == other.bytes);
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
            let _ = unpack(&bytes);
        }
    }
}
