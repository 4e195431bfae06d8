//! The result, as one JSON object and as a table; both show the same numbers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::playlist::CacheUse;
use super::process::Usage;
use super::raw::Flood;
use super::stats::{Histogram, Stats};
use super::storm::Tally;

/// The wait past due that a viewer would not notice, milliseconds; the bar for "holds".
pub const WAIT_BAR_MS: f64 = 150.0;

/// Milliseconds at the quantiles that matter.
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    /// How many values.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    fn of(histogram: &Histogram) -> Option<Spread> {
        let ms = |us: u64| us as f64 / 1000.0;
        let at = |per_mille| histogram.quantile(per_mille).map(ms);
        Some(Spread { count: histogram.count(), p50: at(500)?, p95: at(950)?, p99: at(990)?, max: ms(histogram.max()) })
    }
}

/// Processor and memory of a process over the measured phase.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Processor seconds.
    pub cpu_s: f64,
    /// Per cent of one core.
    pub cpu_percent: f64,
    /// Processor microseconds per answer.
    pub cpu_us_per_answer: f64,
    /// Answers per processor second.
    pub answers_per_cpu_s: f64,
    /// Body bytes per processor second.
    pub bytes_per_cpu_s: f64,
    /// Resident memory at the end.
    pub rss_bytes: u64,
    /// Highest resident memory so far.
    pub rss_peak_bytes: u64,
    /// Open files at the end.
    pub open_files: u64,
}

impl Cost {
    /// What was used between two readings for so many answers and bytes.
    pub fn between(before: &Usage, after: &Usage, seconds: f64, answers: u64, bytes: u64) -> Cost {
        let cpu_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
        let over = |value: f64, divisor: f64| if divisor > 0.0 { value / divisor } else { 0.0 };
        Cost {
            cpu_s: cpu_us / 1e6,
            cpu_percent: over(cpu_us / 1e4, seconds),
            cpu_us_per_answer: over(cpu_us, answers as f64),
            answers_per_cpu_s: over(answers as f64 * 1e6, cpu_us),
            bytes_per_cpu_s: over(bytes as f64 * 1e6, cpu_us),
            rss_bytes: after.rss,
            rss_peak_bytes: after.rss_peak,
            open_files: after.files,
        }
    }
}

/// How the viewers got in.
#[derive(Debug, Clone, Serialize)]
pub struct Entrance {
    /// Sessions made.
    pub sessions: usize,
    /// Seconds it took.
    pub seconds: f64,
}

/// The result of a run with viewers. Rates, times and costs are of the measured phase; errors and stalls of all phases.
#[derive(Debug, Clone, Serialize)]
pub struct Viewers {
    /// Always `viewers`.
    pub mode: &'static str,
    /// Viewers asked for.
    pub viewers: usize,
    /// Viewers that had a first picture.
    pub joined: u64,
    /// Viewers told that they may not watch.
    pub refused: u64,
    /// Viewers that saw the broadcast end.
    pub ended: u64,
    /// No error, no stall, everyone joined, and the wait past due within 150 ms at p99.
    pub holds: bool,
    /// Seconds of the measured phase.
    pub measured_s: f64,
    /// The run was stopped before its time.
    pub interrupted: bool,
    /// Answers in the measured phase.
    pub answers: u64,
    /// Answers per second.
    pub answers_per_s: f64,
    /// Playlist answers.
    pub playlists: u64,
    /// Of which delta updates.
    pub deltas: u64,
    /// Parts.
    pub parts: u64,
    /// Whole segments.
    pub segments: u64,
    /// Initialisation sections.
    pub inits: u64,
    /// Playlist bytes on the wire.
    pub playlist_bytes: u64,
    /// Media bytes on the wire.
    pub media_bytes: u64,
    /// Megabits per second, bodies only.
    pub mbit_per_s: f64,
    /// Errors, whole run.
    pub errors: u64,
    /// Errors by kind, whole run.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// Interruptions of the virtual playback, whole run.
    pub stalls: u64,
    /// Their length.
    pub stalled_ms: f64,
    /// Media declared as gap, milliseconds over all viewers.
    pub gap_ms: f64,
    /// Kept connections that the server had closed.
    pub reopened: u64,
    /// Playlist wait past due, due being when any viewer of this run first had the awaited part.
    pub wait_past_due_first_ms: Option<Spread>,
    /// Playlist wait past due, due being the end of the awaited part by PROGRAM-DATE-TIME.
    pub wait_past_due_clock_ms: Option<Spread>,
    /// Last byte of a part after the part's end by PROGRAM-DATE-TIME.
    pub part_age_ms: Option<Spread>,
    /// Wall clock minus PROGRAM-DATE-TIME at the playhead.
    pub glass_ms: Option<Spread>,
    /// Request to last byte of a part.
    pub part_fetch_ms: Option<Spread>,
    /// Start of a viewer to its first picture, whole run.
    pub join_ms: Option<Spread>,
    /// Viewers that were sent out with `--kicks`.
    pub kicked: usize,
    /// From the answer to the organiser's request to the first refusal of the viewer who was sent out, whole run.
    pub kick_to_refusal_ms: Option<Spread>,
    /// Playlist bodies that were byte for byte one already read, and those that had to be read.
    pub playlist_cache: [u64; 2],
    /// The server.
    pub server: Option<Cost>,
    /// This program.
    pub generator: Option<Cost>,
    /// Getting in, when it was done here.
    pub entrance: Option<Entrance>,
}

