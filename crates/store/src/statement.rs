//! Multi-row statements, generated once per table and size.
//!
//! Row counts are powers of two, so that a database prepares a handful of texts and not one per group.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::AssertSqlSafe;

use crate::Error;
use crate::database::{Dialect, Link, Value};

/// Most rows in one statement. The widest table has 13 columns; SQLite takes 32,766 values a statement,
/// PostgreSQL 65,535.
const MAX_ROWS: usize = 256;

/// A table the writer puts rows into.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its place in a transaction. Always the same order, so that servers cannot lock each other out.
    pub(crate) order: u8,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its columns; the first `keys` are the primary key.
    pub(crate) columns: &'static [&'static str],
    /// How many columns are the key; 0: rows are only ever added.
    pub(crate) keys: usize,
}

/// What a generated statement does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    /// Insert, or replace the row with the same key.
    Put,
    /// Set the column with this position to the value, where it is smaller. A row is key and value; the key
    /// is the first column.
    Raise(usize),
}

/// The texts generated so far.
pub(crate) struct Statements {
    dialect: Dialect,
    texts: HashMap<(&'static str, Verb, usize), Arc<str>>,
}

impl Statements {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, texts: HashMap::new() }
    }

    /// Does `verb` with all the rows, in as few statements as possible.
    pub(crate) async fn run(
        &mut self,
        link: &mut Link<'_>,
        table: &'static Table,
        verb: Verb,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), Error> {
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let count = MAX_ROWS.min(1 << left.ilog2());
            let values = rows.by_ref().take(count).flatten().collect();
            link.execute(AssertSqlSafe(self.text(table, verb, count)), values).await?;
            left -= count;
        }
        Ok(())
    }

    /// The text of one statement about so many rows.
    pub(crate) fn text(&mut self, table: &'static Table, verb: Verb, rows: usize) -> Arc<str> {
        let dialect = self.dialect;
        let text = self.texts.entry((table.name, verb, rows)).or_insert_with(|| match verb {
            Verb::Put => put_text(table, dialect, rows).into(),
            Verb::Raise(column) => raise_text(table, column, dialect, rows).into(),
        });
        Arc::clone(text)
    }
}

fn put_text(table: &Table, dialect: Dialect, rows: usize) -> String {
    let mut sql = format!("INSERT INTO {} ({}) VALUES ", table.name, table.columns.join(", "));
    push_placeholders(&mut sql, dialect, rows, table.columns.len());
    if table.keys > 0 {
        let (keys, rest) = table.columns.split_at(table.keys.min(table.columns.len()));
        let sets: Vec<String> = rest.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let _ = write!(sql, " ON CONFLICT ({}) DO UPDATE SET {}", keys.join(", "), sets.join(", "));
    }
    sql
}

fn raise_text(table: &Table, column: usize, dialect: Dialect, rows: usize) -> String {
    let (name, key) = (table.name, table.columns.first().copied().unwrap_or_default());
    let column = table.columns.get(column).copied().unwrap_or_default();
    let mut sql = format!("UPDATE {name} SET {column} = v.column2 FROM (VALUES ");
    push_placeholders(&mut sql, dialect, rows, 2);
    let _ = write!(sql, ") AS v WHERE {name}.{key} = v.column1 AND {name}.{column} < v.column2");
    sql
}

/// `(?, ?), (?, ?)` or `($1, $2), ($3, $4)`. SQLite binds unnamed ones without looking up a name.
fn push_placeholders(sql: &mut String, dialect: Dialect, rows: usize, columns: usize) {
    for n in 0..rows * columns {
        sql.push_str(match (n % columns, n) {
            (0, 0) => "(",
            (0, _) => "), (",
            _ => ", ",
        });
        match dialect {
            Dialect::Sqlite => sql.push('?'),
            Dialect::Postgres => {
                let _ = write!(sql, "${}", n + 1);
            }
        }
    }
    sql.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table = Table { order: 0, name: "t", columns: &["a", "b", "c"], keys: 2 };

    #[test]
    fn texts() {
        assert_eq!(
            put_text(&TABLE, Dialect::Postgres, 2),
            "INSERT INTO t (a, b, c) VALUES ($1, $2, $3), ($4, $5, $6) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c"
        );
        assert_eq!(
            raise_text(&TABLE, 2, Dialect::Sqlite, 2),
            "UPDATE t SET c = v.column2 FROM (VALUES (?, ?), (?, ?)) AS v WHERE t.a = v.column1 AND t.c < v.column2"
        );
    }
}
