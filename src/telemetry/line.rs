//! From events to lines.
//!
//! Always: one event is one line; text is escaped, so that nothing in a field can begin another line or member. Only events
//! of our own target are taken.

use super::{Description, Event as _, Writer, declare::TARGET, event::LinesLost, writer::Urgency};
use crate::{calendar::Timestamp, config::LogFormat};
use std::{cell::RefCell, fmt, fmt::Write as _, sync::Arc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context};

/// Where the time in a line comes from.
type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The layer that makes lines of events.
pub struct Lines {
    format: LogFormat,
    now: Now,
    writer: Writer,
}

thread_local! {
    /// Each thread builds its lines in one buffer, so that only the finished line is copied under the lock.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Lines {
    /// Lines of this format, with the time of this clock, to this writer.
    #[must_use]
    pub fn new(format: LogFormat, now: Arc<dyn Fn() -> Timestamp + Send + Sync>, writer: Writer) -> Self {
        Self { format, now, writer }
    }

    /// Says that lines were lost: by hand, for an event inside an event would not arrive.
    fn lost(&self, line: &mut String, bytes: u64) {
        let Description { name, level, .. } = LinesLost::DESCRIPTION;
        line.clear();
        begin(line, self.format, (self.now)(), level);
        let _ = match self.format {
            LogFormat::Json => writeln!(line, ",\"event\":\"{name}\",\"bytes\":{bytes}}}"),
            LogFormat::Plain => writeln!(line, " {name} bytes={bytes}"),
        };
        // Nothing was lost since a moment ago, or the next line will say so.
        let _ = self.writer.write(line.as_bytes(), Urgency::Now);
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("format", &self.format).finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == TARGET { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        LINE.with_borrow_mut(|line| {
            line.clear();
            begin(line, self.format, (self.now)(), level);
            event.record(&mut Fields { line, format: self.format });
            line.push_str(match self.format {
                LogFormat::Json => "}\n",
                LogFormat::Plain => "\n",
            });
            let urgency = if level <= Level::WARN { Urgency::Now } else { Urgency::Soon };
            if let Some(lost) = self.writer.write(line.as_bytes(), urgency) {
                self.lost(line, lost);
            }
        });
    }
}

// Writing to a String cannot fail; the results below say nothing.

fn begin(line: &mut String, format: LogFormat, now: Timestamp, level: Level) {
    let _ = match format {
        LogFormat::Json => write!(line, "{{\"time\":\"{now}\",\"level\":\"{level}\""),
        LogFormat::Plain => write!(line, "{now} {level:<5}"),
    };
}

struct Fields<'a> {
    line: &'a mut String,
    format: LogFormat,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        let _ = match (self.format, name) {
            (LogFormat::Json, _) => write!(self.line, ",\"{name}\":"),
            (LogFormat::Plain, "event") => write!(self.line, " "),
            (LogFormat::Plain, _) => write!(self.line, " {name}="),
        };
    }

    fn text(&mut self, text: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        let quote = match self.format {
            LogFormat::Json => "\"",
            LogFormat::Plain => "",
        };
        self.line.push_str(quote);
        let _ = text(&mut Escaped(self.line));
        self.line.push_str(quote);
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.line, "{value}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.text(|out| out.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.text(|out| write!(out, "{value:?}"));
    }
}

/// Text inside a JSON string (RFC 8259 §7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut clean = 0;
        for (place, byte) in text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            self.0.push_str(text.get(clean..place).unwrap_or_default());
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                control => write!(self.0, "\\u{control:04x}")?,
            }
            clean = place + 1;
        }
        self.0.push_str(text.get(clean..).unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Micros, Words,
            event::{BallastFreed, BrokerBlocked, BrokerUnblocked, EVENTS, MessageAnswered, emit_samples},
        },
        *,
    };
    use std::{io::Write, sync::Mutex, time::Duration};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, say: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let (writer, flush) = Writer::start(page.clone()).unwrap();
        let lines = Lines::new(format, Arc::new(|| Timestamp::from_millis(1_767_225_600_123)), writer);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        drop(flush);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn answered() -> MessageAnswered {
        MessageAnswered {
            tenant: "142051".parse().unwrap(),
            message_type: crate::identifier::MessageType::SelfInfoRequest,
            author: "disclosure".parse().unwrap(),
            jti: crate::identifier::MessageId::from_bytes([7; 16]),
            outcome: "answered",
            denial: None,
            entry: 3,
            micros: Micros(Duration::from_millis(2)),
        }
    }

    #[test]
    fn an_event_is_one_line_with_absent_fields_left_out() {
        assert_eq!(
            lines(LogFormat::Json, || answered().emit()),
            [
                r#"{"time":"2026-01-01T00:00:00.123Z","level":"INFO","event":"message.answered","tenant":"142051","message_type":"self-info.request","author":"disclosure","jti":"07070707-0707-0707-0707-070707070707","outcome":"answered","entry":3,"micros":2000}"#
            ]
        );
        let plain = lines(LogFormat::Plain, || BrokerUnblocked { broker: "national".parse().ok() }.emit());
        assert_eq!(plain, ["2026-01-01T00:00:00.123Z INFO  broker.unblocked broker=national"]);
    }

    #[test]
    fn nothing_in_a_field_can_begin_another_line_or_member() {
        let words = Words::of_system(&"\"}\n{\"event\":\\\"daemon.ready\"");
        let said = lines(LogFormat::Json, || {
            BrokerBlocked { broker: "national".parse().ok(), words: words.clone() }.emit();
        });
        let line: serde_json::Value = serde_json::from_str(&said[0]).unwrap();
        assert_eq!((said.len(), line["words"].as_str()), (1, Some(words.to_string().as_str())));
    }

    #[test]
    fn what_others_say_is_not_taken() {
        let said = lines(LogFormat::Json, || {
            tracing::error!(body = "secret", "lapin says");
            BallastFreed {}.emit();
        });
        assert_eq!(said.len(), 1);
    }

    /// `schemas/log/events.schema.json`, which dashboards and log collectors are written against.
    fn schema() -> serde_json::Value {
        serde_json::from_str(include_str!("../../schemas/log/events.schema.json")).unwrap()
    }

    #[test]
    fn the_schema_describes_every_event_and_no_other() {
        let schema = schema();
        let described = schema["oneOf"].as_array().unwrap();
        let names = |events: &mut dyn Iterator<Item = String>| events.collect::<Vec<_>>();
        let in_schema = names(&mut described.iter().map(|event| event["properties"]["event"]["const"].as_str().unwrap().to_owned()));
        assert_eq!(in_schema, names(&mut EVENTS.iter().map(|event| event.name.to_owned())));
        for (event, described) in EVENTS.iter().zip(described) {
            assert_eq!(described["properties"]["level"]["const"].as_str(), Some(event.level.as_str()), "{}", event.name);
            let fields: Vec<_> = described["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut expected = [&["time", "level", "event"], event.fields].concat();
            expected.sort_unstable();
            assert_eq!(fields, expected, "{}", event.name);
        }
    }

    #[test]
    fn every_event_makes_a_line_that_its_schema_allows() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let said = lines(LogFormat::Json, emit_samples);
        assert_eq!(said.len(), EVENTS.len());
        for (line, event) in said.iter().zip(EVENTS) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(validator.is_valid(&line), "{line}");
            assert_eq!(line.as_object().unwrap().len(), 3 + event.fields.len(), "{line}");
        }
    }
}
