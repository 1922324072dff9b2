//! Memories: nothing is read or written before guestlist has allowed it.

use std::cmp::Ordering;

use data_encoding::BASE64;
use guestlist::access_rules::Coverage;
use guestlist::{Action, Address, Key, OrgId, OrgName};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::error::{Answer, Refusal};
use super::like::Like;
use crate::host::Memory;

/// The most items of one call, and of one page.
const MOST: usize = 100;
/// How many memories are read at once to be looked through.
const ROWS: u32 = 500;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    /// The memories: objects with `key_name`, `description` and `value`
    #[schemars(length(min = 1, max = 100))]
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    /// The key, or @organization/key
    key_name: String,
    /// What it is, in one line
    description: String,
    /// The text
    value: String,
    /// Taken and not needed: every memory can be searched
    #[serde(default, rename = "embed")]
    _embed: bool,
    /// Taken and not needed: the description and the value are searched
    #[serde(default, rename = "embed_source")]
    #[schemars(with = "String")]
    _embed_source: Option<String>,
    /// Whether the value is given as base64
    #[serde(default)]
    base64: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// The keys, each one a key or @organization/key
    #[schemars(length(min = 1, max = 100))]
    key_names: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    /// The key, or @organization/key
    key_name: String,
    /// The new text
    value: String,
    /// What it is, in one line; as it was, if not given
    #[serde(default)]
    #[schemars(with = "String")]
    description: Option<String>,
    /// Taken and not needed: every memory can be searched
    #[serde(default, rename = "embed")]
    _embed: bool,
    /// Taken and not needed: the description and the value are searched
    #[serde(default, rename = "embed_source")]
    #[schemars(with = "String")]
    _embed_source: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// What the names begin with; % and _ are wildcards, a backslash escapes one; @organization/ lists that organization's
    #[serde(default)]
    prefix: String,
    /// At most so many, up to 100
    #[serde(default = "most")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
    /// How many to leave out
    #[serde(default)]
    offset: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// The words
    query: String,
    /// At most so many, up to 100
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
    /// What the names begin with, as for `list_keys`
    #[serde(default)]
    prefix: String,
}

const fn most() -> u32 {
    100
}

const fn ten() -> u32 {
    10
}

pub(super) async fn create(caller: &Caller, create: Create) -> Answer {
    check_count(create.items.len())?;
    let mut results = Vec::new();
    for item in create.items {
        let written = create_one(caller, &item).await;
        results.push(entry(&item.key_name, written.map(|()| json!({}))));
    }
    Ok(json!({ "results": results }))
}

async fn create_one(caller: &Caller, item: &Item) -> Result<(), Refusal> {
    let (organization, key) = reach(caller, Action::Create, &item.key_name).await?;
    let decoded;
    let value = if item.base64 {
        decoded = BASE64
            .decode(item.value.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Refusal::invalid("the value is not the base64 of a text"))?;
        &decoded
    } else {
        &item.value
    };
    check_text(value)?;
    check_text(&item.description)?;
    let host = &caller.app.host;
    if host
        .create_memory(&organization, &key, &item.description, value)
        .await?
    {
        Ok(())
    } else {
        Err(Refusal::exists("there is a memory under this key"))
    }
}

pub(super) async fn get(caller: &Caller, keys: Keys) -> Answer {
    check_count(keys.key_names.len())?;
    let mut results = Vec::new();
    for name in &keys.key_names {
        let found = get_one(caller, name).await;
        results.push(entry(name, found));
    }
    Ok(json!({ "results": results }))
}

async fn get_one(caller: &Caller, name: &str) -> Answer {
    let (organization, key) = reach(caller, Action::Read, name).await?;
    let memory = caller
        .app
        .host
        .memory(&organization, &key)
        .await?
        .ok_or_else(nothing)?;
    Ok(json!({
        "value": memory.value,
        "description": memory.description,
        "size": memory.value.len(),
        "created_at": seconds(memory.created_at),
        "updated_at": seconds(memory.updated_at),
    }))
}

