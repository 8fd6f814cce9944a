//! Sealing.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use age::{EncryptError, Encryptor, Recipient};
use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use durward_protocol::device::DevicePublic;

use crate::card::age_recipient;
use crate::pump::pump;
use crate::sender::{SenderBlock, TAG, VERSION, body_length};
use crate::{DeviceIdentity, Error, Purpose, header};

/// Most devices that one file is sealed for.
pub const MAX_RECIPIENTS: usize = 64;

/// For whom, by whom, what for.
#[derive(Clone, Copy, Debug)]
pub struct Sealing<'a> {
    /// Who seals.
    pub sender: &'a DeviceIdentity,
    /// Who may open it.
    pub recipients: &'a [DevicePublic],
    /// What it is.
    pub purpose: Purpose,
    /// Seconds since 1970: the openers are told.
    pub now: u64,
}

/// Seals what `input` holds, of any size. Returns its length.
///
/// The input is read once and kept nowhere; `output` gets the age file, whose header is written last. So `output`
/// counts only when this returns, and should have a temporary name until then: see [`crate::seal_to_path`].
pub fn seal(input: impl Read, mut output: impl Write + Seek, how: &Sealing<'_>) -> Result<u64, Error> {
    let recipients = recipients(how.recipients)?;
    let slot = SenderSlot { recipients: how.recipients.len(), key: RefCell::default() };
    let all = recipients.iter().map(|one| one as &dyn Recipient).chain([&slot as &dyn Recipient]);
    let encryptor = Encryptor::with_recipients(all).map_err(|error| Error::Seal(error.to_string()))?;
    let key = slot.key.take().ok_or_else(|| Error::Seal("there is no file key".into()))?;

    let start = output.stream_position().map_err(Error::Write)?;
    let tap = Tap::new(&mut output);
    let (head, passing) = (Rc::clone(&tap.head), Rc::clone(&tap.passing));
    let mut writer = encryptor.wrap_output(tap).map_err(Error::Write)?;
    passing.set(true);
    let content = pump(input, Error::Read, |block| writer.write_all(block).map_err(Error::Write))?;
    writer.finish().and_then(|mut tap| tap.flush()).map_err(Error::Write)?;

    let keys = how.recipients.iter().map(|recipient| recipient.x25519).collect();
    let block = SenderBlock::sign(how.sender, how.purpose, how.now, content, keys);
    let mut head = head.take();
    header::fill_in(&mut head, &block.encrypt(&key)?, &key)
        .ok_or_else(|| Error::Seal("the header has no place for the sender".into()))?;
    output.seek(SeekFrom::Start(start)).map_err(Error::Write)?;
    output.write_all(&head).map_err(Error::Write)?;
    output.seek(SeekFrom::End(0)).map_err(Error::Write)?;
    output.flush().map_err(Error::Write)?;
    Ok(content.length)
}

/// Seals a few bytes in memory.
pub fn seal_small(content: &[u8], how: &Sealing<'_>) -> Result<Vec<u8>, Error> {
    let mut sealed = Cursor::new(Vec::with_capacity(content.len() + 2048));
    seal(content, &mut sealed, how)?;
    Ok(sealed.into_inner())
}

fn recipients(keys: &[DevicePublic]) -> Result<Vec<age::x25519::Recipient>, Error> {
    if keys.is_empty() {
        return Err(Error::NoRecipients);
    }
    if keys.len() > MAX_RECIPIENTS {
        return Err(Error::TooManyRecipients { count: keys.len(), most: MAX_RECIPIENTS });
    }
    let parse = |key: &DevicePublic| age_recipient(&key.x25519).parse();
    keys.iter().map(parse).collect::<Result<_, _>>().map_err(|text: &str| Error::Seal(text.into()))
}

/// A recipient that keeps the file key and asks for a stanza of zeros, to be filled in later.
struct SenderSlot {
    recipients: usize,
    key: RefCell<Option<FileKey>>,
}

impl Recipient for SenderSlot {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        self.key.replace(Some(duplicate(key)));
        let body = vec![0; body_length(self.recipients)];
        Ok((vec![Stanza { tag: TAG.into(), args: vec![VERSION.into()], body }], HashSet::new()))
    }
}

pub(crate) fn duplicate(key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|copy| copy.copy_from_slice(key.expose_secret()))
}

/// Keeps what is written until `passing` is set, the header; then passes it and all the rest on.
struct Tap<W> {
    output: W,
    head: Rc<RefCell<Vec<u8>>>,
    passing: Rc<Cell<bool>>,
    passed: bool,
}

impl<W: Write> Tap<W> {
    fn new(output: W) -> Self {
        Self { output, head: Rc::default(), passing: Rc::default(), passed: false }
    }

    fn pass_head(&mut self) -> std::io::Result<()> {
        if !std::mem::replace(&mut self.passed, true) {
            self.output.write_all(&self.head.borrow())?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Tap<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.passing.get() {
            self.pass_head()?;
            return self.output.write(bytes);
        }
        self.head.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