/// What [`Viewers::new`] is told beside the counters.
#[derive(Debug, Clone)]
pub struct Outline {
    /// Viewers asked for.
    pub viewers: usize,
    /// Viewers that had a first picture.
    pub joined: u64,
    /// Viewers told that they may not watch.
    pub refused: u64,
    /// Viewers that saw the broadcast end.
    pub ended: u64,
    /// Viewers that were sent out.
    pub kicked: usize,
    /// Seconds of the measured phase.
    pub measured_s: f64,
    /// Stopped before its time.
    pub interrupted: bool,
}

impl Viewers {
    /// Makes the result from the counters of both phases.
    pub fn new(outline: Outline, ramp: &Stats, steady: &Stats, cache: CacheUse) -> Viewers {
        let mut all = ramp.clone();
        all.merge(steady);
        let seconds = outline.measured_s.max(0.001);
        let wait_first = Spread::of(&steady.wait_first);
        let wait_clock = Spread::of(&steady.wait_clock);
        let in_time = |spread: &Option<Spread>| spread.as_ref().is_none_or(|spread| spread.p99 <= WAIT_BAR_MS);
        let quiet = all.error_count() == 0 && all.stalls == 0 && outline.joined >= outline.viewers as u64;
        Viewers {
            mode: "viewers",
            viewers: outline.viewers,
            joined: outline.joined,
            refused: outline.refused,
            ended: outline.ended,
            holds: quiet && steady.answers() > 0 && in_time(&wait_first) && in_time(&wait_clock),
            measured_s: outline.measured_s,
            interrupted: outline.interrupted,
            answers: steady.answers(),
            answers_per_s: steady.answers() as f64 / seconds,
            playlists: steady.playlists,
            deltas: steady.deltas,
            parts: steady.parts,
            segments: steady.segments,
            inits: steady.inits,
            playlist_bytes: steady.playlist_bytes,
            media_bytes: steady.media_bytes,
            mbit_per_s: (steady.playlist_bytes + steady.media_bytes) as f64 * 8.0 / 1e6 / seconds,
            errors: all.error_count(),
            errors_by_kind: all.errors.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
            stalls: all.stalls,
            stalled_ms: all.stalled_us as f64 / 1000.0,
            gap_ms: all.gap_us as f64 / 1000.0,
            reopened: all.reopened,
            wait_past_due_first_ms: wait_first,
            wait_past_due_clock_ms: wait_clock,
            part_age_ms: Spread::of(&steady.part_age),
            glass_ms: Spread::of(&steady.glass),
            part_fetch_ms: Spread::of(&steady.part_fetch),
            join_ms: Spread::of(&all.join),
            kicked: outline.kicked,
            kick_to_refusal_ms: Spread::of(&all.kick),
            playlist_cache: [cache.hits, cache.misses],
            server: None,
            generator: None,
            entrance: None,
        }
    }