pub(super) async fn update(caller: &Caller, update: Update) -> Answer {
    let (organization, key) = reach(caller, Action::Update, &update.key_name).await?;
    check_text(&update.value)?;
    let description = update.description.as_deref();
    check_text(description.unwrap_or_default())?;
    let host = &caller.app.host;
    if host
        .update_memory(&organization, &key, description, &update.value)
        .await?
    {
        Ok(json!({ "key_name": update.key_name, "status": "success" }))
    } else {
        Err(nothing())
    }
}

pub(super) async fn delete(caller: &Caller, keys: Keys) -> Answer {
    check_count(keys.key_names.len())?;
    let mut results = Vec::new();
    for name in &keys.key_names {
        let gone = delete_one(caller, name).await;
        results.push(entry(name, gone.map(|()| json!({}))));
    }
    Ok(json!({ "results": results }))
}

async fn delete_one(caller: &Caller, name: &str) -> Result<(), Refusal> {
    let (organization, key) = reach(caller, Action::Delete, name).await?;
    if caller.app.host.delete_memory(&organization, &key).await? {
        Ok(())
    } else {
        Err(nothing())
    }
}

pub(super) async fn list(caller: &Caller, list: List) -> Answer {
    check_limit(list.limit)?;
    let mut keys = Vec::new();
    if let Some((place, like)) = Like::parse(&list.prefix) {
        let readable = caller
            .guests()
            .readable(&caller.actor, Action::Read, place.as_ref())
            .await?;
        let found = if like.is_plain() {
            page(
                caller,
                place.as_ref(),
                &readable,
                &like,
                list.limit,
                list.offset,
            )
            .await?
        } else {
            let (limit, offset) = (list.limit as usize, list.offset as usize);
            let all = matching(caller, place.as_ref(), &readable, &like).await?;
            all.into_iter().skip(offset).take(limit).collect()
        };
        for memory in found {
            keys.push(json!({
                "key_name": named(place.as_ref(), &memory.key),
                "description": memory.description,
                "size": memory.value.len(),
                "created_at": seconds(memory.created_at),
                "updated_at": seconds(memory.updated_at),
            }));
        }
    }
    Ok(json!({ "count": keys.len(), "keys": keys }))
}

pub(super) async fn search(caller: &Caller, search: Search) -> Answer {
    check_limit(search.limit)?;
    let words = words_of(&search.query);
    let mut hits = Vec::new();
    for (place, readable, like) in searched(caller, &search.prefix).await? {
        // Whoever has more than a few thousand memories has a search engine: give it the coverage.
        for memory in matching(caller, place.as_ref(), &readable, &like).await? {
            let score = score(&words, &memory);
            if score > 0.0 {
                hits.push((score, named(place.as_ref(), &memory.key), memory));
            }
        }
    }
    hits.sort_by(|one, other| {
        let better = other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal);
        better.then_with(|| one.1.cmp(&other.1))
    });
    let results: Vec<Value> = hits
        .into_iter()
        .take(search.limit as usize)
        .map(|(score, key_name, memory)| {
            json!({
                "key_name": key_name,
                "score": score,
                "value": memory.value,
                "metadata": { "description": memory.description },
            })
        })
        .collect();
    Ok(json!({ "results": results }))
}

/// Where a search looks: everywhere, or where its prefix leads.
async fn searched(
    caller: &Caller,
    prefix: &str,
) -> Result<Vec<(Option<OrgName>, Coverage, Like)>, Refusal> {
    if prefix.is_empty() {
        let everywhere = caller
            .guests()
            .readable_everywhere(&caller.actor, Action::Read)
            .await?;
        return Ok(everywhere
            .into_iter()
            .map(|(place, readable)| (place, readable, Like::default()))
            .collect());
    }
    let Some((place, like)) = Like::parse(prefix) else {
        return Ok(Vec::new());
    };
    let readable = caller
        .guests()
        .readable(&caller.actor, Action::Read, place.as_ref())
        .await?;
    Ok(vec![(place, readable, like)])
}

