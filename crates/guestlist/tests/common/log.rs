//! Everything that is traced, kept: every span, field and event at every level, with its values.

use core::fmt;
use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A span as it was when it ended, or is by now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    /// The fields that it was declared with, whether they got a value or not.
    pub(crate) declared: Vec<&'static str>,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

#[derive(Debug, Default)]
struct Kept {
    text: String,
    records: usize,
    spans: Vec<Span>,
}

/// A subscriber that keeps everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Kept>>);

impl Log {
    /// The one log of this process, in which all threads write.
    pub(crate) fn global() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            tracing::subscriber::set_global_default(log.clone()).unwrap();
            log
        })
        .clone()
    }

    pub(crate) fn text(&self) -> String {
        self.kept().text.clone()
    }

    pub(crate) fn records(&self) -> usize {
        self.kept().records
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept().spans.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    fn write(&self, what: &dyn fmt::Display, values: &Values) {
        let mut kept = self.kept();
        kept.records += 1;
        write!(kept.text, "{what}").unwrap();
        for (name, value) in &values.0 {
            write!(kept.text, " {name}={value}").unwrap();
        }
        kept.text.push('\n');
    }
}

#[derive(Default)]
struct Values(BTreeMap<&'static str, String>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn core::error::Error + 'static)) {
        self.0.insert(field.name(), format!("{value} {value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut values = Values::default();
        span.record(&mut values);
        let metadata = span.metadata();
        let what = format_args!(
            "{} {} span {}",
            metadata.level(),
            metadata.target(),
            metadata.name()
        )
        .to_string();
        self.write(&what, &values);
        let mut kept = self.kept();
        kept.spans.push(Span {
            name: metadata.name(),
            declared: metadata.fields().iter().map(|field| field.name()).collect(),
            fields: values.0,
        });
        Id::from_u64(kept.spans.len() as u64)
    }

    fn record(&self, span: &Id, record: &Record<'_>) {
        let mut values = Values::default();
        record.record(&mut values);
        self.write(&"recorded", &values);
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        self.kept().spans[index].fields.extend(values.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut values = Values::default();
        event.record(&mut values);
        let metadata = event.metadata();
        let what = format!(
            "{} {} {}",
            metadata.level(),
            metadata.target(),
            metadata.name()
        );
        self.write(&what, &values);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
