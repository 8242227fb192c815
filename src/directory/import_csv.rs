//! Users in a CSV text (RFC 4180): the first line says which column is what. Knows not what makes a user.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::import::{Reader, Row};

const HEADING: &str = "begin with a line that names the columns: name,password,role";

/// Which column is what.
struct Columns {
    name: usize,
    password: usize,
    role: Option<usize>,
}

/// Whether a line names columns.
pub(super) fn is_heading(line: &str) -> bool {
    line.contains(',') && line.split(',').any(|column| is(column.trim().trim_matches('"'), "password"))
}

/// Hands every line to the reader.
pub(super) fn read(text: &str, reader: &mut Reader<'_>) {
    let mut csv = ReaderBuilder::new().flexible(true).trim(Trim::Headers).from_reader(text.as_bytes());
    let heading = csv.headers().cloned().unwrap_or_default();
    let Some(columns) = columns(&heading, reader) else { return };
    for record in csv.records() {
        match record {
            Ok(record) => row(&record, &columns, heading.len(), reader),
            Err(error) => reader.problem(line(error.position()), "not CSV", "correct the quotes"),
        }
    }
}

fn columns(heading: &StringRecord, reader: &mut Reader<'_>) -> Option<Columns> {
    if !heading.iter().any(is_known) {
        // Not repeated: where the names are missing, what stands there may be a password.
        reader.problem(1, "no column is named", HEADING);
        return None;
    }
    let (mut name, mut password, mut role) = (None, None, None);
    for (at, column) in heading.iter().enumerate() {
        let found = match column {
            _ if is(column, "name") || is(column, "username") => &mut name,
            _ if is(column, "password") => &mut password,
            _ if is(column, "role") => &mut role,
            _ => {
                reader.problem(
                    1,
                    format!("unknown column {column:?}"),
                    "a user has name, password and role; rename it, or remove it",
                );
                continue;
            }
        };
        if found.replace(at).is_some() {
            reader.problem(1, format!("column {column:?} is there twice"), "keep one of them");
        }
    }
    if name.is_none() || password.is_none() {
        reader.problem(1, "no column name, or no column password", HEADING);
    }
    Some(Columns { name: name?, password: password?, role })
}

fn row(record: &StringRecord, columns: &Columns, width: usize, reader: &mut Reader<'_>) {
    let line = line(record.position());
    if record.len() != width {
        let what = format!("{} fields, where the first line names {width}", record.len());
        return reader.problem(line, what, "put fields that hold a comma or a quote in quotes");
    }
    let field = |at: usize| record.get(at).unwrap_or_default();
    let (name, role) = (field(columns.name).trim(), columns.role.map_or("", field).trim());
    reader.row(&Row { line, name, password: field(columns.password), role, may_be_plain: true });
}

fn line(position: Option<&csv::Position>) -> usize {
    position.map_or(0, |position| usize::try_from(position.line()).unwrap_or(0))
}

fn is_known(column: &str) -> bool {
    ["name", "username", "password", "role"].into_iter().any(|name| is(column, name))
}

fn is(column: &str, name: &str) -> bool {
    column.eq_ignore_ascii_case(name)
}
