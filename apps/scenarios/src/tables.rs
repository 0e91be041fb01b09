//! Putting a venue's tables together: the ordinary venue, what a scenario changes of it, and a control's loosest numbers.

use toml::{Table, Value};

use crate::number::{Number, Numbers};
use crate::rules::Rules;
use crate::venue::Venue;

/// What is wrong with a table, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableError {
    /// Keys from the outside in.
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
}

/// Fields that no kind of segment or market has, because they are each one's own.
const OWN_FIELDS: [&str; 8] =
    ["like", "segment", "price", "price_max", "tick_size", "lot_size", "order_max", "position_max"];

/// The tables of the ordinary venue with the changes of a scenario.
///
/// # Errors
/// A field that does not exist, a value of the wrong kind, a kind or number that is not named.
pub(crate) fn merged(ordinary: &Table, changes: &Table, numbers: &Numbers) -> Result<Table, TableError> {
    let mut path = vec![];
    let changes = with_numbers(changes, numbers, &mut path)?;
    if let Some(key) = changes.keys().find(|key| !["chain", "segment", "market"].contains(&key.as_str())) {
        return Err(unknown(std::slice::from_ref(key)));
    }
    let mut whole = Table::new();
    let mut chain = table(ordinary, "chain");
    overlay(&mut chain, &table(&changes, "chain"), &[], &mut vec!["chain".to_owned()])?;
    whole.insert("chain".to_owned(), Value::Table(chain));
    for section in ["segment", "market"] {
        let (known, changed) = (table(ordinary, section), table(&changes, section));
        let kinds = table(ordinary, &format!("{section}_like"));
        let mut all = Table::new();
        for name in known.keys().chain(changed.keys().filter(|name| !known.contains_key(*name))) {
            let mut path = vec![section.to_owned(), name.clone()];
            let layers = [table(&known, name), table(&changed, name)];
            all.insert(name.clone(), Value::Table(layered(&kinds, &layers, &mut path)?));
        }
        whole.insert(section.to_owned(), Value::Table(all));
    }
    Ok(whole)
}

/// A genesis from tables, held against every rule of genesis.
///
/// # Errors
/// The first rule that fails, in words.
pub(crate) fn venue(tables: &Table, parties: &[String]) -> Result<Venue, String> {
    let rules: Rules = tables.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let venue = Venue::of(&rules, parties)?;
    venue.genesis.validate().map_err(|error| error.to_string())?;
    Ok(venue)
}

/// Loosens one field as far as a rule of genesis lets it: `market.*.open_interest_max up`, `market.*.feed.operators_min
/// down`, or to a list: `market.*.feed.publishers = attackers`.
///
/// # Errors
/// The sentence is none, or names a field that is not there.
pub(crate) fn loosen(
    tables: &mut Table,
    sentence: &str,
    parties: &[String],
    attackers: &[String],
) -> Result<(), String> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let (path, way) = words.split_first().ok_or("an empty line loosens nothing")?;
    let places = expand(tables, &path.split('.').collect::<Vec<_>>());
    if places.is_empty() {
        return Err(format!("`{path}` is no field of the venue"));
    }
    for place in places {
        match way {
            ["=", "attackers"] => {
                let names = attackers.iter().map(|name| Value::String(name.clone())).collect();
                set(tables, &place, Value::Array(names));
            }
            ["up"] => bisect(tables, &place, AMOUNT_MAX, parties)?,
            ["down"] => bisect(tables, &place, 0, parties)?,
            _ => return Err(format!("`{sentence}` does not end in `up`, `down` or `= attackers`")),
        }
    }
    Ok(())
}

/// More than any number of a venue, and few enough that amounts in millionths stay in range.
const AMOUNT_MAX: i64 = 9_000_000_000_000;

/// Moves a whole number towards an end as far as genesis stays valid.
fn bisect(tables: &mut Table, place: &[String], end: i64, parties: &[String]) -> Result<(), String> {
    let now = get(tables, place).and_then(whole).ok_or_else(|| format!("`{}` is no whole number", place.join(".")))?;
    let (mut good, mut bad) = (now, if end > now { end + 1 } else { end - 1 });
    while good.abs_diff(bad) > 1 {
        let middle = good + (bad - good) / 2;
        set(tables, place, Value::Integer(middle));
        if venue(tables, parties).is_ok() {
            good = middle;
        } else {
            bad = middle;
        }
    }
    set(tables, place, Value::Integer(good));
    Ok(())
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::String(text) => Number::parse(text).map(|number| number.micros() / 1_000_000),
        _ => None,
    }
}