    /// Writes the table.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn table(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(entrance) = &self.entrance {
            let rate = entrance.sessions as f64 / entrance.seconds.max(0.001);
            row(
                out,
                "getting in",
                &format!("{} sessions in {:.1} s, {rate:.0}/s", entrance.sessions, entrance.seconds),
            )?;
        }
        let stopped = if self.interrupted { " (stopped early)" } else { "" };
        row(
            out,
            "viewers",
            &format!(
                "{} of {} joined, {} refused, {} saw the end",
                self.joined, self.viewers, self.refused, self.ended
            ),
        )?;
        row(out, "measured", &format!("{:.1} s{stopped}", self.measured_s))?;
        row(
            out,
            "requests",
            &format!(
                "{} = {:.0}/s: {} playlists ({} deltas), {} parts, {} segments, {} inits",
                self.answers, self.answers_per_s, self.playlists, self.deltas, self.parts, self.segments, self.inits
            ),
        )?;
        row(
            out,
            "bytes",
            &format!(
                "{:.1} MB playlists, {:.1} MB media, {:.1} Mb/s",
                self.playlist_bytes as f64 / 1e6,
                self.media_bytes as f64 / 1e6,
                self.mbit_per_s
            ),
        )?;
        row(out, "errors", &self.errors.to_string())?;
        for (kind, count) in &self.errors_by_kind {
            row(out, "", &format!("{count} × {kind}"))?;
        }
        row(out, "stalls", &format!("{} ({:.0} ms in all)", self.stalls, self.stalled_ms))?;
        if self.gap_ms > 0.0 {
            row(out, "gaps", &format!("{:.0} ms in all", self.gap_ms))?;
        }
        spread(out, "wait past due, first viewer", self.wait_past_due_first_ms.as_ref())?;
        spread(out, "wait past due, clock", self.wait_past_due_clock_ms.as_ref())?;
        spread(out, "part age at arrival", self.part_age_ms.as_ref())?;
        spread(out, "latency at the playhead", self.glass_ms.as_ref())?;
        spread(out, "part request", self.part_fetch_ms.as_ref())?;
        spread(out, "join", self.join_ms.as_ref())?;
        if self.kicked > 0 {
            let refused = self.kick_to_refusal_ms.as_ref().map_or(0, |spread| spread.count);
            row(out, "sent out", &format!("{} viewers, {refused} of them refused", self.kicked))?;
            spread(out, "sent out to refused", self.kick_to_refusal_ms.as_ref())?;
        }
        cost(out, "server", self.server.as_ref())?;
        cost(out, "generator", self.generator.as_ref())?;
        row(out, "holds", if self.holds { "yes" } else { "no" })
    }
}

/// The result of a flood.
#[derive(Debug, Clone, Serialize)]
pub struct Raw {
    /// Always `raw`.
    pub mode: &'static str,
    /// Connections.
    pub connections: usize,
    /// Seconds of the measured phase.
    pub measured_s: f64,
    /// Answers with status 200.
    pub answers: u64,
    /// Answers per second.
    pub answers_per_s: f64,
    /// Body bytes.
    pub bytes: u64,
    /// Gigabits per second, bodies only.
    pub gbit_per_s: f64,
    /// Request to last byte.
    pub latency_ms: Option<Spread>,
    /// Errors.
    pub errors: u64,
    /// Errors by kind.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// The server.
    pub server: Option<Cost>,
    /// This program.
    pub generator: Option<Cost>,
}

impl Raw {
    /// Makes the result from the counters.
    pub fn new(connections: usize, measured_s: f64, flood: &Flood) -> Raw {
        let seconds = measured_s.max(0.001);
        Raw {
            mode: "raw",
            connections,
            measured_s,
            answers: flood.answers,
            answers_per_s: flood.answers as f64 / seconds,
            bytes: flood.bytes,
            gbit_per_s: flood.bytes as f64 * 8.0 / 1e9 / seconds,
            latency_ms: Spread::of(&flood.latency),
            errors: flood.errors.values().sum(),
            errors_by_kind: flood.errors.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
            server: None,
            generator: None,
        }
    }

    /// Writes the table.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn table(&self, out: &mut impl Write) -> io::Result<()> {
        row(out, "connections", &self.connections.to_string())?;
        row(out, "measured", &format!("{:.1} s", self.measured_s))?;
        row(out, "requests", &format!("{} = {:.0}/s, {:.2} Gb/s", self.answers, self.answers_per_s, self.gbit_per_s))?;
        row(out, "errors", &self.errors.to_string())?;
        for (kind, count) in &self.errors_by_kind {
            row(out, "", &format!("{count} × {kind}"))?;
        }
        spread(out, "answer", self.latency_ms.as_ref())?;
        cost(out, "server", self.server.as_ref())?;
        cost(out, "generator", self.generator.as_ref())
    }
}

/// The result of a storm.
#[derive(Debug, Clone, Serialize)]
pub struct Storm {
    /// Always `join-storm`.
    pub mode: &'static str,
    /// Pages asked for.
    pub pages: usize,
    /// Pages a second.
    pub rate: f64,
    /// Codes redeemed.
    pub redeemed: u64,
    /// Pages that stood in line first.
    pub queued: u64,
    /// Answers that said "later".
    pub told_to_wait: u64,
    /// Answers that put a page further back than the one before: somebody got past it.
    pub pushed_back: u64,
    /// Pages whose socket was open when everybody had come.
    pub open: usize,
    /// Questions whether a page is there that were answered.
    pub answered: u64,
    /// Sockets that were lost without a word.
    pub lost: u64,
    /// Errors.
    pub errors: u64,
    /// Errors by kind.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// Due to session, of pages that did not stand in line.
    pub redemption_ms: Option<Spread>,
    /// Due to session, of pages that did.
    pub line_ms: Option<Spread>,
    /// How far the time that a page was first told it would wait was from the time it did.
    pub eta_off_ms: Option<Spread>,
    /// Session to open socket.
    pub opening_ms: Option<Spread>,
    /// From asking for a content key to having it.
    pub key_ms: Option<Spread>,
    /// Resident memory of the server that each open page added, bytes.
    pub server_bytes_per_page: Option<f64>,
    /// The server while everybody came in.
    pub coming: Option<Cost>,
    /// The server while everybody's page was open.
    pub holding: Option<Cost>,
    /// The request to end all sessions, sent to answered, milliseconds.
    pub end_all_ms: Option<f64>,
    /// Goodbyes by reason.
    pub byes: BTreeMap<String, u64>,
    /// From the answer to that request to the goodbye.
    pub end_all_to_bye_ms: Option<Spread>,
    /// From the answer to that request to the first refusal of a page that asked without pause.
    pub end_all_to_refusal_ms: Option<Spread>,
    /// Pages that were not refused.
    pub still_in: u64,
}

