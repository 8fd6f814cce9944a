//! What one transaction does: the writes of many batches, folded per row.

use std::collections::BTreeMap;

use durward_broker::approval::{AuditEntry, ChainHead};

use crate::Error;
use crate::approval::{AUDIT, log};
use crate::database::{Link, Value};
use crate::direct::Direct;
use crate::statement::{Statements, Table, Verb};

/// One change, with everything it needs.
#[derive(Debug)]
pub(crate) enum Op {
    /// Insert or replace a row; `key` orders and identifies it.
    Put { table: &'static Table, key: Vec<u8>, row: Vec<Value> },
    /// Set a column of an existing row to `value` if it is smaller. The key is one column of bytes.
    Raise { table: &'static Table, column: usize, key: Vec<u8>, value: i64 },
    /// Delete a row by its key.
    Delete { table: &'static Table, key: Vec<u8>, sql: &'static str, values: Vec<Value> },
    /// Statements about many rows: they see everything before them and nothing after.
    Barrier(Vec<(&'static str, Vec<Value>)>),
    /// Append to the audit log.
    Audit(AuditEntry),
}

/// Table order and key: one row of the database.
type RowKey = (u8, Vec<u8>);

/// Rows to do one thing with in one table.
type Rows = (&'static Table, Verb, Vec<Vec<Value>>);

/// A statement of its own.
type Single = (&'static str, Vec<Value>);

enum Change {
    Put(&'static Table, Vec<Value>),
    Raise(&'static Table, usize, i64),
    Delete(&'static str, Vec<Value>),
}

#[derive(Default)]
struct Segment {
    /// Sorted, so that rows are written in the order of their index and every server locks them alike.
    changes: BTreeMap<RowKey, Change>,
    /// Statements that follow the changes.
    barrier: Vec<(&'static str, Vec<Value>)>,
}

/// The folded writes of a group of batches.
pub(crate) struct Plan {
    segments: Vec<Segment>,
    /// Audit entries, with the number of their batch, in the order they were submitted.
    audit: Vec<(usize, AuditEntry)>,
    batches: usize,
}

impl Plan {
    pub(crate) fn new(batches: Vec<Vec<Op>>) -> Self {
        let mut plan = Self { segments: Vec::new(), audit: Vec::new(), batches: batches.len() };
        let mut segment = Segment::default();
        for (batch, ops) in batches.into_iter().enumerate() {
            for op in ops {
                match op {
                    Op::Audit(entry) => plan.audit.push((batch, entry)),
                    Op::Barrier(statements) => {
                        segment.barrier = statements;
                        plan.segments.push(std::mem::take(&mut segment));
                    }
                    other => segment.fold(other),
                }
            }
        }
        plan.segments.push(segment);
        plan
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.audit.is_empty() && self.segments.iter().all(|s| s.changes.is_empty() && s.barrier.is_empty())
    }

    pub(crate) fn has_audit(&self) -> bool {
        !self.audit.is_empty()
    }

    /// Numbers and chains the audit entries from `head` on. The rows, and the head after each batch.
    pub(crate) fn chain(&self, mut head: ChainHead) -> Result<(Vec<Vec<Value>>, Vec<ChainHead>), Error> {
        let mut rows = Vec::with_capacity(self.audit.len());
        let mut heads = Vec::with_capacity(self.batches);
        let mut entries = self.audit.iter().peekable();
        for batch in 0..self.batches {
            while let Some((_, entry)) = entries.next_if(|(of, _)| *of == batch) {
                let (row, next) = log::link_entry(&head, entry)?;
                rows.push(row);
                head = next;
            }
            heads.push(head);
        }
        Ok((rows, heads))
    }

    /// Runs everything but the audit entries.
    pub(crate) async fn run(
        &mut self,
        link: &mut Link<'_>,
        statements: &mut Statements,
    ) -> Result<(), Error> {
        for segment in self.segments.drain(..) {
            segment.run(link, statements).await?;
        }
        Ok(())
    }
}

impl Plan {
    /// Runs everything but the audit entries, here and now.
    pub(crate) fn run_direct(&mut self, direct: &Direct, statements: &mut Statements) -> Result<(), Error> {
        for segment in self.segments.drain(..) {
            let (writes, deletes) = segment.sorted();
            for (table, verb, rows) in writes {
                direct.run_rows(statements, table, verb, &rows)?;
            }
            for (sql, values) in deletes {
                direct.run(sql, &values)?;
            }
        }
        Ok(())
    }
}

/// [`append`], here and now.
pub(crate) fn append_direct(
    direct: &Direct,
    statements: &mut Statements,
    rows: &[Vec<Value>],
    head: &ChainHead,
) -> Result<(), Error> {
    direct.run_rows(statements, &AUDIT, Verb::Put, rows)?;
    direct.run(log::SET_HEAD, &log::head_values(head))
}

/// Appends the rows that [`Plan::chain`] made and moves the head.
pub(crate) async fn append(
    link: &mut Link<'_>,
    statements: &mut Statements,
    rows: Vec<Vec<Value>>,
    head: &ChainHead,
) -> Result<(), Error> {
    statements.run(link, &AUDIT, Verb::Put, rows).await?;
    log::set_head(link, head).await
}

impl Segment {
    fn fold(&mut self, op: Op) {
        match op {
            Op::Put { table, key, row } => {
                self.changes.insert((table.order, key), Change::Put(table, row));
            }
            Op::Delete { table, key, sql, values } => {
                self.changes.insert((table.order, key), Change::Delete(sql, values));
            }
            Op::Raise { table, column, key, value } => {
                match self.changes.entry((table.order, key)).or_insert(Change::Raise(table, column, value)) {
                    Change::Put(_, row) => {
                        if let Some(Value::Int(Some(old))) = row.get_mut(column) {
                            *old = value.max(*old);
                        }
                    }
                    Change::Raise(_, _, old) => *old = value.max(*old),
                    Change::Delete(..) => {}
                }
            }
            Op::Barrier(_) | Op::Audit(_) => {}
        }
    }

    /// By statement, tables in their order: rows to put, then columns to raise, then what is deleted.
    fn sorted(self) -> (Vec<Rows>, Vec<Single>) {
        let (mut puts, mut raises): (Vec<Rows>, Vec<Rows>) = (Vec::new(), Vec::new());
        let mut deletes = Vec::new();
        // The changes come sorted by table, so rows of one statement follow each other.
        let push = |list: &mut Vec<Rows>, table: &'static Table, verb, row| match list
            .iter_mut()
            .rev()
            .find(|(of, with, _)| of.order == table.order && *with == verb)
        {
            Some((_, _, rows)) => rows.push(row),
            None => list.push((table, verb, vec![row])),
        };
        for ((_, key), change) in self.changes {
            match change {
                Change::Put(table, row) => push(&mut puts, table, Verb::Put, row),
                Change::Raise(table, column, value) => {
                    let row = vec![Value::Blob(Some(key)), value.into()];
                    push(&mut raises, table, Verb::Raise(column), row);
                }
                Change::Delete(sql, values) => deletes.push((sql, values)),
            }
        }
        puts.extend(raises);
        deletes.extend(self.barrier);
        (puts, deletes)
    }

    async fn run(self, link: &mut Link<'_>, statements: &mut Statements) -> Result<(), Error> {
        let (writes, deletes) = self.sorted();
        for (table, verb, rows) in writes {
            statements.run(link, table, verb, rows).await?;
        }
        for (sql, values) in deletes {
            link.execute(sql, values).await?;
        }
        Ok(())
    }
}