/// Every place that a path with stars names.
fn expand(tables: &Table, path: &[&str]) -> Vec<Vec<String>> {
    let mut places: Vec<Vec<String>> = vec![vec![]];
    for part in path {
        let further = |place: Vec<String>| -> Vec<Vec<String>> {
            let with = |key: &str| place.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
            match (value_at(tables, &place), *part) {
                (Some(Value::Table(table)), "*") => table.keys().map(|key| with(key)).collect(),
                (Some(Value::Table(table)), key) if table.contains_key(key) => vec![with(key)],
                (Some(Value::Array(items)), "*") => (0..items.len()).map(|index| with(&index.to_string())).collect(),
                (Some(Value::Array(items)), key) if key.parse().is_ok_and(|index: usize| index < items.len()) => {
                    vec![with(key)]
                }
                _ => vec![],
            }
        };
        places = places.into_iter().flat_map(further).collect();
    }
    places
}

fn value_at(tables: &Table, place: &[String]) -> Option<Value> {
    if place.is_empty() { Some(Value::Table(tables.clone())) } else { get(tables, place).cloned() }
}

fn get<'a>(tables: &'a Table, place: &[String]) -> Option<&'a Value> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(tables.get(first)?, |value, key| match value {
        Value::Table(table) => table.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn set(tables: &mut Table, place: &[String], new: Value) {
    let Some((first, rest)) = place.split_first() else { return };
    let mut value = tables.get_mut(first);
    for key in rest {
        value = match value {
            Some(Value::Table(table)) => table.get_mut(key),
            Some(Value::Array(items)) => key.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        };
    }
    if let Some(value) = value {
        *value = new;
    }
}

fn table(tables: &Table, key: &str) -> Table {
    tables.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}

/// A kind with what one segment or market has otherwise, layer by layer.
fn layered(kinds: &Table, layers: &[Table], path: &mut Vec<String>) -> Result<Table, TableError> {
    let like = layers.iter().rev().find_map(|layer| layer.get("like")).and_then(Value::as_str);
    let missing = |message: String| TableError { path: path.clone(), message };
    let like = like.ok_or_else(|| missing("`like` is missing: it names a kind of the ordinary venue".to_owned()))?;
    let kind = kinds.get(like).and_then(Value::as_table);
    let mut whole = kind.cloned().ok_or_else(|| missing(format!("`{like}` is no kind of the ordinary venue")))?;
    for layer in layers {
        overlay(&mut whole, layer, &OWN_FIELDS, path)?;
    }
    whole.remove("like");
    Ok(whole)
}

/// Puts values over those of a table that has each of their fields.
fn overlay(below: &mut Table, above: &Table, besides: &[&str], path: &mut Vec<String>) -> Result<(), TableError> {
    for (key, value) in above {
        path.push(key.clone());
        match (below.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => overlay(inner, changes, &[], path)?,
            (Some(known), _) if !is_same_kind(known, value) => {
                let message = format!("this is {}, and must be {}", value.type_str(), known.type_str());
                return Err(TableError { path: path.clone(), message });
            }
            (Some(known), _) => *known = value.clone(),
            (None, _) if besides.contains(&key.as_str()) => {
                below.insert(key.clone(), value.clone());
            }
            (None, _) => return Err(unknown(path)),
        }
        path.pop();
    }
    Ok(())
}

/// Whole numbers and decimals in quotes stand for each other.
fn is_same_kind(left: &Value, right: &Value) -> bool {
    let is_number =
        |value: &Value| value.is_integer() || value.as_str().is_some_and(|text| Number::parse(text).is_some());
    left.same_type(right) || is_number(left) && is_number(right)
}

fn unknown(path: &[String]) -> TableError {
    let message = format!("`{}` is no field of the venue", path.join("."));
    TableError { path: path.to_vec(), message }
}

/// Puts numbers where their names stand.
fn with_numbers(tables: &Table, numbers: &Numbers, path: &mut Vec<String>) -> Result<Table, TableError> {
    let mut whole = Table::new();
    for (key, value) in tables {
        path.push(key.clone());
        whole.insert(key.clone(), value_with_numbers(value, numbers, path)?);
        path.pop();
    }
    Ok(whole)
}

fn value_with_numbers(value: &Value, numbers: &Numbers, path: &mut Vec<String>) -> Result<Value, TableError> {
    match value {
        Value::Table(inner) => with_numbers(inner, numbers, path).map(Value::Table),
        Value::Array(items) => {
            let items: Result<Vec<Value>, TableError> =
                items.iter().map(|item| value_with_numbers(item, numbers, path)).collect();
            items.map(Value::Array)
        }
        Value::String(text) if text.starts_with('$') => {
            let number = text.strip_prefix('$').and_then(|name| numbers.get(name));
            let message = format!("`{text}` is not among the scenario's [numbers]");
            let number = number.ok_or_else(|| TableError { path: path.clone(), message })?;
            Ok(Value::String(number.to_string()))
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            Ok(value.clone())
        }
    }
}

#[cfg(test)]
mod tests;