/// Where a key is, if the caller may do this there. All that is wrong with another organization's
/// key has one answer.
async fn reach(caller: &Caller, action: Action, name: &str) -> Result<(OrgId, Key), Refusal> {
    let address = Address::parse(name).map_err(Refusal::invalid)?;
    let decision = caller
        .guests()
        .decide(&caller.actor, action, &address)
        .await?;
    if !decision.is_allowed() {
        return Err(Refusal::denied(format!(
            "`{action}` is not allowed on this key"
        )));
    }
    let organization = organization_of(caller, address.organization()).await?;
    Ok((organization, address.key().clone()))
}

async fn organization_of(caller: &Caller, place: Option<&OrgName>) -> Result<OrgId, Refusal> {
    match place {
        Some(name) => caller.named(name.as_str()).await,
        None => Ok(caller.organization.clone()),
    }
}

async fn page(
    caller: &Caller,
    place: Option<&OrgName>,
    readable: &Coverage,
    like: &Like,
    limit: u32,
    offset: u32,
) -> Result<Vec<Memory>, Refusal> {
    if readable.is_empty() {
        return Ok(Vec::new());
    }
    let organization = organization_of(caller, place).await?;
    let filter = readable.sql_filter("key_name").map_err(Refusal::invalid)?;
    let host = &caller.app.host;
    Ok(host
        .memories(&organization, &filter, like.stem(), limit, offset)
        .await?)
}

/// All memories that may be read and whose keys match.
async fn matching(
    caller: &Caller,
    place: Option<&OrgName>,
    readable: &Coverage,
    like: &Like,
) -> Result<Vec<Memory>, Refusal> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let rows = page(caller, place, readable, like, ROWS, offset).await?;
        let is_last = rows.len() < ROWS as usize;
        found.extend(rows.into_iter().filter(|row| like.matches(&row.key)));
        if is_last {
            return Ok(found);
        }
        offset += ROWS;
    }
}

/// The name that a key is reached by from where the caller is.
fn named(place: Option<&OrgName>, key: &str) -> String {
    match place {
        Some(place) => format!("@{place}/{key}"),
        None => key.to_owned(),
    }
}

fn words_of(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Which part of the words is in the key, the description or the value.
fn score(words: &[String], memory: &Memory) -> f64 {
    let mut held = words_of(&memory.key);
    held.extend(words_of(&memory.description));
    held.extend(words_of(&memory.value));
    held.sort_unstable();
    let hits = words
        .iter()
        .filter(|word| held.binary_search(word).is_ok())
        .count();
    let part = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if words.is_empty() {
        0.0
    } else {
        part(hits) / part(words.len())
    }
}

fn seconds(time: guestlist::Timestamp) -> i64 {
    time.as_micros() / 1_000_000
}

fn nothing() -> Refusal {
    Refusal::not_found("there is no memory under this key")
}

/// The entry of one key in the answer to a call about several.
fn entry(key_name: &str, outcome: Answer) -> Value {
    let (mut entry, status) = match outcome {
        Ok(entry) => (entry, "success"),
        Err(refusal) => (json!({ "error": refusal.message }), refusal.code),
    };
    entry["key_name"] = key_name.into();
    entry["status"] = status.into();
    entry
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if (1..=MOST).contains(&count) {
        Ok(())
    } else {
        Err(Refusal::invalid("a call is about 1 to 100 keys"))
    }
}

fn check_limit(limit: u32) -> Result<(), Refusal> {
    if (1..=100).contains(&limit) {
        Ok(())
    } else {
        Err(Refusal::invalid("a limit is from 1 to 100"))
    }
}

/// PostgreSQL keeps no text with this character.
fn check_text(text: &str) -> Result<(), Refusal> {
    if text.contains('\0') {
        Err(Refusal::invalid("a text has no null character"))
    } else {
        Ok(())
    }
}