impl Storm {
    /// Makes the result from what the pages went through.
    pub fn new(pages: usize, rate: f64, open: usize, tally: &Tally) -> Storm {
        Storm {
            mode: "join-storm",
            pages,
            rate,
            redeemed: tally.redeemed,
            queued: tally.queued,
            told_to_wait: tally.told_to_wait,
            pushed_back: tally.pushed_back,
            open,
            answered: tally.answered,
            lost: tally.lost,
            errors: tally.errors.values().sum(),
            errors_by_kind: tally.errors.clone(),
            redemption_ms: Spread::of(&tally.redemption),
            line_ms: Spread::of(&tally.line),
            eta_off_ms: Spread::of(&tally.eta_off),
            opening_ms: Spread::of(&tally.opening),
            key_ms: Spread::of(&tally.key),
            server_bytes_per_page: None,
            coming: None,
            holding: None,
            end_all_ms: None,
            byes: tally.byes.clone(),
            end_all_to_bye_ms: Spread::of(&tally.bye),
            end_all_to_refusal_ms: Spread::of(&tally.refusal),
            still_in: tally.still_in,
        }
    }

    /// Writes the table.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn table(&self, out: &mut impl Write) -> io::Result<()> {
        row(out, "pages", &format!("{} at {:.0}/s: {} in, {} open", self.pages, self.rate, self.redeemed, self.open))?;
        let (queued, waited, back) = (self.queued, self.told_to_wait, self.pushed_back);
        row(out, "stood in line", &format!("{queued}, told to wait {waited} times, pushed back {back} times"))?;
        row(out, "errors", &self.errors.to_string())?;
        for (kind, count) in &self.errors_by_kind {
            row(out, "", &format!("{count} × {kind}"))?;
        }
        row(out, "questions answered", &self.answered.to_string())?;
        row(out, "sockets lost", &self.lost.to_string())?;
        spread(out, "due to session", self.redemption_ms.as_ref())?;
        spread(out, "due to session, in line", self.line_ms.as_ref())?;
        spread(out, "told to wait, off by", self.eta_off_ms.as_ref())?;
        spread(out, "session to open socket", self.opening_ms.as_ref())?;
        spread(out, "key, asked to answered", self.key_ms.as_ref())?;
        cost(out, "server, coming in", self.coming.as_ref())?;
        cost(out, "server, pages open", self.holding.as_ref())?;
        if let Some(bytes) = self.server_bytes_per_page {
            row(out, "server memory", &format!("{:.1} KiB a page", bytes / 1024.0))?;
        }
        let Some(took) = self.end_all_ms else { return Ok(()) };
        row(out, "end all sessions", &format!("answered in {took:.1} ms"))?;
        for (reason, count) in &self.byes {
            row(out, "", &format!("{count} × told: {reason}"))?;
        }
        spread(out, "answered to told", self.end_all_to_bye_ms.as_ref())?;
        spread(out, "answered to refused", self.end_all_to_refusal_ms.as_ref())?;
        row(out, "still in", &self.still_in.to_string())
    }
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<28} {value}")
}

fn spread(out: &mut impl Write, name: &str, spread: Option<&Spread>) -> io::Result<()> {
    let Some(Spread { p50, p95, p99, max, .. }) = spread else { return Ok(()) };
    row(out, name, &format!("p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms"))
}

fn cost(out: &mut impl Write, name: &str, cost: Option<&Cost>) -> io::Result<()> {
    let Some(cost) = cost else { return Ok(()) };
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    row(
        out,
        name,
        &format!(
            "{:.2} CPU s = {:.1} % of a core, {:.1} µs/answer, RSS {:.1} MiB (peak {:.1}), {} files",
            cost.cpu_s,
            cost.cpu_percent,
            cost.cpu_us_per_answer,
            mib(cost.rss_bytes),
            mib(cost.rss_peak_bytes),
            cost.open_files
        ),
    )
}
