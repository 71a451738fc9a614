//! How a recording ends: what is on its way is still taken.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use ctrace_trace::event::{Arg, Event, EventType};

use super::pace::{LONG_TICK, TICK};
use super::sources::AUDIT_RULES;
use super::{DRAIN, Message, Notice, Outcome, Recorder, gaps, hold};
use crate::audit::LoadedRules;
use crate::docker::logs::LogFollower;
use crate::host::{boot_time_ns, utc_ns};

impl Recorder {
    /// Stops the sources, writes what is left, and closes the case.
    pub(super) fn finish(
        mut self,
        reason: &'static str,
        command: Option<ExitStatus>,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Outcome {
        if let Some(source) = &mut self.sources.syscalls {
            source.detach();
        }
        self.undo_rules(notice);
        self.drain(notice);
        self.check(notice);
        let now = utc_ns();
        for gap in self.away.gaps(now) {
            self.queue.push(now, Message::Gap(gap));
        }
        self.release(u64::MAX >> 1, usize::MAX);
        // Of what was just written.
        let now = utc_ns();
        for late in self.output.lateness().take() {
            self.queue.push(now, Message::Late(late));
        }
        self.tell_left_out(now, true);
        self.tell_forgotten(now, now, notice);
        self.release(u64::MAX >> 1, usize::MAX);
        let args = [Arg::Str(reason.as_bytes())];
        self.output
            .finish(&Event::bare(utc_ns(), EventType::CAPTURE_STOP, &args));
        self.tell_unwritten(notice);
        let (summary, late) = (self.output.summary(), self.output.lateness().total());
        let (failure, unkept) = self.output.end();
        Outcome {
            summary,
            command,
            reason,
            failure,
            unkept,
            lost: self.lost,
            late,
        }
    }

    /// What is audited because of them is still read afterwards; what the host does then is its own affair.
    fn undo_rules(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let rules = self.sources.audit.as_mut().and_then(|audit| audit.rules.take());
        if let Some(Err(stays)) = rules.map(LoadedRules::undo) {
            let reason = stays.to_string();
            notice(Notice::Stays(&reason));
            let source = AUDIT_RULES;
            self.queue.push(utc_ns(), Message::SourceLost { source, reason });
        }
    }

    /// Takes what the sources still have of the time before they were stopped.
    fn drain(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let begun = Instant::now();
        let hold = Duration::from_nanos(hold::HOLD_NS);
        loop {
            self.turn(boot_time_ns());
            let pending = self.sources.syscalls.as_ref().map_or(0, |s| s.pending().unwrap_or(0));
            // What the command did last may still be on its way from the engine and from the kernel's audit queue.
            if begun.elapsed() >= hold
                && let Some(audit) = &self.sources.audit
            {
                audit.follower.stop();
            }
            if begun.elapsed() >= hold {
                self.sources.logs.iter().for_each(LogFollower::stop);
            }
            let logged = self.sources.logs.iter().all(LogFollower::has_ended);
            let audited = self
                .sources
                .audit
                .as_ref()
                .is_none_or(|a| a.follower.progress().drained_ns == u64::MAX);
            let read = self.artifacts.is_done(begun);
            if begun.elapsed() >= hold && audited && logged && read && pending == 0 {
                break;
            }
            if begun.elapsed() >= DRAIN {
                let now = utc_ns();
                if let Some(gap) = gaps::undrained(pending, self.losses.checked(), now) {
                    self.tell(gap, now, notice);
                }
                break;
            }
            let rest = hold.saturating_sub(begun.elapsed());
            std::thread::sleep(rest.clamp(TICK, LONG_TICK));
        }
        self.artifacts.end();
        self.take();
    }
}
