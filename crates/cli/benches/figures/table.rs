//! The figures: for people, and as JSON.

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    name: String,
    goal: Option<f64>,
    measured: f64,
    unit: String,
    ratio: Option<f64>,
}

impl Table {
    pub(crate) fn put(
        &mut self,
        name: &str,
        goal: Option<f64>,
        measured: f64,
        unit: &str,
        ratio: Option<f64>,
    ) {
        eprintln!("{name}: {measured:.2} {unit}");
        self.0.push(Row { name: name.into(), goal, measured, unit: unit.into(), ratio });
    }

    /// Adds what the SPAKE bench wrote: rows as in [`Table::json`].
    pub(crate) fn read_spake(&mut self, path: &str) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let rows: Value = serde_json::from_str(&text).unwrap();
        self.0.extend(rows["figures"].as_array().unwrap().iter().map(|row| Row {
            name: row["name"].as_str().unwrap().into(),
            goal: row["goal"].as_f64(),
            measured: row["measured"].as_f64().unwrap(),
            unit: row["unit"].as_str().unwrap().into(),
            ratio: row["ratio_to_floor"].as_f64(),
        }));
    }

    pub(crate) fn print(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!("{cores} cores, generator and approver together\n");
        println!("{:<46}{:>10}{:>12}     {:>9}", "", "goal", "measured", "of floor");
        for row in &self.0 {
            let goal = row.goal.map_or(String::new(), shown);
            let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
            println!("{:<46}{goal:>10}{:>12} {:<4}{ratio:>9}", row.name, shown(row.measured), row.unit);
        }
    }

    pub(crate) fn json(&self) -> String {
        let figures: Vec<Value> = self
            .0
            .iter()
            .map(|row| {
                json!({ "name": row.name, "goal": row.goal, "measured": row.measured, "unit": row.unit,
                        "ratio_to_floor": row.ratio })
            })
            .collect();
        serde_json::to_string_pretty(&json!({ "figures": figures })).unwrap()
    }
}

fn shown(number: f64) -> String {
    if number >= 100.0 || number == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
