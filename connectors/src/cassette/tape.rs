//! A cassette in use.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use parking_lot::Mutex;
use secrecy::SecretString;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secrets;

use super::difference::{nearest, told};
use super::guard::Guard;
use super::interaction::{Interaction, Request, Response};
use super::options::{CassetteOptions, Mode};
use super::question::Question;
use super::redaction::Redaction;
use super::shelf::{MOST, Shelf};

/// The longest body of an answer or a request that can be recorded or replayed, in bytes.
pub(super) const MOST_BODY: usize = 64 << 20;
/// The file is written again when it has grown by this part of it …
const GROWTH: usize = 8;
/// … or after this time, but …
const PAUSE: Duration = Duration::from_secs(1);
/// … only after so many times as long as writing it took: a large one would be written all the time.
const SHARE: u32 = 20;

/// Where answers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Replay,
    ReplayAndRecord,
    Record,
}

/// A cassette in use. Shared by everything that one node asks: each recorded interaction serves once, in their order.
pub struct Tape {
    work: Work,
    once: bool,
    repeats: bool,
    ignored: Vec<String>,
    redaction: Redaction,
    recording: Mutex<Recording>,
}

/// Where a request was recorded, and how many of its interactions were replayed.
#[derive(Default)]
struct Track {
    at: Vec<usize>,
    played: usize,
}

struct Recording {
    shelf: Shelf,
    guard: Guard,
    /// What was recorded before; `None` where it was recorded anew.
    old: Vec<Option<Interaction>>,
    questions: Vec<Arc<Question>>,
    tracks: HashMap<Arc<Question>, Track>,
    new: Vec<Interaction>,
    /// About how many bytes there are, and how many are in the file.
    size: usize,
    written: usize,
    /// When the file was written, and how long that took.
    last: Option<(Instant, Duration)>,
    unwritten: bool,
}

impl Tape {
    /// Reads a cassette. `redact` are texts to be blacked out, `secrets` what must not be written.
    pub(super) fn open(options: &CassetteOptions, redact: &[SecretString], secrets: Secrets) -> Result<Self> {
        let shelf = Shelf::new(&options.path);
        let found = shelf.read()?;
        let work = match (options.mode, &found) {
            (Mode::None, None) => {
                return Err(Error::user(format!("the cassette {} is missing or empty", shelf.shown()))
                    .with_remedy("record it: with `mode: once`"));
            }
            (Mode::None, Some(_)) | (Mode::Once, Some(_)) => Work::Replay,
            (Mode::Once, None) | (Mode::NewEpisodes, _) => Work::ReplayAndRecord,
            (Mode::All, _) => Work::Record,
        };
        let redaction = Redaction::new(redact)?;
        let mut recording = Recording {
            shelf,
            guard: Guard::new(secrets),
            old: Vec::new(),
            questions: Vec::new(),
            tracks: HashMap::new(),
            new: Vec::new(),
            size: 0,
            written: 0,
            last: None,
            unwritten: false,
        };
        for (index, interaction) in found.unwrap_or_default().into_iter().enumerate() {
            let question = Arc::new(Question::of(&redaction.request(&interaction.request), &options.ignore));
            recording.tracks.entry(Arc::clone(&question)).or_default().at.push(index);
            recording.questions.push(question);
            recording.size += interaction.size();
            recording.old.push(Some(interaction));
        }
        Ok(Self {
            work,
            once: options.mode == Mode::Once,
            repeats: options.allow_playback_repeats,
            ignored: options.ignore.clone(),
            redaction,
            recording: Mutex::new(recording),
        })
    }

    /// Whether nothing is recorded, so that neither the network nor credentials are needed.
    pub fn only_replays(&self) -> bool {
        self.work == Work::Replay
    }

    /// Keeps one more secret out of the cassette. `name` says what it is.
    pub fn confide(&self, name: &str, value: SecretString) {
        self.recording.lock().guard.add(name, value);
    }

    /// The recorded answer, or `None` where the request is to be made and recorded.
    ///
    /// # Errors
    /// When there is none and nothing may be recorded; the error names the request and in what the nearest differs.
    pub fn play(&self, request: &Request) -> Result<Option<Response>> {
        if self.work == Work::Record {
            return Ok(None);
        }
        let question = self.question(request);
        let mut recording = self.recording.lock();
        let Some(index) = recording.next(&question, self.repeats) else {
            return match self.work {
                Work::Replay => Err(self.unknown(&recording, &question)),
                _ => Ok(None),
            };
        };
        let Some(Some(interaction)) = recording.old.get(index) else { return Ok(None) };
        let response = interaction.response.clone();
        let failed = |why: String| {
            let shown = recording.shelf.shown();
            Error::user(format!("the cassette {shown} cannot answer {}: {why}", question.shown()))
        };
        response.unpacked(&interaction.request.method, MOST_BODY).map(Some).map_err(failed)
    }

    /// [`Tape::record`], where nothing may wait for the disk.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub async fn keep(self: Arc<Self>, request: Request, response: Response) -> Result<()> {
        let recorded = tokio::task::spawn_blocking(move || self.record(&request, &response)).await;
        recorded.map_err(Error::internal).and_then(|recorded| recorded)
    }

    /// Adds an interaction, without its secrets. May wait for the disk.
    ///
    /// # Errors
    /// When a secret would stand in it, when there is no room, or the file cannot be written.
    pub fn record(&self, request: &Request, response: &Response) -> Result<()> {
        let asked = self.redaction.request(request);
        let (answered, learned) = self.redaction.response(response);
        let question = Question::of(&asked, &self.ignored);
        let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).ok();
        let interaction = Interaction { request: asked, response: answered, recorded_at: now };
        let mut recording = self.recording.lock();
        for secret in learned {
            recording.guard.add("one of an earlier answer", secret);
        }
        recording.guard.check(&interaction)?;
        recording.shelf.lock()?;
        if recording.size + interaction.size() > MOST {
            let (shown, most) = (recording.shelf.shown(), MOST >> 20);
            return Err(Error::user(format!("the cassette {shown} would be larger than {most} MiB"))
                .with_remedy("record less into one cassette"));
        }
        if self.work == Work::Record {
            recording.replaced_by(&question);
        }
        recording.size += interaction.size();
        recording.new.push(interaction);
        recording.unwritten = true;
        recording.write_now_and_then()
    }

    fn question(&self, request: &Request) -> Question {
        Question::of(&self.redaction.request(request), &self.ignored)
    }

    fn unknown(&self, recording: &Recording, question: &Question) -> Error {
        let (shelf, asked) = (recording.shelf.shown(), question.shown());
        let anew = if self.once { "delete the file to record it anew" } else { "record it with `mode: new_episodes`" };
        if let Some(track) = recording.tracks.get(question) {
            let count = track.at.len();
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let message = format!("the cassette {shelf} has no further answer for {asked}: it was recorded {times}");
            return Error::user(message).with_remedy(format!("{anew}, or set `allow_playback_repeats: true`"));
        }
        let message = format!("the cassette {shelf} has no answer for {asked}");
        let near = nearest(question, recording.questions.iter().map(Arc::as_ref));
        let near = near.and_then(|index| Some((index, recording.questions.get(index)?)));
        let message = match near {
            Some((index, near)) => {
                let (count, number) = (recording.questions.len(), index + 1);
                let differs = told(question, near);
                format!("{message}; the nearest of {count} is number {number}, {}: {differs}", near.shown())
            }
            None => format!("{message}: nothing is recorded"),
        };
        Error::user(message).with_remedy(format!("{anew}, or set `ignore` to the names that do not matter"))
    }
}

impl Recording {
    /// The interaction that answers a question now.
    fn next(&mut self, question: &Question, repeats: bool) -> Option<usize> {
        let track = self.tracks.get_mut(question)?;
        match track.at.get(track.played) {
            Some(index) => {
                track.played += 1;
                Some(*index)
            }
            None if repeats => track.at.last().copied(),
            None => None,
        }
    }

    /// What was recorded for a question before goes.
    fn replaced_by(&mut self, question: &Question) {
        let Some(track) = self.tracks.remove(question) else { return };
        for index in track.at {
            if let Some(gone) = self.old.get_mut(index).and_then(Option::take) {
                self.size -= gone.size();
            }
        }
    }

    fn write_now_and_then(&mut self) -> Result<()> {
        let grown = self.size >= self.written + self.written / GROWTH;
        let rested = self.last.is_none_or(|(when, took)| when.elapsed() >= PAUSE.max(took * SHARE));
        if grown || rested { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.shelf.write(self.old.iter().flatten().chain(&self.new))?;
        self.written = self.size;
        self.last = Some((Instant::now(), begun.elapsed()));
        self.unwritten = false;
        Ok(())
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let recording = self.recording.get_mut();
        if recording.unwritten
            && let Err(error) = recording.write()
        {
            tracing::error!(%error, "The end of what was recorded is lost.");
        }
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({:?})", self.work)
    }
}
